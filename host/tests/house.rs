//! The house: who may know whom, how long a file may be, what every file and every detector folder carries, and that the
//! contract is frozen. A rule no machine checks is decor.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a rule that cannot be checked is broken"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hodoscope_release::Digest;

/// The longest source file that still reads as one thing.
const LINES_LIMIT: usize = 600;

/// The contract's text. It changes only by a new folder beside it.
const CONTRACTS: &[(&str, &str)] = &[(
    "wit/0.1.0/detector.wit",
    "sha256:05e26672396c72f8c7f4311dad446d0bdd5a4de7917823a2a7a18a76bac822c5",
)];

/// A crate's folder and what it must not depend on outside its tests, by the start of a package's name.
const MUST_NOT_KNOW: &[(&str, &[&str])] = &[
    (
        "registry/release",
        &["hodoscope-", "tokio", "aws-", "wasmtime", "axum"],
    ),
    (
        "registry",
        &[
            "hodoscope-engine",
            "hodoscope-isolation-forest",
            "wasmtime",
            "axum",
            "prometheus",
        ],
    ),
    (
        "host/engine",
        &[
            "hodoscope-registry",
            "hodoscope-isolation-forest",
            "aws-",
            "octocrab",
            "axum",
            "hyper",
            "tokio",
            "prometheus",
        ],
    ),
    (
        "detectors/isolation-forest",
        &[
            "hodoscope-registry",
            "hodoscope-engine",
            "wasmtime",
            "aws-",
            "axum",
            "tokio",
        ],
    ),
    (
        "detectors/robust-zscore",
        &["hodoscope", "wasmtime", "tokio"],
    ),
    (
        "host/drift",
        &[
            "hodoscope-registry",
            "hodoscope-engine",
            "hodoscope-isolation-forest",
            "tokio",
            "wasmtime",
            "axum",
            "aws-",
        ],
    ),
    ("host", &["wasmtime", "aws-", "octocrab"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if !["target", ".git", ".venv", "node_modules"]
                .iter()
                .any(|skip| name == *skip)
            {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for room in ["host", "registry", "detectors"] {
        sources(&root().join(room), &mut found);
    }
    found
}

fn dependencies(folder: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    manifest["dependencies"]
        .as_table()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[test]
fn rooms_know_only_whom_they_may() {
    for (folder, forbidden) in MUST_NOT_KNOW {
        let broken: Vec<String> = dependencies(folder)
            .into_iter()
            .filter(|package| forbidden.iter().any(|start| package.starts_with(start)))
            .collect();
        assert!(broken.is_empty(), "{folder} must not know {broken:?}");
    }
}

#[test]
fn every_source_file_says_what_it_owns_and_stays_short() {
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let opens = first.starts_with("//!") || first.starts_with("#![doc");
        assert!(
            opens,
            "{} does not open with a `//!` paragraph",
            path.display()
        );
        let lines = text.lines().count();
        assert!(
            lines <= LINES_LIMIT,
            "{} has {lines} lines; split it",
            path.display()
        );
    }
}

#[test]
fn no_module_is_named_mod_rs_and_no_folder_is_a_drawer() {
    for path in all_sources() {
        for drawer in [
            "mod.rs",
            "util.rs",
            "utils.rs",
            "helpers.rs",
            "common.rs",
            "manager.rs",
        ] {
            assert!(
                !path.ends_with(drawer),
                "{} has a name that says nothing",
                path.display()
            );
        }
    }
}

#[test]
fn every_detector_folder_has_a_readme_and_cases() {
    for entry in fs::read_dir(root().join("detectors"))
        .unwrap()
        .map(Result::unwrap)
    {
        let folder = entry.path();
        assert!(
            folder.join("README.md").is_file(),
            "{} has no README.md",
            folder.display()
        );
        let cases = folder.join("cases").is_dir() || folder.join("tests").is_dir();
        assert!(cases, "{} has neither cases/ nor tests/", folder.display());
    }
}

#[test]
fn the_contract_is_frozen() {
    for (file, digest) in CONTRACTS {
        let text = fs::read(root().join(file)).unwrap();
        let found = Digest::of(&text).to_string();
        assert_eq!(
            found, *digest,
            "{file} is frozen; write the next version into a folder of its own"
        );
    }
}

#[test]
fn no_test_is_ignored() {
    let mark = concat!("#[", "ignore");
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(mark), "{} ignores a test", path.display());
    }
}
