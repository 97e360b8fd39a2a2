//! `hodoscope list`: the releases in the store, and which channels of this machine pin them.

use std::fmt::Write as _;
use std::process::ExitCode;

use hodoscope_registry::Listed;
use hodoscope_release::DetectorName;
use serde::Serialize;

use super::Context;
use crate::pins::{self, PinnedBy};
use crate::{channel_change, releases};

/// What to list.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only releases of this detector
    pub detector: Option<DetectorName>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    listed: Listed,
    pinned_by: Vec<PinnedBy>,
}

#[derive(Serialize)]
struct Answer {
    store: String,
    releases: Vec<Row>,
    /// Index entries and channels that could not be read.
    broken: Vec<String>,
}

/// Runs the command: exit code 1 if something that should be listed could not be read.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (store, listing) = context.block_on(async {
        let store = releases::open_store(&context.config).await?;
        let listing = store.list(args.detector.as_ref()).await?;
        anyhow::Ok((store.to_string(), listing))
    })??;
    let pins = pins::read(&context.config);
    let row = |listed: Listed| Row {
        pinned_by: pins.of(&listed.entry.release()),
        listed,
    };
    let answer = Answer {
        store,
        releases: listing.releases.into_iter().map(row).collect(),
        broken: listing
            .broken
            .iter()
            .map(ToString::to_string)
            .chain(pins.unread.clone())
            .collect(),
    };
    context.answer(&answer, table(&answer)?)?;
    Ok(match answer.broken.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn table(answer: &Answer) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    if answer.releases.is_empty() {
        write!(
            text,
            "no releases in {}; `hodoscope push` makes one",
            answer.store
        )?;
    } else {
        let names = answer
            .releases
            .iter()
            .map(|row| row.listed.entry.release().to_string().len());
        let wide = names.max().unwrap_or(0).max("RELEASE".len());
        write!(
            text,
            "{:wide$}  {:<19}  {:>10}  PINNED BY",
            "RELEASE", "DIGEST", "SIZE"
        )?;
        for Row { listed, pinned_by } in &answer.releases {
            let entry = &listed.entry;
            let mut notes: Vec<_> = pinned_by.iter().map(ToString::to_string).collect();
            notes.extend(
                listed
                    .yanked
                    .iter()
                    .map(|yank| format!("yanked: {}", yank.reason)),
            );
            let (digest, size) = (channel_change::short(&entry.digest), entry.size_bytes);
            let line = format!(
                "{:wide$}  {digest}  {size:>10}  {}",
                entry.release(),
                notes.join(", ")
            );
            write!(text, "\n{}", line.trim_end())?;
        }
    }
    for broken in &answer.broken {
        write!(text, "\nbroken: {broken}")?;
    }
    Ok(text)
}
