//! Training on rows in memory that the caller has divided: the trees see one part only; threshold, calibration table,
//! profile and golden rows come from the other. For retraining, where the trees' part is filtered and the other must not be.

use hodoscope_release::Digest;

use super::options::Plan;
use super::sample::Sample;
use super::{
    Found, Report, Split, Timings, TrainError, TrainOptions, Trained, fit, score_sample, sections,
    warnings,
};
use crate::input::{InputError, demote};

/// Rows in two parts, row-major; NaN is missing.
#[derive(Debug, Clone, Copy)]
pub struct Divided<'a> {
    /// The names of the features, in the order of the values.
    pub features: &'a [String],
    /// Rows for the trees.
    pub trees: &'a [f64],
    /// Rows that no tree sees, as they came: the share of them that alerts is the share of traffic that will.
    pub held_out: &'a [f64],
    /// How many rows were read to choose these from.
    pub rows: u64,
    /// What the rows that were read hash to.
    pub digest: Option<Digest>,
}

/// Trains on divided rows; `exact_threshold` is not used. The same rows in the same order, options and seed give the same
/// bytes. Call it within the rayon pool whose threads it may use.
pub fn train_divided(data: Divided<'_>, options: &TrainOptions) -> Result<Trained, TrainError> {
    let width = data.features.len();
    let plan = Plan::new(options, width)?;
    let whole = |values: &[f64]| values.len() / width.max(1);
    let (pool, held_out) = (whole(data.trees), whole(data.held_out));
    if pool == 0 || held_out == 0 {
        return Err(InputError::NoRows("the divided rows".to_owned()).into());
    }
    let trees = data.trees.iter().take(pool * width);
    let values = trees.chain(data.held_out.iter().take(held_out * width));
    let sample = Sample::of(values.map(|value| demote(*value)).collect(), width);
    let split = Split {
        pool,
        calibration: pool..pool + held_out,
        shared: false,
    };
    let mut forest = fit(&sample, data.features, options, &plan, &split, &());
    let scores = score_sample(&forest, &sample, split.calibration.clone());
    let mut sorted = scores.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    forest.threshold = options.contamination.threshold(&sorted);
    let found = Found {
        rows: data.rows,
        metrics: None,
        exact_rate: None,
        data_digest: data.digest,
    };
    let ranked = (scores.as_slice(), sorted.as_slice());
    let sections = sections(&forest, &sample, &split, ranked, options, &found);
    let rate = sections.calibration.as_ref().map(|table| table.alert_rate);
    let report = Report {
        rows: data.rows,
        features: width,
        trees: forest.trees.len(),
        sample_size: plan.sample_size.min(pool),
        calibration_rows: held_out as u64,
        threshold: forest.threshold,
        alert_rate: forest.threshold.and(rate),
        exact: false,
        metrics: None,
        warnings: warnings(&forest, &plan, &split, &found, false),
        timings: Timings::default(),
    };
    Ok(Trained {
        forest,
        sections,
        report,
    })
}
