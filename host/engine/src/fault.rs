//! Owns why a call has no answer. Each fault has one fixed word ([`Fault::kind`]) that status, metric and log share; the
//! text names what went wrong and never carries a value of a row.

use std::time::Duration;

/// Why a guest answered a call with a refusal instead of scores: the caller's mistake, not the detector's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestRefusal {
    /// The batch has the wrong width.
    #[error("wrong shape: {0}")]
    WrongShape(String),
    /// The detector cannot do what was asked.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// A value is not one the detector can score.
    #[error("bad value: {message}")]
    BadValue {
        /// The row of the caller's batch, counted from 0, if one is to blame.
        row: Option<u32>,
        /// The column, if one is to blame.
        column: Option<u32>,
        /// What is wrong with it.
        message: String,
    },
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The detector refused the rows; the caller can mend them.
    #[error("{0}")]
    Refused(GuestRefusal),
    /// The detector says that it failed by its own fault.
    #[error("the detector reports an internal failure: {0}")]
    Internal(String),
    /// The guest trapped.
    #[error("the detector trapped: {code}")]
    Trap {
        /// The trap's name as wasmtime spells it, for instance `UnreachableCodeReached`.
        code: String,
    },
    /// The guest ran past the deadline and was cut.
    #[error("the deadline passed while the detector was computing")]
    Deadline,
    /// The deadline passed while the call waited for a thread; the guest never ran.
    #[error("the deadline passed while the call was waiting for a free thread")]
    Expired,
    /// The guest asked for more memory or table space than it may have.
    #[error("the detector asked for more memory than its limit")]
    Memory,
    /// The guest's answer breaks the contract.
    #[error("the detector's answer breaks the contract: {0}")]
    BadAnswer(String),
    /// As many calls wait for this detector as may.
    #[error("too many calls are waiting for this detector; retry in {retry_after:?}")]
    QueueFull {
        /// When a retry has a chance.
        retry_after: Duration,
    },
    /// The breaker is open after repeated faults.
    #[error("calls are stopped after repeated faults ({reason}); retry in {retry_after:?}")]
    BreakerOpen {
        /// The kind of the fault that opened it.
        reason: &'static str,
        /// When the next probe is due.
        retry_after: Duration,
    },
    /// No instance could be made, for instance because the pool of instances is exhausted.
    #[error("no instance of the detector could be made: {0}")]
    Instance(String),
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    Stopped,
}

impl Fault {
    /// The fixed word for this fault in status, metric and log.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Internal(_) => "internal",
            Self::Trap { .. } => "trap",
            Self::Deadline => "deadline",
            Self::Expired => "expired",
            Self::Memory => "memory",
            Self::BadAnswer(_) => "bad_answer",
            Self::QueueFull { .. } => "queue_full",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::Instance(_) => "instance",
            Self::Stopped => "stopped",
        }
    }

    /// Every word that [`Fault::kind`] can give, for metrics that start at zero.
    pub const KINDS: [&'static str; 11] = [
        "refused",
        "internal",
        "trap",
        "deadline",
        "expired",
        "memory",
        "bad_answer",
        "queue_full",
        "breaker_open",
        "instance",
        "stopped",
    ];

    /// When a retry has a chance, if waiting helps.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::QueueFull { retry_after } | Self::BreakerOpen { retry_after, .. } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }
}
