//! A change of a channel as its author sees it: what was wanted before, what is wanted now, and the one command that
//! takes it back. `promote`, `rollback` and `retire` answer with it. With a forge it is a pull request that people merge;
//! without one the channel's folder is edited at once.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context as _;
use hodoscope_registry::channels::{self, Edited};
use hodoscope_registry::forge::{Forge, MachineClock, Outcome, Proposal, Pull};
use hodoscope_release::{
    ChannelDocument, ChannelError, ChannelName, DetectorChannel, DetectorName,
};
use serde::Serialize;

use crate::commands::Context;
use crate::config::Config;
use crate::forge;
use crate::tracking::{Activity, track};

/// What became of one detector of a channel.
#[derive(Debug, Serialize)]
pub struct Change {
    /// The detector.
    pub detector: DetectorName,
    /// The channel.
    pub channel: ChannelName,
    /// The file that was written, or that the pull request changes.
    pub file: PathBuf,
    /// The pull request, where there is a forge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposed>,
    /// What was wanted before.
    pub before: Option<DetectorChannel>,
    /// What is wanted now, or once the pull request is merged.
    pub after: Option<DetectorChannel>,
    /// The command that takes the change back, where there is one.
    pub undo: Option<String>,
    /// What went wrong beside it, for instance while MLflow was told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What the forge answered.
#[derive(Debug, Serialize)]
pub struct Proposed {
    /// A fixed word: `opened`, `updated`, `unchanged`, `held` …
    pub outcome: &'static str,
    /// The same in a sentence.
    pub told: String,
    /// The pull request.
    pub pull: Option<Pull>,
    /// Whether it is proposed, so that merging leads there.
    pub stands: bool,
}

/// What the channel of the settings wants now: on the forge's base branch, or in the channel's folder.
pub fn document(context: &Context, forge: Option<&Forge>) -> anyhow::Result<ChannelDocument> {
    let config = &context.config;
    Ok(match forge {
        Some(forge) => {
            let base = forge.channel(&config.channel, &MachineClock);
            context.block_on(base)??.document
        }
        None => channels::read_folder(&config.channel_dir)?,
    })
}

/// The same of one detector; nothing where there is no folder yet.
pub fn standing(
    context: &Context,
    detector: &DetectorName,
) -> anyhow::Result<Option<DetectorChannel>> {
    let forge = forge::open(&context.config)?;
    match document(context, forge.as_ref()) {
        Ok(mut document) => Ok(document.detectors.remove(detector)),
        Err(error) => match error.downcast_ref::<channels::ChannelError>() {
            Some(cause) if cause.is_absent() => Ok(None),
            _ => Err(error),
        },
    }
}

/// Makes the change that a proposal is about: edits the folder of the settings, or proposes it where there is a forge.
pub fn make(context: &Context, proposal: Proposal) -> anyhow::Result<Change> {
    match forge::open(&context.config)? {
        Some(forge) => context.block_on(propose(&context.config, &forge, &proposal))?,
        None => {
            let begun = SystemTime::now();
            let mut change = apply(&context.config, &proposal.detector, &*proposal.change)?;
            change.warnings = champion(context, &change, begun);
            Ok(change)
        }
    }
}

/// Tells MLflow which release is the active one now. Only where the folder was edited: a pull request is merged by others.
fn champion(context: &Context, change: &Change, begun: SystemTime) -> Vec<String> {
    let active = |wanted: &Option<DetectorChannel>| wanted.as_ref().map(|w| w.active.clone());
    match active(&change.after) {
        Some(pin) if active(&change.before).as_ref() != Some(&pin) => {
            let release = pin.release(&change.detector);
            let activity = Activity::promoted(&release, pin.digest, &change.channel);
            track(context, activity, begun).warnings
        }
        _ => Vec::new(),
    }
}

/// Edits the channel's folder.
fn apply(
    config: &Config,
    detector: &DetectorName,
    change: impl FnOnce(&mut ChannelDocument) -> Result<(), ChannelError>,
) -> anyhow::Result<Change> {
    let Edited {
        before,
        after,
        file,
    } = channels::edit(&config.channel_dir, detector, change)?;
    let undo = undo(config, detector, before.as_ref(), after.as_ref());
    Ok(Change {
        detector: detector.clone(),
        channel: config.channel.clone(),
        file,
        proposal: None,
        before,
        after,
        undo,
        warnings: Vec::new(),
    })
}

/// Finds, opens or updates the one pull request of the detector in this channel.
pub async fn propose(
    config: &Config,
    forge: &Forge,
    proposal: &Proposal,
) -> anyhow::Result<Change> {
    let (detector, channel) = (proposal.detector.clone(), proposal.channel.clone());
    let base = forge.channel(&channel, &MachineClock).await?;
    let mut wanted = base.document.clone();
    (proposal.change)(&mut wanted)?;
    let before = base.document.detectors.get(&detector).cloned();
    let after = wanted.detectors.get(&detector).cloned();
    let undo = undo(config, &detector, before.as_ref(), after.as_ref());
    let outcome = forge::propose(forge, proposal)
        .await
        .with_context(|| format!("failed to propose the change of {detector} in {channel}"))?;
    let file = [
        &config.forge.path,
        channel.as_str(),
        &format!("{detector}.yaml"),
    ];
    Ok(Change {
        file: file.iter().collect(),
        detector,
        channel,
        proposal: Some(Proposed::from(&outcome)),
        before,
        after,
        undo,
        warnings: Vec::new(),
    })
}

impl From<&Outcome> for Proposed {
    fn from(outcome: &Outcome) -> Self {
        let stands = matches!(
            outcome,
            Outcome::Opened(_) | Outcome::Updated(_) | Outcome::Unchanged(_) | Outcome::NothingToDo
        );
        Self {
            outcome: outcome.kind(),
            told: outcome.to_string(),
            pull: outcome.pull().cloned(),
            stands,
        }
    }
}

impl Change {
    /// Whether it is made, or proposed so that people may merge it.
    pub fn stands(&self) -> bool {
        self.proposal
            .as_ref()
            .is_none_or(|proposal| proposal.stands)
    }
}

fn undo(
    config: &Config,
    detector: &DetectorName,
    before: Option<&DetectorChannel>,
    after: Option<&DetectorChannel>,
) -> Option<String> {
    let (before, after) = (before?, after?);
    let place = place(config);
    let active = before.active.release(detector);
    if after.retired != before.retired {
        return Some(format!("hodoscope promote {active}{place}"));
    }
    if before.active != after.active {
        return Some(format!("hodoscope rollback {detector}{place}"));
    }
    match &after.canary {
        Some(canary) if before.canary != after.canary => {
            let release = canary.pin().release(detector);
            Some(format!("hodoscope promote {release} --canary 0{place}"))
        }
        _ => None,
    }
}

/// The flags that lead another command to the same channel.
fn place(config: &Config) -> String {
    let mut flags = format!(" --channel {}", config.channel);
    for setting in &config.shown {
        let differs = setting.origin == crate::config::Origin::Flag;
        if differs && setting.key == "home" {
            flags = format!("{flags} --home {}", setting.value);
        } else if differs && setting.key == "channel_dir" {
            flags = format!("{flags} --set channel_dir={}", setting.value);
        }
    }
    flags
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            detector, channel, ..
        } = self;
        if let Some(proposal) = &self.proposal {
            writeln!(f, "{}", proposal.told)?;
            if !proposal.stands {
                return write!(
                    f,
                    "channel {channel} still wants what it wanted of {detector}"
                );
            }
        }
        if self.before == self.after {
            return write!(
                f,
                "channel {channel} wants this of {detector} already; nothing changed"
            );
        }
        write!(
            f,
            "channel {channel}, detector {detector} ({})",
            self.file.display()
        )?;
        let (before, after) = (rows(self.before.as_ref()), rows(self.after.as_ref()));
        for ((word, before), (_, after)) in before.into_iter().zip(after) {
            if before != after {
                write!(f, "\n  {word:<9} {before} -> {after}")?;
            } else if after != "-" {
                write!(f, "\n  {word:<9} {after}")?;
            }
        }
        if let Some(undo) = &self.undo {
            write!(f, "\n  undo:     {undo}")?;
        }
        let mut warnings = self.warnings.iter();
        warnings.try_for_each(|warning| write!(f, "\n  note:     {warning}"))
    }
}

/// What is wanted, as words.
fn rows(wanted: Option<&DetectorChannel>) -> [(&'static str, String); 5] {
    let shown = |pin: Option<&hodoscope_release::Pin>| match pin {
        Some(pin) => format!("{} {}", pin.version, short(&pin.digest)),
        None => "-".to_owned(),
    };
    let canary = wanted.and_then(|wanted| wanted.canary.as_ref());
    let canary = canary.map_or_else(
        || "-".to_owned(),
        |canary| format!("{} at {} %", shown(Some(&canary.pin())), canary.percent),
    );
    let retired = wanted.is_some_and(|wanted| wanted.retired);
    [
        ("active", shown(wanted.map(|wanted| &wanted.active))),
        (
            "previous",
            shown(wanted.and_then(|wanted| wanted.previous.as_ref())),
        ),
        (
            "shadow",
            shown(wanted.and_then(|wanted| wanted.shadow.as_ref())),
        ),
        ("canary", canary),
        ("retired", if retired { "yes" } else { "-" }.to_owned()),
    ]
}

/// Enough of a digest to compare by eye.
pub fn short(digest: &hodoscope_release::Digest) -> String {
    digest
        .to_string()
        .chars()
        .take("sha256:".len() + 12)
        .collect()
}
