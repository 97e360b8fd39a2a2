//! The index entry: the one small document whose creation makes a release exist.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{DetectorName, Digest, ReleaseName};

/// The shape of index entries that this version writes and reads.
pub const INDEX_SCHEMA: u32 = 1;

/// What `index/<detector>/<version>.json` holds. The same push gives the same bytes, so no time is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexEntry {
    /// [`INDEX_SCHEMA`].
    pub schema: u32,
    /// The detector.
    pub detector: DetectorName,
    /// The version.
    pub version: Version,
    /// The component's digest, and the name of its blob.
    pub digest: Digest,
    /// The component's length in bytes.
    pub size_bytes: u64,
    /// Documents about the release (evidence, provenance, SBOM) by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub documents: BTreeMap<String, Digest>,
}

impl IndexEntry {
    /// The release that this entry defines.
    pub fn release(&self) -> ReleaseName {
        ReleaseName {
            detector: self.detector.clone(),
            version: self.version.clone(),
        }
    }
}
