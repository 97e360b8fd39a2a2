//! The roster as JSON, for `/roster` and `hodoscope status`: what was wanted, what runs, and why they differ.

use hodoscope_release::{DetectorName, Digest, Pin, Version};
use serde::{Deserialize, Serialize};

use super::{Entry, Snapshot, State};

/// The whole roster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RosterView {
    /// The channel that is followed.
    pub channel: String,
    /// Whether its document can be used: `unread`, `absent`, `valid` or `invalid`.
    pub document: DocumentView,
    /// How many documents were applied.
    pub generation: u64,
    /// Whether everything that is wanted answers.
    pub ready: bool,
    /// The detectors.
    pub detectors: Vec<DetectorView>,
}

/// The channel's document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentView {
    /// `unread`, `absent`, `valid` or `invalid`.
    pub state: String,
    /// Why it cannot be used.
    #[serde(default)]
    pub reason: Option<String>,
}

/// One detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectorView {
    /// Its name.
    pub name: DetectorName,
    /// `READY` if it answers.
    pub state: String,
    /// The active release that the channel wants.
    pub wanted: Option<Pin>,
    /// What answers.
    pub running: Option<RunningView>,
    /// Whether what answers is what is wanted.
    pub differs: bool,
    /// Why.
    pub reason: Option<String>,
    /// The wanted releases, each with its state.
    pub releases: Vec<ReleaseView>,
    /// The comparison with the shadow.
    pub shadow: Option<serde_json::Value>,
}

/// What answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunningView {
    /// Its version.
    pub version: Version,
    /// Its digest.
    pub digest: Digest,
    /// `wanted`, `kept`, `fallback` or `vanished`.
    pub standing: String,
    /// Whether its code is a kernel of the host.
    pub trusted: bool,
    /// Whether it came without golden rows.
    pub unproven: bool,
    /// Whether calls are stopped after repeated faults.
    pub breaker_open: bool,
}

/// A wanted release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseView {
    /// `active`, `shadow` or `canary`.
    pub role: String,
    /// Its version.
    pub version: Version,
    /// Its digest.
    pub digest: Digest,
    /// Its state.
    pub state: String,
    /// Why, if it is not ready.
    pub reason: Option<String>,
    /// Whether it will never load on this host: its bytes were refused, and they do not change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// The share of calls of a canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

impl Snapshot {
    /// The roster as JSON shows it.
    pub fn view(&self) -> RosterView {
        let (state, reason) = match &self.document {
            super::DocumentState::Unread => ("unread", None),
            super::DocumentState::Absent(reason) => ("absent", Some(reason.clone())),
            super::DocumentState::Valid => ("valid", None),
            super::DocumentState::Invalid(reason) => ("invalid", Some(reason.clone())),
        };
        RosterView {
            channel: self.channel.to_string(),
            document: DocumentView {
                state: state.to_owned(),
                reason,
            },
            generation: self.generation,
            ready: self.is_ready(),
            detectors: self.detectors.values().map(|entry| entry.view()).collect(),
        }
    }
}

impl Entry {
    /// The state of the detector as a whole.
    pub fn state(&self) -> State {
        match &self.running {
            Some(_) => State::Ready,
            None if self.is_loading() => State::Loading,
            None => State::Unavailable,
        }
    }

    fn view(&self) -> DetectorView {
        let active = self.wanted.as_ref().filter(|wanted| !wanted.retired);
        let wanted = active.map(|wanted| wanted.active.clone());
        let running = self.running.as_ref();
        DetectorView {
            name: self.name.clone(),
            state: word(&self.state()),
            differs: wanted != running.map(|served| served.pin()),
            wanted,
            running: running.map(|served| RunningView {
                version: served.release.version.clone(),
                digest: served.digest(),
                standing: word(&self.standing),
                trusted: served.detector.trusted(),
                unproven: served.detector.unproven(),
                breaker_open: served.detector.stats().breaker_open,
            }),
            reason: self.reason.clone(),
            releases: self.releases.iter().map(|r| self.release(r)).collect(),
            shadow: self.shadow.as_ref().map(|shadow| shadow.tally.view()),
        }
    }

    fn release(&self, release: &super::WantedRelease) -> ReleaseView {
        let canary = self
            .wanted
            .as_ref()
            .and_then(|wanted| wanted.canary.as_ref());
        ReleaseView {
            role: word(&release.role),
            version: release.pin.version.clone(),
            digest: release.pin.digest,
            state: word(&release.state),
            reason: release.reason.clone(),
            refused: release.refused,
            percent: canary
                .filter(|_| release.role == super::Role::Canary)
                .map(|canary| canary.percent),
        }
    }
}

/// The word by which serde spells a variant.
pub(crate) fn word(variant: &impl Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
