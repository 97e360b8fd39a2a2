//! `hodoscope evaluate`: two releases score the same rows, and this says how they differ: how many verdicts flip, how
//! the ranking agrees, how the scores shift, how often each alarms, and what a row costs.

mod evidence;
mod statistics;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::Context;
use super::reference::Reference;
use super::score::pipeline::{Scorer, stream};
use super::score::progress::Progress;
use super::score::threads;
use crate::gate::engine;
use crate::rows::{Selection, Table};
use evidence::{Evidence, Side};

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
    /// The column that tells anomalies (not 0) from normal rows (0), for ROC-AUC
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Threads [default: one per core]
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,
}

/// What was collected: 8 bytes for each row and release, and a label.
#[derive(Default)]
struct Collected {
    current: Vec<f64>,
    candidate: Vec<f64>,
    labels: Vec<f64>,
}

/// Scores the rows with both and compares.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let pool = threads(args.threads)?;
    let table = Table::open(&args.rows)?;
    let engine = engine(&context.config)?;
    let (current, candidate) = (
        args.current.load(context, &engine)?,
        args.candidate.load(context, &engine)?,
    );
    let mut features: Vec<String> = Vec::new();
    for feature in current
        .description()
        .features
        .iter()
        .chain(&candidate.description().features)
    {
        if !features.contains(&feature.name) {
            features.push(feature.name.clone());
        }
    }
    let current = Scorer::new(current, &features)?;
    let candidate = Scorer::new(candidate, &features)?;
    let selection = Selection {
        features,
        keep: args.label.clone().into_iter().collect(),
    };
    let collected = pool
        .install(|| collect(table, &selection, &current, &candidate))
        .with_context(|| format!("failed to score {}", args.rows.display()))?;
    if collected.current.is_empty() {
        bail!("{} has no rows to compare on", args.rows.display());
    }
    let known = args.label.is_some().then_some(collected.labels.as_slice());
    let current = Side::new(args.current.to_string(), &current, &collected.current);
    let candidate = Side::new(args.candidate.to_string(), &candidate, &collected.candidate);
    let evidence = pool.install(|| {
        Evidence::of(
            current,
            candidate,
            &collected.current,
            &collected.candidate,
            known,
        )
    });
    context.answer(&evidence, &evidence)?;
    Ok(ExitCode::SUCCESS)
}

fn collect(
    table: Table,
    selection: &Selection,
    current: &Scorer,
    candidate: &Scorer,
) -> anyhow::Result<Collected> {
    let progress = Progress::of(&table);
    let blocks = table.blocks(selection)?;
    let mut all = Collected::default();
    stream(
        blocks,
        |block| {
            let scores = (current.score(&block)?, candidate.score(&block)?);
            let label = |piece: &crate::rows::Piece| {
                piece.kept.first().map(|kept| kept.numbers(piece.rows))
            };
            let labels: Vec<f64> = block.pieces.iter().filter_map(label).flatten().collect();
            Ok((scores, labels))
        },
        |((current, candidate), labels)| {
            all.current.extend(current);
            all.candidate.extend(candidate);
            all.labels.extend(labels);
            Ok(())
        },
        |rows, bytes| progress.tick(rows, bytes),
    )?;
    progress.finish();
    Ok(all)
}
