//! The executable: read the command line, read the settings, run one command, end with its exit code.

use std::process::ExitCode;

use clap::Parser as _;
use hodoscope::commands::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
