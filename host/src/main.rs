//! The executable: read the command line, read the settings, run one command, end with its exit code.

use std::process::ExitCode;

use clap::Parser as _;
use hodoscope::commands::Cli;
use mimalloc::MiMalloc;

/// Named, so that every build has the same, the image's static one too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
