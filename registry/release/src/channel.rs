//! The channel document: which release of each detector an environment wants. It holds only pins, and every change of
//! it is a pure function, so that a laptop's file and a pull request are made by the same code.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{DetectorName, Digest, IndexEntry, ReleaseName};

/// A release and the digest it must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The version.
    pub version: Version,
    /// The digest the component must have.
    pub digest: Digest,
}

/// A pin that receives a share of the calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The version.
    pub version: Version,
    /// The digest the component must have.
    pub digest: Digest,
    /// The share of calls, 0 to 100.
    pub percent: u8,
}

impl Canary {
    /// The release and digest, without the share.
    pub fn pin(&self) -> Pin {
        Pin {
            version: self.version.clone(),
            digest: self.digest,
        }
    }
}

/// What a channel wants of one detector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorChannel {
    /// The release that answers.
    pub active: Pin,
    /// The release that answered before; what `rollback` returns to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Pin>,
    /// A release that scores copies of the calls; its answers are compared and counted, never returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Pin>,
    /// A release that answers a share of the calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// The only way in which a detector leaves a host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
}

/// Everything a channel wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelDocument {
    /// The wanted state of each detector.
    pub detectors: BTreeMap<DetectorName, DetectorChannel>,
}

/// Why a channel document is not valid, or a change of it not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The detector is not in the channel.
    #[error("detector `{0}` is not in this channel; promote a release of it first")]
    UnknownDetector(DetectorName),
    /// Nothing to roll back to.
    #[error("detector `{0}` has no previous release; nothing to roll back to")]
    NoPrevious(DetectorName),
    /// A share above 100.
    #[error("canary of `{0}` has percent {1}; use 0 to 100")]
    Percent(DetectorName, u8),
    /// Two documents of one channel speak of the same detector.
    #[error("detector `{0}` is named twice in this channel; keep one file for each detector")]
    Duplicate(DetectorName),
}

impl From<&IndexEntry> for Pin {
    fn from(entry: &IndexEntry) -> Self {
        Self {
            version: entry.version.clone(),
            digest: entry.digest,
        }
    }
}

impl Pin {
    /// The pinned release of `detector`.
    pub fn release(&self, detector: &DetectorName) -> ReleaseName {
        ReleaseName {
            detector: detector.clone(),
            version: self.version.clone(),
        }
    }
}

impl DetectorChannel {
    /// A detector's first wanted state.
    pub fn first(pin: Pin) -> Self {
        Self {
            active: pin,
            previous: None,
            shadow: None,
            canary: None,
            retired: false,
        }
    }

    /// Makes `pin` the active release; the one before becomes `previous`, and a shadow or canary of `pin` has done its
    /// work. Promoting the active release again changes nothing but `retired`.
    #[must_use]
    pub fn promoted(&self, pin: Pin) -> Self {
        let previous = if pin == self.active {
            self.previous.clone()
        } else {
            Some(self.active.clone())
        };
        Self {
            previous,
            shadow: self.shadow.clone().filter(|shadow| *shadow != pin),
            canary: self.canary.clone().filter(|canary| canary.pin() != pin),
            active: pin,
            retired: false,
        }
    }

    /// Swaps `active` and `previous` and ends a shadow or canary. `None` without a previous release.
    #[must_use]
    pub fn rolled_back(&self) -> Option<Self> {
        Some(Self {
            active: self.previous.clone()?,
            previous: Some(self.active.clone()),
            shadow: None,
            canary: None,
            retired: self.retired,
        })
    }

    /// Every pin, for checks and for prefetching.
    pub fn pins(&self) -> impl Iterator<Item = Pin> + '_ {
        [&self.previous, &self.shadow]
            .into_iter()
            .flatten()
            .cloned()
            .chain([self.active.clone()])
            .chain(self.canary.as_ref().map(Canary::pin))
    }
}

impl ChannelDocument {
    /// Checks what the types cannot say.
    pub fn validate(&self) -> Result<(), ChannelError> {
        self.detectors
            .iter()
            .try_for_each(|(name, wanted)| match &wanted.canary {
                Some(canary) if canary.percent > 100 => {
                    Err(ChannelError::Percent(name.clone(), canary.percent))
                }
                _ => Ok(()),
            })
    }

    /// Joins two documents of one channel. No detector may stand in both.
    pub fn merge(mut self, other: Self) -> Result<Self, ChannelError> {
        for (name, wanted) in other.detectors {
            if self.detectors.contains_key(&name) {
                return Err(ChannelError::Duplicate(name));
            }
            self.detectors.insert(name, wanted);
        }
        Ok(self)
    }

    /// Makes `pin` the active release of `name`.
    pub fn promote(&mut self, name: &DetectorName, pin: Pin) {
        let next = match self.detectors.get(name) {
            Some(wanted) => wanted.promoted(pin),
            None => DetectorChannel::first(pin),
        };
        self.detectors.insert(name.clone(), next);
    }

    /// Returns `name` to its previous release.
    pub fn rollback(&mut self, name: &DetectorName) -> Result<(), ChannelError> {
        let wanted = self.wanted(name)?;
        *wanted = wanted
            .rolled_back()
            .ok_or_else(|| ChannelError::NoPrevious(name.clone()))?;
        Ok(())
    }

    /// Takes `name` out of service.
    pub fn retire(&mut self, name: &DetectorName) -> Result<(), ChannelError> {
        self.wanted(name)?.retired = true;
        Ok(())
    }

    fn wanted(&mut self, name: &DetectorName) -> Result<&mut DetectorChannel, ChannelError> {
        self.detectors
            .get_mut(name)
            .ok_or_else(|| ChannelError::UnknownDetector(name.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> DetectorName {
        "pump".parse().unwrap()
    }

    fn pin(version: &str) -> Pin {
        Pin {
            version: version.parse().unwrap(),
            digest: Digest::of(version.as_bytes()),
        }
    }

    #[test]
    fn promote_keeps_the_release_before_and_rollback_swaps_them() {
        let mut document = ChannelDocument::default();
        document.promote(&name(), pin("1.0.0"));
        document.promote(&name(), pin("1.1.0"));
        document.rollback(&name()).unwrap();
        let wanted = &document.detectors[&name()];
        assert_eq!(wanted.active, pin("1.0.0"));
        assert_eq!(wanted.previous, Some(pin("1.1.0")));
    }

    #[test]
    fn promoting_the_active_release_again_keeps_previous() {
        let mut document = ChannelDocument::default();
        for version in ["1.0.0", "1.1.0", "1.1.0"] {
            document.promote(&name(), pin(version));
        }
        assert_eq!(document.detectors[&name()].previous, Some(pin("1.0.0")));
    }

    #[test]
    fn promoting_a_shadow_ends_the_shadow() {
        let mut wanted = DetectorChannel::first(pin("1.0.0"));
        wanted.shadow = Some(pin("1.1.0"));
        assert_eq!(wanted.promoted(pin("1.1.0")).shadow, None);
        assert_eq!(wanted.promoted(pin("1.2.0")).shadow, Some(pin("1.1.0")));
    }

    #[test]
    fn refuses_a_rollback_without_previous_and_an_unknown_detector() {
        let mut document = ChannelDocument::default();
        assert_eq!(
            document.rollback(&name()),
            Err(ChannelError::UnknownDetector(name()))
        );
        document.promote(&name(), pin("1.0.0"));
        assert_eq!(
            document.rollback(&name()),
            Err(ChannelError::NoPrevious(name()))
        );
    }

    #[test]
    fn refuses_two_documents_with_one_detector_and_a_share_above_100() {
        let mut document = ChannelDocument::default();
        document.promote(&name(), pin("1.0.0"));
        assert_eq!(
            document.clone().merge(document.clone()),
            Err(ChannelError::Duplicate(name()))
        );
        document.detectors.get_mut(&name()).unwrap().canary = Some(Canary {
            version: "1.0.0".parse().unwrap(),
            digest: Digest::of(b""),
            percent: 101,
        });
        assert_eq!(document.validate(), Err(ChannelError::Percent(name(), 101)));
    }

    #[test]
    fn refuses_a_document_with_an_unknown_key() {
        let text = r#"{"detectors": {}, "detector": {}}"#;
        assert!(serde_json::from_str::<ChannelDocument>(text).is_err());
    }
}
