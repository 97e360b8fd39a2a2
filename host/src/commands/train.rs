//! `hodoscope train`: from a table to a component file. Owns the flags, the progress bar (on a terminal only) and the
//! summary; reading, growing and compiling are the forest crate's. Objects in S3 are brought to temporary files first.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use hodoscope_isolation_forest::{
    Contamination, InputFile, MaxFeatures, Progress, Report, Selection, Table, TrainOptions, emit,
    locate, train,
};
use hodoscope_registry::tracking::Tracked;
use hodoscope_release::{DetectorName, Digest};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Context;
use crate::tracking;

mod objects;
mod record;

/// What to train on, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// CSV (also .gz) or Parquet files, folders of them, patterns in quotes, s3://bucket/key, or - for CSV on standard input
    #[arg(required = true, value_name = "TABLE")]
    pub inputs: Vec<String>,
    /// The detector's name; it rides in the component
    #[arg(long, value_name = "DETECTOR")]
    pub name: DetectorName,
    /// Where the component goes [default: NAME.wasm]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The column with 0 (normal) and 1 (anomaly): used for metrics only, never for training
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// The features, in this order [default: all columns that are not excluded]
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,…")]
    pub columns: Vec<String>,
    /// Columns to leave out
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,…")]
    pub exclude: Vec<String>,
    /// How many trees
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    pub trees: usize,
    /// Rows that each tree sees [default: 256, or all if there are fewer]
    #[arg(long, value_name = "ROWS")]
    pub sample_size: Option<usize>,
    /// Features that each tree sees: a count such as 3 or a share such as 0.5
    #[arg(long, default_value = "1.0", value_name = "COUNT|SHARE")]
    pub max_features: MaxFeatures,
    /// Where the threshold lies: the share of rows that shall alert, `auto` (a score of 0.5), or `none` (only ranks)
    #[arg(long, default_value = "0.01", value_name = "SHARE|auto|none")]
    pub contamination: Contamination,
    /// Where the random choices start: same rows, options and seed, same bytes
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Read the input again and score every row, for the exact threshold and metrics over all rows
    #[arg(long)]
    pub exact_threshold: bool,
    /// Threads to use [default: one per core]; the result does not depend on it
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
}

/// The answer, for programs.
#[derive(Debug, Serialize)]
struct Answer {
    detector: DetectorName,
    component: PathBuf,
    digest: Digest,
    size_bytes: usize,
    rows: u64,
    features: usize,
    trees: usize,
    sample_size: usize,
    calibration_rows: u64,
    threshold: Option<f64>,
    alert_rate: Option<f64>,
    exact: bool,
    roc_auc: Option<f64>,
    average_precision: Option<f64>,
    labelled_rows: Option<u64>,
    labelled_anomalies: Option<u64>,
    warnings: Vec<String>,
    seconds: f64,
    /// The run in MLflow, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    tracked: Option<Tracked>,
}

impl Answer {
    fn new(
        detector: &DetectorName,
        component: PathBuf,
        bytes: &[u8],
        report: Report,
        seconds: f64,
    ) -> Self {
        Self {
            detector: detector.clone(),
            component,
            digest: Digest::of(bytes),
            size_bytes: bytes.len(),
            rows: report.rows,
            features: report.features,
            trees: report.trees,
            sample_size: report.sample_size,
            calibration_rows: report.calibration_rows,
            threshold: report.threshold,
            alert_rate: report.alert_rate,
            exact: report.exact,
            roc_auc: report.metrics.map(|metrics| metrics.roc_auc),
            average_precision: report.metrics.map(|metrics| metrics.average_precision),
            labelled_rows: report.metrics.map(|metrics| metrics.rows),
            labelled_anomalies: report.metrics.map(|metrics| metrics.anomalies),
            warnings: report.warnings,
            seconds,
            tracked: None,
        }
    }
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (started, begun) = (std::time::Instant::now(), SystemTime::now());
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(args.threads)
        .build();
    let pool = pool.context("failed to start the threads")?;
    let selection = Selection {
        columns: args.columns.clone(),
        exclude: args.exclude.clone(),
        label: args.label.clone(),
    };
    let options = TrainOptions {
        trees: args.trees,
        sample_size: args.sample_size,
        max_features: args.max_features,
        contamination: args.contamination,
        seed: args.seed,
        exact_threshold: args.exact_threshold,
    };
    let fetched = objects::fetch(&args.inputs, context)?;
    let mut table = open(&args.inputs, &fetched, &selection)?;
    let bar = Bar::new();
    let trained = pool.install(|| train(&mut table, &options, &bar));
    bar.finish();
    let mut trained = match trained {
        Ok(trained) => trained,
        Err(error) => {
            record::failed(&args, &error, context, begun);
            return Err(error.into());
        }
    };
    trained
        .forest
        .metadata
        .insert(0, ("name".to_owned(), args.name.to_string()));
    let component = pool.install(|| emit(&trained.forest, &trained.sections))?;
    let training = trained.sections.training.take();
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.wasm", args.name)));
    write(&out, &component)?;
    let report = trained.report;
    let text = summary(&args.name, &out, &component, &report);
    let seconds = started.elapsed().as_secs_f64();
    let mut answer = Answer::new(&args.name, out, &component, report, seconds);
    let told = record::done(&args, &answer, training.as_ref(), context, begun);
    let text = text + &tracking::lines(&told);
    answer.warnings.extend(told.warnings);
    answer.tracked = told.tracked;
    context.answer(&answer, text)?;
    Ok(ExitCode::SUCCESS)
}

/// Opens standard input, or all files that the names stand for.
fn open(
    inputs: &[String],
    fetched: &objects::Fetched,
    selection: &Selection,
) -> anyhow::Result<Table> {
    if let [only] = inputs
        && only == "-"
    {
        return Ok(Table::stream(
            "standard input",
            Box::new(std::io::stdin()),
            selection,
        )?);
    }
    let mut files: Vec<InputFile> = Vec::new();
    for input in inputs {
        match fetched.get(input) {
            Some(objects) => files.extend(objects.iter().cloned()),
            None if input == "-" => {
                bail!("`-` (standard input) cannot be combined with other inputs")
            }
            None => files.extend(locate(input)?),
        }
    }
    Ok(Table::open(&files, selection)?)
}

/// Writes beside the place and renames, so that no half-written component is ever seen.
pub(super) fn write(out: &Path, component: &[u8]) -> anyhow::Result<()> {
    let folder = out
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let failed = || format!("failed to write `{}`", out.display());
    let mut beside = tempfile::Builder::new()
        .prefix(".hodoscope-")
        .tempfile_in(folder)
        .with_context(failed)?;
    std::io::Write::write_all(&mut beside, component).with_context(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let readable = std::fs::Permissions::from_mode(0o644);
        beside
            .as_file()
            .set_permissions(readable)
            .with_context(failed)?;
    }
    beside
        .persist(out)
        .map_err(|error| error.error)
        .with_context(failed)?;
    Ok(())
}

fn summary(name: &DetectorName, out: &Path, component: &[u8], report: &Report) -> String {
    let threshold = match (report.threshold, report.alert_rate) {
        (Some(threshold), Some(rate)) => {
            let of = if report.exact {
                "all rows"
            } else {
                "calibration rows"
            };
            format!("{threshold:.6} ({:.3} % of {of} alert)", rate * 100.0)
        }
        _ => "none: the detector only ranks".to_owned(),
    };
    let mut lines = vec![
        format!(
            "trained {name} on {} rows × {} features",
            HumanCount(report.rows),
            report.features
        ),
        format!(
            "  trees       {} × {} rows",
            report.trees, report.sample_size
        ),
        format!("  threshold   {threshold}"),
        format!(
            "  calibrated  on {} rows",
            HumanCount(report.calibration_rows)
        ),
    ];
    if let Some(metrics) = report.metrics {
        lines.push(format!(
            "  labels      ROC-AUC {:.4}, average precision {:.4} ({} anomalies in {} rows)",
            metrics.roc_auc,
            metrics.average_precision,
            HumanCount(metrics.anomalies),
            HumanCount(metrics.rows)
        ));
    }
    let timings = report.timings;
    lines.push(format!(
        "  time        read {:.0} ms, grow {:.0} ms, calibrate {:.0} ms",
        timings.read.as_secs_f64() * 1e3,
        timings.grow.as_secs_f64() * 1e3,
        timings.calibrate.as_secs_f64() * 1e3
    ));
    lines.push(format!(
        "  component   {} ({} KiB)",
        out.display(),
        component.len().div_ceil(1024)
    ));
    lines.push(format!("  digest      {}", Digest::of(component)));
    lines.extend(
        report
            .warnings
            .iter()
            .map(|warning| format!("  note        {warning}")),
    );
    lines.join("\n")
}

/// The bar on standard error; nothing where that is no terminal.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template(
            "{spinner} {msg} {wide_bar} {human_pos} of {human_len} {elapsed}",
        );
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    fn show(&self, what: &'static str, done: u64, total: Option<u64>) {
        if let Some(bar) = &self.0 {
            bar.set_message(what);
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn rows(&self, done: u64, total: Option<u64>) {
        self.show("reading rows", done, total);
    }

    fn trees(&self, done: usize, total: usize) {
        self.show("growing trees", done as u64, Some(total as u64));
    }

    fn rescored(&self, done: u64, total: u64) {
        self.show("scoring rows", done, Some(total));
    }
}
