//! A bare repository on this machine as a forge. Every change of the branch and of the pull requests is one transaction of
//! refs with the values that were read as its conditions: it happens whole or not at all, also when the process dies. A
//! person may use plain git beside it: commits on the branch, a merge, a deleted branch are seen for what they are.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use hodoscope_release::ChannelName;
use jiff::Timestamp;

use super::location::{ForgeLocation, ForgeOptions};
use super::proposal::Base;
use super::state::{Branch, Setback, Snapshot, Step};
use super::text::Mark;
use super::{Clock, ForgeError};
use crate::channels::{ChannelError, assemble, select};
use git::Git;
use pulls::{Opening, Record, Records, Status};

mod git;
mod init;
mod people;
mod pulls;

/// A value of a ref that says: it must not exist.
const ZERO: &str = "0000000000000000000000000000000000000000";

/// A bare repository on this machine.
#[derive(Debug)]
pub struct LocalGit {
    git: Git,
    options: ForgeOptions,
}

/// What the refs point to, and the pull requests.
struct State {
    base: String,
    branch: Option<String>,
    /// The commit that holds the pull requests.
    pulls: Option<String>,
    records: Records,
}

impl LocalGit {
    /// A repository that exists; see [`LocalGit::init`].
    pub(super) fn open(path: &Path, options: ForgeOptions) -> Result<Self, ForgeError> {
        let forge = ForgeLocation::LocalGit(path.to_owned()).to_string();
        if !git::is_repository(path) {
            return Err(ForgeError::Setting {
                forge,
                cause: "there is no bare repository; correct the path, or make it with `hodoscope forge init`"
                    .to_owned(),
            });
        }
        Ok(Self {
            git: Git {
                repository: path.to_owned(),
                options: options.git.clone(),
                forge,
            },
            options,
        })
    }

    pub(super) const fn options(&self) -> &ForgeOptions {
        &self.options
    }

    pub(super) async fn snapshot(
        &self,
        channel: &ChannelName,
        branch: &str,
        clock: &dyn Clock,
    ) -> Result<Snapshot, ForgeError> {
        let state = self.state(branch, clock.now()).await?;
        let folder = format!("{}/{channel}", self.options.path);
        let (base, places) = self.base(&state.base, &folder).await?;
        let own: Vec<&Record> = state
            .records
            .values()
            .filter(|record| record.branch == branch)
            .collect();
        let mut heads: Vec<&str> = own.iter().map(|record| record.head.as_str()).collect();
        heads.extend(state.branch.as_deref());
        let marks = self.marks(&heads).await?;
        let mark = |head: &str| marks.get(head).cloned().flatten();
        Ok(Snapshot {
            branch: state.branch.as_ref().map(|head| Branch {
                head: head.clone(),
                mark: mark(head),
            }),
            pulls: own
                .iter()
                .map(|record| record.state(self.url(record.number), mark(&record.head)))
                .collect(),
            recent: state
                .records
                .values()
                .map(|record| record.created_at)
                .collect(),
            version: state.pulls,
            repository: String::new(),
            base_tree: String::new(),
            base,
            places,
        })
    }

    pub(super) async fn apply(
        &self,
        branch: &str,
        steps: &[Step],
        snapshot: &Snapshot,
        clock: &dyn Clock,
    ) -> Result<(), Setback> {
        let now = clock.now();
        let state = self.state(branch, now).await.map_err(Setback::Fatal)?;
        if state.pulls != snapshot.version {
            return Err(Setback::Lost);
        }
        let mut records = state.records;
        let mut head = snapshot.branch.as_ref().map(|branch| branch.head.clone());
        // What was decided holds for this base only.
        let mut changes = vec![format!(
            "verify refs/heads/{} {}",
            self.options.base, snapshot.base.commit
        )];
        for step in steps {
            match step {
                Step::Move { expected, commit } => {
                    let file = (commit.path.clone(), commit.text.clone());
                    let tree = self
                        .git
                        .tree(Some(&commit.parent), &[file])
                        .await
                        .map_err(Setback::Fatal)?;
                    let message = commit.mark.message(&commit.subject, &tree);
                    let to = self
                        .git
                        .commit(&tree, &[&commit.parent], &message, now)
                        .await
                        .map_err(Setback::Fatal)?;
                    let expected = expected.as_deref().unwrap_or(ZERO);
                    changes.push(format!("update refs/heads/{branch} {to} {expected}"));
                    head = Some(to);
                }
                Step::Delete { expected } => {
                    changes.push(format!("delete refs/heads/{branch} {expected}"));
                }
                step => pulls::take(
                    &mut records,
                    step,
                    &Opening {
                        branch,
                        base: &self.options.base,
                        head: head.as_deref().unwrap_or(ZERO),
                        now,
                    },
                ),
            }
        }
        self.see_heads(&mut records, branch, head.as_deref());
        self.save(&records, state.pulls.as_deref(), now, &mut changes)
            .await
            .map_err(Setback::Fatal)?;
        self.transact(&changes).await
    }

    /// An open pull request's head is its branch's end.
    fn see_heads(&self, records: &mut Records, branch: &str, head: Option<&str>) {
        let Some(head) = head else { return };
        for record in records.values_mut() {
            if record.branch == branch && record.status == Status::Open {
                head.clone_into(&mut record.head);
            }
        }
    }

    /// Reads the refs and the pull requests; of those of `branch` also what people did to them with plain git.
    async fn state(&self, branch: &str, now: Timestamp) -> Result<State, ForgeError> {
        let base_ref = format!("refs/heads/{}", self.options.base);
        let branch_ref = format!("refs/heads/{branch}");
        let refs: BTreeMap<String, String> = self
            .git
            .refs(&[&base_ref, &branch_ref, pulls::REF])
            .await?
            .into_iter()
            .collect();
        let base = refs
            .get(&base_ref)
            .cloned()
            .ok_or_else(|| ForgeError::NoBase {
                forge: self.to_string(),
                branch: self.options.base.clone(),
            })?;
        let end = refs.get(&branch_ref).cloned();
        let pulls = refs.get(pulls::REF).cloned();
        let mut records = match &pulls {
            Some(commit) => self.records(commit).await?,
            None => Records::new(),
        };
        for record in records.values_mut() {
            if record.branch != branch || record.status != Status::Open {
                continue;
            }
            if let Some(end) = &end {
                record.head.clone_from(end);
            }
            if self.is_ancestor(&record.head, &base).await? {
                let at = self.merged_at(&record.head, &base).await?.unwrap_or(now);
                record.close(Status::Merged, at);
            } else if end.is_none() {
                record.close(Status::Closed, record.updated_at);
            }
        }
        Ok(State {
            base,
            branch: end,
            pulls,
            records,
        })
    }

    async fn records(&self, commit: &str) -> Result<Records, ForgeError> {
        let files = self.git.files(commit, pulls::FOLDER).await?;
        let wanted: Vec<&(String, String)> = files
            .iter()
            .filter(|(name, _)| name.ends_with(".json"))
            .collect();
        let names: Vec<&str> = wanted.iter().map(|(_, blob)| blob.as_str()).collect();
        let objects = self.git.objects(&names).await?;
        let mut records = Records::new();
        for ((name, _), object) in wanted.iter().zip(objects) {
            let bytes = object.map(|object| object.bytes).unwrap_or_default();
            let record: Record = serde_json::from_slice(&bytes).map_err(|cause| {
                self.git
                    .unexpected("reading pull requests", &format!("{name}: {cause}"))
            })?;
            records.insert(record.number, record);
        }
        Ok(records)
    }

    /// The channel on the base, by the same reading as a channel folder.
    async fn base(
        &self,
        commit: &str,
        folder: &str,
    ) -> Result<(Base, super::state::Places), ForgeError> {
        let blobs: BTreeMap<String, String> =
            self.git.files(commit, folder).await?.into_iter().collect();
        let shown = PathBuf::from(folder);
        let channel = |cause| ForgeError::Channel {
            forge: self.to_string(),
            cause,
        };
        let names = match select(&shown, blobs.keys().cloned().collect()) {
            Err(ChannelError::NoDocument { .. }) => Vec::new(),
            names => names.map_err(channel)?,
        };
        let wanted: Vec<&str> = names
            .iter()
            .filter_map(|name| blobs.get(name))
            .map(String::as_str)
            .collect();
        let objects = self.git.objects(&wanted).await?;
        let parts: Vec<(String, Vec<u8>)> = names
            .into_iter()
            .zip(objects)
            .map(|(name, object)| (name, object.map(|object| object.bytes).unwrap_or_default()))
            .collect();
        let reading = assemble(&shown, &parts).map_err(channel)?;
        let base = Base {
            commit: commit.to_owned(),
            document: reading.document,
            files: parts
                .into_iter()
                .map(|(name, bytes)| {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    (format!("{folder}/{name}"), text)
                })
                .collect(),
        };
        Ok((base, reading.files))
    }

    /// Which of these commits are the bot's own.
    async fn marks(&self, commits: &[&str]) -> Result<BTreeMap<String, Option<Mark>>, ForgeError> {
        let objects = self.git.objects(commits).await?;
        Ok(commits
            .iter()
            .zip(objects)
            .map(|(commit, object)| {
                let mark = object
                    .as_ref()
                    .and_then(git::commit_parts)
                    .filter(|(_, parents, _)| parents.len() == 1)
                    .and_then(|(tree, _, message)| Mark::read(&message, &tree));
                ((*commit).to_owned(), mark)
            })
            .collect())
    }

    async fn is_ancestor(&self, commit: &str, of: &str) -> Result<bool, ForgeError> {
        const ACTION: &str = "comparing commits";
        let args = ["merge-base", "--is-ancestor", commit, of];
        let said = self.git.say(ACTION, &args, &[], &[]).await?;
        match said.code {
            Some(0) => Ok(true),
            // A commit that is gone was never merged.
            Some(1 | 128) => Ok(false),
            _ => Err(self.git.refused(ACTION, &said)),
        }
    }

    /// When the first commit was made that brought `head` to the base.
    async fn merged_at(&self, head: &str, base: &str) -> Result<Option<Timestamp>, ForgeError> {
        let range = format!("{head}..{base}");
        let args = [
            "log",
            "--format=%ct",
            "--reverse",
            "--first-parent",
            "--ancestry-path",
            &range,
        ];
        let stdout = self.git.run("reading the log", &args, &[], &[]).await?;
        let text = String::from_utf8_lossy(&stdout);
        Ok(text
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok())
            .and_then(|second| Timestamp::from_second(second).ok()))
    }

    /// Adds the saving of the records to `changes`.
    async fn save(
        &self,
        records: &Records,
        before: Option<&str>,
        now: Timestamp,
        changes: &mut Vec<String>,
    ) -> Result<(), ForgeError> {
        let mut files = Vec::new();
        for record in records.values() {
            let pair = record.files().map_err(|cause| {
                self.git
                    .unexpected("writing a pull request", &cause.to_string())
            })?;
            files.extend(pair);
        }
        if files.is_empty() {
            return Ok(());
        }
        let tree = self.git.tree(None, &files).await?;
        let parents: Vec<&str> = before.into_iter().collect();
        let commit = self
            .git
            .commit(&tree, &parents, "Change pull requests\n", now)
            .await?;
        changes.push(format!(
            "update {} {commit} {}",
            pulls::REF,
            before.unwrap_or(ZERO)
        ));
        Ok(())
    }

    /// All or nothing.
    async fn transact(&self, changes: &[String]) -> Result<(), Setback> {
        const ACTION: &str = "changing refs";
        let input = format!("start\n{}\nprepare\ncommit\n", changes.join("\n"));
        let args = ["update-ref", "--stdin"];
        let said = self
            .git
            .say(ACTION, &args, input.as_bytes(), &[])
            .await
            .map_err(Setback::Unclear)?;
        if said.code == Some(0) {
            return Ok(());
        }
        let error = self.git.refused(ACTION, &said);
        if matches!(
            error,
            ForgeError::Unavailable { .. } | ForgeError::Locked { .. }
        ) {
            return Err(Setback::Unclear(error));
        }
        if said.stderr.contains("cannot lock ref") {
            return Err(Setback::Lost);
        }
        Err(Setback::Fatal(error))
    }

    fn url(&self, number: u64) -> String {
        let folder = std::path::absolute(&self.git.repository)
            .unwrap_or_else(|_| self.git.repository.clone());
        format!("git:{}#{number}", folder.display())
    }
}

impl fmt::Display for LocalGit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.git.forge)
    }
}
