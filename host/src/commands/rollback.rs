//! `hodoscope rollback`: returns a detector to its previous release. It needs the channel only, so that it works while
//! the store is down; where the store answers, a yanked release is refused.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use hodoscope_registry::{Yank, channels};
use hodoscope_release::{DetectorName, ReleaseName};

use super::Context;
use crate::{channel_change, releases};

/// A rollback is urgent: a store that does not answer by then is not asked again.
const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// Which detector.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The detector
    pub detector: DetectorName,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let detector = &args.detector;
    if let Some(previous) = previous(context, detector)
        && let Some(yank) = yanked(context, &previous)?
    {
        bail!(
            "{previous}, to which this would return, was yanked ({}); promote another release",
            yank.reason
        );
    }
    let change = channel_change::apply(&context.config, detector, |document| {
        document.rollback(detector)
    })?;
    context.answer(&change, &change)?;
    Ok(ExitCode::SUCCESS)
}

/// Errors of the channel are the edit's to tell.
fn previous(context: &Context, detector: &DetectorName) -> Option<ReleaseName> {
    let document = channels::read_folder(&context.config.channel_dir).ok()?;
    let pin = document.detectors.get(detector)?.previous.as_ref()?.clone();
    Some(pin.release(detector))
}

fn yanked(context: &Context, release: &ReleaseName) -> anyhow::Result<Option<Yank>> {
    let asked = context.block_on(async {
        let ask = async {
            let store = releases::open_store(&context.config).await?;
            anyhow::Ok(store.yanked(release).await?)
        };
        tokio::time::timeout(STORE_PATIENCE, ask).await
    })?;
    match asked {
        Ok(Ok(yank)) => Ok(yank),
        Ok(Err(error)) => {
            tracing::warn!(%release, "the store could not say whether {release} was yanked: {error:#}");
            Ok(None)
        }
        Err(_) => {
            tracing::warn!(%release, "the store did not say in time whether {release} was yanked");
            Ok(None)
        }
    }
}
