//! Channel folders: the wanted state of one environment as files. Either one `channel.json` (a mounted ConfigMap), or
//! one `<detector>.yaml` for each detector, which [`edit`] writes. A folder is read as a whole or not at all: the first
//! bad file fails the reading, so nobody ever acts on half of a channel.

use std::path::PathBuf;

use hodoscope_release::{ChannelError as DocumentError, DetectorName};

mod document;
mod edit;
mod read;

pub use edit::{Edited, edit, render};
pub use read::read_folder;

pub(crate) use edit::own_file;
pub(crate) use read::{assemble, select};

/// The one file of the Kubernetes layout.
pub const DOCUMENT_FILE: &str = "channel.json";
/// A file that keeps a channel without detectors alive; it holds `name: <channel>` and nothing else.
pub const NAME_FILE: &str = "_channel.yaml";
/// The most bytes that all files of a channel may have together; what a ConfigMap can hold.
pub const LIMIT_BYTES: u64 = 1 << 20;

/// Why a channel folder could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "folder, file and cause mean the same in every variant"
)]
pub enum ChannelError {
    /// There is no such folder.
    #[error("channel folder {} does not exist; promote a release to it, or correct the path", folder.display())]
    NoFolder { folder: PathBuf },
    /// The folder holds nothing that speaks of a channel.
    #[error("channel folder {} holds neither channel.json nor a *.yaml file; promote a release to it", folder.display())]
    NoDocument { folder: PathBuf },
    /// Both layouts at once.
    #[error("channel folder {} holds both channel.json and {file}; keep one of the two layouts", folder.display())]
    BothLayouts { folder: PathBuf, file: String },
    /// A name that looks like a part of the channel but would not be read.
    #[error("{} is not read: name it `<detector>.yaml`, or move it out of the channel folder", file.display())]
    StrayFile { file: PathBuf },
    /// A file without content.
    #[error("{} is empty; write `detectors: {{}}` for a channel that wants nothing", file.display())]
    Empty { file: PathBuf },
    /// A file that does not parse, or says what no channel can.
    #[error("{}{}: {cause}", file.display(), line.map_or_else(String::new, |line| format!(":{line}")))]
    Invalid {
        file: PathBuf,
        line: Option<u64>,
        cause: String,
    },
    /// One detector in two files.
    #[error("detector `{detector}` is in {} and in {}; keep it in one of them", first.display(), second.display())]
    Duplicate {
        detector: DetectorName,
        first: PathBuf,
        second: PathBuf,
    },
    /// More than [`LIMIT_BYTES`].
    #[error("channel folder {} has more than {LIMIT_BYTES} bytes at {file}; a ConfigMap cannot hold more", folder.display())]
    TooLarge { folder: PathBuf, file: String },
    /// The folder changed under every attempt at reading it.
    #[error("channel folder {} keeps changing while it is read; try again", folder.display())]
    Restless { folder: PathBuf },
    /// A change that the document's rules refuse.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The channel is made elsewhere.
    #[error(
        "channel folder {} holds channel.json, which is delivered as a whole; change it where it is made, for instance by a \
         pull request",
        folder.display()
    )]
    Delivered { folder: PathBuf },
    /// The detector stands in a file that is not its own.
    #[error("detector `{detector}` is kept in {}; move it to {detector}.yaml, which promote can rewrite", file.display())]
    NotOwnFile {
        detector: DetectorName,
        file: PathBuf,
    },
    /// The file system refused.
    #[error("{action} {} failed: {cause}; check the path and its permissions", file.display())]
    Io {
        action: &'static str,
        file: PathBuf,
        cause: std::io::Error,
    },
}

impl ChannelError {
    /// A fixed word for metrics and logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoFolder { .. } => "no_folder",
            Self::NoDocument { .. } => "no_document",
            Self::BothLayouts { .. } => "both_layouts",
            Self::StrayFile { .. } => "stray_file",
            Self::Empty { .. } => "empty",
            Self::Invalid { .. } => "invalid",
            Self::Duplicate { .. } => "duplicate",
            Self::TooLarge { .. } => "too_large",
            Self::Restless { .. } => "restless",
            Self::Document(_) => "document",
            Self::Delivered { .. } => "delivered",
            Self::NotOwnFile { .. } => "not_own_file",
            Self::Io { .. } => "io",
        }
    }

    /// Whether nobody has promoted anything to this channel yet.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::NoFolder { .. } | Self::NoDocument { .. })
    }
}
