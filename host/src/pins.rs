//! Which channels of this machine pin which releases: what `list` shows beside a release, and what `yank` warns of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use hodoscope_registry::channels;
use hodoscope_release::{Canary, ChannelDocument, ReleaseName};
use serde::Serialize;

use crate::config::Config;

/// One pin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PinnedBy {
    /// The channel's name.
    pub channel: String,
    /// `active`, `previous`, `shadow` or `canary`.
    #[serde(rename = "as")]
    pub role: &'static str,
}

/// The pins of all channels below the home folder and of the channel of the settings, and what could not be read.
#[derive(Debug, Default)]
pub struct Pins {
    /// By release.
    pub pinned: BTreeMap<ReleaseName, BTreeSet<PinnedBy>>,
    /// One message for each channel that could not be read.
    pub unread: Vec<String>,
}

/// Reads all channels of this machine.
pub fn read(config: &Config) -> Pins {
    let mut folders: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in fs::read_dir(config.home.join("channels"))
        .into_iter()
        .flatten()
        .flatten()
    {
        if let Ok(name) = entry.file_name().into_string() {
            folders.insert(name, entry.path());
        }
    }
    folders.insert(config.channel.to_string(), config.channel_dir.clone());
    let mut pins = Pins::default();
    for (channel, folder) in folders {
        match channels::read_folder(&folder) {
            Ok(document) => pins.add(&channel, &document),
            Err(error) if error.is_absent() => {}
            Err(error) => pins.unread.push(error.to_string()),
        }
    }
    pins
}

impl Pins {
    fn add(&mut self, channel: &str, document: &ChannelDocument) {
        for (detector, wanted) in &document.detectors {
            let canary = wanted.canary.as_ref().map(Canary::pin);
            let roles = [
                ("active", Some(&wanted.active)),
                ("previous", wanted.previous.as_ref()),
                ("shadow", wanted.shadow.as_ref()),
                ("canary", canary.as_ref()),
            ];
            for (role, pin) in roles {
                if let Some(pin) = pin {
                    let by = PinnedBy {
                        channel: channel.to_owned(),
                        role,
                    };
                    self.pinned
                        .entry(pin.release(detector))
                        .or_default()
                        .insert(by);
                }
            }
        }
    }

    /// The pins of one release.
    pub fn of(&self, release: &ReleaseName) -> Vec<PinnedBy> {
        self.pinned
            .get(release)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }
}

impl std::fmt::Display for PinnedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.channel, self.role)
    }
}
