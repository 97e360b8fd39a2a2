//! Whether the older and the newer half of the rows tell the same story: a forest of each half alerts on the other's rows
//! about as often as on its own. A window that was poisoned, or a world that changed in between, tells two stories.

use hodoscope_isolation_forest::{Contamination, TrainError, TrainOptions, fit_rows, score_rows};

use crate::evidence::Frame;
use crate::evidence::statistics::sorted;

/// Fewer held-out rows than this in a half say nothing about a share of one percent.
const ROWS_LEAST: usize = 500;

/// How each half's forest gets on with the other half.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Halves {
    /// The share of the newer half that the older half's forest alerts on.
    pub older_on_newer: f64,
    /// The share of the older half that the newer half's forest alerts on.
    pub newer_on_older: f64,
    /// The share that each forest alerts on in its own half.
    pub target: f64,
    /// The fewest rows of one half that the shares were counted on.
    pub rows: usize,
}

/// Measures. `ages` says of the rows of both frames whether they are of the newer half.
pub(super) fn measure(
    trees: &Frame,
    held_out: &Frame,
    ages: &(Vec<bool>, Vec<bool>),
    options: &TrainOptions,
) -> Result<Option<Halves>, TrainError> {
    let Contamination::Share(target) = options.contamination else {
        return Ok(None);
    };
    let part = |frame: &Frame, ages: &[bool], newer: bool| -> Vec<f32> {
        let rows = ages.iter().enumerate().filter(|(_, age)| **age == newer);
        let rows: Vec<usize> = rows.map(|(row, _)| row).collect();
        frame.pick(&rows).narrow()
    };
    let width = held_out.width();
    let known = [false, true].map(|newer| part(held_out, &ages.1, newer));
    let rows = known.iter().map(|rows| rows.len() / width).min();
    let rows = rows.unwrap_or_default();
    if rows < ROWS_LEAST || target <= 0.0 {
        return Ok(None);
    }
    let [older, newer] = &known;
    let cross = |own: &[f32], other: &[f32], is_newer: bool| -> Result<f64, TrainError> {
        let forest = fit_rows(&part(trees, &ages.0, is_newer), held_out.names(), options)?;
        let rising = sorted(&score_rows(&forest, own));
        let cut = rising.len() - ((target * rising.len() as f64) as usize).min(rising.len());
        let highest_normal = cut.checked_sub(1).and_then(|at| rising.get(at)).copied();
        let highest_normal = highest_normal.unwrap_or(f64::NEG_INFINITY);
        let scores = score_rows(&forest, other);
        let alerts = scores.iter().filter(|score| **score > highest_normal);
        Ok(alerts.count() as f64 / scores.len().max(1) as f64)
    };
    Ok(Some(Halves {
        older_on_newer: cross(older, newer, false)?,
        newer_on_older: cross(newer, older, true)?,
        target,
        rows,
    }))
}
