//! `hodoscope promote`: makes a release of the store the one that a channel wants, as active, shadow or canary. The
//! release must be whole and not yanked; what was active becomes `previous`. With a forge, this is the one pull request of
//! the detector in that channel, with the evidence that lies beside the release as its text.

use std::process::ExitCode;

use anyhow::bail;
use hodoscope_registry::forge::{Kind, Proposal};
use hodoscope_release::{Canary, ChannelDocument, ChannelError, DetectorName, Pin, ReleaseName};

use super::Context;
use crate::channel_change;
use crate::proposal;
use crate::releases::{self, Stored};

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
    /// Why; it stands in the pull request, where there is a forge
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
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
    if let Some(yank) = stored.yanked.as_ref().filter(|_| !ends_canary) {
        bail!(
            "{release} was yanked ({}); promote another release",
            yank.reason
        );
    }
    let wanted = wanted(&args, &stored, context)?;
    let change = channel_change::make(context, wanted)?;
    context.answer(&change, &change)?;
    Ok(super::exit(change.stands()))
}

fn wanted(args: &Args, stored: &Stored, context: &Context) -> anyhow::Result<Proposal> {
    let (release, channel) = (&args.release, &context.config.channel);
    let (detector, pin) = (release.detector.clone(), Pin::from(&stored.entry));
    let part = Part::from(args);
    let mut wanted = Proposal {
        channel: channel.clone(),
        detector: detector.clone(),
        kind: match part {
            Part::Active => Kind::Promotion,
            _ => Kind::Trial,
        },
        candidate: pin.digest,
        title: proposal::title(part.verb(), &detector, &pin, channel),
        body: String::new(),
        labels: Vec::new(),
        draft: false,
        by_hand: true,
        change: {
            let pin = pin.clone();
            Box::new(move |document| change(document, &detector, part, &pin))
        },
    };
    if context.config.forge.location.is_some() {
        let before = channel_change::standing(context, &release.detector)?;
        let told = proposal::told(context, &stored.entry, before.as_ref(), args.why.as_deref())?;
        (wanted.body, wanted.labels, wanted.draft) = (told.body, told.labels, told.draft);
    }
    Ok(wanted)
}

/// For which part of the calls.
#[derive(Debug, Clone, Copy)]
enum Part {
    Active,
    Shadow,
    Canary(u8),
}

impl From<&Args> for Part {
    fn from(args: &Args) -> Self {
        match args.canary {
            Some(percent) => Self::Canary(percent),
            None if args.shadow => Self::Shadow,
            None => Self::Active,
        }
    }
}

impl Part {
    const fn verb(self) -> &'static str {
        match self {
            Self::Active => "Promote",
            Self::Shadow => "Shadow with",
            Self::Canary(0) => "End the canary of",
            Self::Canary(_) => "Try as canary",
        }
    }
}

fn change(
    document: &mut ChannelDocument,
    detector: &DetectorName,
    part: Part,
    pin: &Pin,
) -> Result<(), ChannelError> {
    if let Part::Active = part {
        document.promote(detector, pin.clone());
        return Ok(());
    }
    // A share of the calls, or their copies, can only be taken from a release that answers the rest.
    let wanted = document
        .detectors
        .get_mut(detector)
        .ok_or_else(|| ChannelError::UnknownDetector(detector.clone()))?;
    match part {
        Part::Canary(0) => wanted.canary = None,
        Part::Canary(percent) => {
            wanted.canary = Some(Canary {
                version: pin.version.clone(),
                digest: pin.digest,
                percent,
            });
        }
        Part::Active | Part::Shadow => wanted.shadow = Some(pin.clone()),
    }
    Ok(())
}
