//! From scores of rows to a threshold, a table of upper-tail probabilities and the edges on which drift is counted.
//! Pure functions of their arguments; the order of rows does not matter.

use hodoscope_release::sections::{Calibration, Histogram, Profile, SCHEMA};

/// How many bins a feature's histogram has at most: enough for a drift test, little beside the trees.
const BINS: usize = 128;
/// How many points the table of tail probabilities has: steps of about 2.5 % of the tail, from 1 to 1 in 100,000.
const TAIL_POINTS: usize = 480;

/// The threshold at which about this share of the rows, but never more, score at or above it.
///
/// It lies midway between the last score that alerts and the first that does not, so that rounding moves no row across.
/// Where ties straddle the share, the whole tie stays below: many equal rows are not anomalies. `sorted` is rising.
pub(crate) fn threshold(sorted: &[f64], rate: f64) -> f64 {
    let wanted = (rate.clamp(0.0, 1.0) * sorted.len() as f64 + 1e-9).floor() as usize;
    let first = sorted.len() - wanted.min(sorted.len());
    let below = first.checked_sub(1).and_then(|at| sorted.get(at)).copied();
    let cut = match below {
        Some(below) => sorted.partition_point(|score| *score <= below),
        None => 0,
    };
    let above = sorted.get(cut).copied();
    match (below, above) {
        (Some(below), Some(above)) => between(below, above),
        (Some(below), None) => below.next_up().min(1.0),
        (None, Some(above)) => above,
        (None, None) => 1.0,
    }
}

/// Above `low` and not above `high`, near the middle.
fn between(low: f64, high: f64) -> f64 {
    let middle = low + (high - low) / 2.0;
    if middle > low { middle } else { high }
}

/// The share of rows that score at or above a threshold.
pub(crate) fn alert_rate(sorted: &[f64], threshold: f64) -> f64 {
    let below = sorted.partition_point(|score| *score < threshold);
    (sorted.len() - below) as f64 / sorted.len().max(1) as f64
}

/// The table of upper-tail probabilities. `sorted` is rising and not empty.
pub(crate) fn calibration(sorted: &[f64], threshold: Option<f64>) -> Calibration {
    let rows = sorted.len();
    let mut table = Calibration {
        schema: SCHEMA,
        rows: rows as u64,
        alert_rate: threshold.map_or(0.0, |threshold| alert_rate(sorted, threshold)),
        tail: Vec::new(),
        scores: Vec::new(),
    };
    let mut last = f64::NEG_INFINITY;
    for point in 0..TAIL_POINTS {
        // Ranks from the top: all rows, then falling geometrically to the single highest one.
        let share = point as f64 / (TAIL_POINTS - 1) as f64;
        let rank = (rows as f64).powf(1.0 - share).round() as usize;
        let Some(score) = sorted.get(rows - rank.clamp(1, rows)).copied() else {
            continue;
        };
        if score > last {
            last = score;
            table.tail.push(alert_rate(sorted, score));
            table.scores.push(score);
        }
    }
    table
}

/// The histograms of features and scores. `feature` writes one feature's values of all rows into its second argument.
pub(crate) fn profile(
    width: usize,
    scores: &[f64],
    feature: impl Fn(usize, &mut Vec<f32>) + Sync,
) -> Profile {
    use rayon::prelude::*;
    let features = (0..width)
        .into_par_iter()
        .map_init(Vec::new, |values, index| {
            values.clear();
            feature(index, values);
            histogram(values)
        });
    Profile {
        schema: SCHEMA,
        rows: scores.len() as u64,
        features: features.collect(),
        scores: score_histogram(scores),
    }
}

fn score_histogram(scores: &[f64]) -> Histogram {
    let mut narrow: Vec<f32> = scores.iter().map(|score| *score as f32).collect();
    histogram(&mut narrow)
}

/// At most [`BINS`] bins of about equal counts. Edges lie between values that occur, at the shortest decimal number there:
/// no value sits on an edge, so f32 here and f64 in production are counted alike, and the document stays small.
fn histogram(values: &mut Vec<f32>) -> Histogram {
    let all = values.len();
    values.retain(|value| !value.is_nan());
    let missing = (all - values.len()) as u64;
    values.sort_unstable_by(f32::total_cmp);
    let range = values
        .first()
        .zip(values.last())
        .map(|(low, high)| (f64::from(*low), f64::from(*high)));
    let mut edges: Vec<f64> = Vec::new();
    let mut starts: Vec<usize> = vec![0];
    for bin in 1..BINS {
        let rank = bin * values.len() / BINS;
        let Some(value) = values.get(rank).copied() else {
            continue;
        };
        let start = values.partition_point(|other| *other < value);
        let Some(below) = start.checked_sub(1).and_then(|at| values.get(at)).copied() else {
            continue;
        };
        if starts.last().is_some_and(|last| *last < start) {
            edges.push(shortest_between(below, value));
            starts.push(start);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([values.len()]);
    let bins: Vec<&[f32]> = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| values.get(*start..end).unwrap_or_default())
        .collect();
    Histogram {
        edges,
        counts: bins.iter().map(|bin| bin.len() as u64).collect(),
        sums: bins
            .iter()
            .map(|bin| rounded(bin.iter().map(|value| f64::from(*value)).sum()))
            .collect(),
        missing,
        range,
    }
}

/// The number with the fewest digits that is above `low` and not above `high`.
fn shortest_between(low: f32, high: f32) -> f64 {
    let (low, high) = (f64::from(low), f64::from(high));
    let middle = low / 2.0 + high / 2.0;
    for digits in 0..17 {
        let candidate: f64 = format!("{middle:.digits$e}").parse().unwrap_or(middle);
        if candidate > low && candidate <= high {
            return candidate;
        }
    }
    high
}

/// Nine significant digits, which is more than the f32 values summed have, and half as long to write.
fn rounded(sum: f64) -> f64 {
    format!("{sum:.8e}").parse().unwrap_or(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_alerts_on_no_more_than_the_share_asked_for() {
        let scores: Vec<f64> = (0..1_000).map(|i| f64::from(i) / 1_000.0).collect();
        for rate in [0.0, 0.001, 0.01, 0.1, 0.5, 1.0] {
            let threshold = threshold(&scores, rate);
            assert!(
                (alert_rate(&scores, threshold) - rate).abs() < 1e-12,
                "{rate}: {threshold}"
            );
        }
    }

    #[test]
    fn ties_at_the_cut_stay_below_it() {
        let mut scores = vec![0.4; 90];
        scores.extend([0.6; 8]);
        scores.extend([0.8; 2]);
        assert_eq!(alert_rate(&scores, threshold(&scores, 0.05)), 0.02);
        assert_eq!(alert_rate(&scores, threshold(&scores, 0.10)), 0.10);
        assert_eq!(alert_rate(&[0.5; 10], threshold(&[0.5; 10], 0.2)), 0.0);
    }

    #[test]
    fn the_table_gives_back_the_share_of_rows_above_a_score() {
        let sorted: Vec<f64> = (0..100_000)
            .map(|i| (f64::from(i) / 100_000.0).sqrt())
            .collect();
        let table = calibration(&sorted, Some(0.99));
        assert_eq!(table.tail.first(), Some(&1.0));
        assert!(table.scores.is_sorted() && table.tail.iter().rev().is_sorted());
        for score in [0.1, 0.5, 0.9, 0.99, 0.999] {
            let truth = alert_rate(&sorted, score);
            let relative = (table.p_value(score) - truth).abs() / truth;
            assert!(relative < 0.03, "{score}: {relative}");
        }
    }

    #[test]
    fn histograms_count_every_value_once() {
        let mut values: Vec<f32> = (0..10_000).map(|i| (i % 300) as f32 / 10.0).collect();
        values.extend([f32::NAN; 7]);
        let made = histogram(&mut values);
        assert_eq!(made.missing, 7);
        assert_eq!(made.counts.iter().sum::<u64>(), 10_000);
        assert_eq!(made.counts.len(), made.edges.len() + 1);
        assert!(made.edges.len() >= 100 && made.edges.is_sorted());
        let sum: f64 = made.sums.iter().sum();
        assert!((sum - 149_000.0).abs() < 1_000.0);
        let constant = histogram(&mut vec![3.0; 50]);
        assert_eq!((constant.edges.len(), constant.counts), (0, vec![50]));
        assert_eq!(histogram(&mut vec![f32::NAN; 3]).counts, vec![0]);
    }
}
