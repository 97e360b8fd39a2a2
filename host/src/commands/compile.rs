//! `hodoscope compile`: the hidden body of the compiling child. Unknown bytes meet the compiler only here, under limits.

use std::process::ExitCode;

/// The arguments of `hodoscope compile`: none, everything comes through standard input.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> ExitCode {
    hodoscope_engine::compile_child_main()
}
