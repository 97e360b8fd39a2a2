//! The loop from captured traffic to a merged pull request, by the executable, on windows laid into the store: so that no
//! test waits for a clock. The forge is a bare git repository.

mod bodies;
mod dispatch;
mod traffic;

use std::process::Stdio;

use serde_json::Value;

use crate::binary::Folder;
use crate::killed::{STEPS, is_sound, store};
use crate::repository::{active, git, pulls};
use crate::steps::kill_after_every;
use traffic::{Traffic, Window};

const SETTINGS: &str =
    "forge = \"git:channels.git\"\nforge_promotion_hours = 0\nforge_pulls_per_hour = 100\n";
const JOB: &str = "drift --detector pump --retrain --propose --window 20260103T000000Z";
/// The job is killed after every fifth of its 82 steps: a file is written in seven, so that each of them has its turn.
const STRIDE: usize = 5;
/// Three days.
const DAYS: [&str; 3] = ["20260101T000000Z", "20260102T000000Z", "20260103T000000Z"];

/// A folder whose forge wants pump@1.0.0, without traffic yet.
fn promoted() -> (Folder, Traffic) {
    let folder = Folder::new();
    std::fs::write(folder.path("hodoscope.toml"), SETTINGS).unwrap();
    folder.pump("first", 13_824, 1);
    folder.run("push first.wasm --version 1.0.0");
    folder.run("forge init");
    let change = folder.run("promote pump@1.0.0 --why first");
    assert_eq!(change["proposal"]["outcome"], "opened", "{change}");
    folder.run("forge merge pump");
    let traffic = Traffic::new(&folder, "first.wasm");
    (folder, traffic)
}

/// The same, with three days of traffic; on the last two the pumps are worn.
fn worn() -> Folder {
    let (folder, traffic) = promoted();
    folder.run("simulate --generate 9216 --out calm.csv --seed 2");
    for (name, seed) in [("worn", 3), ("more-worn", 4)] {
        folder.run(&format!(
            "simulate --generate 9216 --out {name}.csv --seed {seed} --drift-at 0 --drift-ramp 0"
        ));
    }
    for (day, rows) in DAYS
        .into_iter()
        .zip(["calm.csv", "worn.csv", "more-worn.csv"])
    {
        traffic.lay(&folder, &Window::of(day, rows));
    }
    folder
}

/// The drift run of the one detector.
fn found(answer: &Value) -> &Value {
    &answer[0]
}

/// What went wrong, in brief.
fn told(answer: &Value) -> String {
    let found = found(answer);
    format!(
        "{} {} {}",
        found["error"], found["no_candidate"], found["report"]["reasons"]
    )
}

fn versions(folder: &Folder) -> Vec<String> {
    let list = folder.run("list");
    let releases = list["releases"].as_array().unwrap();
    releases
        .iter()
        .map(|release| release["version"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn without_drift_nothing_is_trained_or_proposed() {
    let (folder, traffic) = promoted();
    folder.run("simulate --generate 9216 --out calm.csv --seed 2");
    for day in DAYS {
        traffic.lay(&folder, &Window::of(day, "calm.csv"));
    }
    let answer = folder.run(JOB);
    assert_eq!(
        found(&answer)["proposal"],
        Value::Null,
        "{}",
        found(&answer)["report"]["reasons"]
    );
    assert_eq!(pulls(&folder).len(), 1);
    assert_eq!(versions(&folder), ["1.0.0"]);
    let verdict = folder.read(".hodoscope/capture/verdicts/v1/pump.json");
    assert!(!verdict.contains("drifted"), "{verdict}");
}

#[test]
fn drift_becomes_one_pull_request_a_merge_and_a_rollback() {
    let folder = worn();
    let answer = folder.run(JOB);
    assert_eq!(
        found(&answer)["report"]["verdict"],
        "drifted",
        "{}",
        told(&answer)
    );
    assert_eq!(
        found(&answer)["proposal"]["outcome"],
        "opened",
        "{}",
        told(&answer)
    );
    assert_eq!(found(&answer)["candidate"]["version"], "1.1.0");
    let again = folder.run(JOB);
    assert_eq!(
        found(&again)["proposal"]["outcome"],
        "unchanged",
        "{}",
        told(&again)
    );
    assert_eq!(pulls(&folder).len(), 2);
    assert_eq!(
        active(&folder),
        "1.0.0",
        "nothing changes before people merge"
    );

    let output = folder.command(JOB).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("pull request 2"), "{text}");
    assert!(!text.contains("Retrain on the new traffic"), "{text}");

    folder.run("forge merge pump");
    assert_eq!(active(&folder), "1.1.0");
    let rollback = folder.run("rollback pump --why test");
    assert_eq!(rollback["proposal"]["outcome"], "opened", "{rollback}");
    folder.run("forge merge pump");
    assert_eq!(active(&folder), "1.0.0");
    let page = folder
        .command("inspect pump@1.1.0 --document report")
        .output()
        .unwrap();
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(
        page.contains("<!DOCTYPE html>") && page.contains("anchor"),
        "the page has the gates"
    );
}

#[test]
fn a_candidate_that_people_closed_is_not_proposed_again() {
    let folder = worn();
    folder.run(JOB);
    folder.run("forge close pump");
    let again = folder.run(JOB);
    assert_eq!(
        found(&again)["proposal"]["outcome"],
        "rejected",
        "{}",
        told(&again)
    );
    assert_eq!(versions(&folder), ["1.0.0", "1.1.0"]);
}

#[test]
fn a_held_pull_request_is_left_alone() {
    let folder = worn();
    folder.run(JOB);
    folder.run("forge hold pump");
    let again = folder.run(JOB);
    assert_eq!(
        found(&again)["proposal"]["outcome"],
        "held",
        "{}",
        told(&again)
    );
    folder.run("forge hold pump --off");
    let again = folder.run(JOB);
    assert_eq!(
        found(&again)["proposal"]["outcome"],
        "unchanged",
        "{}",
        told(&again)
    );
}

#[test]
fn broken_input_alerts_and_never_retrains() {
    let (folder, traffic) = promoted();
    folder.run("simulate --generate 9216 --out worn.csv --seed 3 --drift-at 0 --drift-ramp 0");
    for day in DAYS {
        let mut window = Window::of(day, "worn.csv");
        window.missing = Some(3);
        traffic.lay(&folder, &window);
    }
    let answer = folder.run(JOB);
    assert_eq!(
        found(&answer)["report"]["verdict"],
        "data_quality",
        "{answer}"
    );
    assert_eq!(versions(&folder), ["1.0.0"]);
    assert_eq!(pulls(&folder).len(), 1);
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = worn();
    let look = "drift --detector pump --dry-run --window 20260103T000000Z";
    let answer = folder.run(look);
    assert_eq!(found(&answer)["report"]["verdict"], "drifted");
    let text = folder.command(look).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("Next: Retrain on the new traffic"), "{text}");
    assert!(!folder.path(".hodoscope/capture/verdicts").exists());
    assert!(!folder.path(".hodoscope/drift").exists());
    assert_eq!(versions(&folder), ["1.0.0"]);
}

#[test]
fn a_part_that_does_not_parse_is_named_and_other_detectors_are_judged() {
    let folder = worn();
    folder.run("train first.csv --name other --label label --trees 10 --out other.wasm");
    folder.run("push other.wasm --version 1.0.0");
    folder.run("promote other@1.0.0");
    folder.run("forge merge other");
    let broken = folder.path(
        ".hodoscope/capture/profiles/v1/detector=other/window=20260103T000000Z/host-boot-00000000.json",
    );
    std::fs::create_dir_all(broken.parent().unwrap()).unwrap();
    std::fs::write(&broken, "{").unwrap();
    let output = folder
        .command("drift --all --window 20260103T000000Z --output json")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = answer[0]["error"].as_str().unwrap();
    assert!(error.contains("host-boot-00000000.json"), "{error}");
    assert_eq!(answer[1]["report"]["verdict"], "drifted");
}

#[test]
fn jobs_at_once_open_one_pull_request() {
    let folder = worn();
    let started: Vec<_> = (0..4)
        .map(|_| {
            let mut job = folder.command(JOB);
            job.stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for job in started {
        let output = job.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
    }
    assert_eq!(pulls(&folder).len(), 2, "{:?}", pulls(&folder));
    assert_eq!(versions(&folder), ["1.0.0", "1.1.0"]);
}

#[test]
fn a_job_killed_after_any_step_is_finished_by_the_next() {
    let start = worn();
    let base = git(&start, &["rev-parse", "main"]);
    let line = format!("{JOB} {STEPS}");
    let steps = kill_after_every(STRIDE, &start, &line, |folder, remains| {
        let step = &remains.step;
        let before = store(folder);
        let answer = folder.run(JOB);
        let outcome = &found(&answer)["proposal"]["outcome"];
        assert!(
            outcome == "opened" || outcome == "unchanged",
            "after {step}: {}",
            told(&answer)
        );
        is_sound(folder, 2, step);
        assert_eq!(git(folder, &["rev-parse", "main"]), base, "after {step}");
        let after = store(folder);
        let kept = |(name, bytes): (&String, &Vec<u8>)| after.get(name) == Some(bytes);
        assert!(
            before.iter().all(kept),
            "what was seen has changed after {step}"
        );
        assert_eq!(versions(folder), ["1.0.0", "1.1.0"], "after {step}");
        folder.run("forge merge pump");
        assert_eq!(active(folder), "1.1.0", "after {step}");
    });
    assert!(
        steps >= 15,
        "the log tells {steps} lines, and so this kills too seldom"
    );
}

/// MLflow is not there, so the record of the run lies in its folder as it would be sent.
#[test]
fn a_run_is_recorded_with_its_effects_and_its_candidate() {
    let folder = worn();
    let answer = folder.run(&format!(
        "{JOB} --set mlflow_tracking_uri=http://127.0.0.1:1"
    ));
    let warnings = found(&answer)["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{}", told(&answer));
    let kept = std::fs::read_dir(folder.path(".hodoscope/tracking")).unwrap();
    let kept: Vec<_> = kept.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let kept: Value = serde_json::from_slice(&std::fs::read(&kept[0]).unwrap()).unwrap();
    let record = &kept["record"];
    assert_eq!(record["experiment"], "hodoscope/pump");
    assert_eq!(record["tags"]["verdict"], "drifted");
    assert!(
        record["metrics"]["score/psi"].as_f64().unwrap() > 0.0,
        "{record}"
    );
    assert_eq!(record["version"]["release"], "pump@1.1.0");
    assert_eq!(record["version"]["alias"], "candidate");
    assert_eq!(record["active"]["release"], "pump@1.0.0");
    assert_eq!(record["active"]["alias"], "champion");
    let names = record["artifacts"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|artifact| &artifact["name"]).collect();
    assert_eq!(names, ["drift.json", "evidence.json"]);
}
