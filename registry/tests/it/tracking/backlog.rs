//! Records that wait: in which order they are delivered, what they may still move, and how many there may be.

use std::path::Path;

use hodoscope_registry::tracking::{Alias, Artifact, Destination, Record, Version, track};
use hodoscope_release::Digest;

use super::{LONG, destination, mlflow, pushing, training};
use crate::contract::release;
use crate::wire::Fault::Answer;
use crate::wire::Wire;

/// The same folder, and nobody who takes what lies there.
fn nowhere(wire: &Wire, folder: &Path) -> Destination {
    Destination {
        uri: "http://127.0.0.1:1".to_owned(),
        ..destination(wire, folder, LONG)
    }
}

fn push_of(minor: i64) -> Record {
    let name = format!("pump@1.{minor}.0");
    let digest = Digest::of(name.as_bytes());
    Record {
        digest: Some(digest),
        version: Some(Version {
            release: release(&name),
            digest,
            alias: Some(Alias::Candidate),
        }),
        ended_ms: pushing().ended_ms + minor,
        ..pushing()
    }
}

fn training_of(name: &str, later: i64) -> Record {
    Record {
        run_name: name.to_owned(),
        digest: Some(Digest::of(name.as_bytes())),
        ended_ms: pushing().ended_ms + later,
        ..training()
    }
}

#[tokio::test]
async fn a_late_record_moves_no_alias_back() {
    let (wire, mlflow) = mlflow::server();
    let home = tempfile::tempdir().unwrap();
    for minor in 0..7 {
        track(&nowhere(&wire, home.path()), &push_of(minor)).await;
    }
    let there = destination(&wire, home.path(), LONG);
    let candidate = || {
        let mlflow = mlflow.lock().unwrap();
        let number: usize = mlflow.aliases["pump@candidate"].parse().unwrap();
        (
            mlflow.models["pump"][number - 1]["version"].clone(),
            mlflow.moves,
        )
    };
    assert_eq!(track(&there, &push_of(7)).await.delivered, 5);
    assert_eq!(candidate(), ("1.7.0".to_owned(), 1));
    // Two are left, older than what the alias points to.
    let told = track(&there, &training_of("later", 8)).await;
    assert_eq!((told.delivered, told.warnings.len()), (2, 0), "{told:?}");
    assert_eq!(candidate(), ("1.7.0".to_owned(), 1));
    assert_eq!(mlflow.lock().unwrap().models["pump"].len(), 8);
}

/// A server that fails every record for a while parts no push from its training.
#[tokio::test]
async fn an_outage_changes_no_order() {
    let (wire, mlflow) = mlflow::server();
    let home = tempfile::tempdir().unwrap();
    let there = destination(&wire, home.path(), LONG);
    wire.faults(3, "POST", "runs/create", Answer(500, "InternalError"));
    track(&there, &training()).await;
    track(&there, &pushing()).await;
    assert_eq!(wire.heal(), 0);
    assert_eq!(track(&there, &training_of("later", 1)).await.delivered, 2);
    let mlflow = mlflow.lock().unwrap();
    let names: Vec<&str> = mlflow.runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["train pump", "later"]);
}

#[tokio::test]
async fn a_record_that_fails_alone_is_tried_after_the_others() {
    let (wire, mlflow) = mlflow::server();
    let home = tempfile::tempdir().unwrap();
    for (name, later) in [("stuck", 0), ("waits", 1)] {
        track(&nowhere(&wire, home.path()), &training_of(name, later)).await;
    }
    let there = destination(&wire, home.path(), LONG);
    wire.fault("POST", "runs/create", Answer(500, "InternalError"));
    assert_eq!(track(&there, &training_of("first", 2)).await.delivered, 0);
    assert_eq!(track(&there, &training_of("second", 3)).await.delivered, 2);
    let mlflow = mlflow.lock().unwrap();
    let names: Vec<&str> = mlflow.runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["first", "waits", "stuck", "second"]);
}

/// Without a server for good: the newest wait, the oldest are dropped, and each command says so.
#[tokio::test]
async fn what_waits_is_bounded_in_number_and_bytes() {
    let (wire, _) = mlflow::server();
    let home = tempfile::tempdir().unwrap();
    let there = nowhere(&wire, home.path());
    track(&there, &training_of("first", 0)).await;
    let files = || {
        let entries = std::fs::read_dir(&there.folder).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    let text = std::fs::read(&files()[0]).unwrap();
    for copy in 0..205 {
        let name = format!("20200101T000000.{copy:03}Z-copy.json");
        std::fs::write(there.folder.join(name), &text).unwrap();
    }
    // 205 copies and two of today's are seven too many.
    let told = track(&there, &training_of("second", 1)).await;
    assert!(told.warnings[1].contains("the 7 oldest"), "{told:?}");
    assert_eq!(files().len(), 200);
    assert!(files()[0].ends_with("20200101T000000.007Z-copy.json"));

    let mut large = training_of("large", 2);
    large.artifacts = vec![Artifact::new("report.html", "x".repeat(20 << 20))];
    assert_eq!(track(&there, &large).await.warnings.len(), 2);
    large.ended_ms += 1;
    let told = track(&there, &large).await;
    assert!(told.warnings[1].contains("the 200 oldest"), "{told:?}");
    assert_eq!(files().len(), 1);
}
