//! `hodoscope evaluate`: two releases score the same rows, and this says how they differ. The comparison itself is
//! [`crate::evidence`]'s; here are its arguments and its progress.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::Context;
use super::reference::Reference;
use super::score::progress::Progress;
use super::score::threads;
use crate::evidence::{Named, compare_table, text};
use crate::gate::engine;
use crate::rows::Table;

/// The arguments of `hodoscope evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The release or component file that counts as current
    current: Reference,
    /// The release or component file that may replace it
    candidate: Reference,
    /// The rows that both score: .parquet, .csv, .csv.gz or .ndjson; `-` is CSV on standard input
    #[arg(long, value_name = "FILE")]
    rows: PathBuf,
    /// The column that tells anomalies (not 0) from normal rows (0), for ROC-AUC and average precision
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Threads [default: one per core]
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,
}

/// Scores the rows with both and compares.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let pool = threads(args.threads)?;
    let table = Table::open(&args.rows)?;
    let engine = engine(&context.config)?;
    let names = [args.current.to_string(), args.candidate.to_string()];
    let detectors = (
        args.current.load(context, &engine)?,
        args.candidate.load(context, &engine)?,
    );
    let [current, candidate] = &names;
    let current = Named {
        name: current,
        detector: &detectors.0,
    };
    let candidate = Named {
        name: candidate,
        detector: &detectors.1,
    };
    let progress = Progress::of(&table);
    let comparison = pool
        .install(|| {
            let tick = |rows, bytes| progress.tick(rows, bytes);
            compare_table(current, candidate, table, args.label.as_deref(), tick)
        })
        .with_context(|| format!("failed to compare on {}", args.rows.display()))?;
    progress.finish();
    context.answer(&comparison, text(&comparison))?;
    Ok(ExitCode::SUCCESS)
}
