//! Swapping while a stream runs, with real sockets: counts only, no timing.

use crate::binary::{Folder, Server};

/// On a busy machine an answer may take longer than the stream waits by default.
const PATIENT: &str = "--deadline-ms 30000";

#[test]
fn no_request_fails_while_releases_are_swapped_under_load() {
    let folder = Folder::new();
    for (name, version, seed) in [("a", "1.0.0", 1), ("b", "1.1.0", 2)] {
        folder.pump(name, 4000, seed);
        folder.run(&format!("push {name}.wasm --version {version}"));
        folder.run(&format!("promote pump@{version}"));
    }
    let server = Server::start(&folder);
    let summary = folder.run(&format!(
        "simulate --detector pump --url {} --rate 2000 --batch 5 --duration 0.5 --swaps 10 --record sent.csv {PATIENT}",
        server.url
    ));
    assert_eq!(summary["failed_requests"], 0, "{summary}");
    assert_eq!(summary["swaps"]["done"], 10, "{summary}");
    for release in ["pump@1.0.0", "pump@1.1.0"] {
        assert!(
            summary["releases"][release]["requests"].as_u64() > Some(0),
            "{summary}"
        );
    }
    let sent = folder.read("sent.csv").lines().count() as u64 - 1;
    assert_eq!(
        Some(sent.min(50_000)),
        summary["rows"].as_u64().map(|rows| rows.min(50_000))
    );
}

#[test]
fn a_stream_of_a_set_length_sends_exactly_its_rows_and_replays_a_file() {
    let folder = Folder::new();
    folder.pump("a", 4000, 1);
    folder.run("push a.wasm --version 1.0.0");
    folder.run("promote pump@1.0.0");
    let server = Server::start(&folder);
    let to = format!("--detector pump --url {} {PATIENT}", server.url);
    let stream = folder.run(&format!(
        "simulate {to} --rate 3000 --batch 10 --duration 1"
    ));
    assert_eq!(
        (&stream["rows"], &stream["requests"]),
        (&3000.into(), &300.into())
    );
    let replay = folder.run(&format!(
        "simulate {to} --rate max --batch 64 --file a.csv --label label"
    ));
    assert_eq!(
        (&replay["rows"], &replay["failed_requests"]),
        (&4000.into(), &0.into())
    );
    let labelled = folder
        .read("a.csv")
        .lines()
        .skip(1)
        .filter(|line| line.ends_with(",1"))
        .count() as u64;
    assert_eq!(
        replay["found"].as_u64().unwrap() + replay["missed"].as_u64().unwrap(),
        labelled
    );
    let golden = folder.run(&format!(
        "simulate {to} --generator golden --rate 1000 --duration 1"
    ));
    assert_eq!(
        (&golden["rows"], &golden["failed_requests"]),
        (&1000.into(), &0.into())
    );
}

#[test]
fn a_stream_without_a_host_or_detector_says_so_and_fails() {
    let folder = Folder::new();
    let said = folder.refused("simulate --detector pump --url http://127.0.0.1:9");
    assert!(
        said.contains("does not answer") && said.contains("hodoscope serve"),
        "{said}"
    );
}

#[test]
fn the_same_seed_writes_the_same_file() {
    let folder = Folder::new();
    for (file, seed) in [("a", 7), ("b", 7), ("c", 8)] {
        folder.run(&format!(
            "simulate --generate 2000 --out {file}.csv --seed {seed} --drift-at 1"
        ));
    }
    assert_eq!(folder.read("a.csv"), folder.read("b.csv"));
    assert_ne!(folder.read("a.csv"), folder.read("c.csv"));
}
