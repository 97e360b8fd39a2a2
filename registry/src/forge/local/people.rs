//! What people do on GitHub's pages, for a repository that has none: merge, close, label.

use jiff::Timestamp;

use super::git::Git;
use super::pulls::{Record, Records, Status};
use super::{LocalGit, State};
use crate::forge::state::Setback;
use crate::forge::{Clock, ForgeError};

/// Races that are lost before a person's word is given up.
const ROUNDS: u32 = 16;

impl LocalGit {
    /// Merges with a merge commit, whatever its labels: this is a person's word.
    pub(in crate::forge) async fn merge(
        &self,
        number: u64,
        clock: &dyn Clock,
    ) -> Result<String, ForgeError> {
        self.persist(|| self.merge_once(number, clock.now())).await
    }

    pub(in crate::forge) async fn close(
        &self,
        number: u64,
        clock: &dyn Clock,
    ) -> Result<(), ForgeError> {
        self.persist(|| {
            let now = clock.now();
            self.change(number, now, true, move |record| {
                record.close(Status::Closed, now);
            })
        })
        .await
    }

    pub(in crate::forge) async fn label(
        &self,
        number: u64,
        label: &str,
        on: bool,
        clock: &dyn Clock,
    ) -> Result<(), ForgeError> {
        self.persist(|| {
            let now = clock.now();
            self.change(number, now, false, move |record| {
                record
                    .labels
                    .retain(|found| !found.eq_ignore_ascii_case(label));
                if on {
                    record.labels.push(label.to_owned());
                    record.labels.sort();
                }
                record.updated_at = now;
            })
        })
        .await
    }

    /// Again while others are first.
    async fn persist<T, F>(&self, mut work: impl FnMut() -> F) -> Result<T, ForgeError>
    where
        F: Future<Output = Result<T, Setback>>,
    {
        for _ in 0..ROUNDS {
            match work().await {
                Ok(done) => return Ok(done),
                Err(Setback::Lost) => {}
                Err(Setback::Unclear(error) | Setback::Stuck(error) | Setback::Fatal(error)) => {
                    return Err(error);
                }
            }
        }
        Err(ForgeError::Unsettled {
            forge: self.to_string(),
            rounds: ROUNDS,
            last: "another one was first".to_owned(),
        })
    }

    async fn merge_once(&self, number: u64, now: Timestamp) -> Result<String, Setback> {
        let (mut state, branch) = self.of(number, now, true).await.map_err(Setback::Fatal)?;
        let not_open = || {
            Setback::Fatal(ForgeError::NotOpen {
                forge: self.to_string(),
                number,
            })
        };
        let record = state.records.get_mut(&number).ok_or_else(not_open)?;
        let (base, head) = (state.base.clone(), record.head.clone());
        let tree = merged_tree(&self.git, number, &base, &head)
            .await
            .map_err(Setback::Fatal)?;
        let message = format!("Merge pull request #{number}\n\n{}\n", record.title);
        record.close(Status::Merged, now);
        let commit = self
            .git
            .commit(&tree, &[&base, &head], &message, now)
            .await
            .map_err(Setback::Fatal)?;
        let mut changes = vec![
            format!("update refs/heads/{} {commit} {base}", self.options.base),
            format!("delete refs/heads/{branch} {head}"),
        ];
        self.save(&state.records, state.pulls.as_deref(), now, &mut changes)
            .await
            .map_err(Setback::Fatal)?;
        self.transact(&changes).await?;
        Ok(commit)
    }

    /// Changes one record; if `open`, it must be.
    async fn change(
        &self,
        number: u64,
        now: Timestamp,
        open: bool,
        change: impl FnOnce(&mut Record),
    ) -> Result<(), Setback> {
        let (mut state, _) = self.of(number, now, open).await.map_err(Setback::Fatal)?;
        if let Some(record) = state.records.get_mut(&number) {
            change(record);
        }
        let mut changes = Vec::new();
        self.save(&state.records, state.pulls.as_deref(), now, &mut changes)
            .await
            .map_err(Setback::Fatal)?;
        self.transact(&changes).await
    }

    /// The state as the pull request's branch shows it, and that branch.
    async fn of(
        &self,
        number: u64,
        now: Timestamp,
        open: bool,
    ) -> Result<(State, String), ForgeError> {
        let missing = || ForgeError::NotOpen {
            forge: self.to_string(),
            number,
        };
        let records: Records = match self.git.refs(&[super::pulls::REF]).await?.first() {
            Some((_, commit)) => self.records(commit).await?,
            None => Records::new(),
        };
        let branch = records.get(&number).ok_or_else(missing)?.branch.clone();
        let state = self.state(&branch, now).await?;
        let is_open = state
            .records
            .get(&number)
            .is_some_and(|record| record.status == Status::Open);
        if open && !is_open {
            return Err(missing());
        }
        Ok((state, branch))
    }
}

/// The tree of the merge, or the conflict.
async fn merged_tree(git: &Git, number: u64, base: &str, head: &str) -> Result<String, ForgeError> {
    const ACTION: &str = "merging";
    let args = ["merge-tree", "--write-tree", base, head];
    let said = git.say(ACTION, &args, &[], &[]).await?;
    match said.code {
        Some(0) => {
            let text = String::from_utf8_lossy(&said.stdout);
            Ok(text.lines().next().unwrap_or_default().trim().to_owned())
        }
        Some(1) => Err(ForgeError::Conflict {
            forge: git.forge.clone(),
            number,
        }),
        _ => Err(git.refused(ACTION, &said)),
    }
}
