//! `hodoscope status`: asks a running host, through its admin port, what was wanted, what runs, and why they differ.
//! With `--wait` it asks every host behind a name until all of them run what a channel pins: the end of a deployment.

mod wait;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::Context;
use crate::roster::{DetectorView, RosterView};

/// How long the host may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The arguments of `hodoscope status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host's admin port [default: the setting `admin_address`]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Wait so long until every host runs exactly what the channel's folder pins; fail at once if one refused a release
    #[arg(long, value_name = "SECONDS")]
    wait: Option<std::num::NonZeroU64>,
    /// With --wait: a name and admin port; every address behind the name is asked [default: the one host of --url]
    #[arg(
        long,
        value_name = "NAME:PORT",
        requires = "wait",
        conflicts_with = "url"
    )]
    hosts: Option<String>,
    /// With --wait: the fewest hosts that must answer
    #[arg(long, value_name = "COUNT", requires = "wait", default_value = "1")]
    min_hosts: std::num::NonZeroUsize,
    /// With --wait: the folder with the channel's documents [default: the setting `channel_dir`]
    #[arg(long, value_name = "FOLDER", requires = "wait")]
    channel_dir: Option<std::path::PathBuf>,
}

/// What is printed with `--output json`.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    url: &'a str,
    #[serde(flatten)]
    roster: &'a RosterView,
}

/// Runs the command. Exit code 1 says that something wanted does not run.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(seconds) = args.wait {
        return wait::run(&args, Duration::from_secs(seconds.get()), context);
    }
    let address = context.config.http.admin_address;
    let url = args.url.unwrap_or_else(|| format!("http://{address}"));
    let roster = ask(url.trim_end_matches('/'))?;
    let settled = roster.detectors.iter().all(|detector| !detector.differs);
    let sound = settled && roster.document.state != "invalid";
    context.answer(
        &Answer {
            url: &url,
            roster: &roster,
        },
        table(&roster)?,
    )?;
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn ask(url: &str) -> anyhow::Result<RosterView> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let answer = agent.get(format!("{url}/roster")).call();
    let mut answer = answer.with_context(|| {
        format!("no host answers on {url}; start one with `hodoscope serve`, or name its admin port with --url")
    })?;
    answer
        .body_mut()
        .read_json()
        .with_context(|| format!("{url} answers, but not as a hodoscope host"))
}

fn table(roster: &RosterView) -> anyhow::Result<String> {
    let mut text = String::new();
    let (channel, generation) = (&roster.channel, roster.generation);
    write!(
        text,
        "channel {channel}, document {} (generation {generation})",
        roster.document.state
    )?;
    if let Some(reason) = &roster.document.reason {
        write!(text, "\n  {reason}")?;
    }
    let rows: Vec<[String; 4]> = roster.detectors.iter().map(row).collect();
    if rows.is_empty() {
        write!(text, "\nno detectors; push a release and promote it")?;
        return Ok(text);
    }
    let header = ["DETECTOR", "WANTED", "RUNNING", "STATE"].map(str::to_owned);
    let mut widths = [0; 4];
    for row in rows.iter().chain([&header]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let [a, b, c, _] = widths;
    for (row, detector) in [(&header, None)]
        .into_iter()
        .chain(rows.iter().zip(roster.detectors.iter().map(Some)))
    {
        let [name, wanted, running, state] = row;
        write!(text, "\n{name:a$}  {wanted:b$}  {running:c$}  {state}")?;
        notes(&mut text, detector)?;
    }
    Ok(text)
}

fn row(detector: &DetectorView) -> [String; 4] {
    let wanted = detector.wanted.as_ref().map(|pin| pin.version.to_string());
    let running = detector
        .running
        .as_ref()
        .map(|running| running.version.to_string());
    let standing = detector
        .running
        .as_ref()
        .map(|running| running.standing.as_str());
    let state = match standing {
        None | Some("wanted") => detector.state.clone(),
        Some(standing) => format!("{} ({})", detector.state, standing.to_uppercase()),
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        detector.name.to_string(),
        or_none(wanted),
        or_none(running),
        state,
    ]
}

/// What stands below a detector's line: why it differs, its shadow and canary, what is odd about what runs.
fn notes(text: &mut String, detector: Option<&DetectorView>) -> anyhow::Result<()> {
    let Some(detector) = detector else {
        return Ok(());
    };
    if let Some(reason) = &detector.reason {
        write!(text, "\n  why: {reason}")?;
    }
    for release in detector
        .releases
        .iter()
        .filter(|release| release.role != "active")
    {
        write!(
            text,
            "\n  {} {} {}",
            release.role, release.version, release.state
        )?;
        if let Some(percent) = release.percent {
            write!(text, ", {percent} % of calls")?;
        }
    }
    if let Some(shadow) = &detector.shadow {
        write!(text, "\n  shadow compared: {shadow}")?;
    }
    if detector
        .running
        .as_ref()
        .is_some_and(|running| running.breaker_open)
    {
        write!(
            text,
            "\n  calls are stopped after repeated faults; see the log and /metrics"
        )?;
    }
    if detector
        .running
        .as_ref()
        .is_some_and(|running| running.unproven)
    {
        write!(text, "\n  unproven: the release carries no golden rows")?;
    }
    Ok(())
}
