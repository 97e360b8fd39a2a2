//! `hodoscope promote`: makes a release of the store the one that a channel wants, as active, shadow or canary. The
//! release must be whole and not yanked; what was active becomes `previous`. With a forge, this is the one pull request of
//! the detector in that channel, with the evidence that lies beside the release as its text.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hodoscope_registry::forge::{Kind, Proposal};
use hodoscope_release::evidence::{self, Evidence};
use hodoscope_release::{
    Canary, ChannelDocument, ChannelError, ChannelName, DetectorChannel, DetectorName, Pin,
    ReleaseName,
};

use super::Context;
use crate::channel_change;
use crate::proposal::{self, Trial, Wish};
use crate::releases::{self, Stored};
use crate::{gate, gates};

/// Which release, and for which part of the calls.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The release, for instance pump@1.4.0
    pub release: ReleaseName,
    /// Let it score copies of the calls; its answers are compared and counted, never returned; --shadow=off ends it
    #[arg(long, conflicts_with = "canary", value_name = "on|off", num_args = 0..=1, require_equals = true,
          default_missing_value = "on")]
    pub shadow: Option<Switch>,
    /// Let it answer this share of the calls; 0 ends a canary
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub canary: Option<u8>,
    /// Why; it stands in the pull request, where there is a forge
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// It begins.
    On,
    /// It ends.
    Off,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let release = &args.release;
    let limit_bytes = context.config.engine.component_limit_bytes as u64;
    let stored = context.block_on(async {
        let store = releases::open_store(&context.config).await?;
        releases::fetch(&store, release, limit_bytes).await
    })??;
    let ends = Part::from(&args).ends();
    if let Some(yank) = stored.yanked.as_ref().filter(|_| !ends) {
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
        let first = match (&before, part) {
            (None, Part::Active) => first(stored, context)?,
            _ => None,
        };
        let trial = part.trial(release, channel, before.as_ref());
        let told = proposal::told(
            context,
            &Wish {
                entry: &stored.entry,
                before: before.as_ref(),
                evidence: first.as_ref(),
                why: args.why.as_deref(),
                trial: trial.as_ref(),
            },
        )?;
        (wanted.body, wanted.labels, wanted.draft) = (told.body, told.labels, told.draft);
    }
    Ok(wanted)
}

/// Measures a detector's first release, unless evidence lies beside it.
fn first(stored: &Stored, context: &Context) -> anyhow::Result<Option<Evidence>> {
    let (entry, config) = (&stored.entry, &context.config);
    if entry.documents.contains_key(evidence::DOCUMENT) {
        return Ok(None);
    }
    let detector = gate::engine(config)?
        .load(&stored.component)
        .with_context(|| format!("{} was refused", entry.release()))?;
    let limits = gate::engine_config(config)?.limits;
    let expectations = config.expectations(&entry.detector);
    Ok(gates::first(entry, &detector, &expectations, &limits))
}

/// For which part of the calls.
#[derive(Debug, Clone, Copy)]
enum Part {
    Active,
    Shadow(Switch),
    Canary(u8),
}

impl From<&Args> for Part {
    fn from(args: &Args) -> Self {
        match (args.canary, args.shadow) {
            (Some(percent), _) => Self::Canary(percent),
            (None, Some(switch)) => Self::Shadow(switch),
            (None, None) => Self::Active,
        }
    }
}

impl Part {
    const fn verb(self) -> &'static str {
        match self {
            Self::Active => "Promote",
            Self::Shadow(Switch::On) => "Shadow with",
            Self::Shadow(Switch::Off) => "End the shadow of",
            Self::Canary(0) => "End the canary of",
            Self::Canary(_) => "Try as canary",
        }
    }

    /// Whether it takes the release away, which is right for any release.
    const fn ends(self) -> bool {
        matches!(self, Self::Shadow(Switch::Off) | Self::Canary(0))
    }

    /// What a pull request says of it, and how it is taken back.
    fn trial(
        self,
        release: &ReleaseName,
        channel: &ChannelName,
        before: Option<&DetectorChannel>,
    ) -> Option<Trial> {
        let canary = before.and_then(|before| before.canary.as_ref());
        let share = canary.map_or(0, |canary| canary.percent);
        let (what, undo) = match self {
            Self::Active => return None,
            Self::Shadow(Switch::On) => {
                let what = "as a shadow, which answers no call";
                (what.to_owned(), "--shadow=off".to_owned())
            }
            Self::Shadow(Switch::Off) => ("ends as a shadow".to_owned(), "--shadow".to_owned()),
            Self::Canary(0) => ("ends as a canary".to_owned(), format!("--canary {share}")),
            Self::Canary(percent) => (
                format!("as a canary that answers {percent} % of the calls"),
                format!("--canary {share}"),
            ),
        };
        let undo = format!("hodoscope promote {release} {undo} --channel {channel}");
        Some(Trial { what, undo })
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
        Part::Shadow(Switch::Off) => wanted.shadow = None,
        Part::Active | Part::Shadow(Switch::On) => wanted.shadow = Some(pin.clone()),
    }
    Ok(())
}
