//! `hodoscope status`: asks a running host, through its admin port, what was wanted, what runs, and why they differ.

use std::process::ExitCode;

use super::Context;

/// The arguments of `hodoscope status`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`status` is not part of this build yet")
}
