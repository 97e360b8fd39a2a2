//! Two releases on the same rows: what `hodoscope evaluate` answers with and what evidence carries.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Rows that both scored.
    pub rows: u64,
    /// What counts as current.
    pub current: Side,
    /// What may replace it.
    pub candidate: Side,
    /// The share of rows with another verdict; none if one of them has no threshold.
    pub flip_rate: Option<f64>,
    /// Rows that only the current release calls anomalies.
    pub only_current: Option<u64>,
    /// Rows that only the candidate calls anomalies.
    pub only_candidate: Option<u64>,
    /// Spearman's rank correlation of the scores; none if one side is constant.
    pub rank_correlation: Option<f64>,
    /// How far the highest rows are the same rows.
    pub top: Vec<Agreement>,
    /// The largest distance between the distributions of scores (Kolmogorov and Smirnov).
    pub kolmogorov_smirnov: Option<f64>,
    /// The mean of candidate minus current.
    pub mean_shift: f64,
    /// The largest change of one row's score.
    pub largest_change: f64,
    /// How the reasons for scores moved; none unless both explain.
    pub attribution: Option<AttributionShift>,
}

/// What one release did with the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Its name, or the path of its file.
    pub release: String,
    /// The component's digest.
    pub digest: Digest,
    /// The component's length in bytes.
    pub size_bytes: u64,
    /// The score at and above which a row is an anomaly.
    pub threshold: Option<f64>,
    /// The share of rows at or above the threshold.
    pub alert_rate: Option<f64>,
    /// The mean score.
    pub mean: f64,
    /// Scores that so many rows do not exceed.
    pub quantiles: Quantiles,
    /// The area under the ROC curve of the labelled rows.
    pub roc_auc: Option<f64>,
    /// The average precision of the labelled rows.
    pub average_precision: Option<f64>,
    /// The share of labelled anomalies at or above the threshold.
    pub recall: Option<f64>,
    /// The share of rows labelled normal at or above the threshold.
    pub false_alarm_rate: Option<f64>,
    /// Rows that one core scores in a second.
    pub rows_per_second_per_core: f64,
    /// How long calls take; measured in turn with the other side's.
    pub latency: Option<Latency>,
}

/// Scores that so many rows do not exceed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: Option<f64>,
    /// 90 %.
    pub p90: Option<f64>,
    /// 99 %.
    pub p99: Option<f64>,
    /// 99.9 %.
    pub p999: Option<f64>,
}

/// How long calls take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Calls with one row.
    pub one_row: CallLatency,
    /// Calls with a hundred rows.
    pub hundred_rows: CallLatency,
}

/// Latencies of calls of one size, in microseconds, in the calmest of several rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CallLatency {
    /// The median.
    pub p50_us: f64,
    /// What 99 % of the calls do not exceed.
    pub p99_us: f64,
}

/// How far the highest rows are the same rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// So many of the highest rows of each.
    pub rows: u64,
    /// The share that both have among them.
    pub agreement: f64,
}

/// How the reasons for scores moved: each side's share of all attribution (absolute bits) by feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttributionShift {
    /// Rows that both explained.
    pub rows: u64,
    /// Half the sum of the differences: 0 the same reasons, 1 wholly other ones.
    pub total_variation: f64,
    /// By feature, the largest difference first.
    pub features: Vec<FeatureShare>,
}

/// One feature's share of all attribution; each side's shares add up to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureShare {
    /// Its name.
    pub name: String,
    /// Its share in the current release; 0 if that does not take the feature.
    pub current: f64,
    /// Its share in the candidate.
    pub candidate: f64,
}
