//! `hodoscope retire`: the only way in which a detector leaves the hosts of a channel. Its releases stay in the store,
//! and promoting one of them brings it back.

use std::process::ExitCode;

use hodoscope_release::DetectorName;

use super::Context;
use crate::channel_change;

/// Which detector.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The detector
    pub detector: DetectorName,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let detector = &args.detector;
    let change = channel_change::apply(&context.config, detector, |document| {
        document.retire(detector)
    })?;
    context.answer(&change, &change)?;
    Ok(ExitCode::SUCCESS)
}
