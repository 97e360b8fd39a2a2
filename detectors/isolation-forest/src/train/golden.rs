//! The rows that ride in a component and are scored again at every load: rows of the calibration sample from the least to
//! the most anomalous, rows made of each feature's extremes, values beyond them, and missing ones.

use std::ops::Range;

use super::random::Random;
use super::sample::Sample;
use crate::forest::{Forest, Node};

/// Rows taken from the data, evenly over the order of their scores.
const FROM_DATA: usize = 24;

/// About 32 rows, the same for the same sample. Values are those of f32, which every row kept has.
pub(super) fn rows(
    sample: &Sample,
    range: Range<usize>,
    scores: &[f64],
    width: usize,
) -> Vec<Vec<f64>> {
    let wide = |row: &[f32]| {
        row.iter()
            .map(|value| f64::from(*value))
            .collect::<Vec<f64>>()
    };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let score = |at: &usize| scores.get(*at).copied().unwrap_or_default();
    order
        .sort_unstable_by(|left, right| score(left).total_cmp(&score(right)).then(left.cmp(right)));
    let taken = FROM_DATA.min(order.len());
    let mut rows: Vec<Vec<f64>> = (0..taken)
        .filter_map(|at| order.get(at * (order.len() - 1) / (taken - 1).max(1)))
        .map(|at| wide(sample.row(range.start + at)))
        .collect();
    let (mut low, mut high) = (vec![f32::INFINITY; width], vec![f32::NEG_INFINITY; width]);
    for at in range {
        for ((low, high), value) in low.iter_mut().zip(&mut high).zip(sample.row(at)) {
            *low = low.min(*value);
            *high = high.max(*value);
        }
    }
    // A column without any value has no extremes.
    let present = |value: &f32| if value.is_finite() { *value } else { 0.0 };
    let low: Vec<f32> = low.iter().map(present).collect();
    let high: Vec<f32> = high.iter().map(present).collect();
    let mixed = |even: &[f32], odd: &[f32]| -> Vec<f64> {
        let pairs = even.iter().zip(odd).enumerate();
        pairs
            .map(|(at, (even, odd))| f64::from(if at % 2 == 0 { *even } else { *odd }))
            .collect()
    };
    let missing = vec![f32::NAN; width];
    let typical = rows
        .first()
        .map(|row| row.iter().map(|value| *value as f32).collect())
        .unwrap_or_else(|| low.clone());
    rows.extend([
        wide(&low),
        wide(&high),
        mixed(&low, &high),
        mixed(&high, &low),
    ]);
    rows.extend([
        mixed(&typical, &missing),
        wide(&missing),
        vec![f64::from(f32::MAX); width],
        vec![f64::from(f32::MIN); width],
    ]);
    rows
}

/// Rows for a forest that comes without data: on and beside thresholds of its own, drawn with a fixed seed, and the same
/// extremes and missing values.
pub(crate) fn boundary_rows(forest: &Forest) -> Vec<Vec<f64>> {
    let mut thresholds = vec![vec![0.0f32]; forest.features.len()];
    for node in forest.trees.iter().flat_map(|tree| &tree.nodes) {
        if let Node::Split {
            feature, threshold, ..
        } = node
            && let Some(own) = thresholds.get_mut(*feature as usize)
        {
            own.push(*threshold);
        }
    }
    let mut random = Random::new(0, 0);
    let mut draw = |own: &Vec<f32>| {
        let value = own
            .get(random.below(own.len()))
            .copied()
            .unwrap_or_default();
        f64::from(if random.coin() {
            value
        } else {
            value.next_up()
        })
    };
    let mut rows: Vec<Vec<f64>> = (0..FROM_DATA)
        .map(|_| thresholds.iter().map(&mut draw).collect())
        .collect();
    let width = thresholds.len();
    let half: Vec<f64> = thresholds
        .iter()
        .enumerate()
        .map(|(at, own)| if at % 2 == 0 { draw(own) } else { f64::NAN })
        .collect();
    rows.extend([
        half,
        vec![f64::NAN; width],
        vec![f64::from(f32::MAX); width],
        vec![f64::from(f32::MIN); width],
    ]);
    rows
}
