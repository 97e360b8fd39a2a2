//! Two releases on the same rows: how many verdicts flip, how the ranking agrees, how scores and their reasons shift, how
//! often each alarms, what calls take and rows cost. `evaluate`, `drift` and `promote` share it; what follows from it is
//! [`hodoscope_release::evidence::decide`]'s.

mod attribution;
mod frame;
mod latency;
mod sides;
pub(crate) mod statistics;
mod text;

use std::sync::{Mutex, PoisonError};

use anyhow::bail;
use hodoscope_engine::Detector;
use hodoscope_release::evidence::{Agreement, Comparison};

use crate::offline::{Scorer, stream};
use crate::rows::{Block, Piece, Selection, Table};

pub use frame::{Frame, Sampled};
pub use latency::{latencies, latency_ratio};
pub use text::text;

use sides::Scored;
use statistics::{kolmogorov_smirnov, spearman, top_agreement};

/// The shares of rows whose highest scores are compared.
const TOP_SHARES: [f64; 3] = [0.001, 0.01, 0.1];
/// Rows that are kept for latency and attributions.
const SAMPLE_ROWS: usize = 4_096;

/// A detector and what people call it: `pump@1.4.0`, or the path of its file.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// What people call it.
    pub name: &'a str,
    /// The detector.
    pub detector: &'a Detector,
}

/// The features of both, each once: those of the first, then what only the second takes.
pub fn features_of(first: &Detector, second: &Detector) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for detector in [first, second] {
        for feature in &detector.description().features {
            if !names.contains(&feature.name) {
                names.push(feature.name.clone());
            }
        }
    }
    names
}

/// Compares on the rows of a table, which are read once, block by block; 8 bytes are kept for each row and release. Runs
/// on the caller's rayon pool; `tick` hears of rows and bytes read. `label` is a column that tells anomalies (not 0) from
/// normal rows (0).
pub fn compare_table(
    current: Named<'_>,
    candidate: Named<'_>,
    table: Table,
    label: Option<&str>,
    tick: impl Fn(usize, u64) + Send,
) -> anyhow::Result<Comparison> {
    let features = features_of(current.detector, candidate.detector);
    let scorers = [current, candidate].map(|side| Scorer::new(side.detector.clone(), &features));
    let [one, other] = scorers;
    let (one, other) = (one?, other?);
    let selection = Selection {
        features: features.clone(),
        keep: label.map(str::to_owned).into_iter().collect(),
    };
    let sample = Mutex::new(Sampled::new(features, SAMPLE_ROWS));
    let (mut a, mut b, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    stream(
        table.blocks(&selection)?,
        |block| {
            let scores = (one.score(&block)?, other.score(&block)?);
            sample
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .offer(&block);
            Ok((scores, labels_of(&block)))
        },
        |((current, candidate), known)| {
            a.extend(current);
            b.extend(candidate);
            labels.extend(known);
            Ok(())
        },
        tick,
    )?;
    let sample = sample.into_inner().unwrap_or_else(PoisonError::into_inner);
    let labels = label.map(|_| labels.as_slice());
    compared(
        Scored::new(current, &a, labels, one.busy_seconds()),
        Scored::new(candidate, &b, labels, other.busy_seconds()),
        &sample.finish(),
    )
}

/// Compares on rows in memory; `labels` has one value per row: 0 normal, NaN unknown, everything else an anomaly.
pub fn compare(
    current: Named<'_>,
    candidate: Named<'_>,
    rows: &Frame,
    labels: Option<&[f64]>,
) -> anyhow::Result<Comparison> {
    let (a, a_seconds) = rows.score_timed(current.detector)?;
    let (b, b_seconds) = rows.score_timed(candidate.detector)?;
    compared(
        Scored::new(current, &a, labels, a_seconds),
        Scored::new(candidate, &b, labels, b_seconds),
        &rows.spread(SAMPLE_ROWS),
    )
}

fn labels_of(block: &Block) -> Vec<f64> {
    let label = |piece: &Piece| piece.kept.first().map(|kept| kept.numbers(piece.rows));
    block.pieces.iter().filter_map(label).flatten().collect()
}

/// Puts the comparison together. Latency and attributions are measured on `sample`.
fn compared(one: Scored<'_>, other: Scored<'_>, sample: &Frame) -> anyhow::Result<Comparison> {
    let (a, b) = (one.scores, other.scores);
    let rows = a.len();
    if rows == 0 || rows != b.len() {
        bail!("there are no rows to compare on");
    }
    let (one_threshold, other_threshold) = (one.threshold(), other.threshold());
    let flips = one_threshold.zip(other_threshold).map(|(ta, tb)| {
        let only = |wanted: (bool, bool)| {
            let verdicts = a.iter().zip(b).map(|(x, y)| (*x >= ta, *y >= tb));
            verdicts.filter(|verdict| *verdict == wanted).count() as u64
        };
        (only((true, false)), only((false, true)))
    });
    let top = TOP_SHARES
        .iter()
        .map(|share| ((rows as f64 * share).round() as usize).max(1))
        .filter_map(|k| {
            top_agreement(a, b, k).map(|agreement| Agreement {
                rows: k as u64,
                agreement,
            })
        })
        .collect();
    let changes = || a.iter().zip(b).map(|(x, y)| y - x);
    let (rank_correlation, distance) = rayon::join(|| spearman(a, b), || kolmogorov_smirnov(a, b));
    let attribution = attribution::shift(one.side.detector, other.side.detector, sample)?;
    let times = latencies(one.side.detector, other.side.detector, sample)?;
    Ok(Comparison {
        rows: rows as u64,
        flip_rate: flips.map(|(one, other)| (one + other) as f64 / rows as f64),
        only_current: flips.map(|(one, _)| one),
        only_candidate: flips.map(|(_, other)| other),
        rank_correlation,
        top,
        kolmogorov_smirnov: distance,
        mean_shift: changes().sum::<f64>() / rows as f64,
        largest_change: changes().map(f64::abs).fold(0.0, f64::max),
        attribution,
        current: one.finish(times.map(|(current, _)| current)),
        candidate: other.finish(times.map(|(_, candidate)| candidate)),
    })
}
