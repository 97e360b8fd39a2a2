//! `kill -9` of `push`, `promote` and `rollback` after every step that their log tells, and what is seen then in the history
//! of the store and of the forge: nothing half-written, nothing that was acknowledged lost, and one pull request in the end.

use std::collections::BTreeMap;
use std::path::Path;

use hodoscope_release::Digest;
use serde_json::Value;

use crate::binary::Folder;
use crate::host::forest;
use crate::repository::{active, git, history, pulls};
use crate::steps::kill_after_each;

/// Each write of the store and each run of git is a line.
pub(crate) const STEPS: &str = "--set log=hodoscope_registry=trace --output json";
const BRANCH: &str = "detector-bot/local/pump";

fn folder() -> Folder {
    let folder = Folder::new();
    for (file, limit) in [("a.wasm", 10.0), ("b.wasm", 20.0), ("c.wasm", 30.0)] {
        std::fs::write(folder.path(file), forest(2, limit, 8.0)).unwrap();
    }
    folder
}

/// Every file of the store that has its name, by that. What is named by a digest has it, and what an index entry names is
/// there.
pub(crate) fn store(folder: &Folder) -> BTreeMap<String, Vec<u8>> {
    let root = folder.path(".hodoscope/store");
    let mut files = BTreeMap::new();
    collect(&root, "", &mut files);
    files.retain(|name, _| !name.starts_with("tmp/"));
    for (name, bytes) in &files {
        if let Some((_, digest)) = name.split_once("/sha256/") {
            assert_eq!(digest, Digest::of(bytes).hex(), "{name}");
            continue;
        }
        let entry: Value = serde_json::from_slice(bytes).unwrap();
        let hex = |digest: &Value| digest.as_str().unwrap().replace("sha256:", "");
        assert!(files.contains_key(&format!("blobs/sha256/{}", hex(&entry["digest"]))));
        let documents = entry["documents"].as_object().into_iter().flatten();
        for (_, digest) in documents {
            assert!(files.contains_key(&format!("docs/sha256/{}", hex(digest))));
        }
    }
    files
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files);
        } else {
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn a_push_killed_after_any_step_is_absent_or_whole_and_is_finished_by_the_next() {
    let start = folder();
    std::fs::write(start.path("evidence.json"), "{}").unwrap();
    std::fs::write(start.path("notes.md"), "notes ".repeat(10_000)).unwrap();
    start.run("test a.wasm");
    let push = "push a.wasm --name pump --version 1.0.0 --document evidence=evidence.json --document notes=notes.md";
    let mut whole = 0;
    let steps = kill_after_each(&start, &format!("{push} {STEPS}"), |folder, remains| {
        let step = &remains.step;
        let before = store(folder);
        let there = before.contains_key("index/pump/1.0.0.json");
        assert!(
            there || remains.answer.is_empty(),
            "acknowledged and gone after {step}"
        );
        whole += usize::from(there);
        let again = folder.run(push);
        assert_eq!(again["pushed"] == "unchanged", there, "after {step}");
        let after = store(folder);
        let names: Vec<&String> = after.keys().collect();
        assert_eq!(names.len(), 4, "after {step}: {names:?}");
        let kept = |(name, bytes): (&String, &Vec<u8>)| after.get(name) == Some(bytes);
        assert!(
            before.iter().all(kept),
            "what was seen has changed after {step}"
        );
        let notes = folder
            .command("inspect pump@1.0.0 --document notes")
            .output();
        assert_eq!(
            notes.unwrap().stdout,
            std::fs::read(folder.path("notes.md")).unwrap()
        );
    });
    assert!(steps >= 4 * 7, "four writes have {steps} steps");
    assert!(
        (1..steps).contains(&whole),
        "{whole} of {steps} kills came after the commit point"
    );
}

/// A forge whose base wants pump@1.0.0, and two releases more in the store.
fn forged() -> Folder {
    let folder = folder();
    let settings = "forge = \"git:channels.git\"\n";
    std::fs::write(folder.path("hodoscope.toml"), settings).unwrap();
    for (file, version) in [
        ("a.wasm", "1.0.0"),
        ("b.wasm", "1.1.0"),
        ("c.wasm", "1.2.0"),
    ] {
        folder.run(&format!("push {file} --name pump --version {version}"));
    }
    folder.run("forge init");
    folder.run("promote pump@1.0.0");
    folder.run("forge merge pump");
    folder
}

/// Kills `line` after each of its steps, and runs it again: pull request `number` is the one that is open then, and merging
/// it makes `version` active.
fn comes_to_one(start: &Folder, line: &str, number: u64, version: &str) {
    let base = git(start, &["rev-parse", "main"]);
    let mut proposed = 0;
    let steps = kill_after_each(start, &format!("{line} {STEPS}"), |folder, remains| {
        let step = &remains.step;
        if !remains.answer.is_empty() {
            let state = pulls(folder);
            assert_eq!(state[&number], "open", "acknowledged and gone after {step}");
            proposed += 1;
        }
        let again = folder.run(line);
        let outcome = again["proposal"]["outcome"].as_str().unwrap();
        assert!(
            ["opened", "updated", "unchanged"].contains(&outcome),
            "after {step}: {outcome}"
        );
        is_sound(folder, number, step);
        assert_eq!(git(folder, &["rev-parse", "main"]), base, "after {step}");
        folder.run("forge merge pump");
        assert_eq!(active(folder), version, "after {step}");
    });
    assert!(steps >= 10, "git ran {steps} times only");
    // The one that is let go on to its end, and perhaps the one that is killed at its last line.
    assert!(
        (1..=2).contains(&proposed),
        "{proposed} of {steps} answered"
    );
}

/// One pull request is open, it never was another one, none was ever lost, and it proposes one commit of one file.
pub(crate) fn is_sound(folder: &Folder, number: u64, step: &str) {
    git(folder, &["fsck", "--strict", "--no-dangling"]);
    let moments = history(folder);
    let (now, mut later) = (&moments[0], moments[0].clone());
    assert_eq!(
        now.keys().copied().collect::<Vec<_>>(),
        (1..=number).collect::<Vec<_>>()
    );
    for moment in &moments {
        let open: Vec<&u64> = moment
            .iter()
            .filter(|(_, s)| *s == "open")
            .map(|(n, _)| n)
            .collect();
        assert!(open.len() <= 1, "after {step}: {open:?} were open at once");
        assert!(
            moment.keys().all(|number| later.contains_key(number)),
            "after {step}"
        );
        later.clone_from(moment);
    }
    assert_eq!(now[&number], "open", "after {step}");
    assert_eq!(
        git(folder, &["rev-list", "--count", &format!("main..{BRANCH}")]),
        "1"
    );
    let changed = git(folder, &["diff", "--name-only", "main", BRANCH]);
    assert_eq!(changed, "registry/channels/local/pump.yaml", "after {step}");
}

#[test]
fn a_promotion_killed_after_any_step_comes_to_one_pull_request() {
    comes_to_one(&forged(), "promote pump@1.1.0", 2, "1.1.0");
}

#[test]
fn a_promotion_that_takes_over_and_is_killed_after_any_step_comes_to_the_same_pull_request() {
    let start = forged();
    start.run("promote pump@1.1.0");
    comes_to_one(&start, "promote pump@1.2.0", 2, "1.2.0");
}

#[test]
fn a_rollback_killed_after_any_step_comes_to_one_pull_request() {
    let start = forged();
    start.run("promote pump@1.1.0");
    start.run("forge merge pump");
    comes_to_one(&start, "rollback pump", 3, "1.0.0");
}
