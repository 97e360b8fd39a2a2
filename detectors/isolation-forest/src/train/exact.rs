//! The second reading: scores all rows for the exact threshold and the metrics. Bounded: the sample says within which
//! scores the threshold lies, so only those are kept, and rows above are counted.

use super::options::{Contamination, TrainOptions};
use super::report::Progress;
use super::scorer::{LANES, Scorer};
use super::{Found, score_blocks};
use crate::calibrate;
use crate::forest::Forest;
use crate::input::{Chunk, InputError, Table};
use crate::metrics::metrics;

/// How far in rank from the sample's threshold the exact one is looked for: about ten standard deviations.
const BRACKET: f64 = 0.005;
/// Metrics over all rows are kept for at most this many (9 bytes each); larger tables have those of the sample.
const MEASURED_ROWS: u64 = 16 << 20;

/// Sets the threshold over all rows, and the metrics if there are labels.
pub(super) fn exact(
    table: &mut Table,
    forest: &mut Forest,
    options: &TrainOptions,
    sorted: &[f64],
    found: &mut Found,
    progress: &dyn Progress,
) -> Result<(), InputError> {
    let mut margin = BRACKET;
    loop {
        let mut bracket = Bracket::new(options.contamination, sorted, margin);
        let measured = table.labelled() && found.rows <= MEASURED_ROWS;
        let (mut all, mut labels) = (Vec::new(), Vec::new());
        let scorer = Scorer::new(forest);
        let total = found.rows;
        table.read(|chunk, position| {
            let scores = score_chunk(&scorer, chunk);
            bracket.add(&scores);
            if measured {
                all.extend_from_slice(&scores);
                labels.extend_from_slice(&chunk.labels);
            }
            progress.rescored(position.rows + chunk.rows as u64, total);
            Ok(())
        })?;
        if measured {
            found.metrics = metrics(&all, &labels);
        }
        if let Some((threshold, rate)) = bracket.resolve(options.contamination) {
            forest.threshold = threshold;
            found.exact_rate = Some(rate);
            return Ok(());
        }
        margin *= 10.0;
    }
}

fn score_chunk(scorer: &Scorer, chunk: &Chunk) -> Vec<f64> {
    score_blocks(scorer, chunk.rows, |start, scratch| {
        for (lane, column) in scratch.block.iter_mut().zip(&chunk.columns) {
            let values = column.get(start..).unwrap_or_default();
            for (place, value) in lane.iter_mut().zip(values.iter().take(LANES)) {
                *place = *value;
            }
        }
    })
}

/// Scores of all rows, of which only those near the threshold are kept.
pub(crate) struct Bracket {
    low: f64,
    high: f64,
    below: u64,
    above: u64,
    inside: Vec<f64>,
}

impl Bracket {
    fn new(contamination: Contamination, sorted: &[f64], margin: f64) -> Self {
        let (low, high) = match contamination {
            Contamination::Share(share) => {
                let at = |rank: f64| sorted.get((rank * sorted.len() as f64) as usize).copied();
                let low = if share + margin >= 1.0 {
                    None
                } else {
                    at(1.0 - share - margin)
                };
                let high = if share - margin <= 0.0 {
                    None
                } else {
                    at(1.0 - share + margin)
                };
                (low.unwrap_or(0.0), high.unwrap_or(1.0))
            }
            // A fixed threshold needs counts only.
            Contamination::Auto => (0.5, 0.5f64.next_down()),
            Contamination::None => (1.0, 0.0),
        };
        Self {
            low,
            high,
            below: 0,
            above: 0,
            inside: Vec::new(),
        }
    }

    fn add(&mut self, scores: &[f64]) {
        for score in scores {
            if *score < self.low {
                self.below += 1;
            } else if *score > self.high {
                self.above += 1;
            } else {
                self.inside.push(*score);
            }
        }
    }

    /// The threshold and the share of rows at or above it; `None` if the threshold lies outside the bracket.
    fn resolve(mut self, contamination: Contamination) -> Option<(Option<f64>, f64)> {
        let rows = self.below + self.inside.len() as u64 + self.above;
        let Contamination::Share(share) = contamination else {
            let threshold = if contamination == Contamination::Auto {
                Some(0.5)
            } else {
                None
            };
            return Some((threshold, self.above as f64 / rows as f64));
        };
        self.inside.sort_unstable_by(f64::total_cmp);
        let wanted = (share * rows as f64 + 1e-9).floor() as u64;
        let inner = wanted.checked_sub(self.above)?;
        // Both neighbours of the cut must lie inside, unless there is nothing beyond.
        let enough = inner < self.inside.len() as u64
            || (inner == self.inside.len() as u64 && self.below == 0);
        if !enough {
            return None;
        }
        let threshold = self.cut(inner as usize)?;
        let inside = self.inside.len() - self.inside.partition_point(|score| *score < threshold);
        Some((
            Some(threshold),
            (self.above + inside as u64) as f64 / rows as f64,
        ))
    }

    /// As [`calibrate::threshold`], on the scores inside; none if a tie reaches the upper end and more lies above it.
    fn cut(&self, wanted: usize) -> Option<f64> {
        let share = wanted as f64 / self.inside.len().max(1) as f64;
        let threshold = calibrate::threshold(&self.inside, share);
        let highest = self.inside.last().copied()?;
        if threshold > highest && self.above > 0 {
            None
        } else {
            Some(threshold)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scores: &[f64], sample: &[f64], share: f64) -> Option<(f64, f64)> {
        let contamination = Contamination::Share(share);
        let mut bracket = Bracket::new(contamination, sample, BRACKET);
        bracket.add(scores);
        bracket
            .resolve(contamination)
            .map(|(threshold, rate)| (threshold.unwrap(), rate))
    }

    #[test]
    fn finds_the_same_threshold_as_sorting_everything() {
        let scores: Vec<f64> = (0..100_000u32)
            .map(|i| f64::from(i.wrapping_mul(2_654_435_761)) / 4.3e9)
            .collect();
        let mut sample: Vec<f64> = scores.iter().step_by(7).copied().collect();
        sample.sort_unstable_by(f64::total_cmp);
        let mut sorted = scores.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        for share in [0.0, 0.0001, 0.01, 0.1, 0.5] {
            let (threshold, rate) = check(&scores, &sample, share).unwrap();
            assert_eq!(threshold, calibrate::threshold(&sorted, share), "{share}");
            assert_eq!(rate, calibrate::alert_rate(&sorted, threshold), "{share}");
        }
    }

    #[test]
    fn says_so_when_the_sample_misled_it() {
        let scores: Vec<f64> = (0..1_000).map(|i| f64::from(i) / 1_000.0).collect();
        let sample: Vec<f64> = (0..1_000).map(|i| f64::from(i) / 10_000.0).collect();
        assert_eq!(check(&scores, &sample, 0.1), None);
    }
}
