//! From a table to a forest and the documents that ride with it: one reading into a sample, trees from its first rows,
//! threshold, calibration table and profile from the rest. Bounded by the sample, whatever the size of the table; the
//! result depends on the rows, the options and the seed, never on threads, chunks or the clock.

mod exact;
mod golden;
mod grow;
mod options;
mod random;
mod ranks;
mod report;
mod rows;
mod sample;
mod scorer;

use std::collections::BTreeMap;
use std::time::Instant;

use hodoscope_release::Digest;
use hodoscope_release::sections::{SCHEMA, Training};

use crate::calibrate;
use crate::forest::{Feature, Forest, Sections, average_path_length};
use crate::input::{InputError, Table};
use crate::metrics::{Metrics, metrics};

pub use options::{Contamination, MaxFeatures, OptionsError, TrainOptions};
pub use report::{Progress, Report, Timings};
pub use rows::{Divided, train_divided};

pub(crate) use golden::boundary_rows;
pub(crate) use grow::{expect_lengths, round_down};

use grow::{Rows, Shape, grow};
use options::Plan;
use sample::{Reservoir, Sample};
use scorer::{LANES, Scorer, Scratch};

/// With fewer rows left than this for calibration, it shares its rows with the trees.
const CALIBRATION_ROWS_LEAST: usize = 1_000;

/// What training gives.
#[derive(Debug)]
pub struct Trained {
    /// The forest, for `emit`.
    pub forest: Forest,
    /// What rides beside it.
    pub sections: Sections,
    /// What people want to know.
    pub report: Report,
}

/// Why training failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The table cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// An option is out of range.
    #[error(transparent)]
    Options(#[from] OptionsError),
}

/// Trains a forest on the rows of a table. Call it within the rayon pool whose threads it may use.
pub fn train(
    table: &mut Table,
    options: &TrainOptions,
    progress: &dyn Progress,
) -> Result<Trained, TrainError> {
    let width = table.features().len();
    let plan = Plan::new(options, width)?;
    if options.exact_threshold && !table.rereadable() {
        return Err(InputError::ReadOnce.into());
    }
    let started = Instant::now();
    let mut timings = Timings::default();
    let mut reservoir = Reservoir::new(
        options.seed,
        width,
        plan.pool + plan.calibration,
        table.rows(),
    );
    let total = table.rows();
    let rows = table.read(|chunk, position| {
        reservoir.offer(chunk, position);
        progress.rows(position.rows + chunk.rows as u64, total);
        Ok(())
    })?;
    let sample = reservoir.finish();
    if rows == 0 {
        return Err(InputError::NoRows(table.name().to_owned()).into());
    }
    timings.read = started.elapsed();
    let split = Split::new(&plan, sample.len());
    let mut forest = fit(&sample, table.features(), options, &plan, &split, progress);
    timings.grow = started.elapsed() - timings.read;

    let scores = score_sample(&forest, &sample, split.calibration.clone());
    let mut sorted = scores.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let labels: Vec<f32> = split
        .calibration
        .clone()
        .map(|at| sample.label(at))
        .collect();
    let mut found = Found {
        rows,
        metrics: if table.labelled() {
            metrics(&scores, &labels)
        } else {
            None
        },
        exact_rate: None,
        data_digest: None,
    };
    forest.threshold = options.contamination.threshold(&sorted);
    if options.exact_threshold {
        exact::exact(table, &mut forest, options, &sorted, &mut found, progress)?;
    }
    let sections = sections(
        &forest,
        &sample,
        &split,
        (&scores, &sorted),
        options,
        &found,
    );
    timings.calibrate = started.elapsed() - timings.read - timings.grow;
    let rate = sections
        .calibration
        .as_ref()
        .map(|calibration| calibration.alert_rate);
    let report = Report {
        rows,
        features: width,
        trees: forest.trees.len(),
        sample_size: plan.sample_size.min(split.pool),
        calibration_rows: split.calibration.len() as u64,
        threshold: forest.threshold,
        alert_rate: forest.threshold.and(found.exact_rate.or(rate)),
        exact: options.exact_threshold,
        metrics: found.metrics,
        warnings: warnings(&forest, &plan, &split, &found, table.labelled()),
        timings,
    };
    Ok(Trained {
        forest,
        sections,
        report,
    })
}

/// What readings of the table showed.
struct Found {
    rows: u64,
    metrics: Option<Metrics>,
    /// The alert rate over all rows, where they were read again.
    exact_rate: Option<f64>,
    /// What the rows hash to, where the caller hashed them.
    data_digest: Option<Digest>,
}

/// Which rows of the sample, in its order, do what.
struct Split {
    pool: usize,
    calibration: std::ops::Range<usize>,
    shared: bool,
}

impl Split {
    fn new(plan: &Plan, sampled: usize) -> Self {
        let pool = plan.pool.min((sampled / 2).max(plan.sample_size));
        if sampled < pool + CALIBRATION_ROWS_LEAST {
            return Self {
                pool: sampled,
                calibration: 0..sampled,
                shared: true,
            };
        }
        Self {
            pool,
            calibration: pool..sampled.min(pool + plan.calibration),
            shared: false,
        }
    }
}

fn fit(
    sample: &Sample,
    features: &[String],
    options: &TrainOptions,
    plan: &Plan,
    split: &Split,
    progress: &dyn Progress,
) -> Forest {
    let pool = sample.prefix(split.pool);
    let rows = Rows {
        values: &pool,
        width: features.len(),
    };
    let grown = std::sync::atomic::AtomicUsize::new(0);
    let tick = || {
        let count = grown.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        progress.trees(count, options.trees);
    };
    forest_of(rows, features, options, plan, &tick)
}

/// Fits a forest on rows in memory (row-major, f32, NaN missing): what scikit-learn's `fit` does, without a threshold.
pub fn fit_rows(
    values: &[f32],
    features: &[String],
    options: &TrainOptions,
) -> Result<Forest, TrainError> {
    let width = features.len().max(1);
    let plan = Plan::new(options, features.len())?;
    if values.len() < width {
        return Err(InputError::NoRows("the rows".to_owned()).into());
    }
    let whole = values.len() - values.len() % width;
    let rows = Rows {
        values: values.get(..whole).unwrap_or_default(),
        width,
    };
    Ok(forest_of(rows, features, options, &plan, &|| {}))
}

fn forest_of(
    rows: Rows<'_>,
    features: &[String],
    options: &TrainOptions,
    plan: &Plan,
    tick: &(dyn Fn() + Sync),
) -> Forest {
    let sample_size = plan.sample_size.min(rows.values.len() / rows.width);
    let shape = Shape {
        trees: options.trees,
        sample_size,
        features: plan.features,
        seed: options.seed,
    };
    let feature = |name: &String| Feature {
        name: name.clone(),
        unit: None,
    };
    Forest {
        features: features.iter().map(feature).collect(),
        trees: grow(rows, shape, tick),
        normaliser: average_path_length(sample_size as u64),
        threshold: None,
        metadata: vec![
            ("kind".to_owned(), "isolation-forest".to_owned()),
            ("trees".to_owned(), options.trees.to_string()),
            ("sample-size".to_owned(), sample_size.to_string()),
        ],
    }
}

/// Scores rows in memory (row-major, f32) on the threads of the current rayon pool.
pub fn score_rows(forest: &Forest, values: &[f32]) -> Vec<f64> {
    let width = forest.features.len();
    score_blocks(
        &Scorer::new(forest),
        values.len() / width,
        |start, scratch| {
            let rows = values.get(start * width..).unwrap_or_default();
            for (feature, lane) in scratch.block.iter_mut().enumerate() {
                let column = rows.iter().skip(feature).step_by(width);
                for (place, value) in lane.iter_mut().zip(column) {
                    *place = *value;
                }
            }
        },
    )
}

fn score_sample(forest: &Forest, sample: &Sample, range: std::ops::Range<usize>) -> Vec<f64> {
    score_blocks(&Scorer::new(forest), range.len(), |start, scratch| {
        for lane in 0..LANES.min(range.len() - start) {
            scratch.set_row(lane, sample.row(range.start + start + lane));
        }
    })
}

/// Scores `rows` rows, [`LANES`] at a time: `fill` puts those from a start on into the scratch.
fn score_blocks(
    scorer: &Scorer,
    rows: usize,
    fill: impl Fn(usize, &mut Scratch) + Sync,
) -> Vec<f64> {
    use rayon::prelude::*;
    let mut scores = vec![0.0; rows];
    let blocks = scores.par_chunks_mut(LANES).enumerate();
    blocks.for_each_init(
        || scorer.scratch(),
        |scratch, (block, out)| {
            fill(block * LANES, scratch);
            for (out, score) in out.iter_mut().zip(scorer.score(scratch)) {
                *out = score;
            }
        },
    );
    scores
}

fn sections(
    forest: &Forest,
    sample: &Sample,
    split: &Split,
    (scores, sorted): (&[f64], &[f64]),
    options: &TrainOptions,
    found: &Found,
) -> Sections {
    let width = forest.features.len();
    let profile = calibrate::profile(width, scores, |feature, out| {
        out.extend(
            split
                .calibration
                .clone()
                .filter_map(|at| sample.row(at).get(feature)),
        );
    });
    let mut shown = BTreeMap::new();
    if let Some(figures) = found.metrics {
        shown.insert("roc_auc".to_owned(), figures.roc_auc);
        shown.insert("average_precision".to_owned(), figures.average_precision);
    }
    Sections {
        golden_rows: golden::rows(sample, split.calibration.clone(), scores, width),
        calibration: Some(calibrate::calibration(sorted, forest.threshold)),
        profile: Some(profile),
        training: Some(Training {
            schema: SCHEMA,
            trainer: concat!("hodoscope-isolation-forest ", env!("CARGO_PKG_VERSION")).to_owned(),
            rows: found.rows,
            data_digest: found.data_digest,
            options: options.recorded(),
            metrics: shown,
        }),
    }
}

fn warnings(
    forest: &Forest,
    plan: &Plan,
    split: &Split,
    found: &Found,
    labelled: bool,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let rows = found.rows;
    if plan.sample_size as u64 > rows && plan.sample_size_asked {
        let asked = plan.sample_size;
        warnings.push(format!("--sample-size {asked} is more than the {rows} rows there are: each tree sees all of them"));
    }
    if split.shared {
        warnings.push(format!(
            "only {rows} rows: threshold and calibration come from rows that the trees saw"
        ));
    }
    if rows > 1 && forest.trees.iter().all(|tree| tree.nodes.len() == 1) {
        warnings.push("all rows are equal: every row scores 0.5".to_owned());
    }
    if labelled && found.metrics.is_none() {
        warnings.push(
            "no metrics: the rows measured are not of both kinds, anomaly and normal".to_owned(),
        );
    }
    warnings
}
