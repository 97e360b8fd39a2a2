//! Captured traffic: the same rows on every host, parts that add up to what was scored, files that our own reader reads,
//! and a store that hangs, is full or is killed, which costs no answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use hodoscope::capture::table;
use hodoscope::roster::{Entry, Snapshot};
use hodoscope::rows::{Selection, Table, Values};
use hodoscope::tasks;
use hodoscope_isolation_forest::{Feature, Forest, Node, Sections, Tree, emit};
use hodoscope_registry::capture::{CaptureKey, CaptureStore};
use hodoscope_registry::{Probe, Step, StoreLocation, StoreOptions};
use hodoscope_release::DetectorName;
use hodoscope_release::sections::{Histogram, Profile, SCHEMA};
use hodoscope_release::window::{VerdictRecord, WindowPart};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use tokio::sync::watch;

use crate::host::{Answer, TestHost, forest};

const ON: (&str, &str) = ("capture", "true");
const ALL: (&str, &str) = ("capture_fraction", "1");

/// The pump with edges for its inputs and scores.
fn profiled(limit: f32) -> Vec<u8> {
    let histogram = |edges: Vec<f64>, range| Histogram {
        counts: vec![1; edges.len() + 1],
        sums: vec![0.0; edges.len() + 1],
        edges,
        missing: 0,
        range: Some(range),
    };
    let split = Node::Split {
        feature: 0,
        threshold: limit,
        left: 1,
        right: 2,
        expected: 4.5,
    };
    let nodes = vec![
        split,
        Node::Leaf { length: 8.0 },
        Node::Leaf { length: 1.0 },
    ];
    let feature = |name: &str| Feature {
        name: name.to_owned(),
        unit: None,
    };
    let forest = Forest {
        features: vec![feature("f0"), feature("f1")],
        trees: vec![Tree { nodes }],
        normaliser: 10.0,
        threshold: Some(0.8),
        metadata: Vec::new(),
    };
    let sections = Sections {
        profile: Some(Profile {
            schema: SCHEMA,
            rows: 4,
            features: vec![
                histogram(vec![0.0, 5.0, 10.0], (-5.0, 20.0)),
                histogram(vec![1.0], (0.0, 2.0)),
            ],
            scores: histogram(vec![0.5, 0.6, 0.8], (0.5, 0.95)),
        }),
        ..Sections::default()
    };
    emit(&forest, &sections).unwrap()
}

async fn serving(component: &[u8], settings: &[(&str, &str)]) -> TestHost {
    let host = TestHost::with(settings).await;
    host.release("pump@1.0.0", component).await;
    host.poll().await;
    host
}

async fn call(host: &TestHost, id: &str, body: &str) -> Answer {
    let request = Request::post("/v1/detectors/pump/score").header("x-request-id", id);
    host.call(request.body(Body::from(body.to_owned())).unwrap())
        .await
}

/// Ends the capture as `serve` does at its end: all that is open is closed and put.
async fn flush(host: &mut TestHost) {
    let (finish, finished) = watch::channel(false);
    let working = tasks::capture(host.capture.take().unwrap(), finished);
    finish.send_replace(true);
    working.await.unwrap();
}

pub(crate) fn files(root: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => folders.push(path),
                false if path.to_string_lossy().ends_with(end) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

fn place(host: &TestHost) -> PathBuf {
    host.folder.path().join("home/capture")
}

pub(crate) fn parts(root: &Path) -> Vec<WindowPart> {
    let read = |path: &PathBuf| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    files(&root.join("profiles"), ".json")
        .iter()
        .map(read)
        .collect()
}

/// A captured row: id, row number, score, and the features.
pub(crate) type Row = (String, i32, f64, Vec<f64>);

pub(crate) fn rows(root: &Path, features: &[&str]) -> Vec<Row> {
    files(&root.join("capture"), ".parquet")
        .iter()
        .flat_map(|path| rows_of(path, features))
        .collect()
}

/// The rows of one file.
pub(crate) fn rows_of(path: &Path, features: &[&str]) -> Vec<Row> {
    let mut rows = Vec::new();
    let own = [table::REQUEST, table::ROW, table::SCORE];
    let selection = Selection {
        features: features.iter().map(|name| (*name).to_owned()).collect(),
        keep: own.map(str::to_owned).to_vec(),
    };
    let mut blocks = Table::open(path).unwrap().blocks(&selection).unwrap();
    while let Some(block) = blocks.next_block().unwrap() {
        for piece in block.pieces {
            let kept: Vec<&Values> = piece.kept.iter().map(|cells| &cells.values).collect();
            let [
                Values::Bytes(ids),
                Values::Int32(numbers),
                Values::Double(scores),
            ] = kept[..]
            else {
                panic!("other types: {kept:?}");
            };
            for row in 0..piece.rows {
                let id = ids[row].as_utf8().unwrap().to_owned();
                let values = piece.features.iter().map(|column| column[row]).collect();
                rows.push((id, numbers[row], scores[row], values));
            }
        }
    }
    rows
}

#[tokio::test]
async fn two_hosts_choose_the_same_rows_and_a_tenth_of_them() {
    let settings = [ON, ("capture_key", "a key of ours")];
    let mut hosts = [
        serving(&profiled(10.0), &settings).await,
        serving(&profiled(10.0), &settings).await,
    ];
    let body = r#"{"rows":[[1,2],[2,3],[3,4],[4,5],[5,6],[6,7],[7,8],[8,9],[9,9],[10,9]]}"#;
    for request in 0..200 {
        for host in &hosts {
            let answer = call(host, &format!("request-{request}"), body).await;
            assert_eq!(answer.status, 200);
        }
    }
    for host in &mut hosts {
        flush(host).await;
    }
    let chosen = hosts.each_ref().map(|host| {
        let rows = rows(&place(host), &["f0"]).into_iter();
        rows.map(|(id, row, ..)| (id, row)).collect::<BTreeSet<_>>()
    });
    assert_eq!(chosen[0], chosen[1]);
    assert!((130..270).contains(&chosen[0].len()), "{}", chosen[0].len());
}

#[tokio::test]
async fn parts_and_rows_add_up_to_what_was_scored_whatever_was_swapped() {
    let mut host = serving(&profiled(10.0), &[ON, ALL]).await;
    let mut expected = BTreeMap::new();
    let mut score = async |host: &TestHost, requests: u32| {
        for request in 0..requests {
            let body = r#"{"rows":[{"f0":1,"f1":0.5},{"f0":50,"f1":null},{"f0":-9,"f1":1.5}]}"#;
            let answer = call(host, &format!("{requests}-{request}"), body)
                .await
                .json();
            let version = answer["release"].as_str().unwrap().to_owned();
            let anomalies = answer["anomalies"].as_array().unwrap();
            let anomalies = anomalies.iter().filter(|row| **row == true).count() as u64;
            let (rows, alerts) = expected.entry(version).or_insert((0, 0));
            *rows += 3;
            *alerts += anomalies;
        }
    };
    score(&host, 40).await;
    host.release("pump@1.1.0", &profiled(60.0)).await;
    host.poll().await;
    score(&host, 30).await;
    flush(&mut host).await;

    let mut told = BTreeMap::new();
    for part in parts(&place(&host)) {
        let (rows, alerts) = told
            .entry(format!("pump@{}", part.version))
            .or_insert((0, 0));
        *rows += part.rows;
        *alerts += part.alerts;
        assert_eq!(part.scores.present(), part.rows);
        assert_eq!(part.scores.counts.len(), 4);
        assert_eq!((part.sampled_rows, part.dropped_rows), (part.rows, 0));
        assert_eq!(part.sample_fraction, 1.0);
        // f0: 1 of three rows each below 0, between 0 and 5, over 10; f1: one missing.
        let third = part.rows / 3;
        assert_eq!(part.features[0].counts, [third, third, 0, third]);
        assert_eq!(
            (part.features[0].below, part.features[0].above),
            (third, third)
        );
        assert_eq!(
            (part.features[1].missing, part.features[1].present()),
            (third, 2 * third)
        );
    }
    assert_eq!(told, expected);
    assert_eq!(expected["pump@1.0.0"], (120, 40));
    assert_eq!(rows(&place(&host), &["f0", "f1"]).len(), 210);
    let metrics = host.metrics().await;
    let line = "hodoscope_capture_rows_total{detector=\"pump\",version=\"1.0.0\"} 120";
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.contains("hodoscope_capture_backlog_files 0"));
}

#[tokio::test]
async fn a_file_of_rows_says_what_was_asked_and_answered_and_has_statistics() {
    let mut host = serving(&profiled(10.0), &[ON, ALL]).await;
    let answer = call(&host, "mine", r#"{"rows":[[1.5,null],[50,0.25]]}"#).await;
    let scores = answer.json()["scores"].as_array().unwrap().clone();
    let unnamed = host.score(r#"{"rows":[[2,2]]}"#).await;
    let given = unnamed.headers["x-request-id"].to_str().unwrap();
    flush(&mut host).await;

    let mut found = rows(&place(&host), &["f1", "f0"]);
    found.sort_by_key(|(id, row, ..)| (id != "mine", *row));
    let score = |row: usize| scores[row].as_f64().unwrap().to_bits();
    assert_eq!(
        (&*found[0].0, found[0].1, found[0].2.to_bits()),
        ("mine", 0, score(0))
    );
    assert_eq!(
        (&*found[1].0, found[1].1, found[1].2.to_bits()),
        ("mine", 1, score(1))
    );
    assert_eq!(found[2].0, given, "the id that the caller got");
    assert!(found[0].3[0].is_nan() && found[0].3[1] == 1.5);
    assert_eq!(found[1].3, [0.25, 50.0]);

    let [path] = &files(&place(&host).join("capture"), ".parquet")[..] else {
        panic!("one file");
    };
    let name = path.file_name().unwrap().to_str().unwrap();
    let boot = given.split('-').next().unwrap();
    assert!(name.contains(boot), "{name} is found by the id {given}");
    let file = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let metadata = file.metadata();
    let pairs = metadata.file_metadata().key_value_metadata().unwrap();
    let pair = |key: &str| {
        pairs
            .iter()
            .find(|pair| pair.key == key)
            .unwrap()
            .value
            .clone()
    };
    assert_eq!(pair("hodoscope.detector").as_deref(), Some("pump"));
    assert_eq!(pair("hodoscope.version").as_deref(), Some("1.0.0"));
    assert!(pair("hodoscope.digest").unwrap().starts_with("sha256:"));
    for column in metadata.row_group(0).columns() {
        let statistics = column.statistics().unwrap();
        let name = column.column_path().string();
        let nulls = statistics.null_count_opt();
        match name.as_str() {
            "f1" => assert_eq!(nulls, Some(1)),
            "hodoscope.label" => assert_eq!(nulls, Some(3)),
            _ => assert!(statistics.min_bytes_opt().is_some(), "{name}"),
        }
    }
}

#[tokio::test]
async fn a_release_without_a_profile_is_counted_on_uniform_edges() {
    let mut host = serving(&forest(2, 10.0, 8.0), &[ON, ALL]).await;
    call(&host, "one", r#"{"rows":[[1,2],[50,2]]}"#).await;
    flush(&mut host).await;
    let [part] = &parts(&place(&host))[..] else {
        panic!("one part");
    };
    assert_eq!((part.scores.counts.len(), part.scores.present()), (129, 2));
    assert!(part.features.is_empty());
    assert_eq!((part.rows, part.sampled_rows), (2, 2));
}

#[tokio::test]
async fn a_shadows_comparison_lies_beside_the_profiles() {
    let mut host = serving(&profiled(10.0), &[ON]).await;
    let pin = host.push("pump@1.1.0", &profiled(20.0)).await;
    host.edit("pump", |wanted| wanted.shadow = Some(pin.clone()));
    host.poll().await;
    call(&host, "one", r#"{"rows":[[1,2],[15,2],[50,2]]}"#).await;
    host.worker.drain().await;
    flush(&mut host).await;
    let parts = parts(&place(&host));
    let shadows: Vec<_> = parts
        .iter()
        .filter_map(|part| part.shadow.as_ref())
        .collect();
    assert_eq!(shadows.len(), 1, "{parts:?}");
    assert_eq!((shadows[0].rows, shadows[0].flips), (3, 1));
    assert_eq!(shadows[0].digest, pin.digest.to_string());
    assert!(shadows[0].difference_max > 0.1 && shadows[0].difference_sum > 0.1);
}

#[tokio::test]
async fn without_the_setting_nothing_is_captured_and_nothing_is_told() {
    let host = serving(&profiled(10.0), &[]).await;
    call(&host, "one", r#"{"rows":[[1,2]]}"#).await;
    assert!(host.capture.is_none() && host.app.capture.is_none());
    assert!(!host.metrics().await.contains("hodoscope_drift_verdict"));
    assert!(!place(&host).exists());
}

/// The verdict of a drift job an hour ago, where hosts look for it.
async fn judge(host: &TestHost, name: &str) {
    let detector: DetectorName = name.parse().unwrap();
    let now_ms = host.app.capture.as_ref().unwrap().now_ms();
    let record = VerdictRecord {
        schema: 1,
        detector: detector.clone(),
        verdict: "drifted".to_owned(),
        time_ms: now_ms - 3_600_000,
        window: "20261124T000000Z".parse().unwrap(),
        release: format!("{name}@1.0.0").parse().unwrap(),
        digest: hodoscope_release::Digest::of(b""),
    };
    let location = StoreLocation::Folder(place(host));
    let store = CaptureStore::open(&location, &StoreOptions::default())
        .await
        .unwrap();
    let bytes = serde_json::to_vec(&record).unwrap();
    store
        .put(&CaptureKey::verdict(&detector), bytes.into())
        .await
        .unwrap();
}

/// Waits until `/metrics` holds the line; a round of the worker would come after two minutes.
async fn until_told(host: &TestHost, line: &str) {
    let telling = async {
        while !host.metrics().await.contains(line) {
            tokio::task::yield_now().await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(60), telling).await;
    assert!(told.is_ok(), "never told: {line}");
}

/// What `/metrics` tells after these words.
fn number(metrics: &str, words: &str) -> f64 {
    let told = metrics.lines().find_map(|line| line.strip_prefix(words));
    told.unwrap_or_else(|| panic!("{words} in {metrics}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn the_age_of_a_verdict_is_told_also_of_a_schedule_that_never_ran() {
    let host = serving(&profiled(10.0), &[ON]).await;
    let metrics = host.metrics().await;
    assert!(
        metrics.contains("hodoscope_drift_verdict_age_seconds{detector=\"pump\"} "),
        "{metrics}"
    );
    assert!(!metrics.contains("hodoscope_drift_verdict{"));
}

#[tokio::test]
async fn a_verdict_is_told_at_once_also_of_a_detector_that_comes_later() {
    let mut host = serving(&profiled(10.0), &[ON]).await;
    judge(&host, "pump").await;
    judge(&host, "valve").await;
    let worker = host.capture.take().unwrap();
    let (finish, finishing) = watch::channel(false);
    let work = tasks::capture(worker, finishing);
    until_told(
        &host,
        "hodoscope_drift_verdict{detector=\"pump\",verdict=\"drifted\"} 1",
    )
    .await;
    // The age is of the verdict, not of this host.
    let age = number(
        &host.metrics().await,
        "hodoscope_drift_verdict_age_seconds{detector=\"pump\"} ",
    );
    assert!((3600.0..7200.0).contains(&age), "{age}");

    let valve: DetectorName = "valve".parse().unwrap();
    let mut next = Snapshot::clone(&host.app.roster.now());
    next.detectors
        .insert("valve".to_owned(), Arc::new(Entry::unloaded(&valve)));
    host.app.roster.replace(next);
    until_told(
        &host,
        "hodoscope_drift_verdict{detector=\"valve\",verdict=\"drifted\"} 1",
    )
    .await;
    finish.send_replace(true);
    work.await.unwrap();
}

#[tokio::test]
async fn a_full_disk_costs_no_answer_and_what_waits_is_put_once_there_is_room() {
    fn full(step: Step) -> std::io::Result<()> {
        match step {
            Step::HalfWritten => Err(std::io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
    let mut host = serving(&profiled(10.0), &[ON, ALL]).await;
    let hour = || host.app.capture.as_ref().unwrap().now_ms() / 3_600_000;
    let mut worker = host.capture.take().unwrap();
    worker.options.probe = Probe(Some(full));
    let begun = hour();
    let (finish, finished) = watch::channel(false);
    let working = tasks::capture(worker, finished);
    for request in 0..50 {
        let answer = call(&host, &request.to_string(), r#"{"rows":[[1,2],[50,2]]}"#).await;
        assert_eq!(answer.status, 200);
    }
    finish.send_replace(true);
    let failed = "hodoscope_capture_put_failures_total{reason=\"full\"} ";
    let deadline = Instant::now() + Duration::from_secs(60);
    while !host.metrics().await.contains(failed) {
        assert!(Instant::now() < deadline, "the failure is counted");
        tokio::task::yield_now().await;
    }
    // A part and its rows; they end with the hour, and so there may be others before them.
    let waiting = number(&host.metrics().await, "hodoscope_capture_backlog_files ");
    let most = 2 * (1 + hour() - begun);
    assert!(
        waiting >= 2.0 && waiting <= most as f64,
        "{waiting} of {most}"
    );
    assert!(files(&place(&host), "").is_empty(), "nothing half-written");
    working.abort();
}
