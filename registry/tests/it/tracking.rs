//! What a training notices of an MLflow that works, races, hangs, breaks and lies: at most a warning, within its deadline,
//! and a local record that a later command delivers.

use std::path::Path;
use std::time::{Duration, Instant};

use hodoscope_registry::tracking::{
    Alias, Artifact, Destination, Outcome, Record, RunChoice, Told, Tracking, TrackingError,
    Version, track,
};
use hodoscope_release::Digest;

use crate::contract::release;
use crate::wire::Fault::{
    self, Answer, AnswerAfter, Cut, CutAfter, Endless, HalfBody, Hang, HangAfter, StallBody,
};
use crate::wire::Wire;

mod backlog;
mod champion;
pub(crate) mod mlflow;

/// The deadline where something hangs: waited for, and still enough for a dozen answers on a machine whose cores are taken.
const SHORT: Duration = Duration::from_secs(6);
/// Nothing that works takes so long.
const LONG: Duration = Duration::from_secs(60);

fn training() -> Record {
    Record {
        experiment: "hodoscope/pump".to_owned(),
        run_name: "train pump".to_owned(),
        run: RunChoice::Own,
        digest: Some(Digest::of(b"component")),
        parameters: [("trees".to_owned(), "100".to_owned())].into(),
        metrics: [("rows".to_owned(), 4000.0), ("nan".to_owned(), f64::NAN)].into(),
        tags: [("detector".to_owned(), "pump".to_owned())].into(),
        artifacts: vec![
            Artifact::new("training.json", "{}"),
            Artifact::new("plots/a.bin", vec![0, 255]),
        ],
        outcome: Outcome::Finished,
        version: None,
        active: None,
        started_ms: 1_795_564_000_000,
        ended_ms: 1_795_564_005_123,
    }
}

fn pushing() -> Record {
    Record {
        run_name: "push pump@1.0.0".to_owned(),
        run: RunChoice::OfDigest,
        parameters: Default::default(),
        metrics: Default::default(),
        artifacts: Vec::new(),
        tags: [("release".to_owned(), "pump@1.0.0".to_owned())].into(),
        version: Some(Version {
            release: release("pump@1.0.0"),
            digest: Digest::of(b"component"),
            alias: Some(Alias::Candidate),
        }),
        ended_ms: 1_795_564_009_000,
        ..training()
    }
}

fn destination(wire: &Wire, folder: &Path, deadline: Duration) -> Destination {
    Destination {
        uri: format!("http://{}/team", wire.address()),
        token: None,
        folder: folder.join("tracking"),
        deadline,
    }
}

/// The states of the local records, by name.
fn states(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder.join("tracking"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let state = |path: &std::path::PathBuf| {
        let text: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        match &text["state"] {
            serde_json::Value::String(word) => word.clone(),
            other => other.as_object().unwrap().keys().next().unwrap().clone(),
        }
    };
    files.iter().map(state).collect()
}

#[tokio::test]
async fn a_training_becomes_a_run_and_a_push_registers_it() {
    let (wire, mlflow) = mlflow::server();
    let home = tempfile::tempdir().unwrap();
    let there = destination(&wire, home.path(), LONG);
    let told = track(&there, &training()).await;
    assert_eq!(told.warnings, [] as [&str; 0]);
    let tracked = told.tracked.unwrap();
    assert_eq!(tracked.url, format!("{}#/experiments/1/runs/0", there.uri));
    let told = track(&there, &pushing()).await;
    assert_eq!(told.warnings, [] as [&str; 0]);
    assert_eq!(told.tracked.unwrap().model_version.as_deref(), Some("1"));
    // The same push again, and then as champion: still one version.
    let mut champion = pushing();
    champion.version.as_mut().unwrap().alias = Some(Alias::Champion);
    assert_eq!(track(&there, &pushing()).await.warnings, [] as [&str; 0]);
    assert_eq!(track(&there, &champion).await.warnings, [] as [&str; 0]);

    let mlflow = mlflow.lock().unwrap();
    assert_eq!(mlflow.experiments, ["hodoscope/pump"]);
    let [run] = &mlflow.runs[..] else {
        panic!("{} runs", mlflow.runs.len())
    };
    assert_eq!(
        (run.name.as_str(), run.status.as_str()),
        ("train pump", "FINISHED")
    );
    assert_eq!(run.parameters["trees"], "100");
    assert_eq!(run.metrics, [("rows".to_owned(), 4000.0)].into());
    assert_eq!(run.tags["digest"], Digest::of(b"component").to_string());
    assert_eq!(run.tags["release"], "pump@1.0.0");
    assert_eq!(mlflow.artifacts["1/0/artifacts/plots/a.bin"], [0, 255]);
    assert_eq!(mlflow.models["pump"].len(), 1);
    assert_eq!(mlflow.models["pump"][0]["version"], "1.0.0");
    assert_eq!(
        mlflow.models["pump"][0]["source"],
        "mlflow-artifacts:/1/0/artifacts"
    );
    assert_eq!(mlflow.aliases["pump@candidate"], "1");
    assert_eq!(mlflow.aliases["pump@champion"], "1");
    assert_eq!(states(home.path()), ["delivered"; 4]);
}

/// A fault at the first request that fits, what it costs, and whether the record is in MLflow all the same.
const FAULTS: [(&str, &str, Fault, bool); 22] = [
    ("GET", "get-by-name", Answer(500, "InternalError"), false),
    ("GET", "get-by-name", Answer(200, "garbage"), false),
    ("GET", "get-by-name", Endless, false),
    ("GET", "get-by-name", Cut, false),
    ("GET", "get-by-name", HalfBody, false),
    ("GET", "get-by-name", Hang, false),
    (
        "POST",
        "experiments/create",
        AnswerAfter(500, "InternalError"),
        true,
    ),
    ("POST", "experiments/create", CutAfter, true),
    ("POST", "experiments/create", Cut, false),
    ("POST", "runs/create", AnswerAfter(503, "SlowDown"), true),
    ("POST", "runs/create", CutAfter, true),
    ("POST", "runs/create", HalfBody, true),
    ("POST", "runs/create", Answer(500, "InternalError"), false),
    ("POST", "runs/create", HangAfter, false),
    (
        "POST",
        "runs/log-batch",
        Answer(500, "InternalError"),
        false,
    ),
    ("POST", "runs/log-batch", StallBody, false),
    ("PUT", "mlflow-artifacts", Cut, false),
    ("PUT", "mlflow-artifacts", HangAfter, false),
    ("POST", "runs/update", CutAfter, false),
    ("POST", "registered-models/create", CutAfter, true),
    ("POST", "model-versions/create", CutAfter, true),
    (
        "POST",
        "model-versions/create",
        Answer(500, "InternalError"),
        false,
    ),
];

#[tokio::test]
async fn any_fault_costs_a_warning_at_most_and_the_next_command_delivers_once() {
    // At once, so that those that hang are waited for together.
    let mut cases = tokio::task::JoinSet::new();
    for (method, path, fault, heals) in FAULTS {
        cases.spawn(async move {
            let what = format!("{fault:?} at {path}");
            let (wire, mlflow) = mlflow::server();
            let home = tempfile::tempdir().unwrap();
            let hangs = matches!(fault, Hang | HangAfter | StallBody);
            let deadline = if hangs { SHORT } else { LONG };
            let mut record = training();
            record.version = pushing().version;
            wire.fault(method, path, fault);
            let told = track(&destination(&wire, home.path(), deadline), &record).await;
            assert_eq!(wire.heal(), 0, "{what} was not used");
            assert_eq!(told.tracked.is_some(), heals, "{what}: {told:?}");
            assert_eq!(told.warnings.is_empty(), heals, "{what}: {told:?}");
            assert_eq!(
                states(home.path()),
                [if heals { "delivered" } else { "pending" }],
                "{what}"
            );

            let mut next = training();
            next.digest = Some(Digest::of(b"next"));
            next.ended_ms += 1000;
            let told = track(&destination(&wire, home.path(), LONG), &next).await;
            assert_eq!(told.warnings, [] as [&str; 0], "{what}");
            assert_eq!(told.delivered, usize::from(!heals), "{what}");
            assert_eq!(states(home.path()), ["delivered"; 2], "{what}");
            let mlflow = mlflow.lock().unwrap();
            assert_eq!(mlflow.runs.len(), 2, "{what}");
            assert!(
                mlflow.runs.iter().all(|run| run.status == "FINISHED"),
                "{what}"
            );
            assert_eq!(mlflow.models["pump"].len(), 1, "{what}");
            assert_eq!(mlflow.aliases["pump@candidate"], "1", "{what}");
        });
    }
    cases.join_all().await;
}

#[tokio::test]
async fn a_lost_race_for_a_name_is_no_failure() {
    let (wire, mlflow) = mlflow::server();
    mlflow.lock().unwrap().races = true;
    let home = tempfile::tempdir().unwrap();
    let told = track(&destination(&wire, home.path(), LONG), &pushing()).await;
    assert_eq!(told.warnings, [] as [&str; 0]);
    assert_eq!(mlflow.lock().unwrap().experiments.len(), 1);
}

/// The whole way hangs, at every request, with records that wait: one deadline covers it all.
#[tokio::test]
async fn a_server_that_hangs_costs_one_deadline_however_much_waits() {
    let (wire, _) = mlflow::server();
    let home = tempfile::tempdir().unwrap();
    for earlier in 0..8 {
        let mut record = training();
        record.ended_ms += earlier;
        let nowhere = Destination {
            uri: "http://127.0.0.1:1".to_owned(),
            ..destination(&wire, home.path(), LONG)
        };
        assert_eq!(track(&nowhere, &record).await.warnings.len(), 1);
    }
    wire.faults(50, "GET", "", Hang)
        .faults(50, "POST", "", Hang);
    let started = Instant::now();
    let mut last = training();
    last.ended_ms += 100;
    let told = track(&destination(&wire, home.path(), SHORT), &last).await;
    // Six records are tried: with a deadline for each it would be six of them.
    let elapsed = started.elapsed();
    assert!(elapsed >= SHORT && elapsed < SHORT * 5, "{elapsed:?}");
    assert_eq!(told.warnings.len(), 1, "{told:?}");
    assert!(
        told.warnings[0].contains("within the time for tracking"),
        "{told:?}"
    );
    assert_eq!(states(home.path()), ["pending"; 9]);
    // At most five of those that wait are delivered by one command.
    wire.heal();
    let delivered = async |later: i64| {
        let mut next = training();
        next.ended_ms += 1000 + later;
        let told = track(&destination(&wire, home.path(), LONG), &next).await;
        (told.delivered, told.warnings)
    };
    assert_eq!(delivered(0).await, (5, Vec::new()));
    assert_eq!(delivered(1).await, (4, Vec::new()));
    assert_eq!(states(home.path()), ["delivered"; 11]);
}

#[tokio::test]
async fn what_mlflow_never_takes_is_not_tried_again() {
    let (wire, _) = mlflow::server();
    let home = tempfile::tempdir().unwrap();
    wire.fault("POST", "runs/log-batch", Answer(400, "InvalidParameter"));
    let there = destination(&wire, home.path(), LONG);
    let told = track(&there, &training()).await;
    assert!(told.warnings[0].contains("not tried again"), "{told:?}");
    assert_eq!(states(home.path()), ["refused"]);
    let mut next = training();
    next.ended_ms += 1000;
    let told = track(&there, &next).await;
    assert_eq!((told.delivered, told.warnings.len()), (0, 0), "{told:?}");
}

#[tokio::test]
async fn a_record_that_another_process_delivers_is_left_to_it() {
    let (wire, mlflow) = mlflow::server();
    let home = tempfile::tempdir().unwrap();
    wire.fault("POST", "runs/create", Answer(500, "InternalError"));
    let there = destination(&wire, home.path(), LONG);
    track(&there, &training()).await;
    let file = std::fs::read_dir(&there.folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let held = std::fs::File::open(&file).unwrap();
    held.lock().unwrap();
    let mut next = training();
    next.ended_ms += 1000;
    assert_eq!(track(&there, &next).await.delivered, 0);
    drop(held);
    next.ended_ms += 1000;
    assert_eq!(track(&there, &next).await.delivered, 1);
    assert_eq!(mlflow.lock().unwrap().runs.len(), 3);
}

#[tokio::test]
async fn artifacts_that_lie_past_the_server_are_told_and_the_rest_is_there() {
    let (wire, mlflow) = mlflow::server();
    let home = tempfile::tempdir().unwrap();
    for root in [
        "s3://bucket",
        "file:///var/mlruns",
        "mlflow-artifacts://elsewhere:5000",
        "http://elsewhere",
    ] {
        mlflow.lock().unwrap().artifact_root = Some(root.to_owned());
        let told = track(&destination(&wire, home.path(), LONG), &training()).await;
        assert!(told.tracked.is_some(), "{root}: {told:?}");
        assert!(
            told.warnings[0].contains("--artifacts-destination"),
            "{root}: {told:?}"
        );
    }
    assert!(mlflow.lock().unwrap().artifacts.is_empty());
    let here = format!(
        "http://{}/team/api/2.0/mlflow-artifacts/artifacts",
        wire.address()
    );
    mlflow.lock().unwrap().artifact_root = Some(here);
    let told = track(&destination(&wire, home.path(), LONG), &training()).await;
    assert_eq!(told.warnings, [] as [&str; 0]);
    assert_eq!(mlflow.lock().unwrap().artifacts.len(), 2);
}

#[tokio::test]
async fn credentials_are_sent_as_they_were_given() {
    let (wire, mlflow) = mlflow::server();
    let sent = async |uri: String, token: Option<&str>| {
        let tracking = Tracking::open(&uri, token).unwrap();
        tracking.record(&training(), "key", LONG).await.unwrap();
        mlflow.lock().unwrap().authorization.clone()
    };
    let address = wire.address();
    assert_eq!(sent(format!("http://{address}/team"), None).await, None);
    let bearer = sent(format!("http://{address}/team/"), Some("t0ken")).await;
    assert_eq!(bearer.as_deref(), Some("Bearer t0ken"));
    let with_user = format!("http://ann:a%20b@{address}/team");
    // base64 of `ann:a b`.
    assert_eq!(
        sent(with_user.clone(), None).await.as_deref(),
        Some("Basic YW5uOmEgYg==")
    );
    assert_eq!(
        sent(with_user, Some("t0ken")).await.as_deref(),
        Some("Bearer t0ken")
    );
    // The same record under the same key is the same run.
    assert_eq!(mlflow.lock().unwrap().runs.len(), 1);
}

#[tokio::test]
async fn each_obstacle_is_named_with_its_remedy() {
    let (wire, mlflow) = mlflow::server();
    mlflow.lock().unwrap().experiments.push("trash".to_owned());
    let refusal = async |uri: String, experiment: &str| {
        let record = Record {
            experiment: experiment.to_owned(),
            ..training()
        };
        let tracking = Tracking::open(&uri, None).unwrap();
        tracking.record(&record, "key", LONG).await.unwrap_err()
    };
    let address = wire.address();
    let deleted = refusal(format!("http://{address}/team"), "trash").await;
    assert_eq!(deleted, TrackingError::Deleted("trash".to_owned()));
    let prefix = refusal(format!("http://{address}"), "e").await;
    assert!(prefix.to_string().contains("prefix"), "{prefix}");
    wire.fault("GET", "", Answer(401, "Unauthorized"));
    let credentials = refusal(format!("http://ann:hush@{address}/team"), "e").await;
    assert!(
        credentials.to_string().contains("mlflow_token"),
        "{credentials}"
    );
    wire.fault("GET", "", Cut);
    let cut = refusal(format!("http://ann:hush@{address}/team"), "e").await;
    assert!(!cut.to_string().contains("hush"), "{cut}");
}

#[tokio::test]
async fn without_a_folder_the_record_still_reaches_mlflow() {
    let (wire, _) = mlflow::server();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("tracking"), "a file").unwrap();
    let Told {
        tracked, warnings, ..
    } = track(&destination(&wire, home.path(), LONG), &training()).await;
    assert!(tracked.is_some());
    assert!(
        warnings[0].contains("failed to keep a local record"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn an_address_that_is_none_keeps_the_record() {
    let home = tempfile::tempdir().unwrap();
    let nowhere = Destination {
        uri: "databricks".to_owned(),
        token: None,
        folder: home.path().join("tracking"),
        deadline: LONG,
    };
    let told = track(&nowhere, &training()).await;
    assert!(told.warnings[0].contains("Databricks"), "{told:?}");
    assert_eq!(states(home.path()), ["pending"]);
}

#[tokio::test]
async fn delivered_records_are_removed_beyond_a_number() {
    let (wire, _) = mlflow::server();
    let home = tempfile::tempdir().unwrap();
    let there = destination(&wire, home.path(), LONG);
    track(&there, &training()).await;
    let first = std::fs::read_dir(&there.folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = std::fs::read_to_string(&first).unwrap();
    for copy in 0..210 {
        std::fs::write(
            there
                .folder
                .join(format!("20200101T000000.{copy:03}Z-copy.json")),
            &text,
        )
        .unwrap();
    }
    std::fs::write(
        there.folder.join("20190101T000000.000Z-other.json"),
        "not ours",
    )
    .unwrap();
    let mut next = training();
    next.ended_ms += 1000;
    track(&there, &next).await;
    let left = std::fs::read_dir(&there.folder).unwrap().count();
    assert_eq!(left, 201);
    assert!(
        first.exists()
            && there
                .folder
                .join("20190101T000000.000Z-other.json")
                .exists()
    );
}
