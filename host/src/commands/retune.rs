//! `hodoscope retune`: the same trees with another threshold, as a new release (`--version`) or as a file (`--out`).

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hodoscope_isolation_forest::{Retuned, Target, retune};
use hodoscope_registry::Pushed;
use hodoscope_release::{Digest, ReleaseName, Version};
use serde::Serialize;

use super::reference::Reference;
use super::{Context, train};
use crate::gate;
use crate::releases::open_store;

/// Which release, and where its threshold goes.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true))]
pub struct Args {
    /// A release in the store (pump@1.0.0) or a component file
    #[arg(value_name = "RELEASE|FILE")]
    pub source: Reference,
    /// The share of calibration rows that shall alert, for instance 0.001
    #[arg(long, group = "target", value_name = "SHARE")]
    pub alert_rate: Option<f64>,
    /// The score at and above which a row is an anomaly
    #[arg(long, group = "target", value_name = "SCORE")]
    pub threshold: Option<f64>,
    /// Push the result as this version of the same detector
    #[arg(long)]
    pub version: Option<Version>,
    /// Write the result to a file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// The answer, for programs.
#[derive(Debug, Serialize)]
struct Answer {
    source: String,
    digest: Digest,
    threshold_before: Option<f64>,
    threshold: f64,
    alert_rate_before: Option<f64>,
    alert_rate: Option<f64>,
    release: Option<String>,
    pushed: Option<Pushed>,
    component: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let target = match (args.alert_rate, args.threshold) {
        (Some(rate), _) => Target::AlertRate(rate),
        (None, Some(score)) => Target::Threshold(score),
        (None, None) => bail!("give --alert-rate or --threshold"),
    };
    if args.version.is_none() && args.out.is_none() {
        bail!("give --version to push the result, or --out to write it to a file");
    }
    let component = args.source.bytes(context)?;
    let retuned = retune(&component, target).with_context(|| args.source.to_string())?;
    let mut answer = Answer {
        source: args.source.to_string(),
        digest: Digest::of(&retuned.component),
        threshold_before: retuned.before,
        threshold: retuned.after,
        alert_rate_before: retuned.alert_rate_before,
        alert_rate: retuned.alert_rate_after,
        release: None,
        pushed: None,
        component: None,
    };
    if let Some(out) = args.out {
        train::write(&out, &retuned.component)?;
        answer.component = Some(out);
    }
    if let Some(version) = args.version {
        let Reference::Release(source) = args.source else {
            bail!("--version needs a release as its source; push the file with `hodoscope push`");
        };
        let release = ReleaseName {
            detector: source.detector,
            version,
        };
        answer.pushed = Some(push(&release, &retuned, context)?);
        answer.release = Some(release.to_string());
    }
    let text = summary(&answer);
    context.answer(&answer, text)?;
    Ok(ExitCode::SUCCESS)
}

/// Gates the new component as any other, then pushes it.
fn push(release: &ReleaseName, retuned: &Retuned, context: &Context) -> anyhow::Result<Pushed> {
    if let Err(refusal) = gate::engine(&context.config)?.load(&retuned.component) {
        bail!("the gate refused the retuned component: {}", refusal.found);
    }
    let component = Bytes::from(retuned.component.clone());
    context.block_on(async {
        anyhow::Ok(
            open_store(&context.config)
                .await?
                .push(release, component, Vec::new())
                .await?,
        )
    })?
}

fn summary(answer: &Answer) -> String {
    let rate = |rate: Option<f64>| {
        rate.map_or_else(String::new, |rate| {
            format!(" ({:.4} % of calibration rows)", rate * 100.0)
        })
    };
    let before = answer
        .threshold_before
        .map_or_else(|| "none".to_owned(), |threshold| format!("{threshold:.6}"));
    let mut lines = vec![
        format!("retuned {}", answer.source),
        format!("  before      {before}{}", rate(answer.alert_rate_before)),
        format!(
            "  threshold   {:.6}{}",
            answer.threshold,
            rate(answer.alert_rate)
        ),
        format!("  digest      {}", answer.digest),
    ];
    if let Some(out) = &answer.component {
        lines.push(format!("  component   {}", out.display()));
    }
    if let (Some(release), Some(pushed)) = (&answer.release, &answer.pushed) {
        let what = match pushed {
            Pushed::Created => "pushed",
            Pushed::Unchanged => "unchanged",
        };
        lines.push(format!("  {what:<11} {release}"));
    }
    lines.join("\n")
}
