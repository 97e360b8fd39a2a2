//! Another threshold for the same trees: reads a component back, moves the threshold by the calibration table that rides
//! in it or to a given score, and compiles it again. Scores, golden rows and explanations stay as they were.

use hodoscope_release::Digest;
use hodoscope_release::sections::Calibration;
use serde_json::json;

use crate::emit::{EmitError, ReadError, emit, read_forest};

/// Where the threshold goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// So that this share of the calibration rows alerts.
    AlertRate(f64),
    /// To this score.
    Threshold(f64),
}

/// Why a component keeps its threshold.
#[derive(Debug, thiserror::Error)]
pub enum RetuneError {
    /// It is not one of ours.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It could not be written again.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// No table to look the rate up in.
    #[error(
        "the release has no calibration table (imported forests have none); give --threshold instead of --alert-rate"
    )]
    NoCalibration,
    /// Not a rate.
    #[error("--alert-rate {0}: a share of rows within 0..=0.5")]
    Rate(f64),
    /// Finer than the table.
    #[error(
        "--alert-rate {rate}: finer than the {rows} rows the release was calibrated on can tell; the least is {least:e}, or give --threshold"
    )]
    Fine {
        /// What was asked for.
        rate: f64,
        /// How many rows the table has.
        rows: u64,
        /// The least rate.
        least: f64,
    },
    /// Not a score.
    #[error("--threshold {0}: a score within 0..=1")]
    Threshold(f64),
}

/// What retuning gives.
#[derive(Debug)]
pub struct Retuned {
    /// The new component.
    pub component: Vec<u8>,
    /// The threshold before.
    pub before: Option<f64>,
    /// The threshold now.
    pub after: f64,
    /// The share of calibration rows that alerted before.
    pub alert_rate_before: Option<f64>,
    /// The share that alerts now.
    pub alert_rate_after: Option<f64>,
}

/// Compiles a component's forest again with another threshold.
pub fn retune(component: &[u8], target: Target) -> Result<Retuned, RetuneError> {
    let (mut forest, mut sections) = read_forest(component)?;
    let after = match target {
        Target::Threshold(score) if (0.0..=1.0).contains(&score) => score,
        Target::Threshold(score) => return Err(RetuneError::Threshold(score)),
        Target::AlertRate(rate) => {
            let table = sections
                .calibration
                .as_ref()
                .ok_or(RetuneError::NoCalibration)?;
            threshold_at(table, rate)?
        }
    };
    let before = forest.threshold;
    let alert_rate_before = sections
        .calibration
        .as_ref()
        .filter(|_| before.is_some())
        .map(|table| table.alert_rate);
    forest.threshold = Some(after);
    let mut alert_rate_after = None;
    if let Some(table) = &mut sections.calibration {
        table.alert_rate = share_above(table, after);
        alert_rate_after = Some(table.alert_rate);
    }
    let origin = Digest::of(component).to_string();
    forest.metadata.retain(|(key, _)| key != "retuned-from");
    forest.metadata.push(("retuned-from".to_owned(), origin));
    if let Some(training) = &mut sections.training {
        training
            .options
            .retain(|key, _| !key.starts_with("retuned-"));
        let (key, value) = match target {
            Target::AlertRate(rate) => ("retuned-alert-rate", rate),
            Target::Threshold(score) => ("retuned-threshold", score),
        };
        training.options.insert(key.to_owned(), json!(value));
    }
    Ok(Retuned {
        component: emit(&forest, &sections)?,
        before,
        after,
        alert_rate_before,
        alert_rate_after,
    })
}

/// The score at or above which about this share of the calibration rows lies.
fn threshold_at(table: &Calibration, rate: f64) -> Result<f64, RetuneError> {
    if !(0.0..=0.5).contains(&rate) {
        return Err(RetuneError::Rate(rate));
    }
    let least = 1.0 / table.rows.max(1) as f64;
    if rate > 0.0 && rate < least {
        return Err(RetuneError::Fine {
            rate,
            rows: table.rows,
            least,
        });
    }
    let at = table.tail.partition_point(|tail| *tail > rate);
    let point = |at: usize| {
        table
            .tail
            .get(at)
            .copied()
            .zip(table.scores.get(at).copied())
    };
    match (at.checked_sub(1).and_then(point), point(at)) {
        (Some((wider, low)), Some((tail, high))) => {
            let share = (wider - rate) / (wider - tail);
            Ok((low + share * (high - low)).max(low.next_up()).min(high))
        }
        (None, Some((_, score))) => Ok(score),
        (Some((_, highest)), None) => Ok(highest.next_up().min(1.0)),
        (None, None) => Err(RetuneError::NoCalibration),
    }
}

/// The share of calibration rows at or above a score: the table's p-value without its correction for small numbers.
fn share_above(table: &Calibration, score: f64) -> f64 {
    let rows = table.rows.max(1) as f64;
    ((table.p_value(score) * (rows + 1.0) - 1.0) / rows).clamp(0.0, 1.0)
}
