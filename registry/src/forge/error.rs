//! What can go wrong with a forge, as one closed enum. Every message names the forge, says what was found, and what to
//! do about it; `kind()` is the word for metrics and logs.

use hodoscope_release::ChannelError as DocumentError;
use jiff::Timestamp;

use crate::channels::ChannelError;

/// Why a forge did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "forge and cause mean the same in every variant"
)]
pub enum ForgeError {
    /// A setting that cannot be used.
    #[error("forge {forge}: {cause}")]
    Setting { forge: String, cause: String },
    /// There is no such repository.
    #[error(
        "forge {forge}: there is no such repository, or the credentials may not see it; correct `forge`, or install the App \
         on it"
    )]
    NoRepository { forge: String },
    /// The repository has another name now.
    #[error(
        "forge {forge}: the repository moved to {to}; set `forge` to its new name, nothing was written"
    )]
    Moved { forge: String, to: String },
    /// The base branch does not exist.
    #[error("forge {forge}: there is no branch `{branch}`; create it, or correct `forge_base`")]
    NoBase { forge: String, branch: String },
    /// The channel on the base branch does not parse.
    #[error("forge {forge}: {cause}; correct it on the base branch")]
    Channel {
        forge: String,
        #[source]
        cause: ChannelError,
    },
    /// The change cannot be made.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The change touches another detector than the one it is for.
    #[error("the change for `{detector}` also changes `{other}`; propose each by itself")]
    TouchesOthers { detector: String, other: String },
    /// Nobody knows the credentials.
    #[error(
        "forge {forge}: the credentials are not accepted ({cause}); renew the token, or check the App's id, installation and \
         key"
    )]
    Credentials { forge: String, cause: String },
    /// A right is missing.
    #[error(
        "forge {forge}: {action} is forbidden: {cause}; give the App or token the right `{right}`"
    )]
    Forbidden {
        forge: String,
        action: &'static str,
        cause: String,
        right: &'static str,
    },
    /// Too many calls, and waiting for more would take too long.
    #[error("forge {forge}: the rate limit is reached until {until}; run again then")]
    RateLimited { forge: String, until: Timestamp },
    /// The forge says no, and would say it again.
    #[error("forge {forge}: {action} was refused: {cause}")]
    Refused {
        forge: String,
        action: &'static str,
        cause: String,
    },
    /// It did not answer, or answered that it is broken, at each attempt.
    #[error(
        "forge {forge}: {action} failed: {cause}; try again, nothing is left half done that the next run would not finish"
    )]
    Unavailable {
        forge: String,
        action: &'static str,
        cause: String,
    },
    /// A lock of git lies in the way: somebody is writing, or died while writing.
    #[error(
        "forge {forge}: {action} failed: {file} is there; if it is still there when no other hodoscope or git runs on this \
         repository, a git that was killed left it: remove that file, then try again"
    )]
    Locked {
        forge: String,
        action: &'static str,
        file: String,
    },
    /// An answer that nobody understands.
    #[error("forge {forge}: {action} was answered with something unexpected: {cause}")]
    Answer {
        forge: String,
        action: &'static str,
        cause: String,
    },
    /// The state kept changing.
    #[error("forge {forge}: not settled after {rounds} rounds, at last: {last}; run again")]
    Unsettled {
        forge: String,
        rounds: u32,
        last: String,
    },
    /// There is no such pull request, or it is not open.
    #[error(
        "forge {forge}: pull request {number} is not open; `hodoscope forge show <detector>` names the open one of a detector"
    )]
    NotOpen { forge: String, number: u64 },
    /// Base and pull request changed the same lines.
    #[error(
        "forge {forge}: pull request {number} conflicts with the base branch; propose again, which builds it anew"
    )]
    Conflict { forge: String, number: u64 },
    /// A verb that this kind of forge does not have.
    #[error(
        "forge {forge}: {action} is not for this kind of forge; merging, closing and labelling are done on GitHub's pages, \
             and only GitHub has workflows"
    )]
    Unsupported { forge: String, action: &'static str },
}

impl ForgeError {
    /// A fixed word for metrics and logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "setting",
            Self::NoRepository { .. } => "no_repository",
            Self::Moved { .. } => "moved",
            Self::NoBase { .. } => "no_base",
            Self::Channel { .. } => "channel",
            Self::Document(_) => "document",
            Self::TouchesOthers { .. } => "touches_others",
            Self::Credentials { .. } => "credentials",
            Self::Forbidden { .. } => "forbidden",
            Self::RateLimited { .. } => "rate_limited",
            Self::Refused { .. } => "refused",
            Self::Unavailable { .. } => "unavailable",
            Self::Locked { .. } => "locked",
            Self::Answer { .. } => "answer",
            Self::Unsettled { .. } => "unsettled",
            Self::NotOpen { .. } => "not_open",
            Self::Conflict { .. } => "conflict",
            Self::Unsupported { .. } => "unsupported",
        }
    }
}
