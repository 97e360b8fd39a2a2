//! The bare repository `channels.git` of a folder, by plain git: what its base wants, and every pull request that it ever
//! had.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::binary::Folder;

/// Where pull requests lie.
const PULLS: &str = "refs/hodoscope/pulls";

pub(crate) fn git(folder: &Folder, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .env("GIT_DIR", folder.path("channels.git"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What the base branch wants to be active.
pub(crate) fn active(folder: &Folder) -> String {
    let text = git(folder, &["show", "main:registry/channels/local/pump.yaml"]);
    let line = text.lines().find(|line| line.contains("version"));
    line.unwrap_or_default()
        .trim()
        .replace(['"', ' '], "")
        .replace("version:", "")
}

/// The pull requests that were ever made, by their number, with their status.
pub(crate) fn pulls(folder: &Folder) -> BTreeMap<u64, String> {
    at(folder, PULLS)
}

/// The same at each moment at which any of them changed, the newest first.
pub(crate) fn history(folder: &Folder) -> Vec<BTreeMap<u64, String>> {
    let commits = git(folder, &["log", "--format=%H", PULLS]);
    commits.lines().map(|commit| at(folder, commit)).collect()
}

fn at(folder: &Folder, commit: &str) -> BTreeMap<u64, String> {
    let names = git(folder, &["ls-tree", "--name-only", "-r", commit]);
    let numbers = names
        .lines()
        .filter_map(|name| name.strip_prefix("pulls/")?.strip_suffix(".json"));
    numbers
        .map(|number| {
            let text = git(folder, &["show", &format!("{commit}:pulls/{number}.json")]);
            let json: Value = serde_json::from_str(&text).unwrap();
            let status = json["status"].as_str().unwrap().to_owned();
            (number.parse().unwrap(), status)
        })
        .collect()
}
