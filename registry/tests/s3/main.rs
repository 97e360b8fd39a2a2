//! The verify group `s3`: the promises, races and faults of `tests/it` before a real S3 server, which `verify/s3/run`
//! starts. `cargo test` leaves this binary out (`test = false`), because there is no server in a plain test run.
#![cfg(test)]

#[path = "../it/capture.rs"]
mod capture;
#[path = "../it/contract.rs"]
mod contract;
#[path = "../it/faults.rs"]
mod faults;
#[path = "../it/objects.rs"]
mod objects;
#[expect(dead_code, reason = "servers that are no S3 are for `it` only")]
#[path = "../it/wire.rs"]
mod wire;

use std::net::SocketAddr;

use bytes::Bytes;
use hodoscope_registry::{S3Options, Store, StoreOptions};
use hodoscope_release::Digest;

use contract::{LIMIT, release};
use wire::{Fault, Wire};

/// The server's address, for instance `127.0.0.1:21300`.
const SERVER: &str = "HODOSCOPE_TEST_S3_SERVER";
/// The bucket that `verify/s3/run` makes.
const BUCKET: &str = "hodoscope-verify";

fn server() -> SocketAddr {
    #[expect(
        clippy::disallowed_methods,
        reason = "how verify/s3/run tells where its server is"
    )]
    let server = std::env::var(SERVER);
    server
        .unwrap_or_else(|_| panic!("{SERVER} is not set; run `make verify GROUP=s3`"))
        .parse()
        .unwrap()
}

fn direct() -> S3Options {
    wire::options(format!("http://{}", server()), wire::KEY)
}

/// A prefix of its own for each test, and for each run, since nothing is ever deleted.
fn place(test: &str) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    format!(
        "s3://{BUCKET}/{test}-{}-{}",
        std::process::id(),
        now.as_nanos()
    )
}

async fn open(place: &str, s3: S3Options) -> Store {
    Store::open(
        &place.parse().unwrap(),
        &StoreOptions {
            s3,
            ..StoreOptions::default()
        },
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn a_real_bucket_keeps_every_promise() {
    contract::keeps_every_promise(&open(&place("promises"), direct()).await).await;
}

#[tokio::test]
async fn a_real_bucket_keeps_every_promise_of_captured_traffic() {
    capture::keeps_every_promise(&capture::bucket(&place("capture"), direct()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn races_for_a_version_in_a_real_bucket_have_one_winner() {
    let store = open(&place("races"), direct()).await;
    contract::exactly_one_of_32_racing_pushes_wins(&store, 20).await;
    contract::racing_pushes_of_the_same_bytes_all_succeed(&store).await;
}

#[tokio::test]
async fn a_push_to_a_real_bucket_survives_one_fault_at_any_write() {
    let wire = Wire::before(server());
    let place = place("writes");
    for (index, fault) in faults::HEALED_WRITES.into_iter().enumerate() {
        for path in ["/blobs/", "/index/"] {
            faults::push_heals(&wire, &place, index, path, fault).await;
        }
    }
}

#[tokio::test]
async fn a_read_from_a_real_bucket_survives_one_fault() {
    let (wire, place) = (Wire::before(server()), place("reads"));
    for fault in faults::HEALED_READS {
        faults::read_heals(&wire, &place, fault).await;
    }
}

/// The entry has no digest in its name; the server's own checksum finds the flipped byte.
#[tokio::test]
async fn a_flipped_byte_in_an_entry_of_a_real_bucket_is_found() {
    let wire = Wire::before(server());
    let store = open(&place("entry"), wire.options()).await;
    let name = release("pump@1.0.0");
    store
        .push(&name, Bytes::from_static(b"component"), Vec::new())
        .await
        .unwrap();
    wire.fault("GET", "/index/", Fault::FlipAnswer);
    assert_eq!(
        store.index(&name).await.unwrap().digest,
        Digest::of(b"component")
    );
    assert_eq!(wire.heal(), 0);
}

#[tokio::test]
async fn a_real_server_names_a_wrong_key_and_a_missing_bucket() {
    let wrong = wire::options(format!("http://{}", server()), "nobody");
    let error = open(&place("key"), wrong)
        .await
        .index(&release("pump@1.0.0"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "credentials", "{error}");
    let error = open("s3://no-such-bucket-here", direct())
        .await
        .index(&release("pump@1.0.0"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "no_bucket", "{error}");
}

#[tokio::test]
async fn a_real_bucket_gives_back_a_component_of_32_mib() {
    let store = open(&place("large"), direct()).await;
    let component = Bytes::from(
        (0..32 << 20)
            .map(|at: u32| (at >> 3) as u8)
            .collect::<Vec<_>>(),
    );
    store
        .push(&release("large@1.0.0"), component.clone(), Vec::new())
        .await
        .unwrap();
    assert_eq!(
        store.blob(&Digest::of(&component), 32 << 20).await.unwrap(),
        component
    );
    assert_eq!(
        store
            .blob(&Digest::of(&component), LIMIT)
            .await
            .unwrap_err()
            .kind(),
        "too_large"
    );
}
