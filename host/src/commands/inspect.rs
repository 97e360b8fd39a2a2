//! `hodoscope inspect`: a place for its owner to fill.

use std::process::ExitCode;

use super::Context;

/// The arguments of `hodoscope inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`inspect` is not part of this build yet")
}
