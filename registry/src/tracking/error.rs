//! What can go wrong on the way to MLflow, and whether trying again later may help.

/// Why a record is not in MLflow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrackingError {
    /// An address that cannot be MLflow's.
    #[error("the setting `mlflow_tracking_uri` cannot be used: {reason}")]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// A token that no header can carry.
    #[error(
        "the setting `mlflow_token` cannot be used: a token is one word of visible ASCII letters"
    )]
    Token,
    /// The client for HTTP could not be made.
    #[error("the client for MLflow could not be made: {0}")]
    Client(String),
    /// The time for tracking was up.
    #[error("failed to {step}: no answer within the time for tracking")]
    Deadline {
        /// What was being done.
        step: &'static str,
    },
    /// No connection, or one that broke before the answer was whole.
    #[error("failed to {step}: {reason}")]
    Connection {
        /// What was being done.
        step: &'static str,
        /// The cause.
        reason: String,
        /// Whether the request never left, so that nothing can have happened.
        unsent: bool,
    },
    /// The server said no.
    #[error("failed to {step}: the server answered {status}{}{}", said(.code, .message), advice(*.status, .code))]
    Refused {
        /// What was being done.
        step: &'static str,
        /// The status.
        status: u16,
        /// MLflow's word for it; empty if the answer was not MLflow's.
        code: String,
        /// MLflow's sentence, cut to a few lines' length.
        message: String,
    },
    /// An answer that is not MLflow's.
    #[error(
        "failed to {step}: the answer is not MLflow's, {reason}; does `mlflow_tracking_uri` lead to an MLflow server?"
    )]
    Garbled {
        /// What was being done.
        step: &'static str,
        /// What was wrong with it.
        reason: String,
    },
    /// An answer longer than any of MLflow's.
    #[error("failed to {step}: the answer is longer than {limit_bytes} bytes")]
    TooLong {
        /// What was being done.
        step: &'static str,
        /// The most that is read.
        limit_bytes: usize,
    },
    /// The experiment is in MLflow's trash, where no run can be added.
    #[error(
        "the experiment `{0}` is deleted; restore it (`mlflow experiments restore`), or set `mlflow_experiment` to another"
    )]
    Deleted(String),
}

impl TrackingError {
    /// Whether the same record will be refused again, whenever it is sent.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 400 | 413 | 422,
                ..
            }
        )
    }

    /// Whether the server may have done what it was asked.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Deadline { .. } | Self::Garbled { .. } | Self::TooLong { .. } => true,
            Self::Connection { unsent, .. } => !unsent,
            Self::Refused { status, .. } => *status == 408 || *status >= 500,
            Self::Address { .. } | Self::Token | Self::Client(_) | Self::Deleted(_) => false,
        }
    }

    /// Whether the server answered with this word of MLflow's.
    pub(super) fn is_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

fn said(code: &str, message: &str) -> String {
    match (code.is_empty(), message.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!(" ({code})"),
        (true, false) => format!(" ({message})"),
        (false, false) => format!(" ({code}: {message})"),
    }
}

fn advice(status: u16, code: &str) -> &'static str {
    match status {
        401 => "; set `mlflow_token`, or write user:password@ into `mlflow_tracking_uri`",
        403 => {
            "; the credentials lack the right, or the server does not know this host's name (`--allowed-hosts`)"
        }
        404 if code.is_empty() => "; is a path's prefix missing in `mlflow_tracking_uri`?",
        300..=399 => "; redirects are not followed: give the address that answers itself",
        _ => "",
    }
}
