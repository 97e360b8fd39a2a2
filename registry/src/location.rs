//! Where a store lies, and how it is reached: parsed once from the text of a setting, so that a typing error is found
//! before anything is opened. Environment variables are read by the host's configuration and by the AWS SDK, never here.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::store::Step;

/// The scheme of a store in S3.
const S3_SCHEME: &str = "s3://";

/// A folder or a bucket with a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// A folder of this machine; it is created by the first push.
    Folder(PathBuf),
    /// A bucket and a prefix, written `s3://bucket/prefix`; the prefix may be empty and has no slash at its ends.
    S3 {
        /// The bucket.
        bucket: String,
        /// What stands before every key, without slashes at its ends; empty for the whole bucket.
        prefix: String,
    },
}

/// A text that is no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Nothing was given.
    #[error("the location is empty; write a folder's path or `s3://bucket/prefix`")]
    Empty,
    /// A scheme that is not supported.
    #[error(
        "`{0}` is neither a folder's path nor an S3 location; write `s3://bucket/prefix` or a path"
    )]
    Scheme(String),
    /// Not the name of a bucket.
    #[error(
        "`{0}` names no bucket; write `s3://bucket/prefix` with a bucket of 3 to 63 lowercase letters, digits, dots and hyphens"
    )]
    Bucket(String),
    /// A prefix that would not come back as it was written.
    #[error(
        "`{0}` has an empty, `.` or `..` part in its prefix; write for instance `s3://bucket/team/releases`"
    )]
    Prefix(String),
}

/// Whence the credentials for S3 come.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum S3Credentials {
    /// The SDK's usual chain: environment, profile, web identity (IRSA), container and pod identity, instance metadata.
    #[default]
    Chain,
    /// A fixed key, for servers on loopback and for tests.
    Fixed {
        /// The access key's id.
        id: String,
        /// The secret; never printed.
        secret: String,
    },
}

/// How S3 is reached. The defaults suit AWS; a folder store uses none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Options {
    /// Another server than AWS, for instance `http://127.0.0.1:7070`.
    pub endpoint: Option<String>,
    /// Puts the bucket into the path instead of the host's name, which most other servers want.
    pub path_style: bool,
    /// The region; otherwise the SDK's chain, and `us-east-1` where an endpoint is given and the chain knows none.
    pub region: Option<String>,
    /// Whence the credentials come.
    pub credentials: S3Credentials,
    /// The most attempts at one operation, the first included.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles with each further one, with jitter.
    pub first_pause: Duration,
    /// The longest time for connecting.
    pub connect_timeout: Duration,
    /// The longest time for one attempt, up to the answer's head.
    pub attempt_timeout: Duration,
    /// The longest time for one operation, with all attempts, pauses and the body.
    pub operation_timeout: Duration,
}

/// Everything [`crate::Store::open`] may be told beside the location.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoreOptions {
    /// How S3 is reached.
    pub s3: S3Options,
    /// Called at each step of a folder store's writes. Only for tests of crashes and full disks.
    #[doc(hidden)]
    pub probe: Probe,
}

/// A hook of the tests into a folder store's writes; an error is taken as the step's own.
#[doc(hidden)]
#[derive(Clone, Copy, Default)]
pub struct Probe(pub Option<fn(Step) -> std::io::Result<()>>);

impl PartialEq for Probe {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_some() == other.0.is_some()
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Probe" } else { "-" })
    }
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            endpoint: None,
            path_style: false,
            region: None,
            credentials: S3Credentials::Chain,
            attempts: 4,
            first_pause: Duration::from_millis(200),
            connect_timeout: Duration::from_secs(3),
            attempt_timeout: Duration::from_secs(15),
            operation_timeout: Duration::from_secs(60),
        }
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain => f.write_str("Chain"),
            Self::Fixed { id, .. } => f
                .debug_struct("Fixed")
                .field("id", id)
                .finish_non_exhaustive(),
        }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "{S3_SCHEME}{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "{S3_SCHEME}{bucket}/{prefix}"),
        }
    }
}

impl FromStr for StoreLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.trim().is_empty() {
            return Err(LocationError::Empty);
        }
        if let Some(rest) = text.strip_prefix(S3_SCHEME) {
            let (bucket, prefix) = split_bucket(text, rest)?;
            return Ok(Self::S3 { bucket, prefix });
        }
        match text.split_once("://") {
            Some(_) => Err(LocationError::Scheme(text.to_owned())),
            None => Ok(Self::Folder(PathBuf::from(text))),
        }
    }
}

fn split_bucket(text: &str, rest: &str) -> Result<(String, String), LocationError> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
    if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(plain) {
        return Err(LocationError::Bucket(text.to_owned()));
    }
    let prefix = prefix.trim_end_matches('/');
    if !prefix.is_empty()
        && prefix
            .split('/')
            .any(|part| ["", ".", ".."].contains(&part))
    {
        return Err(LocationError::Prefix(text.to_owned()));
    }
    Ok((bucket.to_owned(), prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_folders_and_buckets_and_prints_them_back() {
        for text in [
            "store",
            "/var/lib/store",
            "s3://releases",
            "s3://releases/team/a",
        ] {
            assert_eq!(text.parse::<StoreLocation>().unwrap().to_string(), text);
        }
        let slash: StoreLocation = "s3://releases/team/".parse().unwrap();
        assert_eq!(slash.to_string(), "s3://releases/team");
    }

    #[test]
    fn refuses_what_is_no_location() {
        for text in [
            "",
            " ",
            "gs://bucket/a",
            "s3://",
            "s3://ab",
            "s3://Bucket",
            "s3:///a",
            "s3://bucket//a",
            "s3://bucket/a/../b",
        ] {
            assert!(text.parse::<StoreLocation>().is_err(), "{text}");
        }
    }

    #[test]
    fn never_prints_a_secret() {
        let secret = S3Credentials::Fixed {
            id: "id".into(),
            secret: "hush".into(),
        };
        assert!(!format!("{secret:?}").contains("hush"));
    }
}
