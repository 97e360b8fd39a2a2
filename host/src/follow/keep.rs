//! What a host keeps on disk about itself: the last good document and what answered, so that a restart on a bad document
//! or a bad pin changes nothing but the reason shown.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hodoscope_release::{ChannelDocument, ChannelName, DetectorName, Pin};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::roster::Snapshot;
use crate::source::write_atomically;

/// What is kept, in memory and in its file.
#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
    file: String,
    content: Content,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    document: ChannelDocument,
    running: BTreeMap<DetectorName, Pin>,
}

impl Kept {
    /// Reads what a host of this channel kept in `folder`. Nothing, or nothing that can be read, is a fresh start.
    pub fn open(folder: PathBuf, channel: &ChannelName) -> Self {
        let file = format!("{channel}.json");
        let path = folder.join(&file);
        let content = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                warn!(%error, "{} cannot be read; starting afresh", path.display());
                Content::default()
            }),
            Err(_) => Content::default(),
        };
        Self {
            folder,
            file,
            content,
        }
    }

    /// The last good document.
    pub fn document(&self) -> &ChannelDocument {
        &self.content.document
    }

    /// What answered.
    pub fn running(&self) -> &BTreeMap<DetectorName, Pin> {
        &self.content.running
    }

    /// Keeps a new state. Detectors that do not answer now but answered before stay known, unless they were retired or
    /// unloaded: their release may answer again when the store does.
    pub(super) fn remember(&mut self, document: &ChannelDocument, snapshot: &Snapshot) {
        let mut running = self.content.running.clone();
        for entry in snapshot.detectors.values() {
            match &entry.running {
                Some(served) => drop(running.insert(entry.name.clone(), served.pin())),
                None if entry.is_retired() || entry.wanted.is_none() => {
                    running.remove(&entry.name);
                }
                None => {}
            }
        }
        let content = Content {
            document: document.clone(),
            running,
        };
        if content == self.content {
            return;
        }
        self.content = content;
        let written = serde_json::to_vec_pretty(&self.content)
            .map_err(std::io::Error::from)
            .and_then(|bytes| write_atomically(&self.folder, &self.file, &bytes));
        if let Err(error) = written {
            warn!(%error, "failed to write {} in {}; after a restart on a bad document nothing earlier is known", self.file, self.folder.display());
        }
    }
}
