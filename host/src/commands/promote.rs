//! `hodoscope promote`: makes a release of the store the one that a channel wants, as active, shadow or canary. The
//! release must be whole and not yanked; what was active becomes `previous`.

use std::process::ExitCode;

use anyhow::bail;
use hodoscope_release::{Canary, ChannelDocument, ChannelError, Pin, ReleaseName};

use super::Context;
use crate::{channel_change, releases};

/// Which release, and for which part of the calls.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The release, for instance pump@1.4.0
    pub release: ReleaseName,
    /// Let it score copies of the calls; its answers are compared and counted, never returned
    #[arg(long, conflicts_with = "canary")]
    pub shadow: bool,
    /// Let it answer this share of the calls; 0 ends a canary
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub canary: Option<u8>,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let release = &args.release;
    let limit_bytes = context.config.engine.component_limit_bytes as u64;
    let stored = context.block_on(async {
        let store = releases::open_store(&context.config).await?;
        releases::fetch(&store, release, limit_bytes).await
    })??;
    let ends_canary = args.canary == Some(0);
    if let Some(yank) = stored.yanked.filter(|_| !ends_canary) {
        bail!(
            "{release} was yanked ({}); promote another release",
            yank.reason
        );
    }
    let pin = Pin::from(&stored.entry);
    let change = channel_change::apply(&context.config, &release.detector, |document| {
        wish(document, &args, pin)
    })?;
    context.answer(&change, &change)?;
    Ok(ExitCode::SUCCESS)
}

fn wish(document: &mut ChannelDocument, args: &Args, pin: Pin) -> Result<(), ChannelError> {
    let detector = &args.release.detector;
    if !args.shadow && args.canary.is_none() {
        document.promote(detector, pin);
        return Ok(());
    }
    // A share of the calls, or their copies, can only be taken from a release that answers the rest.
    let wanted = document
        .detectors
        .get_mut(detector)
        .ok_or_else(|| ChannelError::UnknownDetector(detector.clone()))?;
    match args.canary {
        None => wanted.shadow = Some(pin),
        Some(0) => wanted.canary = None,
        Some(percent) => {
            wanted.canary = Some(Canary {
                version: pin.version,
                digest: pin.digest,
                percent,
            });
        }
    }
    Ok(())
}
