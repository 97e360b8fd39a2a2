//! The keys of a store: the only place that knows how names and digests become paths (captured traffic apart, which
//! `capture/key.rs` names). Everything in a key is a checked name, a version or a hex digest, so no key can leave its folder.

use std::fmt;

use hodoscope_release::{DetectorName, Digest, ReleaseName};

/// A key inside a store: parts joined by `/`, none of them empty, `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The component with this digest.
    pub fn blob(digest: &Digest) -> Self {
        Self(format!("blobs/sha256/{}", digest.hex()))
    }

    /// The document with this digest.
    pub fn document(digest: &Digest) -> Self {
        Self(format!("docs/sha256/{}", digest.hex()))
    }

    /// The entry whose creation makes a release exist.
    pub fn index(release: &ReleaseName) -> Self {
        Self(format!(
            "index/{}/{}.json",
            release.detector, release.version
        ))
    }

    /// The marker that takes a release out of use.
    pub fn yanked(release: &ReleaseName) -> Self {
        Self(format!(
            "yanked/{}/{}.json",
            release.detector, release.version
        ))
    }

    /// A key of captured traffic, checked by `capture/key.rs`.
    pub(crate) const fn captured(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A family of keys that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Index,
    Yanked,
}

impl Family {
    /// What all keys of the family start with, for one detector or for all.
    pub(crate) fn prefix(self, detector: Option<&DetectorName>) -> String {
        let family = match self {
            Self::Index => "index/",
            Self::Yanked => "yanked/",
        };
        match detector {
            Some(name) => format!("{family}{name}/"),
            None => family.to_owned(),
        }
    }

    /// The release that a key of this family speaks of; `None` for a key that this version did not write.
    pub(crate) fn release(self, key: &str) -> Option<ReleaseName> {
        let (detector, file) = key.strip_prefix(&self.prefix(None))?.split_once('/')?;
        ReleaseName::new(detector.parse().ok()?, file.strip_suffix(".json")?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_an_index_entry_reads_back_as_its_release() {
        let release: ReleaseName = "pump@1.4.0-rc.1".parse().unwrap();
        let key = Key::index(&release);
        assert_eq!(key.as_str(), "index/pump/1.4.0-rc.1.json");
        assert_eq!(Family::Index.release(key.as_str()), Some(release));
        assert_eq!(Family::Yanked.release(key.as_str()), None);
        assert_eq!(Family::Index.release("index/pump/notes.txt"), None);
    }
}
