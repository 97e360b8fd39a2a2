//! The settings of captured traffic.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use hodoscope_registry::StoreLocation;

use super::Secret;
use super::reader::{Kind, Reader};

/// The sampling hash's key where none is set. Public: who knows it can choose request ids that are or are not sampled.
const PUBLIC_KEY: &str = "hodoscope";

/// What is captured of scored traffic, and where it goes.
#[derive(Debug, Clone)]
pub struct CaptureSettings {
    /// Whether anything is.
    pub on: bool,
    /// Where it goes.
    pub location: StoreLocation,
    /// The share of rows whose values are kept.
    pub fraction: f64,
    /// What the choice of rows depends on, beside a request's id; the same on all hosts.
    pub key: Secret,
    /// The length of a window.
    pub window: Duration,
    /// How long a part of a window, and a file of rows, is open: what a crash loses at most.
    pub part: Duration,
    /// The most rows whose values are kept of one release in one window, on this host.
    pub rows_per_window: u64,
    /// How long files are kept in a folder.
    pub retention: Duration,
    /// The most that files in a folder may hold.
    pub folder_limit_bytes: u64,
}

/// A number from 0 to 1.
struct Fraction(f64);

impl FromStr for Fraction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number) if (0.0..=1.0).contains(&number) => Ok(Self(number)),
            _ => Err("must be a number from 0 to 1".to_owned()),
        }
    }
}

impl CaptureSettings {
    pub(super) fn read(read: &mut Reader<'_>, home: &Path) -> Self {
        let folder = home.join("capture").display().to_string();
        Self {
            on: read.value(
                "capture",
                "false",
                Kind::Plain,
                "whether scored traffic is sampled and counted",
            ),
            location: read.value(
                "capture_location",
                &folder,
                Kind::Plain,
                "where captured traffic goes: a folder or s3://bucket/prefix",
            ),
            fraction: read
                .value::<Fraction>(
                    "capture_fraction",
                    "0.1",
                    Kind::Plain,
                    "the share of rows whose values are kept",
                )
                .0,
            key: read
                .secret(
                    "capture_key",
                    "what the choice of rows depends on; equal on all hosts",
                )
                .unwrap_or_else(|| Secret::new(PUBLIC_KEY)),
            window: read.seconds("capture_window_seconds", 86_400, "the length of a window"),
            part: read.seconds(
                "capture_part_seconds",
                300,
                "how long a part is open: what a crash loses",
            ),
            rows_per_window: read.positive(
                "capture_rows_per_window",
                200_000,
                "the most rows kept of a release in a window",
            ),
            retention: Duration::from_secs(
                86_400 * u64::from(read.positive("capture_retention_days", 30_u32, "folders only")),
            ),
            folder_limit_bytes: read.positive(
                "capture_folder_limit_bytes",
                10 << 30,
                "the most a folder may hold",
            ),
        }
    }
}
