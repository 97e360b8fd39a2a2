//! What can go wrong with a store, as one closed enum. Every message names the store and the key, says what was found,
//! and what to do about it; `kind()` is the word for metrics and logs.

use std::path::PathBuf;

use hodoscope_release::{Digest, ReleaseName};

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "store, key, cause and the two digests mean the same in every variant"
)]
pub enum StoreError {
    /// The key does not exist.
    #[error("store {store} has no `{key}`")]
    Missing { store: String, key: String },
    /// S3 answers 403 for a missing key to a caller without the right to list.
    #[error(
        "store {store}: `{key}` is missing or forbidden (403); without s3:ListBucket on the bucket S3 does not tell the two \
         apart: check the name, then that the role has s3:GetObject on it"
    )]
    MissingOrForbidden { store: String, key: String },
    /// Writing or listing is not allowed.
    #[error("store {store}: {action} `{key}` is forbidden (403): {cause}; give the role {right}")]
    Forbidden {
        store: String,
        key: String,
        action: &'static str,
        cause: String,
        right: &'static str,
    },
    /// The bucket does not exist.
    #[error(
        "store {store}: there is no such bucket; create it, or correct the name, the region or the endpoint"
    )]
    NoBucket { store: String },
    /// The version exists with other bytes.
    #[error(
        "{release} already exists in {store} with other bytes: stored {stored}, pushed {pushed}; a version is never pointed \
         elsewhere: push under a new version"
    )]
    Taken {
        store: String,
        release: ReleaseName,
        stored: Digest,
        pushed: Digest,
    },
    /// The version exists with the same component but other documents.
    #[error(
        "{release} already exists in {store} with the same component, but its document `{document}` is {stored} and the \
         pushed one {pushed}; documents are fixed with the version: push under a new version"
    )]
    DocumentTaken {
        store: String,
        release: ReleaseName,
        document: String,
        stored: String,
        pushed: Digest,
    },
    /// A key that is written once is there with other bytes.
    #[error(
        "store {store}: `{key}` is there already and is never overwritten; nothing was written. Two writers use one name: \
         give each a name of its own"
    )]
    Occupied { store: String, key: String },
    /// Stored bytes are not what their name says.
    #[error(
        "store {store}: `{key}` is damaged: expected {expected}, found {found}; nothing was used. Remove \
         that file or object by hand and push the same component again"
    )]
    Damaged {
        store: String,
        key: String,
        expected: Digest,
        found: Digest,
    },
    /// The body broke off or failed the server's own checksum, at each attempt.
    #[error(
        "store {store}: `{key}` did not arrive whole ({received_bytes} bytes: {cause}); try again"
    )]
    Incomplete {
        store: String,
        key: String,
        received_bytes: u64,
        cause: String,
    },
    /// Longer than the caller accepts.
    #[error(
        "store {store}: `{key}` has {size_bytes} bytes, more than the limit of {limit_bytes}; nothing was read. Raise the \
         limit or push a smaller one"
    )]
    TooLarge {
        store: String,
        key: String,
        size_bytes: u64,
        limit_bytes: u64,
    },
    /// A small document that does not say what it must.
    #[error(
        "store {store}: `{key}` is not valid: {cause}; it was not written by this version of hodoscope, or is damaged"
    )]
    Invalid {
        store: String,
        key: String,
        cause: String,
    },
    /// The disk, or a quota, is full.
    #[error(
        "no room to write `{key}` in {}: {cause}; nothing was stored. Free space there, or point --store at another disk",
        folder.display()
    )]
    Full {
        folder: PathBuf,
        key: String,
        cause: std::io::Error,
    },
    /// The folder cannot be read or written.
    #[error(
        "store {store}: {action} `{key}` failed: {cause}; check the folder's path and permissions"
    )]
    Io {
        store: String,
        key: String,
        action: &'static str,
        cause: std::io::Error,
    },
    /// The server refuses for being busy or broken, at each attempt.
    #[error(
        "store {store}: `{key}`: the server answered {status} {code} at each of {attempts} attempts; try again later"
    )]
    Unavailable {
        store: String,
        key: String,
        status: u16,
        code: String,
        attempts: u32,
    },
    /// Another writer held the key, at each attempt.
    #[error(
        "store {store}: `{key}` is being written by another client (409 at each of {attempts} attempts); try again"
    )]
    Conflict {
        store: String,
        key: String,
        attempts: u32,
    },
    /// No answer in time.
    #[error(
        "store {store}: `{key}`: no answer in time ({cause}); check that the endpoint can be reached, or raise the timeout"
    )]
    Timeout {
        store: String,
        key: String,
        cause: String,
    },
    /// The connection failed or was cut.
    #[error(
        "store {store}: `{key}`: the connection failed ({cause}); check the endpoint, the network and the region"
    )]
    Connection {
        store: String,
        key: String,
        cause: String,
    },
    /// No credentials were found, or they are not valid.
    #[error(
        "store {store}: no usable credentials ({cause}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or \
         run with a role"
    )]
    Credentials { store: String, cause: String },
    /// No region is known.
    #[error("store {store}: no region is known; set `AWS_REGION` or the store's region")]
    Region { store: String },
    /// The server does not accept the time that requests are signed with.
    #[error(
        "store {store}: `{key}`: this machine's clock differs too much from the server's ({cause}); set it right"
    )]
    Clock {
        store: String,
        key: String,
        cause: String,
    },
    /// Anything else the server said.
    #[error("store {store}: `{key}`: {cause}")]
    Refused {
        store: String,
        key: String,
        cause: String,
    },
}

impl StoreError {
    /// A fixed word for metrics and logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::MissingOrForbidden { .. } => "missing_or_forbidden",
            Self::Forbidden { .. } => "forbidden",
            Self::NoBucket { .. } => "no_bucket",
            Self::Taken { .. } => "taken",
            Self::DocumentTaken { .. } => "document_taken",
            Self::Occupied { .. } => "occupied",
            Self::Damaged { .. } => "damaged",
            Self::Incomplete { .. } => "incomplete",
            Self::TooLarge { .. } => "too_large",
            Self::Invalid { .. } => "invalid",
            Self::Full { .. } => "full",
            Self::Io { .. } => "io",
            Self::Unavailable { .. } => "unavailable",
            Self::Conflict { .. } => "conflict",
            Self::Timeout { .. } => "timeout",
            Self::Connection { .. } => "connection",
            Self::Credentials { .. } => "credentials",
            Self::Region { .. } => "region",
            Self::Clock { .. } => "clock",
            Self::Refused { .. } => "refused",
        }
    }

    /// Whether asking again later may succeed without anyone changing anything.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Incomplete { .. }
                | Self::Unavailable { .. }
                | Self::Conflict { .. }
                | Self::Timeout { .. }
                | Self::Connection { .. }
        )
    }

    /// Whether the key is, as far as the store tells, not there.
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::MissingOrForbidden { .. })
    }
}
