//! Training input from a bucket.

use hodoscope_registry::objects::{ObjectLocation, Objects};

use crate::wire::{Fault, Wire};

async fn objects(wire: &Wire, location: &str) -> Objects {
    Objects::open(
        &location.parse::<ObjectLocation>().unwrap(),
        &wire.options(),
    )
    .await
    .unwrap()
}

fn filled() -> Wire {
    let wire = Wire::memory();
    for key in [
        "day/_SUCCESS",
        "day/a.csv.gz",
        "day/b.csv",
        "day/c.csv",
        "day/d.csv",
        "daylight/e.csv",
        "one.parquet",
    ] {
        wire.put(
            &format!("/data/{key}"),
            format!("bytes of {key}").as_bytes(),
        );
    }
    wire
}

#[tokio::test]
async fn a_folder_is_all_its_objects_over_all_pages_and_no_neighbour() {
    let wire = filled();
    let listed = objects(&wire, "s3://data/day/").await.list().await.unwrap();
    let keys: Vec<_> = listed.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(
        keys,
        ["day/a.csv.gz", "day/b.csv", "day/c.csv", "day/d.csv"]
    );
    let one = objects(&wire, "s3://data/one.parquet")
        .await
        .list()
        .await
        .unwrap();
    assert_eq!((one.len(), one[0].size_bytes), (1, 20));
    let error = objects(&wire, "s3://data/night")
        .await
        .list()
        .await
        .unwrap_err();
    assert!(
        error.is_missing() && error.to_string().contains("night"),
        "{error}"
    );
}

#[tokio::test]
async fn a_download_keeps_the_name_s_end_and_survives_a_cut() {
    let (wire, folder) = (filled(), tempfile::tempdir().unwrap());
    let objects = objects(&wire, "s3://data/day").await;
    let first = objects.list().await.unwrap().remove(0);
    for fault in [Fault::HalfBody, Fault::Cut, Fault::Answer(503, "SlowDown")] {
        wire.fault("GET", "/day/a", fault);
        let path = objects.download(&first, folder.path(), 1000).await.unwrap();
        assert!(path.to_str().unwrap().ends_with(".csv.gz"));
        assert_eq!(std::fs::read(&path).unwrap(), b"bytes of day/a.csv.gz");
    }
    let error = objects
        .download(&first, folder.path(), 5)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "too_large", "{error}");
    wire.fault("GET", "/day/a", Fault::Endless);
    let error = objects
        .download(&first, folder.path(), 100_000)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "too_large", "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
