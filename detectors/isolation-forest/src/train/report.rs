//! What training tells its caller: progress while it runs, figures when it is done.

use std::time::Duration;

use crate::metrics::Metrics;

/// Who wants to know how far training is. Calls come from any thread, often; they must be cheap.
pub trait Progress: Sync {
    /// Rows read so far, and how many there are if that is known.
    fn rows(&self, _done: u64, _total: Option<u64>) {}
    /// Trees grown so far.
    fn trees(&self, _done: usize, _total: usize) {}
    /// Rows read again for the exact threshold.
    fn rescored(&self, _done: u64, _total: u64) {}
}

/// Nobody does.
impl Progress for () {}

/// How long the steps took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Timings {
    /// Reading and sampling.
    pub read: Duration,
    /// Growing trees.
    pub grow: Duration,
    /// Scoring the calibration rows, threshold, tables; the second reading if there is one.
    pub calibrate: Duration,
}

/// What training found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Rows read.
    pub rows: u64,
    /// Features per row.
    pub features: usize,
    /// Trees grown.
    pub trees: usize,
    /// Rows per tree.
    pub sample_size: usize,
    /// Rows that the threshold and the tables were made from.
    pub calibration_rows: u64,
    /// Rows at or above it are anomalies.
    pub threshold: Option<f64>,
    /// The share of rows that alert: of all if `exact`, else of the calibration rows.
    pub alert_rate: Option<f64>,
    /// Whether threshold and metrics are over all rows.
    pub exact: bool,
    /// How well the labelled rows are told apart: all of them if `exact`, else those for calibration.
    pub metrics: Option<Metrics>,
    /// What the caller should know.
    pub warnings: Vec<String>,
    /// How long the steps took.
    pub timings: Timings,
}
