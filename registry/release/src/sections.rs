//! The documents that ride inside a component as custom sections: golden rows, calibration, profile edges, training
//! provenance. Each is JSON with a schema number, so that a reader knows what it holds before it believes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The name of the custom section with [`Golden`].
pub const GOLDEN: &str = "hodoscope:golden";
/// The name of the custom section with [`Calibration`].
pub const CALIBRATION: &str = "hodoscope:calibration";
/// The name of the custom section with [`Profile`].
pub const PROFILE: &str = "hodoscope:profile";
/// The name of the custom section with [`Training`].
pub const TRAINING: &str = "hodoscope:training";
/// The schema number that this version writes and reads.
pub const SCHEMA: u32 = 1;

/// Rows and the scores they must get, bit for bit, at every load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Rows in the order of the detector's features; `None` (JSON null) is a missing value, a NaN in the batch.
    pub rows: Vec<Vec<Option<f64>>>,
    /// The score of each row.
    pub scores: Vec<f64>,
}

/// How scores of normal rows are distributed: gives the p-value beside a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// [`SCHEMA`].
    pub schema: u32,
    /// How many rows the table was made from; none of them was seen by the trees.
    pub rows: u64,
    /// The share of those rows at or above the threshold.
    pub alert_rate: f64,
    /// Falling upper-tail probabilities, from 1 down to about 1 / `rows`.
    pub tail: Vec<f64>,
    /// The score at each upper-tail probability; as many as `tail`, rising.
    pub scores: Vec<f64>,
}

impl Calibration {
    /// The share of calibration rows that scored at least `score`: an empirical p-value,
    /// `(1 + n·tail) / (n + 1)` (Phipson and Smyth 2010), interpolated linearly between the table's points.
    pub fn p_value(&self, score: f64) -> f64 {
        let rows = self.rows as f64;
        let tail = self.upper_tail(score);
        (1.0 + rows * tail) / (rows + 1.0)
    }

    fn upper_tail(&self, score: f64) -> f64 {
        let index = self.scores.partition_point(|known| *known < score);
        let (Some(above), Some(tail)) = (self.scores.get(index), self.tail.get(index)) else {
            return 0.0;
        };
        let before = index.checked_sub(1);
        match before.and_then(|i| Some((self.scores.get(i)?, self.tail.get(i)?))) {
            Some((below, wider)) if above > below => {
                let share = (score - below) / (above - below);
                wider + share * (tail - wider)
            }
            _ => *tail,
        }
    }
}

/// The edges on which a window's inputs and scores are counted, frozen with the release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// [`SCHEMA`].
    pub schema: u32,
    /// How many rows the counts were made from.
    pub rows: u64,
    /// One histogram per feature, in the order of the features.
    pub features: Vec<Histogram>,
    /// The histogram of scores.
    pub scores: Histogram,
}

/// Counts between edges. Bin `i` holds `edges[i-1] <= x < edges[i]`; the first and last are open to the outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// Rising, distinct, finite.
    pub edges: Vec<f64>,
    /// One more than there are edges.
    pub counts: Vec<u64>,
    /// The sum of the values in each bin; as many as `counts`.
    pub sums: Vec<f64>,
    /// How many values were missing.
    pub missing: u64,
    /// The least and the greatest value; none if all were missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
}

/// Where a trained release comes from. Holds no time and no path, so that the same training gives the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The trainer and its version.
    pub trainer: String,
    /// Rows that were read.
    pub rows: u64,
    /// What the input hashes to, if it was hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_digest: Option<crate::Digest>,
    /// The options that shape the result, by their flag's name.
    pub options: BTreeMap<String, serde_json::Value>,
    /// Figures for people, for instance `roc_auc` where labels were given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_fall_from_one_to_one_in_n_plus_one() {
        let calibration = Calibration {
            schema: SCHEMA,
            rows: 999,
            alert_rate: 0.01,
            tail: vec![1.0, 0.5, 0.1, 0.001],
            scores: vec![0.3, 0.4, 0.5, 0.6],
        };
        assert_eq!(calibration.p_value(0.0), 1.0);
        assert!((calibration.p_value(0.4) - 0.5005).abs() < 1e-12);
        assert!((calibration.p_value(0.45) - 0.3007).abs() < 1e-12);
        assert_eq!(calibration.p_value(0.7), 0.001);
    }
}
