//! The forge: where changes of a channel are proposed to people. Every detector and channel has one branch and at most one
//! open pull request, updated in place; people merge, close or hold it, and their word counts. All state is derived from
//! the forge itself, so a job that died anywhere, or runs twice at once, converges to the same pull request.
//!
//! Two kinds, a closed set: GitHub (and its Enterprise server), and a bare git repository on this machine, in which pull
//! requests are files on a ref of their own, so that the whole loop runs on a laptop.

use std::collections::BTreeMap;
use std::fmt;

use hodoscope_release::{ChannelName, DetectorName};

mod clock;
mod error;
mod github;
mod local;
mod location;
mod plan;
mod proposal;
mod reconcile;
mod state;
mod text;

pub use clock::{Clock, MachineClock, Pause};
pub use error::ForgeError;
pub use github::GitHub;
pub use local::LocalGit;
pub use location::{
    ForgeLocation, ForgeLocationError, ForgeOptions, GITHUB_URL, GitHubCredentials, GitHubOptions,
    Limits, LocalGitOptions,
};
pub use proposal::{Base, Change, Hold, Kind, Limit, Outcome, Proposal, Pull};
pub use text::BODY_LIMIT;

use plan::Run;
use state::{Setback, Snapshot, Step};

/// Stops the bot on the pull request that has it.
pub const HOLD_LABEL: &str = "hold";
/// Says that a pull request is a rollback.
pub const ROLLBACK_LABEL: &str = "rollback";
/// On a merged rollback: the cool-down is over.
pub const LIFTED_LABEL: &str = "cool-down-lifted";
/// What every branch of the bot starts with.
pub const BRANCH_PREFIX: &str = "detector-bot/";

/// The branch of one detector in one channel.
pub fn branch(channel: &ChannelName, detector: &DetectorName) -> String {
    format!("{BRANCH_PREFIX}{channel}/{detector}")
}

/// Where changes are proposed.
#[derive(Debug)]
pub enum Forge {
    /// A repository on GitHub or a GitHub Enterprise server.
    GitHub(Box<GitHub>),
    /// A bare repository on this machine.
    LocalGit(Box<LocalGit>),
}

impl Forge {
    /// Prepares to ask; nothing is asked yet, except that a local repository must exist.
    pub fn open(location: &ForgeLocation, options: ForgeOptions) -> Result<Self, ForgeError> {
        let forge = location.to_string();
        check(&forge, &options)?;
        match location {
            ForgeLocation::GitHub { owner, repo } => {
                GitHub::open(owner, repo, options).map(|github| Self::GitHub(Box::new(github)))
            }
            ForgeLocation::LocalGit(path) => {
                LocalGit::open(path, options).map(|local| Self::LocalGit(Box::new(local)))
            }
        }
    }

    /// What the base branch wants of `channel`.
    pub async fn channel(
        &self,
        channel: &ChannelName,
        clock: &dyn Clock,
    ) -> Result<Base, ForgeError> {
        // No detector's name is empty, so this branch does not exist.
        let branch = format!("{BRANCH_PREFIX}{channel}/-");
        Ok(self.snapshot(channel, &branch, clock).await?.base)
    }

    /// Finds, opens or updates the one pull request of this detector and channel. Safe to call at any time, by any number
    /// of jobs, again after any failure.
    pub async fn propose(
        &self,
        proposal: &Proposal,
        clock: &dyn Clock,
    ) -> Result<Outcome, ForgeError> {
        let outcome = reconcile::reconcile(self, proposal, clock).await?;
        tracing::info!(
            forge = %self, channel = %proposal.channel, detector.name = %proposal.detector, outcome = outcome.kind(), "{outcome}"
        );
        Ok(outcome)
    }

    /// The open pull request of this detector and channel.
    pub async fn pull(
        &self,
        channel: &ChannelName,
        detector: &DetectorName,
        clock: &dyn Clock,
    ) -> Result<Option<Pull>, ForgeError> {
        let branch = branch(channel, detector);
        let snapshot = self.snapshot(channel, &branch, clock).await?;
        let base = &self.options().base;
        Ok(snapshot
            .pulls
            .iter()
            .filter(|pull| pull.open && pull.base == *base)
            .min_by_key(|pull| pull.number)
            .map(|pull| pull.about(&branch)))
    }

    /// Merges an open pull request: a merge commit on the base branch, which must not have moved meanwhile; the branch is
    /// deleted. Only of a local repository: on GitHub people merge on its pages. Returns the base's new commit.
    pub async fn merge(&self, number: u64, clock: &dyn Clock) -> Result<String, ForgeError> {
        match self {
            Self::GitHub(_) => Err(self.unsupported("merging")),
            Self::LocalGit(local) => local.merge(number, clock).await,
        }
    }

    /// Closes an open pull request without merging it, which rejects its candidate. Only of a local repository.
    pub async fn close(&self, number: u64, clock: &dyn Clock) -> Result<(), ForgeError> {
        match self {
            Self::GitHub(_) => Err(self.unsupported("closing")),
            Self::LocalGit(local) => local.close(number, clock).await,
        }
    }

    /// Gives a pull request a label, or takes it, as people do on GitHub's pages. Only of a local repository.
    pub async fn label(
        &self,
        number: u64,
        label: &str,
        on: bool,
        clock: &dyn Clock,
    ) -> Result<(), ForgeError> {
        match self {
            Self::GitHub(_) => Err(self.unsupported("labelling")),
            Self::LocalGit(local) => local.label(number, label, on, clock).await,
        }
    }

    /// Starts a workflow of the repository by its file's name, on the base branch, unless a run is there that has not failed
    /// and whose name holds the inputs `request` and `channel`. Only on GitHub.
    pub async fn dispatch(
        &self,
        workflow: &str,
        inputs: &BTreeMap<String, String>,
        clock: &dyn Clock,
    ) -> Result<(), ForgeError> {
        match self {
            Self::GitHub(github) => github.dispatch(workflow, inputs, clock).await,
            Self::LocalGit(_) => Err(self.unsupported("starting a workflow")),
        }
    }

    fn unsupported(&self, action: &'static str) -> ForgeError {
        ForgeError::Unsupported {
            forge: self.to_string(),
            action,
        }
    }

    /// What it was told.
    pub const fn options(&self) -> &ForgeOptions {
        match self {
            Self::GitHub(github) => github.options(),
            Self::LocalGit(local) => local.options(),
        }
    }

    async fn snapshot(
        &self,
        channel: &ChannelName,
        branch: &str,
        clock: &dyn Clock,
    ) -> Result<Snapshot, ForgeError> {
        match self {
            Self::GitHub(github) => github.snapshot(channel, branch, clock).await,
            Self::LocalGit(local) => local.snapshot(channel, branch, clock).await,
        }
    }

    /// Takes the steps in order: a local repository all at once or none, GitHub one after the other.
    async fn apply(
        &self,
        branch: &str,
        steps: &[Step],
        snapshot: &Snapshot,
        run: &mut Run,
        clock: &dyn Clock,
    ) -> Result<(), Setback> {
        match self {
            Self::GitHub(github) => github.apply(branch, steps, snapshot, run, clock).await,
            Self::LocalGit(local) => local.apply(branch, steps, snapshot, clock).await,
        }
    }
}

impl fmt::Display for Forge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GitHub(github) => github.fmt(f),
            Self::LocalGit(local) => local.fmt(f),
        }
    }
}

/// Settings that end in a path or a ref must be safe there.
fn check(forge: &str, options: &ForgeOptions) -> Result<(), ForgeError> {
    let safe = |text: &str| {
        !text.is_empty()
            && text.split('/').all(|part| {
                !part.is_empty()
                    && !part.starts_with(['.', '-'])
                    && !part.ends_with(".lock")
                    && !part.ends_with('.')
                    && !part.contains("..")
                    && part
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
            })
    };
    let setting = |cause: String| ForgeError::Setting {
        forge: forge.to_owned(),
        cause,
    };
    if !safe(&options.base) || options.base.starts_with(BRANCH_PREFIX) {
        return Err(setting(format!(
            "`forge_base` is `{}`; write the name of a branch, for instance `main`",
            options.base
        )));
    }
    if !safe(&options.path) {
        return Err(setting(format!(
            "`forge_path` is `{}`; write a folder of the repository without slashes at its ends, for instance \
             `registry/channels`",
            options.path
        )));
    }
    Ok(())
}
