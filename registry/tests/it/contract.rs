//! What every store promises, whatever it is made of. The same checks run here on folders and, from the verify group
//! `s3`, on a real S3 server.

use bytes::Bytes;
use hodoscope_registry::{Pushed, Store, StoreError, StoreLocation, StoreOptions};
use hodoscope_release::{Digest, ReleaseName};

pub(crate) const LIMIT: u64 = 1 << 20;

pub(crate) fn release(text: &str) -> ReleaseName {
    text.parse().unwrap()
}

pub(crate) async fn folder(path: &std::path::Path) -> Store {
    let location = StoreLocation::Folder(path.to_owned());
    Store::open(&location, &StoreOptions::default())
        .await
        .unwrap()
}

/// Runs every promise on an empty store.
pub(crate) async fn keeps_every_promise(store: &Store) {
    gives_back_what_was_pushed(store).await;
    takes_the_same_push_twice_and_refuses_another(store).await;
    caps_before_it_reads(store).await;
    yanks_without_deleting(store).await;
    lists_by_detector_and_version(store).await;
    names_what_is_missing(store).await;
}

/// Clients that push other bytes under one name at once: one wins, the others are told which bytes won.
pub(crate) async fn exactly_one_of_32_racing_pushes_wins(store: &Store, rounds: usize) {
    for round in 0..rounds {
        let name = release(&format!("raced@{round}.0.0"));
        let mut race = tokio::task::JoinSet::new();
        let start = std::sync::Arc::new(tokio::sync::Barrier::new(32));
        for racer in 0..32 {
            let (store, name, start) = (store.clone(), name.clone(), start.clone());
            race.spawn(async move {
                let component = Bytes::from(format!("{name} by {racer}"));
                start.wait().await;
                (
                    Digest::of(&component),
                    store.push(&name, component, Vec::new()).await,
                )
            });
        }
        let (mut winners, mut told) = (Vec::new(), Vec::new());
        while let Some(racer) = race.join_next().await {
            match racer.unwrap() {
                (digest, Ok(Pushed::Created)) => winners.push(digest),
                (
                    pushed,
                    Err(StoreError::Taken {
                        stored,
                        pushed: own,
                        ..
                    }),
                ) => {
                    assert_eq!(own, pushed);
                    told.push(stored);
                }
                (_, other) => panic!("a racer got {other:?}"),
            }
        }
        assert_eq!((winners.len(), told.len()), (1, 31), "round {round}");
        assert!(
            told.iter().all(|stored| *stored == winners[0]),
            "round {round}"
        );
        assert_eq!(store.index(&name).await.unwrap().digest, winners[0]);
        assert!(store.blob(&winners[0], LIMIT).await.is_ok());
    }
}

/// Clients that push the same bytes at once are all content, and none is told that it lost.
pub(crate) async fn racing_pushes_of_the_same_bytes_all_succeed(store: &Store) {
    let name = release("agreed@1.0.0");
    let mut race = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (store, name) = (store.clone(), name.clone());
        race.spawn(async move {
            store
                .push(&name, Bytes::from_static(b"agreed"), Vec::new())
                .await
        });
    }
    let answers: Vec<_> = race
        .join_all()
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        answers
            .iter()
            .filter(|pushed| **pushed == Pushed::Created)
            .count(),
        1
    );
}

async fn gives_back_what_was_pushed(store: &Store) {
    let (name, component) = (release("pump@1.0.0"), Bytes::from_static(b"component"));
    let evidence = Bytes::from_static(b"{\"flip_rate\":0.01}");
    let documents = vec![("evidence".to_owned(), evidence.clone())];
    assert_eq!(
        store
            .push(&name, component.clone(), documents)
            .await
            .unwrap(),
        Pushed::Created
    );
    let entry = store.index(&name).await.unwrap();
    assert_eq!(
        (entry.digest, entry.size_bytes),
        (Digest::of(&component), 9)
    );
    assert_eq!(store.blob(&entry.digest, LIMIT).await.unwrap(), component);
    assert_eq!(
        store.document(&entry.documents["evidence"]).await.unwrap(),
        evidence
    );
}

async fn takes_the_same_push_twice_and_refuses_another(store: &Store) {
    let (name, component) = (release("twice@1.0.0"), Bytes::from_static(b"first"));
    let with =
        |text: &'static str| vec![("evidence".to_owned(), Bytes::from_static(text.as_bytes()))];
    assert_eq!(
        store
            .push(&name, component.clone(), with("a"))
            .await
            .unwrap(),
        Pushed::Created
    );
    assert_eq!(
        store
            .push(&name, component.clone(), with("a"))
            .await
            .unwrap(),
        Pushed::Unchanged
    );
    assert_eq!(
        store
            .push(&name, component.clone(), Vec::new())
            .await
            .unwrap(),
        Pushed::Unchanged
    );
    let error = store
        .push(&name, component.clone(), with("b"))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::DocumentTaken { .. }), "{error}");
    let error = store
        .push(&name, Bytes::from_static(b"second"), Vec::new())
        .await
        .unwrap_err()
        .to_string();
    for digest in [Digest::of(b"first"), Digest::of(b"second")] {
        assert!(error.contains(&digest.to_string()), "{error}");
    }
    assert_eq!(
        store.index(&name).await.unwrap().digest,
        Digest::of(b"first")
    );
    // The same bytes may have many versions.
    assert_eq!(
        store
            .push(&release("twice@1.0.1"), component, Vec::new())
            .await
            .unwrap(),
        Pushed::Created
    );
}

async fn caps_before_it_reads(store: &Store) {
    let (name, component) = (release("large@1.0.0"), Bytes::from(vec![7; 5000]));
    store
        .push(&name, component.clone(), Vec::new())
        .await
        .unwrap();
    let digest = Digest::of(&component);
    assert_eq!(store.blob(&digest, 5000).await.unwrap().len(), 5000);
    let error = store.blob(&digest, 4999).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::TooLarge {
                size_bytes: 5000,
                limit_bytes: 4999,
                ..
            }
        ),
        "{error}"
    );
}

async fn yanks_without_deleting(store: &Store) {
    let name = release("yanked@1.0.0");
    assert!(store.yank(&name, "early").await.unwrap_err().is_missing());
    store
        .push(&name, Bytes::from_static(b"bad"), Vec::new())
        .await
        .unwrap();
    assert_eq!(store.yanked(&name).await.unwrap(), None);
    assert_eq!(
        store.yank(&name, "false alarms").await.unwrap(),
        Pushed::Created
    );
    assert_eq!(
        store.yank(&name, "another reason").await.unwrap(),
        Pushed::Unchanged
    );
    assert_eq!(
        store.yanked(&name).await.unwrap().unwrap().reason,
        "false alarms"
    );
    assert!(store.blob(&Digest::of(b"bad"), LIMIT).await.is_ok());
}

async fn lists_by_detector_and_version(store: &Store) {
    for version in ["1.10.0", "1.9.0", "1.9.0-rc.1"] {
        let name = release(&format!("listed@{version}"));
        store
            .push(&name, Bytes::from(version.to_owned()), Vec::new())
            .await
            .unwrap();
    }
    store
        .yank(&release("listed@1.9.0"), "why not")
        .await
        .unwrap();
    let listing = store.list(Some(&"listed".parse().unwrap())).await.unwrap();
    let found: Vec<_> = listing
        .releases
        .iter()
        .map(|one| (one.entry.version.to_string(), one.yanked.is_some()))
        .collect();
    let expected = [("1.9.0-rc.1", false), ("1.9.0", true), ("1.10.0", false)];
    assert_eq!(
        found,
        expected.map(|(version, yanked)| (version.to_owned(), yanked))
    );
    assert!(listing.broken.is_empty());
    assert!(store.list(None).await.unwrap().releases.len() >= 3);
    assert!(
        store
            .list(Some(&"nobody".parse().unwrap()))
            .await
            .unwrap()
            .releases
            .is_empty()
    );
}

async fn names_what_is_missing(store: &Store) {
    let error = store.index(&release("pump@9.9.9")).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert!(
        error.to_string().contains("index/pump/9.9.9.json"),
        "{error}"
    );
    assert!(
        store
            .blob(&Digest::of(b"never"), LIMIT)
            .await
            .unwrap_err()
            .is_missing()
    );
}

#[tokio::test]
async fn a_folder_keeps_every_promise() {
    let home = tempfile::tempdir().unwrap();
    keeps_every_promise(&folder(&home.path().join("a/b/store")).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn races_for_a_version_in_a_folder_have_one_winner() {
    let home = tempfile::tempdir().unwrap();
    let store = folder(home.path()).await;
    exactly_one_of_32_racing_pushes_wins(&store, 20).await;
    racing_pushes_of_the_same_bytes_all_succeed(&store).await;
}
