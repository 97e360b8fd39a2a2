//! `hodoscope rollback`: returns a detector to its previous release. It needs the channel only, so that it works while
//! the store is down; where the store answers, a yanked release is refused. With a forge it is a pull request, exempt from
//! the limits that hold for promotions.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use hodoscope_registry::Yank;
use hodoscope_registry::forge::{Kind, Proposal};
use hodoscope_release::{ChannelDocument, ChannelError, DetectorName, Pin, ReleaseName};

use super::Context;
use crate::channel_change;
use crate::proposal::{self, Words};
use crate::releases;

/// A rollback is urgent: a store that does not answer by then is not asked again.
const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// Which detector.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The detector
    pub detector: DetectorName,
    /// Why; it stands in the pull request, where there is a forge
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (detector, channel) = (&args.detector, &context.config.channel);
    let standing = channel_change::standing(context, detector)?;
    let standing = standing.ok_or_else(|| ChannelError::UnknownDetector(detector.clone()))?;
    let previous = standing.previous.clone();
    let previous = previous.ok_or_else(|| ChannelError::NoPrevious(detector.clone()))?;
    let release = previous.release(detector);
    if let Some(yank) = yanked(context, &release)? {
        bail!(
            "{release}, to which this would return, was yanked ({}); promote another release",
            yank.reason
        );
    }
    let words = Words {
        channel,
        before: Some(&standing),
        plots: "",
        report: None,
        why: args.why.as_deref(),
    };
    let what = format!(
        "Returns **{detector}** in **{channel}** from `{}` to `{}` (`{}`).",
        standing.active.version, previous.version, previous.digest
    );
    let wanted = Proposal {
        channel: channel.clone(),
        detector: detector.clone(),
        kind: Kind::Rollback,
        candidate: previous.digest,
        title: proposal::title("Roll back to", detector, &previous, channel),
        body: proposal::plain(
            detector,
            &words,
            &what,
            &proposal::way_back(detector, channel, true),
        ),
        labels: Vec::new(),
        draft: false,
        by_hand: true,
        change: {
            let detector = detector.clone();
            Box::new(move |document| go_back(document, &detector, &previous))
        },
    };
    let change = channel_change::make(context, wanted)?;
    context.answer(&change, &change)?;
    Ok(super::exit(change.stands()))
}

/// Rolls back to this release. A base that has moved meanwhile is not rolled back to something else.
fn go_back(
    document: &mut ChannelDocument,
    detector: &DetectorName,
    to: &Pin,
) -> Result<(), ChannelError> {
    let wanted = document.detectors.get(detector);
    if wanted.is_some_and(|wanted| wanted.active == *to) {
        return Ok(());
    }
    if wanted.is_some_and(|wanted| wanted.previous.as_ref() != Some(to)) {
        document.promote(detector, to.clone());
        return Ok(());
    }
    document.rollback(detector)
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
