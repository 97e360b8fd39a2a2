//! The commands that move releases, as people type them: the executable, a home folder, and what it says.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::host::forest;

/// A home folder with three components beside it.
struct Desk {
    home: TempDir,
}

/// What a command said, and its exit code.
struct Said {
    code: i32,
    text: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            home: tempfile::tempdir().unwrap(),
        };
        for (file, limit) in [("a.wasm", 10.0), ("b.wasm", 20.0), ("c.wasm", 30.0)] {
            std::fs::write(desk.path(file), forest(2, limit, 8.0)).unwrap();
        }
        desk
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.home.path().join(file)
    }

    /// Runs `hodoscope` with words split at blanks.
    fn run(&self, words: &str) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_hodoscope"))
            .args(words.split(' '))
            .current_dir(self.home.path())
            .env_clear() // nobody else's settings
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            code: output.status.code().unwrap(),
            text: text(&output.stdout) + &text(&output.stderr),
        }
    }

    /// Runs it, expects this exit code, and that the answer holds each text.
    fn says(&self, words: &str, code: i32, expected: &[&str]) -> String {
        let said = self.run(words);
        assert_eq!(said.code, code, "{words}: {}", said.text);
        for text in expected {
            assert!(said.text.contains(text), "{words}: {text}: {}", said.text);
        }
        said.text
    }

    fn json(&self, words: &str) -> Value {
        serde_json::from_str(&self.says(&format!("{words} --output json"), 0, &[])).unwrap()
    }

    fn active(&self) -> String {
        let folder = self.path(".hodoscope/channels/local");
        let document = hodoscope_registry::channels::read_folder(Path::new(&folder)).unwrap();
        document
            .detectors
            .values()
            .map(|wanted| wanted.active.version.to_string())
            .collect()
    }
}

#[test]
fn a_release_goes_from_a_file_to_the_channel_and_back() {
    let desk = Desk::new();
    let next = [
        "pushed pump@1.0.0",
        "accepted",
        "hodoscope promote pump@1.0.0 --channel local",
    ];
    desk.says("push a.wasm --name pump --version 1.0.0", 0, &next);
    desk.says(
        "push a.wasm --name pump --version 1.0.0",
        0,
        &["with the same bytes"],
    );
    let taken = [
        "already exists",
        "stored sha256:",
        "pushed sha256:",
        "new version",
    ];
    desk.says("push b.wasm --name pump --version 1.0.0", 1, &taken);
    assert_eq!(
        desk.json("push b.wasm --name pump --version 1.1.0")["pushed"],
        "created"
    );
    desk.says(
        "promote pump@1.1.0 --shadow",
        1,
        &["promote a release of it first"],
    );
    desk.says("promote pump@1.0.0", 0, &["active    - -> 1.0.0 sha256:"]);
    let canary = [
        "1.1.0 sha256:",
        "at 10 %",
        "undo:     hodoscope promote pump@1.1.0 --canary 0",
    ];
    desk.says("promote pump@1.1.0 --canary 10", 0, &canary);
    let undo = [
        "active    1.0.0 ",
        "undo:     hodoscope rollback pump --channel local",
    ];
    desk.says("promote pump@1.1.0", 0, &undo);
    desk.says("promote pump@1.1.0", 0, &["nothing changed"]);
    assert_eq!(desk.active(), "1.1.0");
    desk.says("rollback pump", 0, &["active    1.1.0 "]);
    assert_eq!(desk.active(), "1.0.0");
    let change = desk.json("retire pump");
    assert_eq!(change["after"]["retired"], true);
    assert_eq!(
        change["undo"],
        "hodoscope promote pump@1.0.0 --channel local"
    );
}

#[test]
fn a_yanked_release_is_neither_promoted_nor_rolled_back_to() {
    let desk = Desk::new();
    for (file, version) in [("a.wasm", "1.0.0"), ("b.wasm", "1.1.0")] {
        desk.says(
            &format!("push {file} --name pump --version {version}"),
            0,
            &[],
        );
        desk.says(&format!("promote pump@{version}"), 0, &[]);
    }
    let pinned = ["yanked pump@1.0.0", "still pinned by local:previous"];
    desk.says("yank pump@1.0.0 --reason false-alarms", 0, &pinned);
    desk.says("rollback pump", 1, &["was yanked (false-alarms)"]);
    desk.says("promote pump@1.0.0", 1, &["was yanked (false-alarms)"]);
    desk.says(
        "list",
        0,
        &["local:previous, yanked: false-alarms", "local:active"],
    );
    let listed = desk.json("list pump");
    assert_eq!(listed["releases"][0]["yanked"]["reason"], "false-alarms");
    assert_eq!(listed["releases"][1]["pinned_by"][0]["as"], "active");
    assert_eq!(desk.active(), "1.1.0");
}

#[test]
fn inspect_tells_the_same_of_a_file_and_of_its_release() {
    let desk = Desk::new();
    desk.says("push a.wasm --name pump --version 1.0.0", 0, &[]);
    let expected = [
        "digest      sha256:",
        "f0 [bar], f1",
        "threshold   0.8",
        "golden rows 2",
        "999 rows",
    ];
    desk.says("inspect a.wasm", 0, &expected);
    desk.says("inspect pump@1.0.0", 0, &expected);
    let (file, release) = (desk.json("inspect a.wasm"), desk.json("inspect pump@1.0.0"));
    assert_eq!(file["inspection"], release["inspection"]);
    assert_eq!(release["entry"]["digest"], file["inspection"]["digest"]);
}

#[test]
fn what_is_no_component_reaches_neither_the_store_nor_the_channel() {
    let desk = Desk::new();
    std::fs::write(desk.path("text.wasm"), "not a component").unwrap();
    desk.says(
        "push text.wasm --name pump --version 1.0.0",
        1,
        &["not_a_component", "fix:"],
    );
    desk.says("inspect text.wasm", 1, &["not_a_component"]);
    desk.says(
        "push absent.wasm --name pump --version 1.0.0",
        1,
        &["absent.wasm"],
    );
    desk.says("push a.wasm --version 1.0.0", 1, &["give one with --name"]);
    desk.says(
        "push a.wasm --name pump --version 1.0",
        1,
        &["`1.0` is not a version"],
    );
    desk.says(
        "push a.wasm --name Pump --version 1.0.0",
        2,
        &["`Pump` is not a name"],
    );
    desk.says("promote pump@9.9.9", 1, &["hodoscope list"]);
    desk.says("rollback pump", 1, &["not in this channel"]);
    desk.says("list", 0, &["no releases"]);
}
