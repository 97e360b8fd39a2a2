//! What a place for captured traffic promises, as a folder and as a bucket: create-only files, one key that may be
//! overwritten, and a retention that deletes only what it wrote itself.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use hodoscope_registry::capture::{CaptureKey, CaptureStore, Pruned, Writer};
use hodoscope_registry::{Probe, S3Options, Step, StoreLocation, StoreOptions};
use hodoscope_release::DetectorName;

use crate::wire::{Fault, Wire};

const DAY: u64 = 86_400;
const LIMIT: u64 = 1 << 20;
/// 2026-11-24T00:00:00Z.
const TODAY: u64 = 1_795_478_400;

fn pump() -> DetectorName {
    "pump".parse().unwrap()
}

fn rows(moment_seconds: u64, sequence: u64) -> CaptureKey {
    let writer = Writer {
        host: "web-1",
        boot: "0badcafe",
        sequence,
    };
    CaptureKey::rows(&pump(), moment_seconds, writer)
}

async fn folder(path: &Path) -> CaptureStore {
    let location = StoreLocation::Folder(path.to_owned());
    CaptureStore::open(&location, &StoreOptions::default())
        .await
        .unwrap()
}

pub(crate) async fn bucket(place: &str, s3: S3Options) -> CaptureStore {
    let options = StoreOptions {
        s3,
        ..StoreOptions::default()
    };
    CaptureStore::open(&place.parse().unwrap(), &options)
        .await
        .unwrap()
}

/// Runs every promise on an empty place.
pub(crate) async fn keeps_every_promise(store: &CaptureStore) {
    let key = rows(TODAY, 1);
    let bytes = Bytes::from_static(b"rows");
    store.put_new(&key, bytes.clone()).await.unwrap();
    store.put_new(&key, bytes.clone()).await.unwrap();
    for other in ["ROWS", "more rows", ""] {
        let error = store.put_new(&key, other.into()).await.unwrap_err();
        assert_eq!(error.kind(), "occupied", "{error}");
    }
    assert_eq!(store.get(&key, LIMIT).await.unwrap(), bytes);
    assert_eq!(store.range(&key, 1, 2).await.unwrap(), "ow");
    assert_eq!(store.range(&key, 0, 4).await.unwrap(), bytes);
    assert!(store.range(&key, 2, 4).await.is_err());
    assert_eq!(store.get(&key, 3).await.unwrap_err().kind(), "too_large");
    let missing = store.get(&rows(TODAY, 2), LIMIT).await.unwrap_err();
    assert!(missing.is_missing(), "{missing}");

    let verdict = CaptureKey::verdict(&pump());
    for text in ["stable", "drifted, and this is longer"] {
        store.put(&verdict, text.into()).await.unwrap();
        assert_eq!(store.get(&verdict, LIMIT).await.unwrap(), text);
    }
    let error = store.put(&key, bytes).await.unwrap_err();
    assert_eq!(error.kind(), "occupied", "{error}");

    store
        .put_new(&rows(TODAY + DAY, 2), "later".into())
        .await
        .unwrap();
    let list = async |day| {
        let prefix = CaptureKey::rows_of(&pump(), day);
        let found = store.list(&prefix).await.unwrap();
        found
            .into_iter()
            .map(|found| (found.key, found.size_bytes))
            .collect::<Vec<_>>()
    };
    let (first, second) = ((key, 4), (rows(TODAY + DAY, 2), 5));
    assert_eq!(list(None).await, [first.clone(), second]);
    assert_eq!(list(Some("2026-11-24")).await, [first]);
    assert_eq!(list(Some("2026-11-26")).await, []);
}

#[tokio::test]
async fn a_folder_keeps_every_promise_of_captured_traffic() {
    let home = tempfile::tempdir().unwrap();
    keeps_every_promise(&folder(&home.path().join("capture")).await).await;
}

#[tokio::test]
async fn a_bucket_keeps_every_promise_of_captured_traffic() {
    let wire = Wire::memory();
    let store = bucket("s3://bucket/team", wire.options()).await;
    keeps_every_promise(&store).await;
    let before = wire.seen().len();
    assert_eq!(
        store.prune(u64::MAX, 0).await.unwrap(),
        Pruned::default(),
        "a bucket has lifecycle rules"
    );
    assert_eq!(wire.seen().len(), before);
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_settled_by_reading() {
    let wire = Wire::memory();
    let store = bucket("s3://bucket", wire.options()).await;
    for (sequence, fault) in [Fault::CutAfter, Fault::AnswerAfter(500, "InternalError")]
        .into_iter()
        .enumerate()
    {
        wire.fault("PUT", "/capture/", fault);
        let key = rows(TODAY, sequence as u64);
        store.put_new(&key, "rows".into()).await.unwrap();
        assert_eq!(wire.heal(), 0);
        assert_eq!(store.get(&key, LIMIT).await.unwrap(), "rows");
    }
}

#[tokio::test]
async fn a_host_that_may_write_but_not_read_settles_a_lost_answer_too() {
    let wire = Wire::memory();
    let store = bucket("s3://bucket", wire.options()).await;
    let key = rows(TODAY, 1);
    wire.faults(2, "GET", "/capture/", Fault::Answer(403, "AccessDenied"));
    wire.fault("PUT", "/capture/", Fault::CutAfter);
    store.put_new(&key, "rows".into()).await.unwrap();
    store.put_new(&key, "rows".into()).await.unwrap();
    assert_eq!(wire.heal(), 0);
    wire.fault("PUT", "/capture/", Fault::Answer(403, "AccessDenied"));
    let error = store.put_new(&rows(TODAY, 2), "rows".into()).await;
    assert_eq!(error.unwrap_err().kind(), "forbidden");
}

#[tokio::test]
async fn retention_deletes_only_old_files_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let store = folder(home.path()).await;
    for day in 0..5 {
        let key = rows(TODAY + day * DAY, day);
        store.put_new(&key, vec![b'x'; 100].into()).await.unwrap();
    }
    store
        .put(&CaptureKey::verdict(&pump()), "stable".into())
        .await
        .unwrap();
    // What people and other programs put beside it.
    let day = home.path().join("capture/v1/detector=pump/dt=2026-11-24");
    let strangers = [
        day.join("hour=00/labels.csv"),
        home.path()
            .join("capture/v1/detector=pump/dt=2026-11-20/notes.parquet"),
        home.path().join("blobs/sha256/0123"),
    ];
    for stranger in &strangers {
        std::fs::create_dir_all(stranger.parent().unwrap()).unwrap();
        std::fs::write(stranger, "mine").unwrap();
    }

    let pruned = store.prune(TODAY + 2 * DAY, u64::MAX).await.unwrap();
    assert_eq!(
        pruned,
        Pruned {
            files: 2,
            bytes: 200
        }
    );
    let pruned = store.prune(TODAY + 2 * DAY, 250).await.unwrap();
    assert_eq!(
        pruned,
        Pruned {
            files: 1,
            bytes: 100
        }
    );
    let left = store
        .list(&CaptureKey::rows_of(&pump(), None))
        .await
        .unwrap();
    let left: Vec<_> = left.into_iter().map(|found| found.key).collect();
    assert_eq!(left, [rows(TODAY + 3 * DAY, 3), rows(TODAY + 4 * DAY, 4)]);
    assert!(strangers.iter().all(|stranger| stranger.exists()));
    assert!(home.path().join("verdicts/v1/pump.json").exists());
    let empty = home.path().join("capture/v1/detector=pump/dt=2026-11-25");
    assert!(!empty.exists(), "an empty folder is removed");
}

#[tokio::test]
async fn a_full_disk_is_said_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let full = |step| match step {
        Step::HalfWritten => Err(std::io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    };
    let options = StoreOptions {
        probe: Probe(Some(full)),
        ..StoreOptions::default()
    };
    let location = StoreLocation::Folder(home.path().to_owned());
    let store = CaptureStore::open(&location, &options).await.unwrap();
    let error = store
        .put_new(&rows(TODAY, 1), "rows".into())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "full", "{error}");
    let key = CaptureKey::verdict(&pump());
    let error = store.put(&key, "rows".into()).await.unwrap_err();
    assert_eq!(error.kind(), "full", "{error}");
    let rows = CaptureKey::rows_of(&pump(), None);
    assert!(
        folder(home.path())
            .await
            .list(&rows)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_bucket_that_never_answers_ends_in_time() {
    let wire = Wire::memory();
    let s3 = S3Options {
        attempt_timeout: Duration::from_millis(100),
        operation_timeout: Duration::from_millis(250),
        ..wire.options()
    };
    let store = bucket("s3://bucket", s3).await;
    wire.faults(5, "PUT", "/capture/", Fault::Hang);
    wire.faults(5, "GET", "/capture/", Fault::Hang);
    let error = store
        .put_new(&rows(TODAY, 1), "rows".into())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "timeout", "{error}");
}
