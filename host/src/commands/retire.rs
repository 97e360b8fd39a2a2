//! `hodoscope retire`: the only way in which a detector leaves the hosts of a channel. Its releases stay in the store,
//! and promoting one of them brings it back.

use std::process::ExitCode;

use hodoscope_registry::forge::{Kind, Proposal};
use hodoscope_release::{ChannelError, DetectorName};

use super::Context;
use crate::channel_change;
use crate::proposal::{self, Words};

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
    let active = &standing.active;
    let words = Words {
        channel,
        before: Some(&standing),
        plots: "",
        report: None,
        why: args.why.as_deref(),
    };
    let what = format!(
        "Takes **{detector}** out of service in **{channel}**: its calls are answered with 404. Its releases stay in the store."
    );
    let undo = format!(
        "hodoscope promote {} --channel {channel}",
        active.release(detector)
    );
    let wanted = Proposal {
        channel: channel.clone(),
        detector: detector.clone(),
        kind: Kind::Retirement,
        candidate: active.digest,
        title: proposal::title("Retire", detector, active, channel),
        body: proposal::plain(detector, &words, &what, &undo),
        labels: Vec::new(),
        draft: false,
        by_hand: true,
        change: {
            let detector = detector.clone();
            Box::new(move |document| document.retire(&detector))
        },
    };
    let change = channel_change::make(context, wanted)?;
    context.answer(&change, &change)?;
    Ok(super::exit(change.stands()))
}
