//! What a pull request tells the person who decides on it: the first release, a trial, and what came to light after the
//! candidate was measured.

use serde_json::{Value, json};

use super::traffic::{Traffic, Window};
use super::{DAYS, JOB, found, promoted, told, worn};
use crate::binary::Folder;
use crate::repository::git;

/// A pull request as the forge keeps it.
fn pull(folder: &Folder, number: u64) -> Value {
    let place = format!("refs/hodoscope/pulls:pulls/{number}.json");
    serde_json::from_str(&git(folder, &["show", &place])).unwrap()
}

fn body(pull: &Value) -> &str {
    pull["body"].as_str().unwrap()
}

#[test]
fn a_first_release_is_labelled_and_measured_by_what_it_carries() {
    let (folder, _) = promoted();
    let pull = pull(&folder, 1);
    assert_eq!(pull["labels"], json!(["first"]), "{pull}");
    assert_eq!(pull["draft"], false, "{pull}");
    let body = body(&pull);
    assert!(body.contains("its first release"), "{body}");
    assert!(body.contains("`repeats` | pass"), "{body}");
    assert!(body.contains("`rank` | n/a"), "{body}");
    assert!(
        body.contains("hodoscope retire pump --channel local"),
        "{body}"
    );
}

#[test]
fn the_owners_rows_are_asked_of_a_first_release_too() {
    let folder = Folder::new();
    std::fs::write(folder.path("hodoscope.toml"), super::SETTINGS).unwrap();
    folder.pump("first", 13_824, 1);
    folder.run("push first.wasm --version 1.0.0");
    folder.run("forge init");
    let rows = std::fs::read_to_string(folder.path("first.csv")).unwrap();
    let mut lines = rows.lines();
    let (names, row) = (lines.next().unwrap(), lines.next().unwrap());
    std::fs::create_dir(folder.path("owned")).unwrap();
    let wanted = format!("{names},hodoscope.expect\n{row},flag\n");
    std::fs::write(folder.path("owned/pump.csv"), wanted).unwrap();
    folder.run("--set expectations=owned promote pump@1.0.0");
    let pull = pull(&folder, 1);
    assert_eq!(pull["labels"], json!(["first", "needs-human"]), "{pull}");
    assert_eq!(pull["draft"], true);
    assert!(body(&pull).contains("must_flag"), "{pull}");
}

#[test]
fn a_trial_is_taken_back_by_ending_it() {
    let (folder, _) = promoted();
    folder.pump("second", 13_824, 2);
    folder.run("push second.wasm --version 1.1.0");
    folder.run("promote pump@1.1.0 --canary 10");
    let canary = pull(&folder, 2);
    let wanted = "hodoscope promote pump@1.1.0 --canary 0 --channel local";
    assert!(body(&canary).contains(wanted), "{canary}");
    assert!(!body(&canary).contains("rollback"), "{canary}");
    assert!(body(&canary).contains("answers 10 % of the calls"));
    folder.run("forge merge pump");
    folder.run(&wanted["hodoscope ".len()..]);
    folder.run("forge merge pump");
    folder.run("promote pump@1.1.0 --shadow");
    let shadow = pull(&folder, 4);
    let wanted = "hodoscope promote pump@1.1.0 --shadow=off --channel local";
    assert!(body(&shadow).contains(wanted), "{shadow}");
    folder.run("forge merge pump");
    folder.run(&wanted["hodoscope ".len()..]);
    folder.run("forge merge pump");
    let base = git(&folder, &["show", "main:registry/channels/local/pump.yaml"]);
    assert!(
        !base.contains("shadow") && !base.contains("canary"),
        "{base}"
    );
}

#[test]
fn a_shadow_that_failed_makes_a_draft_of_a_pull_request_that_was_ready() {
    let folder = worn();
    let answer = folder.run(JOB);
    let digest = &found(&answer)["candidate"]["digest"];
    let file = folder.path(&format!(
        ".hodoscope/capture/profiles/v1/detector=pump/window={}/host-boot-00000000.json",
        DAYS[2]
    ));
    let mut part: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    part["shadow"] = json!({
        "version": "1.1.0", "digest": digest, "rows": 100, "flips": 0, "faults": 3,
        "dropped": 0, "difference_sum": 0.0, "difference_max": 0.0,
    });
    std::fs::write(&file, serde_json::to_vec(&part).unwrap()).unwrap();
    let again = folder.run(JOB);
    let outcome = &found(&again)["proposal"]["outcome"];
    assert_eq!(outcome, "updated", "{}", told(&again));
    let pull = pull(&folder, 2);
    assert_eq!(pull["draft"], true, "{pull}");
    assert_eq!(pull["labels"], json!(["needs-human"]), "{pull}");
    assert!(body(&pull).contains("3 faults in 100 rows"), "{pull}");
}

#[test]
fn an_anchor_that_cannot_be_loaded_asks_a_person_and_stops_nothing() {
    let folder = worn();
    folder.run(JOB);
    folder.run("forge merge pump");
    let list = folder.run("list");
    let blob = |at: usize| {
        let digest = list["releases"][at]["digest"].as_str().unwrap();
        format!(
            ".hodoscope/store/blobs/sha256/{}",
            digest.trim_start_matches("sha256:")
        )
    };
    let traffic = Traffic::new(&folder, &blob(1));
    let days = ["20260104T000000Z", "20260105T000000Z", "20260106T000000Z"];
    for day in days {
        traffic.lay(&folder, &Window::of(day, "calm.csv"));
    }
    std::fs::remove_file(folder.path(&blob(0))).unwrap();
    let answer = folder.run(&JOB.replace(DAYS[2], days[2]));
    assert_eq!(
        found(&answer)["candidate"]["version"],
        "1.2.0",
        "{}",
        told(&answer)
    );
    let pull = pull(&folder, 3);
    assert_eq!(pull["labels"], json!(["needs-human"]), "{pull}");
    assert!(
        body(&pull).contains("the anchor cannot be loaded"),
        "{pull}"
    );
}
