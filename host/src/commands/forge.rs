//! `hodoscope forge`: the open pull request of a detector, and what people do with it. On GitHub they do it on its pages;
//! in a repository of this machine, here.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use hodoscope_registry::forge::{Forge, ForgeLocation, HOLD_LABEL, LocalGit, MachineClock, Pull};
use hodoscope_release::DetectorName;
use serde_json::json;

use super::Context;
use crate::channel_change;
use crate::forge;
use crate::tracking::{Activity, track};

/// The arguments of `hodoscope forge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the bare repository of the setting `forge`, with a folder for the channel
    Init,
    /// Show the open pull request of a detector
    Show(Named),
    /// Merge it: the base branch then wants what it proposes
    Merge(Named),
    /// Close it without merging: the same candidate is not proposed again
    Close(Named),
    /// Keep the job's hands off it, or let them on again
    Hold(Hold),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The detector
    detector: DetectorName,
}

#[derive(Debug, clap::Args)]
struct Hold {
    /// The detector
    detector: DetectorName,
    /// Let the job go on
    #[arg(long)]
    off: bool,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let Verb::Init = args.verb {
        return init(context);
    }
    let forge = forge::required(&context.config, "this command")?;
    let begun = SystemTime::now();
    let merged = match &args.verb {
        Verb::Merge(named) => Some(named.detector.clone()),
        _ => None,
    };
    let exit = context.block_on(act(args.verb, &forge, context))??;
    if let Some(detector) = merged {
        champion(context, &detector, begun)?;
    }
    Ok(exit)
}

/// Tells MLflow which release is the active one now, if it is told anything.
fn champion(context: &Context, detector: &DetectorName, begun: SystemTime) -> anyhow::Result<()> {
    if let Some(wanted) = channel_change::standing(context, detector)? {
        let pin = wanted.active;
        let release = pin.release(detector);
        let activity = Activity::promoted(&release, pin.digest, &context.config.channel);
        for warning in track(context, activity, begun).warnings {
            tracing::warn!("{warning}");
        }
    }
    Ok(())
}

/// Makes the repository. One that exists is left as it is.
fn init(context: &Context) -> anyhow::Result<ExitCode> {
    let config = &context.config;
    let Some(ForgeLocation::LocalGit(path)) = &config.forge.location else {
        bail!(
            "only a repository of this machine is made here; set `forge` to git:/path/to/bare.git"
        );
    };
    let options = forge::options(config)?;
    let channels = [config.channel.clone()];
    let made = context.block_on(LocalGit::init(path, &options, &channels, &MachineClock))??;
    let state = if made { "made" } else { "there already" };
    context.answer(
        &json!({"repository": path, "made": made}),
        format_args!(
            "{} is {state}, base branch {}",
            path.display(),
            options.base
        ),
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn act(verb: Verb, forge: &Forge, context: &Context) -> anyhow::Result<ExitCode> {
    let (done, pull) = match verb {
        Verb::Init => return Ok(ExitCode::SUCCESS),
        Verb::Show(named) => ("is open", open(forge, context, &named.detector).await?),
        Verb::Merge(named) => {
            let pull = open(forge, context, &named.detector).await?;
            forge.merge(pull.number, &MachineClock).await?;
            ("is merged", pull)
        }
        Verb::Close(named) => {
            let pull = open(forge, context, &named.detector).await?;
            forge.close(pull.number, &MachineClock).await?;
            ("is closed", pull)
        }
        Verb::Hold(hold) => {
            let pull = open(forge, context, &hold.detector).await?;
            forge
                .label(pull.number, HOLD_LABEL, !hold.off, &MachineClock)
                .await?;
            (if hold.off { "is not held" } else { "is held" }, pull)
        }
    };
    let Pull { number, url, .. } = &pull;
    context.answer(
        &json!({"pull": pull, "state": done}),
        format_args!("pull request {number} {done}: {url}"),
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn open(forge: &Forge, context: &Context, detector: &DetectorName) -> anyhow::Result<Pull> {
    let channel = &context.config.channel;
    let pull = forge.pull(channel, detector, &MachineClock).await?;
    pull.with_context(|| {
        format!("there is no open pull request for `{detector}` in channel {channel}; --channel names another")
    })
}
