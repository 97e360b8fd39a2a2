//! What this process serves now, as one snapshot that is replaced in one atomic store: requests read it and never wait.
//! It also says of each wanted release what state it is in and why. It does not know where bytes come from, or HTTP.

mod served;
mod settle;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use hodoscope_release::{ChannelName, DetectorChannel, DetectorName, Pin, Version};
use serde::Serialize;
use tokio::sync::watch;

use crate::shadow::Tally;
pub use served::{Key, Served};
pub use settle::{Failure, Findings, settle};
pub use view::{DetectorView, ReleaseView, RosterView, RunningView};

/// The states of Triton's repository index and of KServe, in their spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Nothing is known yet.
    Unknown,
    /// Being fetched, checked or warmed.
    Loading,
    /// Loaded.
    Ready,
    /// Going away, its last calls still running.
    Unloading,
    /// Not loaded, and the reason says why.
    Unavailable,
}

/// What a channel wants a release for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// To answer.
    Active,
    /// To score copies.
    Shadow,
    /// To answer a share of the calls.
    Canary,
}

/// How the release that answers stands to what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It is the active release.
    Wanted,
    /// It answered before, and stays since its successor did not load.
    Kept,
    /// Nothing answered yet, the active release did not load, and this earlier one stands in.
    Fallback,
    /// The detector is no longer in the channel's document; only `retired: true` takes it out of service.
    Vanished,
}

/// A wanted release and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRelease {
    /// What for.
    pub role: Role,
    /// Which.
    pub pin: Pin,
    /// Its state.
    pub state: State,
    /// Why, if it is not ready.
    pub reason: Option<String>,
    /// Whether it will never load here: the bytes, which do not change, were refused.
    pub refused: bool,
}

/// A release that scores copies, and what came of it.
#[derive(Debug, Clone)]
pub struct Shadowing {
    /// The release.
    pub served: Arc<Served>,
    /// The comparison so far.
    pub tally: Arc<Tally>,
}

/// One detector in the roster.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub name: DetectorName,
    /// What the channel wants of it; `None` if it vanished from the document.
    pub wanted: Option<DetectorChannel>,
    /// The release that answers.
    pub running: Option<Arc<Served>>,
    /// How it stands to what is wanted.
    pub standing: Standing,
    /// The shadow.
    pub shadow: Option<Shadowing>,
    /// The canary and its share in percent.
    pub canary: Option<(Arc<Served>, u8)>,
    /// The wanted releases with their states.
    pub releases: Vec<WantedRelease>,
    /// Why what runs is not what is wanted.
    pub reason: Option<String>,
}

/// Whether the channel's document can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "lowercase")]
pub enum DocumentState {
    /// Not read yet.
    Unread,
    /// Nobody has promoted anything to this channel.
    Absent(String),
    /// The document is in use.
    Valid,
    /// It cannot be used; the last good one holds.
    Invalid(String),
}

/// Everything that is served at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The channel.
    pub channel: ChannelName,
    /// Its document.
    pub document: DocumentState,
    /// How many documents were applied.
    pub generation: u64,
    /// The detectors.
    pub detectors: BTreeMap<String, Arc<Entry>>,
}

/// The snapshot that holds now.
#[derive(Debug)]
pub struct Roster {
    snapshot: ArcSwap<Snapshot>,
    replaced: watch::Sender<()>,
}

/// Why a detector or version is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// No such detector; these are known.
    Detector(Vec<String>),
    /// It was retired.
    Retired,
    /// No such version is served; these are.
    Version(Vec<String>),
    /// It is wanted but not loaded.
    NotReady(String),
}

impl Roster {
    /// An empty roster.
    pub fn new(channel: ChannelName) -> Self {
        let snapshot = Snapshot {
            channel,
            document: DocumentState::Unread,
            generation: 0,
            detectors: BTreeMap::new(),
        };
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            replaced: watch::Sender::new(()),
        }
    }

    /// The snapshot that holds now. It stays as it is while it is held.
    pub fn now(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Tells of each snapshot that replaces another from now on.
    pub fn replaced(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// Replaces the snapshot: the one atomic store that a change of the roster is.
    pub fn replace(&self, next: Snapshot) {
        self.snapshot.store(Arc::new(next));
        self.replaced.send_replace(());
    }
}

impl Snapshot {
    /// The detector, if it is served.
    pub fn find(&self, name: &str) -> Result<&Arc<Entry>, Absence> {
        let entry = self.detectors.get(name).ok_or_else(|| {
            let known = self.detectors.iter().filter(|(_, e)| e.running.is_some());
            Absence::Detector(known.map(|(name, _)| name.clone()).collect())
        })?;
        match &entry.running {
            Some(_) => Ok(entry),
            None if entry.is_retired() => Err(Absence::Retired),
            None => Err(Absence::NotReady(entry.why())),
        }
    }

    /// Whether requests may come: everything that is wanted was tried, and if anything is wanted, something answers. One
    /// bad detector among good ones, or a document that turned bad, does not make a host unready.
    pub fn is_ready(&self) -> bool {
        let wanted = || self.detectors.values().filter(|entry| !entry.is_retired());
        let tried = self.document != DocumentState::Unread
            && !wanted().any(|entry| entry.is_loading() && entry.running.is_none());
        tried && (wanted().next().is_none() || wanted().any(|entry| entry.running.is_some()))
    }
}

impl Entry {
    /// A detector that an operator took out of service, against the channel.
    pub fn unloaded(name: &DetectorName) -> Self {
        Self {
            name: name.clone(),
            wanted: None,
            running: None,
            standing: Standing::Wanted,
            shadow: None,
            canary: None,
            releases: Vec::new(),
            reason: Some(
                "it was unloaded by an operator; load it, or change the channel".to_owned(),
            ),
        }
    }

    /// Whether the channel took it out of service.
    pub fn is_retired(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.retired)
    }

    fn is_loading(&self) -> bool {
        self.releases
            .iter()
            .any(|release| release.state == State::Loading)
    }

    /// Why it does not answer.
    pub fn why(&self) -> String {
        self.reason
            .clone()
            .unwrap_or_else(|| "it is being loaded".to_owned())
    }

    /// The release that answers a call with this key; calls of one key go to one release as long as the share stays.
    pub fn choose(&self, key: &[u8]) -> Option<&Arc<Served>> {
        match &self.canary {
            Some((canary, percent)) if share(&self.name, key) < u64::from(*percent) => Some(canary),
            _ => self.running.as_ref(),
        }
    }

    /// Every release in use, each once, the one that answers first.
    pub fn in_use(&self) -> impl Iterator<Item = &Arc<Served>> {
        let canary = self.canary.as_ref().map(|(served, _)| served);
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.served);
        let running = self.running.as_ref();
        let canary = canary.filter(move |served| running.is_none_or(|r| r.key() != served.key()));
        let shadow = shadow.filter(move |served| {
            let same = |other: Option<&Arc<Served>>| other.is_some_and(|o| o.key() == served.key());
            !same(running) && !same(canary)
        });
        running.into_iter().chain(canary).chain(shadow)
    }

    /// The release of this version, if it is in use.
    pub fn version(&self, version: &str) -> Result<&Arc<Served>, Absence> {
        let found = self
            .in_use()
            .find(|served| same_version(&served.release.version, version));
        found.ok_or_else(|| {
            let served = self
                .in_use()
                .map(|served| served.release.version.to_string());
            Absence::Version(served.collect())
        })
    }
}

fn same_version(version: &Version, text: &str) -> bool {
    text.parse::<Version>()
        .is_ok_and(|parsed| parsed == *version)
}

/// Where a key falls among 0..100: FNV-1a over the detector's name and the key, finished as MurmurHash3 does. The same on
/// every host, so that a caller meets the same release wherever it is sent.
fn share(name: &DetectorName, key: &[u8]) -> u64 {
    let bytes = name.as_str().bytes().chain([0]).chain(key.iter().copied());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash ^ (hash >> 33)) % 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fall_evenly_and_differently_for_each_detector() {
        let count = |name: &str| {
            let name: DetectorName = name.parse().unwrap();
            let keys = (0..10_000).map(|i| format!("key-{i}"));
            keys.filter(|key| share(&name, key.as_bytes()) < 20).count()
        };
        assert!((1850..2150).contains(&count("pump")), "{}", count("pump"));
        let (a, b): (DetectorName, DetectorName) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert!((0..100_u8).any(|key| share(&a, &[key]) != share(&b, &[key])));
    }
}
