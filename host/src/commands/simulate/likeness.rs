//! Rows like those a release was trained on, for any detector: its golden rows with a little noise, labelled anomalies
//! that push a few features far outside, and a drift that moves a third of the features slowly. What rides in the
//! component is all that is known, so this is a stream to watch a server with, not a measure of a detector.

use super::source::Row;
use super::tally::Truth;
use super::telemetry::{Random, Wear};

/// The share of anomalies.
const ANOMALY_RATE: f64 = 0.01;
/// Noise on a normal value, in spreads of its feature.
const JITTER: f64 = 0.03;
/// How far an anomaly pushes a feature, in ranges of the feature.
const PUSH: f64 = 1.5;
/// How far drift moves a feature, in spreads.
const DRIFT: f64 = 2.0;

/// The endless stream of rows.
#[derive(Debug, Clone)]
pub(super) struct Likeness {
    rows: Vec<Vec<f64>>,
    features: Vec<Extent>,
    random: Random,
    wear: Option<Wear>,
    row: u64,
}

/// What is known of one feature.
#[derive(Debug, Clone, Copy)]
struct Extent {
    low: f64,
    high: f64,
    spread: f64,
    whole: bool,
    drifts: bool,
}

impl Likeness {
    /// Starts a stream from golden rows and their scores; the half with the lower scores counts as normal. `None`
    /// without rows.
    pub(super) fn new(
        rows: &[Vec<Option<f64>>],
        scores: &[f64],
        seed: u64,
        wear: Option<Wear>,
    ) -> Option<Self> {
        let mut order: Vec<(f64, &Vec<Option<f64>>)> = scores.iter().copied().zip(rows).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        order.truncate(order.len().div_ceil(2));
        let rows: Vec<Vec<f64>> = order
            .into_iter()
            .map(|(_, row)| row.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
            .collect();
        let width = rows.first()?.len();
        let features = (0..width)
            .map(|feature| Extent::of(&rows, feature))
            .collect();
        Some(Self {
            rows,
            features,
            random: Random::new(seed),
            wear,
            row: 0,
        })
    }
}

impl Extent {
    fn of(rows: &[Vec<f64>], feature: usize) -> Self {
        let values: Vec<f64> = rows
            .iter()
            .filter_map(|row| row.get(feature))
            .copied()
            .filter(|v| v.is_finite())
            .collect();
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
        let low = values.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let high = values.iter().copied().reduce(f64::max).unwrap_or(0.0);
        Self {
            low,
            high,
            spread,
            whole: values.iter().all(|v| v.fract() == 0.0),
            drifts: feature.is_multiple_of(3),
        }
    }

    fn rounded(&self, value: f64) -> f64 {
        if self.whole { value.round() } else { value }
    }
}

impl Iterator for Likeness {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let extent = self.wear.map_or(0.0, |wear| wear.extent(self.row));
        self.row += 1;
        let random = &mut self.random;
        let mut values = random.pick_ref(&self.rows)?.clone();
        let anomaly = random.uniform() < ANOMALY_RATE;
        for (value, feature) in values.iter_mut().zip(&self.features) {
            let drift = if feature.drifts {
                DRIFT * extent * feature.spread
            } else {
                0.0
            };
            *value = feature.rounded(*value + random.normal() * JITTER * feature.spread + drift);
        }
        if anomaly {
            for _ in 0..3 {
                let place = random.below(values.len());
                if let (Some(value), Some(feature)) =
                    (values.get_mut(place), self.features.get(place))
                {
                    let range = (feature.high - feature.low).max(1.0);
                    let up = random.uniform() < 0.5;
                    *value = feature.rounded(if up {
                        feature.high + PUSH * range
                    } else {
                        feature.low - PUSH * range
                    });
                }
            }
        }
        Some(Row {
            values,
            truth: if anomaly {
                Truth::Anomaly
            } else {
                Truth::Normal
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> (Vec<Vec<Option<f64>>>, Vec<f64>) {
        let rows = (0..40)
            .map(|i| vec![Some(f64::from(i)), Some(f64::from(i) / 10.0 + 0.5), None])
            .collect();
        (rows, (0..40).map(|i| f64::from(i) / 40.0).collect())
    }

    #[test]
    fn normal_rows_stay_near_the_golden_ones_and_whole_numbers_stay_whole() {
        let (rows, scores) = golden();
        let stream = Likeness::new(&rows, &scores, 3, None).unwrap();
        for row in stream.take(2000).filter(|row| row.truth == Truth::Normal) {
            assert_eq!(row.values[0].fract(), 0.0);
            assert!((-2.0..23.0).contains(&row.values[0]), "{:?}", row.values);
            assert!(row.values[2].is_nan());
        }
    }

    #[test]
    fn about_one_in_a_hundred_is_far_outside_and_drift_moves_the_rest() {
        let (rows, scores) = golden();
        let wear = Wear {
            from_row: 0,
            ramp_rows: 0,
        };
        let plain: Vec<Row> = Likeness::new(&rows, &scores, 3, None)
            .unwrap()
            .take(5000)
            .collect();
        let drifted: Vec<Row> = Likeness::new(&rows, &scores, 3, Some(wear))
            .unwrap()
            .take(5000)
            .collect();
        let anomalies = plain
            .iter()
            .filter(|row| row.truth == Truth::Anomaly)
            .count();
        assert!((25..80).contains(&anomalies), "{anomalies}");
        let mean =
            |rows: &[Row]| rows.iter().map(|row| row.values[0]).sum::<f64>() / rows.len() as f64;
        assert!(mean(&drifted) > mean(&plain) + 5.0);
    }

    #[test]
    fn says_nothing_without_golden_rows() {
        assert!(Likeness::new(&[], &[], 1, None).is_none());
    }
}
