//! The windows of a release, read from the parts that hosts wrote and added up.

use anyhow::Context as _;
use futures_util::StreamExt as _;
use hodoscope_drift::{MergedWindow, Merging};
use hodoscope_registry::capture::CaptureKey;
use hodoscope_release::window::{Counts, WindowName, WindowPart, uniform_edges};

use super::{Champion, Job};

/// The longest part: 1,000 features of 128 bins take about 2 MiB.
const PART_LIMIT_BYTES: u64 = 16 << 20;
/// Parts that are read at the same time.
const AT_ONCE: usize = 16;

/// Reads the windows of these names that hold anything of the champion. If nothing was counted in the last one it stands
/// there empty, since it is the one that is judged.
pub(super) async fn load(
    job: &Job<'_>,
    champion: &Champion,
    names: &[WindowName],
) -> anyhow::Result<Vec<MergedWindow>> {
    let mut windows = Vec::new();
    for name in names {
        windows.extend(merged(job, champion, name).await?);
    }
    if let Some(last) = names.last()
        && windows.last().is_none_or(|window| window.window != *last)
    {
        windows.push(empty(job, champion, last));
    }
    Ok(windows)
}

/// Adds up the parts while they are read: those of a day and a hundred hosts are gigabytes.
async fn merged(
    job: &Job<'_>,
    champion: &Champion,
    window: &WindowName,
) -> anyhow::Result<Option<MergedWindow>> {
    let prefix = CaptureKey::parts_of(&champion.entry.detector, Some(window));
    let listed = job.capture.list(&prefix).await?;
    let mut read = futures_util::stream::iter(&listed)
        .map(async |file| (file, job.capture.get(&file.key, PART_LIMIT_BYTES).await))
        .buffered(AT_ONCE);
    let mut merging = Merging::default();
    while let Some((file, bytes)) = read.next().await {
        let part: WindowPart = serde_json::from_slice(&bytes?)
            .with_context(|| format!("{} in {} does not parse", file.key, job.capture))?;
        if part.digest == champion.entry.digest {
            merging.add(&part)?;
        }
    }
    Ok(merging.finish())
}

fn empty(job: &Job<'_>, champion: &Champion, window: &WindowName) -> MergedWindow {
    let profile = champion.detector.sections().profile.as_ref();
    let scores = profile.map_or_else(
        || uniform_edges().len(),
        |profile| profile.scores.edges.len(),
    );
    let features = profile.map(|profile| profile.features.iter());
    MergedWindow {
        detector: champion.entry.detector.clone(),
        version: champion.entry.version.clone(),
        digest: champion.entry.digest,
        window: window.clone(),
        window_seconds: job.context.config.capture.window.as_secs(),
        parts: 0,
        threshold: champion.detector.description().threshold,
        rows: 0,
        alerts: 0,
        scores: Counts::on(scores),
        sampled_rows: 0,
        sample_fraction: 0.0,
        dropped_rows: 0,
        features: features
            .into_iter()
            .flatten()
            .map(|feature| Counts::on(feature.edges.len()))
            .collect(),
        shadow: None,
    }
}
