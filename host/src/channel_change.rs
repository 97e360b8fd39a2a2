//! A change of a channel as its author sees it: what was wanted before, what is wanted now, and the one command that
//! takes it back. `promote`, `rollback` and `retire` answer with it.

use std::fmt;
use std::path::PathBuf;

use hodoscope_registry::channels::{self, Edited};
use hodoscope_release::{
    ChannelDocument, ChannelError, ChannelName, DetectorChannel, DetectorName,
};
use serde::Serialize;

use crate::config::Config;

/// What became of one detector of a channel.
#[derive(Debug, Serialize)]
pub struct Change {
    /// The detector.
    pub detector: DetectorName,
    /// The channel.
    pub channel: ChannelName,
    /// The file that was written.
    pub file: PathBuf,
    /// What was wanted before.
    pub before: Option<DetectorChannel>,
    /// What is wanted now.
    pub after: Option<DetectorChannel>,
    /// The command that takes the change back, where there is one.
    pub undo: Option<String>,
}

/// Edits the channel of the settings.
pub fn apply(
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
        before,
        after,
        undo,
    })
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
        match &self.undo {
            Some(undo) => write!(f, "\n  undo:     {undo}"),
            None => Ok(()),
        }
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
