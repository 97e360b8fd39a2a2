//! The state of the fake repository, and what follows from each change of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hodoscope_registry::forge::Clock as _;
use hodoscope_release::Digest;
use jiff::Timestamp;

use crate::forge::Hands;

pub(crate) const ZERO: &str = "0000000000000000000000000000000000000000";

#[derive(Clone, PartialEq, Eq, Debug, Copy)]
pub(crate) enum State {
    Open,
    Closed,
    Merged,
}

#[derive(Clone, Debug)]
pub(crate) struct FakeCommit {
    pub(crate) tree: String,
    pub(crate) parents: Vec<String>,
    pub(crate) message: String,
}

#[derive(Clone, Debug)]
pub(crate) struct FakePull {
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) draft: bool,
    pub(crate) state: State,
    pub(crate) branch: String,
    pub(crate) base: String,
    pub(crate) head: String,
    pub(crate) created_at: Timestamp,
    pub(crate) merged_at: Option<Timestamp>,
    pub(crate) labels: Vec<String>,
    pub(crate) comments: Vec<(u64, String)>,
    /// From a fork.
    pub(crate) cross: bool,
}

#[derive(Clone)]
pub(crate) struct Core {
    clock: Arc<Hands>,
    pub(crate) name: String,
    pub(crate) trees: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) commits: BTreeMap<String, FakeCommit>,
    pub(crate) refs: BTreeMap<String, String>,
    pub(crate) pulls: Vec<FakePull>,
    pub(crate) labels: BTreeSet<String>,
    pub(crate) dispatched: Vec<(String, serde_json::Value)>,
    /// How all runs of the workflow ended, if they did.
    pub(crate) concluded: Option<&'static str>,
    pub(crate) no_drafts: bool,
    /// Labels must exist before they are given.
    pub(crate) strict_labels: bool,
    /// Nobody may move the bot's branches.
    pub(crate) protected: bool,
    pub(crate) app_key: Option<Vec<u8>>,
    pub(crate) granted: BTreeSet<String>,
    pub(crate) issued: u64,
    pub(crate) next: u64,
    /// What must never happen and did.
    pub(crate) wrong: Vec<String>,
}

impl Core {
    pub(crate) fn new(clock: Arc<Hands>) -> Self {
        let mut core = Self {
            clock,
            name: super::REPOSITORY.to_owned(),
            trees: BTreeMap::new(),
            commits: BTreeMap::new(),
            refs: BTreeMap::new(),
            pulls: Vec::new(),
            labels: BTreeSet::new(),
            dispatched: Vec::new(),
            concluded: None,
            no_drafts: false,
            strict_labels: false,
            protected: false,
            app_key: None,
            granted: ["contents", "pull_requests", "actions"]
                .map(str::to_owned)
                .into(),
            issued: 0,
            next: 1,
            wrong: Vec::new(),
        };
        let file = (
            "registry/channels/production/_channel.yaml".to_owned(),
            "name: production\n".to_owned(),
        );
        let tree = core.tree([file].into());
        let first = core.commit(FakeCommit {
            tree,
            parents: Vec::new(),
            message: "Begin".into(),
        });
        core.refs.insert("refs/heads/main".into(), first);
        core
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn tree(&mut self, files: BTreeMap<String, String>) -> String {
        let oid = oid(&format!("tree {files:?}"));
        self.trees.insert(oid.clone(), files);
        oid
    }

    pub(crate) fn commit(&mut self, commit: FakeCommit) -> String {
        let oid = oid(&format!("commit {commit:?} {}", self.now()));
        self.commits.insert(oid.clone(), commit);
        oid
    }

    pub(crate) fn files(&self, commit: &str) -> &BTreeMap<String, String> {
        &self.trees[&self.commits[commit].tree]
    }

    pub(crate) fn head(&self, branch: &str) -> Option<String> {
        self.refs.get(&format!("refs/heads/{branch}")).cloned()
    }

    pub(crate) fn is_ancestor(&self, commit: &str, of: &str) -> bool {
        commit == of
            || self.commits[of]
                .parents
                .iter()
                .any(|parent| self.is_ancestor(commit, parent))
    }

    pub(crate) fn open_pulls(&self) -> impl Iterator<Item = &FakePull> {
        self.pulls.iter().filter(|pull| pull.state == State::Open)
    }

    /// A ref changes, and GitHub does what follows.
    pub(crate) fn set(&mut self, name: &str, to: Option<&str>) {
        match to {
            Some(oid) => self.refs.insert(name.to_owned(), oid.to_owned()),
            None => self.refs.remove(name),
        };
        let now = self.now();
        let mut pulls = std::mem::take(&mut self.pulls);
        for pull in pulls
            .iter_mut()
            .filter(|pull| pull.state == State::Open && !pull.cross)
        {
            let Some(base) = self.head(&pull.base) else {
                continue;
            };
            match self.head(&pull.branch) {
                None => pull.state = State::Closed,
                Some(head) => {
                    pull.head.clone_from(&head);
                    if self.is_ancestor(&head, &base) {
                        let moved = name.ends_with(&pull.branch);
                        pull.state = if moved { State::Closed } else { State::Merged };
                        if moved {
                            self.wrong.push(format!(
                                "#{} was closed, for its branch equals its base",
                                pull.number
                            ));
                        } else {
                            pull.merged_at = Some(now);
                        }
                    }
                }
            }
        }
        self.pulls = pulls;
    }

    /// `updateRefs`.
    pub(crate) fn update(&mut self, name: &str, before: &str, after: &str) -> Result<(), String> {
        let found = self
            .refs
            .get(name)
            .cloned()
            .unwrap_or_else(|| ZERO.to_owned());
        if self.protected {
            return Err("Repository rule violations found".into());
        }
        if found != before {
            return Err(format!(
                "Reference {name} was at {found} but expected {before}"
            ));
        }
        if after == ZERO {
            self.set(name, None);
            return Ok(());
        }
        if !self.commits.contains_key(after) {
            return Err(format!("No object found for {after}"));
        }
        let kept = |head: &str| {
            self.pulls
                .iter()
                .any(|pull| pull.state != State::Open && pull.head == head)
        };
        let people = self
            .commits
            .get(before)
            .is_some_and(|commit| !commit.message.contains("Hodoscope-Key"));
        if people && !kept(before) {
            self.wrong
                .push(format!("a person's commit {before} was overwritten"));
        }
        self.set(name, Some(after));
        Ok(())
    }

    /// `POST pulls`; the error is GitHub's message.
    pub(crate) fn open(
        &mut self,
        title: &str,
        body: &str,
        branch: &str,
        base: &str,
        draft: bool,
    ) -> Result<u64, String> {
        let Some(head) = self.head(branch) else {
            return Err("head invalid".into());
        };
        let Some(end) = self.head(base) else {
            return Err("base invalid".into());
        };
        if self.is_ancestor(&head, &end) {
            return Err(format!("No commits between {base} and {branch}"));
        }
        if self
            .open_pulls()
            .any(|pull| pull.branch == branch && pull.base == base && !pull.cross)
        {
            return Err(format!("A pull request already exists for acme:{branch}."));
        }
        if draft && self.no_drafts {
            return Err("Draft pull requests are not supported in this repository.".into());
        }
        let number = self.number();
        self.pulls.push(FakePull {
            number,
            title: title.into(),
            body: body.into(),
            draft,
            state: State::Open,
            branch: branch.into(),
            base: base.into(),
            head,
            created_at: self.now(),
            merged_at: None,
            labels: Vec::new(),
            comments: Vec::new(),
            cross: false,
        });
        Ok(number)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    pub(crate) fn pull(&mut self, number: u64) -> Option<&mut FakePull> {
        self.pulls.iter_mut().find(|pull| pull.number == number)
    }

    /// A person's commit on a branch.
    pub(crate) fn push(&mut self, branch: &str, file: &str, text: &str) {
        let Some(parent) = self.head(branch) else {
            return;
        };
        let mut files = self.files(&parent).clone();
        files.insert(file.into(), text.into());
        let tree = self.tree(files);
        let commit = self.commit(FakeCommit {
            tree,
            parents: vec![parent],
            message: format!("Change {file} by hand"),
        });
        self.set(&format!("refs/heads/{branch}"), Some(&commit));
    }

    /// A person presses the button.
    pub(crate) fn merge(&mut self, number: u64) {
        let Some(pull) = self
            .pull(number)
            .filter(|pull| pull.state == State::Open)
            .cloned()
        else {
            return;
        };
        let (base, head) = (self.head(&pull.base).unwrap(), pull.head.clone());
        let mut files = self.files(&base).clone();
        let parent = self.commits[&head].parents[0].clone();
        let old = self.files(&parent).clone();
        for (path, text) in self.files(&head).clone() {
            if old.get(&path) != Some(&text) {
                files.insert(path, text);
            }
        }
        let tree = self.tree(files);
        let commit = self.commit(FakeCommit {
            tree,
            parents: vec![base, head],
            message: format!("Merge pull request #{number}"),
        });
        self.set(&format!("refs/heads/{}", pull.base), Some(&commit));
    }

    pub(crate) fn close(&mut self, number: u64) {
        if let Some(pull) = self.pull(number).filter(|pull| pull.state == State::Open) {
            pull.state = State::Closed;
        }
    }
}

fn oid(text: &str) -> String {
    Digest::of(text.as_bytes()).hex()[..40].to_owned()
}
