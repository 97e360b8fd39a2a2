//! `hodoscope yank`: marks a release as not to be used any more. Nothing is deleted; promote and hosts refuse it from
//! now on, and a host that serves it goes on until its channel wants another one.

use std::fmt::Write as _;
use std::process::ExitCode;

use hodoscope_registry::Pushed;
use hodoscope_release::ReleaseName;
use serde::Serialize;

use super::Context;
use crate::pins::{self, PinnedBy};
use crate::releases;

/// Which release, and why.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The release, for instance pump@1.4.0
    pub release: ReleaseName,
    /// Why; shown to everyone who meets the release
    #[arg(long)]
    pub reason: String,
}

#[derive(Serialize)]
struct Answer {
    release: ReleaseName,
    yanked: Pushed,
    pinned_by: Vec<PinnedBy>,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let Args { release, reason } = args;
    let (store, yanked) = context.block_on(async {
        let store = releases::open_store(&context.config).await?;
        let yanked = store.yank(&release, &reason).await?;
        anyhow::Ok((store, yanked))
    })??;
    let mut text = match yanked {
        Pushed::Created => format!("yanked {release} in {store}"),
        Pushed::Unchanged => format!("{release} was yanked already; its first reason stays"),
    };
    let pinned_by = pins::read(&context.config).of(&release);
    for pin in &pinned_by {
        write!(
            text,
            "\n  still pinned by {pin}; promote another release there"
        )?;
    }
    let answer = Answer {
        release,
        yanked,
        pinned_by,
    };
    context.answer(&answer, text)?;
    Ok(ExitCode::SUCCESS)
}
