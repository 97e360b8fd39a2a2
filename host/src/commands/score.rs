//! `hodoscope score`: the rows of a file through a release, offline, on all cores, in bounded memory. The same bytes as
//! the server's, so the same scores bit for bit; the order of rows is kept.

mod columns;
pub(crate) mod progress;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::Context;
use super::reference::Reference;
use crate::gate::engine;
use crate::offline::{Scorer, stream};
use crate::rows::{Selection, Table, Writer};
use columns::Columns;
use progress::Progress;

/// The arguments of `hodoscope score`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The rows: .parquet, .csv, .csv.gz or .ndjson; `-` is CSV on standard input
    rows: PathBuf,
    /// The release (`pump@1.0.0`, from the store) or a component file
    #[arg(long, value_name = "RELEASE|FILE")]
    detector: Reference,
    /// Where the scores go: .parquet, .csv or .ndjson; `-` is CSV on standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Columns of the input to copy into the output, for instance an identifier
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    keep: Vec<String>,
    /// Add the features that pushed each score up the most
    #[arg(long)]
    explain: bool,
    /// How many features `--explain` names
    #[arg(long, value_name = "COUNT", default_value = "3")]
    top: NonZeroUsize,
    /// Threads [default: one per core]
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,
    /// Overwrite `--out` if it is there
    #[arg(long)]
    force: bool,
}

/// What `--output json` prints.
#[derive(Debug, Serialize)]
struct Summary {
    digest: String,
    rows: u64,
    anomalies: Option<u64>,
    threshold: Option<f64>,
    seconds: f64,
    rows_per_second: f64,
    out: PathBuf,
}

/// Scores the file.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if args.out.exists() && !args.force {
        bail!(
            "{} is there already; give --force to overwrite it",
            args.out.display()
        );
    }
    let pool = threads(args.threads)?;
    let table = Table::open(&args.rows)?;
    let engine = engine(&context.config)?;
    let detector = args.detector.load(context, &engine)?;
    if args.explain && !detector.explains() {
        bail!(
            "{} cannot explain its scores; leave out --explain",
            args.detector
        );
    }
    let description = detector.description().clone();
    let selection = Selection {
        features: description
            .features
            .into_iter()
            .map(|feature| feature.name)
            .collect(),
        keep: args.keep.clone(),
    };
    let digest = detector.digest().to_string();
    let scorer = Scorer::new(detector, &selection.features)?;
    let columns = Columns::new(scorer, if args.explain { args.top.get() } else { 0 });
    let started = Instant::now();
    let (rows, anomalies) = pool.install(|| score(table, &selection, &columns, &args.out))?;
    let seconds = started.elapsed().as_secs_f64();
    let summary = Summary {
        digest,
        rows,
        anomalies: description.threshold.map(|_| anomalies),
        threshold: description.threshold,
        seconds,
        rows_per_second: rows as f64 / seconds.max(1e-9),
        out: args.out,
    };
    // Standard output is the table's when the table goes there.
    if summary.out.as_os_str() != "-" {
        context.answer(&summary, &summary)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A pool with `count` threads, or one per core.
pub(crate) fn threads(count: Option<NonZeroUsize>) -> anyhow::Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(count.map_or(0, NonZeroUsize::get))
        .thread_name(|index| format!("score-{index}"))
        .build()
        .context("failed to start the threads")
}

/// Streams the table through the detector into `out`; gives the rows and the anomalies among them.
fn score(
    table: Table,
    selection: &Selection,
    columns: &Columns,
    out: &std::path::Path,
) -> anyhow::Result<(u64, u64)> {
    let progress = Progress::of(&table);
    let blocks = table.blocks(selection)?;
    let mut writer = Writer::create(out, &columns.types(blocks.kept_types()?)?)?;
    let (mut rows, mut anomalies) = (0, 0);
    stream(
        blocks,
        |block| columns.score(block),
        |scored| {
            rows += scored.rows as u64;
            anomalies += scored.anomalies;
            Ok(writer.write(scored.rows, scored.columns)?)
        },
        |rows, bytes| progress.tick(rows, bytes),
    )?;
    progress.finish();
    writer.finish()?;
    Ok((rows, anomalies))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scored {} rows", self.rows)?;
        if let Some(anomalies) = self.anomalies {
            write!(f, ", {anomalies} anomalies")?;
        }
        write!(
            f,
            " in {:.2} s ({:.0} rows/s) with {} into {}",
            self.seconds,
            self.rows_per_second,
            self.digest,
            self.out.display()
        )
    }
}
