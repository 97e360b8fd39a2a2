//! `hodoscope push`: the gate, and then the store. What the gate refuses never reaches the store.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hodoscope_engine::{Detector, Report};
use hodoscope_registry::Pushed;
use hodoscope_registry::tracking::{Alias, Told, Tracked};
use hodoscope_release::{DetectorName, ReleaseName};
use serde::Serialize;

use super::Context;
use crate::tracking::{self, Activity};
use crate::{gate, releases};

/// The keys of the metadata under which a component says its detector's name: the templates' and the trainer's.
const NAME_KEYS: [&str; 2] = ["detector", "name"];

/// What to push, and as what.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component
    pub component: PathBuf,
    /// The version, for instance 1.4.0; it can never be given to other bytes
    #[arg(long, value_name = "SEMVER")]
    pub version: String,
    /// The detector's name [default: the one that the trainer wrote into the component]
    #[arg(long)]
    pub name: Option<DetectorName>,
    /// A document about the release, for instance evidence=report.json; may be repeated
    #[arg(long, value_name = "NAME=FILE")]
    pub document: Vec<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
    release: &'a ReleaseName,
    store: String,
    pushed: Pushed,
    size_bytes: usize,
    report: &'a Report,
    /// The run in MLflow, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    tracked: Option<&'a Tracked>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: &'a Vec<String>,
}

/// Runs the command: exit code 0 if the release is in the store, 1 if the gate or the store refuses it.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let begun = SystemTime::now();
    let limit_bytes = context.config.engine.component_limit_bytes as u64;
    let component = releases::read_component(&args.component, limit_bytes)?;
    let documents = args
        .document
        .iter()
        .map(|pair| document(pair))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let loaded = gate::engine(&context.config)?.load(&component);
    let verdict = gate::verdict(&loaded);
    let detector = match loaded {
        Ok(detector) => detector,
        Err(refusal) => {
            context.answer(&refusal, verdict)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let release = ReleaseName::new(name(args.name, &detector)?, &args.version)?;
    let size_bytes = component.len();
    let (store, pushed) = context.block_on(async {
        let store = releases::open_store(&context.config).await?;
        let pushed = store.push(&release, component, documents).await?;
        anyhow::Ok((store.to_string(), pushed))
    })??;
    let done = match pushed {
        Pushed::Created => format!("pushed {release} to {store}"),
        Pushed::Unchanged => format!("{release} is in {store} already, with the same bytes"),
    };
    let next = format!(
        "hodoscope promote {release} --channel {}",
        context.config.channel
    );
    let told = record(&release, pushed, &store, detector.report(), context, begun);
    let answer = Answer {
        release: &release,
        store,
        pushed,
        size_bytes,
        report: detector.report(),
        tracked: told.tracked.as_ref(),
        warnings: &told.warnings,
    };
    let lines = tracking::lines(&told);
    context.answer(
        &answer,
        format_args!("{verdict}\n{done}\n  next:     {next}{lines}"),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Registers the release in MLflow, beside the run of its training. An old release pushed once more stays what it is.
fn record(
    release: &ReleaseName,
    pushed: Pushed,
    store: &str,
    report: &Report,
    context: &Context,
    begun: SystemTime,
) -> Told {
    let alias = (pushed == Pushed::Created).then_some(Alias::Candidate);
    let activity = Activity::of_release("push", release, report.digest, alias)
        .tag("store", store)
        .metric("cost_call_seconds", report.cost.call_seconds)
        .metric("cost_row_seconds", report.cost.row_seconds)
        .document("gate.json", report);
    tracking::track(context, activity, begun)
}

fn name(given: Option<DetectorName>, detector: &Detector) -> anyhow::Result<DetectorName> {
    if let Some(name) = given {
        return Ok(name);
    }
    let metadata = &detector.description().metadata;
    let said = |wanted: &str| metadata.iter().find(|(key, _)| key == wanted);
    match NAME_KEYS.into_iter().find_map(said) {
        Some((_, name)) => name
            .parse()
            .context("the component's own name is not usable; give one with --name"),
        None => bail!("the component does not say its name; give one with --name"),
    }
}

fn document(pair: &str) -> anyhow::Result<(String, Bytes)> {
    let Some((name, file)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        bail!("`{pair}` is not a document; write NAME=FILE, for instance evidence=report.json");
    };
    let limit_bytes = hodoscope_registry::DOCUMENT_LIMIT_BYTES;
    let bytes = releases::read_component(file.as_ref(), limit_bytes)?;
    Ok((name.to_owned(), bytes))
}
