//! `hodoscope import`: from an ONNX file with a scikit-learn isolation forest to a component file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use hodoscope_isolation_forest::{emit, import_onnx};
use hodoscope_release::{DetectorName, Digest};
use serde::Serialize;

use super::{Context, train};

/// What to import.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ONNX file, as skl2onnx writes it, or with one fused tree ensemble
    #[arg(value_name = "ONNX")]
    pub model: PathBuf,
    /// The detector's name; it rides in the component
    #[arg(long, value_name = "DETECTOR")]
    pub name: DetectorName,
    /// Where the component goes [default: NAME.wasm]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The names of the features, in the order of the graph's columns [default: its inputs' names, or f0,f1,…]
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,…")]
    pub columns: Vec<String>,
}

/// The answer, for programs.
#[derive(Debug, Serialize)]
struct Answer {
    detector: DetectorName,
    component: PathBuf,
    digest: Digest,
    size_bytes: usize,
    producer: String,
    features: Vec<String>,
    trees: usize,
    sample_size: Option<u64>,
    threshold: Option<f64>,
    warnings: Vec<String>,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let shown = args.model.display().to_string();
    let bytes = std::fs::read(&args.model).with_context(|| format!("failed to read `{shown}`"))?;
    let mut imported = import_onnx(&bytes, &args.columns).with_context(|| format!("`{shown}`"))?;
    imported
        .forest
        .metadata
        .insert(0, ("name".to_owned(), args.name.to_string()));
    let component = emit(&imported.forest, &imported.sections)?;
    let out = args
        .out
        .unwrap_or_else(|| PathBuf::from(format!("{}.wasm", args.name)));
    train::write(&out, &component)?;
    let forest = imported.forest;
    let answer = Answer {
        detector: args.name,
        component: out,
        digest: Digest::of(&component),
        size_bytes: component.len(),
        producer: imported.producer,
        features: forest
            .features
            .into_iter()
            .map(|feature| feature.name)
            .collect(),
        trees: forest.trees.len(),
        sample_size: imported.sample_size,
        threshold: forest.threshold,
        warnings: imported.warnings,
    };
    context.answer(&answer, summary(&answer))?;
    Ok(ExitCode::SUCCESS)
}

fn summary(answer: &Answer) -> String {
    let size = answer.sample_size.map_or_else(
        || "an unknown number of".to_owned(),
        |size| size.to_string(),
    );
    let threshold = answer.threshold.map_or_else(
        || "none: the detector only ranks".to_owned(),
        |t| format!("{t:.6}"),
    );
    let mut lines = vec![
        format!("imported {} from {}", answer.detector, answer.producer),
        format!("  trees       {} × {size} rows", answer.trees),
        format!("  features    {}", answer.features.join(", ")),
        format!("  threshold   {threshold}"),
        format!(
            "  component   {} ({} KiB)",
            answer.component.display(),
            answer.size_bytes.div_ceil(1024)
        ),
        format!("  digest      {}", answer.digest),
    ];
    lines.extend(
        answer
            .warnings
            .iter()
            .map(|warning| format!("  note        {warning}")),
    );
    lines.join("\n")
}
