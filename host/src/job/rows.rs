//! The captured rows of some windows, brought to temporary files: what a candidate learns from.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use hodoscope_drift::MergedWindow;
use hodoscope_registry::capture::{CaptureKey, CaptureKind, Captured};
use hodoscope_release::DetectorName;
use tempfile::TempDir;

use super::Job;
use crate::evidence::Frame;

/// The longest file of rows.
const FILE_LIMIT_BYTES: u64 = 256 << 20;
/// The most space that all of them may take.
const ALL_LIMIT_BYTES: u64 = 4 << 30;
/// Files that are fetched at the same time.
const AT_ONCE: usize = 8;
const HOUR_SECONDS: u64 = 3600;
const DAY_SECONDS: u64 = 24 * HOUR_SECONDS;
/// The column with the time of a row, in milliseconds since 1970.
const TIME_COLUMN: &str = "hodoscope.time_ms";

/// Rows in files that are removed with this value.
pub(super) struct Fetched {
    /// Oldest first.
    pub(super) files: Vec<PathBuf>,
    _folder: TempDir,
}

/// Fetches the files whose rows lie in one of the windows. A file that spans a boundary belongs where its middle is.
pub(super) async fn fetch(
    job: &Job<'_>,
    detector: &DetectorName,
    windows: &[&MergedWindow],
) -> anyhow::Result<Fetched> {
    let folder = tempfile::Builder::new()
        .prefix("hodoscope-drift-")
        .tempdir();
    let folder = folder.context("failed to make a temporary folder")?;
    let spans: Vec<(u64, u64)> = windows
        .iter()
        .map(|window| {
            let start = window.window.start_seconds();
            (start, start + window.window_seconds)
        })
        .collect();
    let wanted = list(job, detector, &spans).await?;
    let mut left = ALL_LIMIT_BYTES;
    let within = |file: &&Captured| match left.checked_sub(file.size_bytes) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    // The newest rows are kept if there are too many.
    let mut chosen: Vec<&Captured> = wanted.iter().rev().take_while(within).collect();
    chosen.reverse();
    let mut fetching = futures_util::stream::iter(chosen.into_iter().enumerate())
        .map(async |(at, file)| {
            let bytes = job.capture.get(&file.key, FILE_LIMIT_BYTES).await?;
            let path = folder.path().join(format!("{at:06}.parquet"));
            tokio::fs::write(&path, bytes).await?;
            anyhow::Ok(path)
        })
        .buffered(AT_ONCE);
    let mut files = Vec::new();
    while let Some(path) = fetching.next().await {
        let path = path?;
        if middle(&path)?.is_some_and(|at| {
            spans
                .iter()
                .any(|(start, end)| (*start..*end).contains(&at))
        }) {
            files.push(path);
        }
    }
    drop(fetching);
    Ok(Fetched {
        files,
        _folder: folder,
    })
}

/// The files that were written during the windows, or soon enough after to hold rows of theirs; by the hour.
async fn list(
    job: &Job<'_>,
    detector: &DetectorName,
    spans: &[(u64, u64)],
) -> anyhow::Result<Vec<Captured>> {
    let late = job.context.config.capture.part.as_secs() + HOUR_SECONDS;
    let mut days: Vec<u64> = spans
        .iter()
        .flat_map(|(start, end)| start / DAY_SECONDS..=(end + late) / DAY_SECONDS)
        .collect();
    days.sort_unstable();
    days.dedup();
    let mut found = Vec::new();
    for day in days {
        let name =
            hodoscope_release::window::WindowName::holding(day * DAY_SECONDS, DAY_SECONDS).day();
        let prefix = CaptureKey::rows_of(detector, Some(&name));
        for file in job.capture.list(&prefix).await? {
            let CaptureKind::Rows { hour, .. } = file.key.kind() else {
                continue;
            };
            let hour = hour.start_seconds();
            if spans
                .iter()
                .any(|(start, end)| hour + HOUR_SECONDS > *start && hour <= end + late)
            {
                found.push(file);
            }
        }
    }
    Ok(found)
}

/// The time of a file's middle row, in seconds since 1970.
fn middle(path: &Path) -> anyhow::Result<Option<u64>> {
    let (_, times) = Frame::read(path, &[], Some(TIME_COLUMN))?;
    let mut times: Vec<f64> = times.unwrap_or_default();
    times.retain(|time| time.is_finite());
    times.sort_unstable_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).map(|time| (time / 1e3) as u64))
}
