//! What a store in S3 makes of a server that refuses, hangs, cuts and garbles. The cases run against S3 from memory
//! here, and with the same wire before a real server in the verify group `s3`.

use std::time::Duration;

use bytes::Bytes;
use hodoscope_registry::{Pushed, Store, StoreError};
use hodoscope_release::Digest;

use crate::contract::{LIMIT, keeps_every_promise, release};
use crate::wire::Fault::{
    Answer, AnswerAfter, Cut, CutAfter, Endless, FlipAnswer, FlipRequest, HalfBody, Hang,
    HangAfter, StallBody,
};
use crate::wire::{Fault, Wire};

const PLACE: &str = "s3://bucket/team";
const COMPONENT: &[u8] = b"a component of some length";
/// Long enough for an answer on a busy machine, short enough to wait for.
const SHORT: Duration = Duration::from_millis(700);

/// One fault on the way of a push, and the push succeeds all the same.
pub(crate) const HEALED_WRITES: [Fault; 12] = [
    Answer(500, "InternalError"),
    Answer(503, "SlowDown"),
    Answer(409, "ConditionalRequestConflict"),
    AnswerAfter(500, "InternalError"),
    AnswerAfter(503, "SlowDown"),
    AnswerAfter(409, "ConditionalRequestConflict"),
    Answer(400, "RequestTimeout"),
    Cut,
    CutAfter,
    Hang,
    HangAfter,
    FlipRequest,
];

/// One fault on the way of a read, and the read succeeds all the same.
pub(crate) const HEALED_READS: [Fault; 8] = [
    Answer(500, "InternalError"),
    Answer(503, "SlowDown"),
    Answer(504, "GatewayTimeout"),
    Cut,
    Hang,
    HalfBody,
    StallBody,
    FlipAnswer,
];

/// A fault at each attempt of a read, and the word of the error.
const LASTING_READS: [(Fault, &str); 16] = [
    (Answer(404, "XAdminUserNotFound"), "credentials"),
    (Answer(404, "PageNotFound"), "refused"),
    (Answer(500, "InternalError"), "unavailable"),
    (Answer(503, "SlowDown"), "unavailable"),
    (Answer(403, "AccessDenied"), "missing_or_forbidden"),
    (Answer(403, "InvalidAccessKeyId"), "credentials"),
    (Answer(403, "RequestTimeTooSkewed"), "clock"),
    (Answer(404, "NoSuchKey"), "missing"),
    (Answer(404, "NoSuchBucket"), "no_bucket"),
    (Answer(301, "PermanentRedirect"), "refused"),
    (Cut, "connection"),
    (Hang, "timeout"),
    (HalfBody, "incomplete"),
    (StallBody, "timeout"),
    (FlipAnswer, "damaged"),
    (Endless, "too_large"),
];

/// A fault at each attempt of a write, and the word of the error.
const LASTING_WRITES: [(Fault, &str); 8] = [
    (Answer(500, "InternalError"), "unavailable"),
    (Answer(503, "SlowDown"), "unavailable"),
    (Answer(409, "ConditionalRequestConflict"), "conflict"),
    (Answer(403, "AccessDenied"), "forbidden"),
    (Answer(501, "NotImplemented"), "refused"),
    (Cut, "connection"),
    (Hang, "timeout"),
    (FlipRequest, "unavailable"),
];

async fn store(wire: &Wire, place: &str, fault: Fault) -> Store {
    let mut options = wire.options();
    if matches!(fault, Hang | HangAfter | StallBody) {
        options.attempt_timeout = SHORT;
    }
    wire.store_with(place, options).await
}

/// If the index names a release, its bytes are there.
async fn is_sound(store: &Store, name: &str) -> bool {
    match store.index(&release(name)).await {
        Ok(entry) => store.blob(&entry.digest, LIMIT).await.unwrap() == COMPONENT,
        Err(error) => error.is_missing(),
    }
}

/// Pushes through one fault at the request that `path` picks.
pub(crate) async fn push_heals(
    wire: &Wire,
    place: &str,
    index: usize,
    path: &'static str,
    fault: Fault,
) {
    let store = store(wire, place, fault).await;
    let name = format!("healed@{index}.0.0-{}", path.trim_matches('/'));
    wire.fault("PUT", path, fault);
    // Own bytes for each case: otherwise the blob of the case before is found.
    let component = Bytes::from(format!("{name} {}", "x".repeat(2000)));
    let pushed = store
        .push(&release(&name), component.clone(), Vec::new())
        .await;
    assert_eq!(wire.heal(), 0, "{fault:?} at {path} was not used");
    assert_eq!(pushed.unwrap(), Pushed::Created, "{fault:?} at {path}");
    let entry = store.index(&release(&name)).await.unwrap();
    assert_eq!(store.blob(&entry.digest, LIMIT).await.unwrap(), component);
}

/// Reads an index entry and a component through one fault each.
pub(crate) async fn read_heals(wire: &Wire, place: &str, fault: Fault) {
    let store = store(wire, place, fault).await;
    let name = release("read@1.0.0");
    store
        .push(&name, Bytes::from_static(COMPONENT), Vec::new())
        .await
        .unwrap();
    // A flipped byte in an entry is found by the server's checksum, which the memory does not send.
    if fault != FlipAnswer {
        wire.fault("GET", "/index/", fault);
        store.index(&name).await.unwrap();
    }
    wire.fault("GET", "/blobs/", fault);
    assert_eq!(
        store.blob(&Digest::of(COMPONENT), LIMIT).await.unwrap(),
        COMPONENT,
        "{fault:?}"
    );
    assert_eq!(wire.heal(), 0, "{fault:?} was not used");
}

#[tokio::test]
async fn a_bucket_keeps_every_promise() {
    keeps_every_promise(&Wire::memory().store("s3://bucket/team/releases").await).await;
    keeps_every_promise(&Wire::memory().store("s3://bucket").await).await;
}

/// The form in which the same cases run before a real server.
#[tokio::test]
async fn a_wire_before_another_server_changes_nothing_and_breaks_what_it_shall() {
    let server = Wire::memory();
    let wire = Wire::before(server.address());
    keeps_every_promise(&wire.store(PLACE).await).await;
    push_heals(&wire, PLACE, 0, "/index/", CutAfter).await;
    read_heals(&wire, PLACE, FlipAnswer).await;
}

#[tokio::test]
async fn a_push_survives_one_fault_at_any_write() {
    let wire = Wire::memory();
    for (index, fault) in HEALED_WRITES.into_iter().enumerate() {
        for path in ["/blobs/", "/index/"] {
            push_heals(&wire, PLACE, index, path, fault).await;
        }
    }
}

#[tokio::test]
async fn a_read_survives_one_fault() {
    let wire = Wire::memory();
    for fault in HEALED_READS {
        read_heals(&wire, PLACE, fault).await;
    }
}

#[tokio::test]
async fn names_each_fault_that_lasts_while_reading() {
    let wire = Wire::memory();
    let quiet = wire.store(PLACE).await;
    quiet
        .push(
            &release("pump@1.0.0"),
            Bytes::from_static(COMPONENT),
            Vec::new(),
        )
        .await
        .unwrap();
    for (fault, kind) in LASTING_READS {
        wire.faults(3, "GET", "/blobs/", fault);
        let error = store(&wire, PLACE, fault)
            .await
            .blob(&Digest::of(COMPONENT), 100_000)
            .await
            .unwrap_err();
        wire.heal();
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        let text = error.to_string();
        assert!(text.contains(PLACE), "{text}");
        let about_the_store = ["credentials", "no_bucket"].contains(&kind);
        assert!(
            about_the_store || text.contains(&Digest::of(COMPONENT).hex()),
            "{text}"
        );
    }
}

#[tokio::test]
async fn names_each_fault_that_lasts_while_writing_and_leaves_no_half_release() {
    for path in ["/blobs/", "/index/"] {
        for (fault, kind) in LASTING_WRITES {
            let wire = Wire::memory();
            let store = store(&wire, PLACE, fault).await;
            wire.faults(3, "PUT", path, fault);
            let error = store
                .push(
                    &release("pump@1.0.0"),
                    Bytes::from_static(COMPONENT),
                    Vec::new(),
                )
                .await
                .unwrap_err();
            assert_eq!(error.kind(), kind, "{fault:?} at {path}: {error}");
            wire.heal();
            assert!(is_sound(&store, "pump@1.0.0").await, "{fault:?} at {path}");
            // Run again, it converges.
            let again = store
                .push(
                    &release("pump@1.0.0"),
                    Bytes::from_static(COMPONENT),
                    Vec::new(),
                )
                .await;
            assert_eq!(again.unwrap(), Pushed::Created, "{fault:?} at {path}");
        }
    }
}

#[tokio::test]
async fn attempts_are_bounded() {
    let wire = Wire::memory();
    let store = wire.store(PLACE).await;
    wire.faults(100, "GET", "/index/", Answer(503, "SlowDown"));
    let error = store.index(&release("pump@1.0.0")).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Unavailable {
                status: 503,
                attempts: 3,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(wire.seen().len(), 3);
}

#[tokio::test]
async fn one_deadline_covers_all_attempts() {
    let wire = Wire::memory();
    let mut options = wire.options();
    (options.attempts, options.operation_timeout) = (1000, SHORT);
    let store = wire.store_with(PLACE, options).await;
    wire.fault("GET", "/index/", Hang);
    let error = store.index(&release("pump@1.0.0")).await.unwrap_err();
    assert_eq!(error.kind(), "timeout", "{error}");
    assert_eq!(wire.seen().len(), 1);
}

/// Without the right to list, S3 answers 403 for what is not there: a push and a host must still work.
#[tokio::test]
async fn works_without_the_right_to_list() {
    let wire = Wire::memory();
    let store = wire.store(PLACE).await;
    let name = release("pump@1.0.0");
    wire.fault("GET", "/index/", Answer(403, "AccessDenied"));
    assert_eq!(
        store
            .push(&name, Bytes::from_static(COMPONENT), Vec::new())
            .await
            .unwrap(),
        Pushed::Created
    );
    wire.fault("GET", "/yanked/", Answer(403, "AccessDenied"));
    assert_eq!(store.yanked(&name).await.unwrap(), None);
    wire.fault("GET", "/bucket", Answer(403, "AccessDenied"));
    let error = store.list(None).await.unwrap_err();
    assert!(error.to_string().contains("s3:ListBucket"), "{error}");
}

/// A version that another client took between our look and our write.
#[tokio::test]
async fn tells_a_push_that_lost_a_race() {
    let wire = Wire::memory();
    let store = wire.store(PLACE).await;
    let name = release("pump@1.0.0");
    store
        .push(&name, Bytes::from_static(b"other"), Vec::new())
        .await
        .unwrap();
    wire.fault("GET", "/index/", Answer(404, "NoSuchKey"));
    let error = store
        .push(&name, Bytes::from_static(COMPONENT), Vec::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "taken", "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_connection_error() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut options = Wire::memory().options();
    options.endpoint = Some(format!("http://{closed}"));
    let store = Wire::memory().store_with("s3://bucket", options).await;
    let error = store.index(&release("pump@1.0.0")).await.unwrap_err();
    assert_eq!(error.kind(), "connection", "{error}");
}
