//! What is proposed, and what became of it.

use std::collections::BTreeMap;
use std::fmt;

use hodoscope_release::{
    ChannelDocument, ChannelError as DocumentError, ChannelName, DetectorName, Digest,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A change of a channel, applied to the document of the base branch as it is at that moment; so a base that moved is
/// built upon and never overwritten. It may be applied several times and must do the same each time.
pub type Change =
    Box<dyn Fn(&mut ChannelDocument) -> Result<(), DocumentError> + Send + Sync + 'static>;

/// Why a change is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Another release shall answer.
    Promotion,
    /// The release before shall answer again. Passes all limits, and replaces an open promotion.
    Rollback,
    /// The detector shall leave.
    Retirement,
    /// A shadow or a canary begins, changes or ends.
    Trial,
}

/// One wanted change of one detector in one channel.
pub struct Proposal {
    /// The channel.
    pub channel: ChannelName,
    /// The detector; the change may touch no other.
    pub detector: DetectorName,
    /// Why.
    pub kind: Kind,
    /// The digest of the release that the change is about: the promoted one, the one gone back to, the retired one.
    pub candidate: Digest,
    /// The change.
    pub change: Change,
    /// The pull request's title; what goes beyond 250 characters is cut.
    pub title: String,
    /// The pull request's text, Markdown; what goes beyond [`BODY_LIMIT`](super::BODY_LIMIT) characters is cut, with a
    /// note.
    pub body: String,
    /// Labels that the pull request shall have; a rollback gets [`ROLLBACK_LABEL`](super::ROLLBACK_LABEL) by itself.
    pub labels: Vec<String>,
    /// Whether a person must first mark it as ready.
    pub draft: bool,
    /// Whether a person asked for it in so many words: passes the limits, the cool-down, an open rollback and an earlier
    /// rejection, but neither a hold nor commits of others.
    pub by_hand: bool,
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proposal")
            .field("channel", &self.channel)
            .field("detector", &self.detector)
            .field("kind", &self.kind)
            .field("candidate", &self.candidate)
            .finish_non_exhaustive()
    }
}

/// What the base branch wants of a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Base {
    /// The commit that was read.
    pub commit: String,
    /// The wanted state; empty if nobody promoted anything yet.
    pub document: ChannelDocument,
    /// The channel's files by their path in the repository.
    pub files: BTreeMap<String, String>,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pull {
    /// Its number.
    pub number: u64,
    /// Where a person sees it.
    pub url: String,
    /// Its branch.
    pub branch: String,
    /// The commit at the branch's end.
    pub head: String,
}

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A new pull request.
    Opened(Pull),
    /// The open pull request now proposes this.
    Updated(Pull),
    /// The open pull request proposes exactly this.
    Unchanged(Pull),
    /// The base branch has it already; a pull request that proposed it is closed and its branch deleted.
    NothingToDo,
    /// People closed this very proposal without merging it; it is not made again.
    Rejected(Pull),
    /// People have taken over.
    Held {
        /// Their pull request; `None` if there is only a branch.
        pull: Option<Pull>,
        /// How they took over.
        reason: Hold,
    },
    /// Another job proposed something else at the same time and was first.
    LostRace,
    /// Not yet.
    Limited {
        /// When it may be tried again.
        until: Timestamp,
        /// By which limit.
        reason: Limit,
    },
}

/// Why the bot keeps its hands off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The pull request has the label [`HOLD_LABEL`](super::HOLD_LABEL).
    Label,
    /// The branch has commits that the bot did not make.
    Commits,
    /// The open pull request is a rollback, which a job does not replace by a promotion.
    Rollback,
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Pull requests an hour.
    PullsPerHour,
    /// Promotions of one detector a day.
    Promotions,
    /// The rest after a rollback.
    CoolDown,
}

impl Kind {
    /// A fixed word for metrics, logs and markers.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Promotion => "promotion",
            Self::Rollback => "rollback",
            Self::Retirement => "retirement",
            Self::Trial => "trial",
        }
    }
}

impl Hold {
    /// A fixed word for metrics and logs.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Commits => "commits",
            Self::Rollback => "rollback",
        }
    }
}

impl Limit {
    /// A fixed word for metrics and logs.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::PullsPerHour => "pulls_per_hour",
            Self::Promotions => "promotions",
            Self::CoolDown => "cool_down",
        }
    }
}

impl Outcome {
    /// A fixed word for metrics and logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Opened(_) => "opened",
            Self::Updated(_) => "updated",
            Self::Unchanged(_) => "unchanged",
            Self::NothingToDo => "nothing_to_do",
            Self::Rejected(_) => "rejected",
            Self::Held { .. } => "held",
            Self::LostRace => "lost_race",
            Self::Limited { .. } => "limited",
        }
    }

    /// The pull request that it is about.
    pub const fn pull(&self) -> Option<&Pull> {
        match self {
            Self::Opened(pull)
            | Self::Updated(pull)
            | Self::Unchanged(pull)
            | Self::Rejected(pull)
            | Self::Held {
                pull: Some(pull), ..
            } => Some(pull),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    /// One sentence for the terminal and the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened(pull) => write!(f, "opened pull request {} ({})", pull.number, pull.url),
            Self::Updated(pull) => write!(f, "updated pull request {} ({})", pull.number, pull.url),
            Self::Unchanged(pull) => write!(
                f,
                "pull request {} proposes this already ({})",
                pull.number, pull.url
            ),
            Self::NothingToDo => f.write_str("the base branch has it already"),
            Self::Rejected(pull) => write!(
                f,
                "pull request {} with the same candidate was closed without merging, so it is not proposed again ({}); reopen \
                 it, or promote by hand",
                pull.number, pull.url
            ),
            Self::Held { pull, reason } => {
                match pull {
                    Some(pull) => {
                        write!(f, "pull request {} ({}) is held: ", pull.number, pull.url)?
                    }
                    None => f.write_str("the branch is held: ")?,
                }
                f.write_str(match reason {
                    Hold::Label => "it has the label `hold`; remove the label to let the bot go on",
                    Hold::Commits => {
                        "its branch has commits that the bot did not make; merge or close it, or delete the branch"
                    }
                    Hold::Rollback => "it is a rollback; merge or close it first",
                })
            }
            Self::LostRace => f.write_str(
                "another job proposed another change at the same time; nothing was overwritten",
            ),
            Self::Limited { until, reason } => {
                f.write_str(match reason {
                    Limit::PullsPerHour => "the bot opened its pull requests of this hour",
                    Limit::Promotions => "this detector was promoted a short time ago",
                    Limit::CoolDown => "this detector was rolled back a short time ago",
                })?;
                write!(f, "; not before {until}, or promote by hand")
            }
        }
    }
}
