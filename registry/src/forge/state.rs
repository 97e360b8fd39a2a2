//! The primitive operations that every kind of forge offers: read everything at one moment, and take one of a few steps,
//! each conditional on what was read where the forge allows it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hodoscope_release::DetectorName;
use jiff::Timestamp;

use super::ForgeError;
use super::proposal::{Base, Pull};
use super::text::Mark;

/// In which file each detector stands.
pub(crate) type Places = BTreeMap<DetectorName, PathBuf>;

/// Everything that a decision needs, read at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) base: Base,
    /// In which file each detector stands.
    pub(crate) places: Places,
    pub(crate) branch: Option<Branch>,
    /// The pull requests of the branch, in all states, of this repository only.
    pub(crate) pulls: Vec<PullState>,
    /// When the bot's pull requests of the last hour were opened, whatever they are about.
    pub(crate) recent: Vec<Timestamp>,
    /// The state of the pull requests that was read, where the forge can make a write conditional on it.
    pub(crate) version: Option<String>,
    /// GitHub's name of the repository; empty elsewhere.
    pub(crate) repository: String,
    /// The tree of the base's commit; empty where it is not needed.
    pub(crate) base_tree: String,
}

/// The bot's branch.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) head: String,
    /// Only if the commit at its end is the bot's own.
    pub(crate) mark: Option<Mark>,
}

/// A pull request with all that was read of it.
#[derive(Debug, Clone)]
pub(crate) struct PullState {
    pub(crate) number: u64,
    pub(crate) url: String,
    /// GraphQL's name of it; the number's text where there is no other.
    pub(crate) node: String,
    pub(crate) open: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) merged_at: Option<Timestamp>,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) draft: bool,
    pub(crate) labels: Vec<String>,
    /// The branch that it is for.
    pub(crate) base: String,
    /// The last commit; frozen when it was closed.
    pub(crate) head: String,
    /// Only if that commit is the bot's own.
    pub(crate) mark: Option<Mark>,
    /// The bodies and numbers of comments; read of open ones only.
    pub(crate) comments: Vec<(u64, String)>,
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The branch shall end in this commit instead of `expected`; `None` = it must not exist.
    Move {
        expected: Option<String>,
        commit: Box<NewCommit>,
    },
    Delete {
        expected: String,
    },
    Open {
        title: String,
        body: String,
        draft: bool,
        labels: Vec<String>,
    },
    Edit {
        number: u64,
        title: String,
        body: String,
    },
    Draft {
        number: u64,
        node: String,
        draft: bool,
    },
    Label {
        number: u64,
        add: Vec<String>,
        remove: Vec<String>,
    },
    Comment {
        number: u64,
        text: String,
    },
    /// Takes back a comment that two jobs made at once.
    Uncomment {
        number: u64,
        comment: u64,
    },
    Close {
        number: u64,
        body: Option<String>,
    },
}

/// A commit that changes one file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewCommit {
    pub(crate) parent: String,
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) subject: String,
    pub(crate) mark: Mark,
}

impl PullState {
    pub(crate) fn about(&self, branch: &str) -> Pull {
        Pull {
            number: self.number,
            url: self.url.clone(),
            branch: branch.to_owned(),
            head: self.head.clone(),
        }
    }

    pub(crate) fn has_label(&self, label: &str) -> bool {
        has_label(&self.labels, label)
    }
}

/// Whether `labels` hold this one; to GitHub `Hold` and `hold` are one label.
pub(crate) fn has_label(labels: &[String], label: &str) -> bool {
    labels.iter().any(|found| found.eq_ignore_ascii_case(label))
}

/// Why a step was not taken, or may have been.
#[derive(Debug)]
pub(crate) enum Setback {
    /// The branch does not end where it did when it was read; nothing was written.
    Lost,
    /// Nobody knows whether it was taken, or it was refused for what may have changed: read and see.
    Unclear(ForgeError),
    /// It was refused, either because the branch had moved, or because it may not be moved.
    Stuck(ForgeError),
    /// It will never succeed.
    Fatal(ForgeError),
}
