//! Names of detectors, channels and releases: parsed once at the edge, safe as a path segment, a URL segment, a label
//! and a Kubernetes name from then on.

use std::fmt;
use std::str::FromStr;

use semver::Version;

use crate::text::serde_as_text;

/// A Kubernetes label, and so a detector's or channel's name, is no longer.
const NAME_LIMIT: usize = 63;

/// A text that is no name of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a detector's or channel's name.
    #[error(
        "`{0}` is not a name; use 1 to 63 lowercase letters, digits and hyphens, with a letter or digit at both ends"
    )]
    Name(String),
    /// Not a semantic version.
    #[error("`{0}` is not a version: {1}; write for instance `1.4.0` (semver.org)")]
    Version(String, String),
    /// Build metadata would give one version two spellings.
    #[error("version `{0}` carries build metadata; leave out the part behind `+`")]
    BuildMetadata(String),
    /// Not `detector@version`.
    #[error("`{0}` is not a release; write `detector@version`, for instance `pump@1.4.0`")]
    Release(String),
}

fn check(text: &str) -> Result<(), NameError> {
    let bytes = text.as_bytes();
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain);
    let middle = bytes.iter().all(|b| plain(b) || *b == b'-');
    if ends && middle && bytes.len() <= NAME_LIMIT {
        Ok(())
    } else {
        Err(NameError::Name(text.chars().take(100).collect()))
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        serde_as_text!($name);
    };
}

name!(
    /// A named kind of detector, for instance `pump`.
    DetectorName
);
name!(
    /// An environment whose wanted state a channel holds, for instance `production`.
    ChannelName
);

/// A detector and a version, written `pump@1.4.0`. The store maps it to one digest, for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseName {
    /// The detector.
    pub detector: DetectorName,
    /// The version; without build metadata, which semver leaves out of comparisons.
    pub version: Version,
}

impl ReleaseName {
    /// Joins a detector and the text of a version.
    pub fn new(detector: DetectorName, version: &str) -> Result<Self, NameError> {
        let cut = || version.chars().take(100).collect::<String>();
        let version =
            Version::parse(version).map_err(|e| NameError::Version(cut(), e.to_string()))?;
        if !version.build.is_empty() {
            return Err(NameError::BuildMetadata(cut()));
        }
        Ok(Self { detector, version })
    }
}

impl fmt::Display for ReleaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.detector, self.version))
    }
}

impl FromStr for ReleaseName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (detector, version) = text
            .split_once('@')
            .ok_or_else(|| NameError::Release(text.chars().take(100).collect()))?;
        Self::new(detector.parse()?, version)
    }
}

serde_as_text!(ReleaseName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_that_are_safe_everywhere() {
        for text in ["a", "pump", "pump-2", "0", &"x".repeat(63)] {
            assert!(text.parse::<DetectorName>().is_ok(), "{text}");
        }
    }

    #[test]
    fn refuses_names_that_escape_a_path_or_a_label() {
        let long = "x".repeat(64);
        for text in [
            "", "-a", "a-", "A", "a/b", "..", "a.b", "a_b", "ä", "a b", &long,
        ] {
            assert!(text.parse::<DetectorName>().is_err(), "{text}");
        }
    }

    #[test]
    fn reads_a_release_and_refuses_build_metadata() {
        let release: ReleaseName = "pump@1.4.0-rc.1".parse().unwrap();
        assert_eq!(release.to_string(), "pump@1.4.0-rc.1");
        assert_eq!(
            "pump".parse::<ReleaseName>(),
            Err(NameError::Release("pump".into()))
        );
        assert!(matches!(
            "pump@1".parse::<ReleaseName>(),
            Err(NameError::Version(..))
        ));
        assert!(matches!(
            "pump@1.0.0+a".parse::<ReleaseName>(),
            Err(NameError::BuildMetadata(_))
        ));
    }
}
