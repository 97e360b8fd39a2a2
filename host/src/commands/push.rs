//! `hodoscope push`: a place for its owner to fill.

use std::process::ExitCode;

use super::Context;

/// The arguments of `hodoscope push`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`push` is not part of this build yet")
}
