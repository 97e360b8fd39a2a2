//! The parts that hosts wrote of a window, added up. Counts on other edges, of another release or of another window are
//! refused: a sum of those would look like drift.

use std::collections::HashSet;

use hodoscope_release::window::{Counts, OtherEdges, ShadowCounts, WindowName, WindowPart};
use hodoscope_release::{DetectorName, Digest, Version};

/// All that was counted of one release in one window.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedWindow {
    /// The detector.
    pub detector: DetectorName,
    /// The release's version.
    pub version: Version,
    /// The release's digest, which names the edges.
    pub digest: Digest,
    /// The window.
    pub window: WindowName,
    /// Its length in seconds.
    pub window_seconds: u64,
    /// How many parts were added.
    pub parts: usize,
    /// The threshold rows were judged by.
    pub threshold: Option<f64>,
    /// Rows that were scored.
    pub rows: u64,
    /// Rows at or above the threshold.
    pub alerts: u64,
    /// Every row's score.
    pub scores: Counts,
    /// Rows whose features were counted.
    pub sampled_rows: u64,
    /// The share of rows that was sampled in fact; 0 without rows.
    pub sample_fraction: f64,
    /// Rows that were chosen but not counted.
    pub dropped_rows: u64,
    /// The sampled rows' features, in the release's order.
    pub features: Vec<Counts>,
    /// What the shadow made of the same rows; the one that saw most if there were several.
    pub shadow: Option<ShadowCounts>,
}

/// Parts that do not add up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There is none.
    #[error("a window without parts holds nothing to judge")]
    Nothing,
    /// The part counts another release or window than the first one.
    #[error("part {part} counts {found}, not {wanted}; merge the parts of one release and window")]
    Other {
        /// Host, boot and sequence.
        part: String,
        /// What it counts.
        found: String,
        /// What the first part counts.
        wanted: String,
    },
    /// The part has another number of bins or features.
    #[error("part {part} was counted on other edges: {reason}")]
    Edges {
        /// Host, boot and sequence.
        part: String,
        /// The difference.
        reason: String,
    },
    /// Two parts have one name.
    #[error("part {part} is there twice")]
    Twice {
        /// Host, boot and sequence.
        part: String,
    },
}

/// Adds up the parts of one release and window. The same part twice counts once.
pub fn merge(parts: &[WindowPart]) -> Result<MergedWindow, MergeError> {
    let mut sorted: Vec<&WindowPart> = parts.iter().collect();
    sorted.sort_by_key(|part| (&part.host, &part.boot, part.sequence));
    let mut merging = Merging::default();
    let mut last: Option<&WindowPart> = None;
    for part in sorted {
        if last != Some(part) {
            merging.add(part)?;
        }
        last = Some(part);
    }
    merging.finish().ok_or(MergeError::Nothing)
}

/// Adds up parts as they come and keeps none of them: what a day of many hosts takes is one window and the parts' names.
#[derive(Debug, Default)]
pub struct Merging {
    merged: Option<MergedWindow>,
    places: HashSet<String>,
}

impl Merging {
    /// Adds a part. Each host, boot and sequence may come once.
    pub fn add(&mut self, part: &WindowPart) -> Result<(), MergeError> {
        let place = place(part);
        if self.places.contains(&place) {
            return Err(MergeError::Twice { part: place });
        }
        match &mut self.merged {
            None => self.merged = Some(first(part)),
            Some(merged) => add(merged, part)?,
        }
        self.places.insert(place);
        Ok(())
    }

    /// The whole; nothing without a part.
    pub fn finish(self) -> Option<MergedWindow> {
        let mut merged = self.merged?;
        if merged.rows > 0 {
            merged.sample_fraction = merged.sampled_rows as f64 / merged.rows as f64;
        }
        Some(merged)
    }
}

fn place(part: &WindowPart) -> String {
    format!("{}-{}-{}", part.host, part.boot, part.sequence)
}

fn first(part: &WindowPart) -> MergedWindow {
    MergedWindow {
        detector: part.detector.clone(),
        version: part.version.clone(),
        digest: part.digest,
        window: part.window.clone(),
        window_seconds: part.window_seconds,
        parts: 1,
        threshold: part.threshold,
        rows: part.rows,
        alerts: part.alerts,
        scores: part.scores.clone(),
        sampled_rows: part.sampled_rows,
        sample_fraction: 0.0,
        dropped_rows: part.dropped_rows,
        features: part.features.clone(),
        shadow: part.shadow.clone(),
    }
}

fn add(merged: &mut MergedWindow, part: &WindowPart) -> Result<(), MergeError> {
    let named = |detector, version, digest, window, seconds| {
        format!("{detector}@{version} {digest} in {window} of {seconds} s")
    };
    let wanted = named(
        &merged.detector,
        &merged.version,
        &merged.digest,
        &merged.window,
        merged.window_seconds,
    );
    let found = named(
        &part.detector,
        &part.version,
        &part.digest,
        &part.window,
        part.window_seconds,
    );
    if found != wanted {
        let part = place(part);
        return Err(MergeError::Other {
            part,
            found,
            wanted,
        });
    }
    let edges = |reason: String| MergeError::Edges {
        part: place(part),
        reason,
    };
    let other = |error: OtherEdges| edges(error.to_string());
    merged.scores.merge(&part.scores).map_err(other)?;
    match (merged.features.len(), part.features.len()) {
        // A part without a sampled row may leave its features out.
        (_, 0) if part.sampled_rows == 0 => {}
        (0, _) if merged.sampled_rows == 0 => merged.features.clone_from(&part.features),
        (mine, theirs) if mine != theirs => {
            return Err(edges(format!("{theirs} features, not {mine}")));
        }
        _ => add_features(&mut merged.features, &part.features).map_err(other)?,
    }
    merged.parts += 1;
    merged.rows += part.rows;
    merged.alerts += part.alerts;
    merged.sampled_rows += part.sampled_rows;
    merged.dropped_rows += part.dropped_rows;
    add_shadow(&mut merged.shadow, part.shadow.as_ref());
    Ok(())
}

fn add_features(mine: &mut [Counts], theirs: &[Counts]) -> Result<(), OtherEdges> {
    mine.iter_mut()
        .zip(theirs)
        .try_for_each(|(mine, theirs)| mine.merge(theirs))
}

/// Adds the counts of the same shadow; of two different ones the one with more rows stays.
fn add_shadow(mine: &mut Option<ShadowCounts>, theirs: Option<&ShadowCounts>) {
    let Some(theirs) = theirs else { return };
    match mine {
        Some(mine) if mine.digest == theirs.digest => {
            mine.rows += theirs.rows;
            mine.flips += theirs.flips;
            mine.faults += theirs.faults;
            mine.dropped += theirs.dropped;
            mine.difference_sum += theirs.difference_sum;
            mine.difference_max = mine.difference_max.max(theirs.difference_max);
        }
        Some(mine) if mine.rows >= theirs.rows => {}
        _ => *mine = Some(theirs.clone()),
    }
}
