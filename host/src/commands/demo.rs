//! `hodoscope demo`: the whole story with the real commands, in a folder of its own: train, push, serve, stream, drift,
//! retrain, compare, swap under load, roll back. Each step is checked by what the commands print for programs; without a
//! terminal it ends by itself, with exit code 0 only if every step held.

mod host;
mod shell;
mod story;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use super::Context;
use shell::Shell;

/// The arguments of `hodoscope demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder for everything the demo makes; one of an earlier demo is emptied
    #[arg(long, value_name = "FOLDER", default_value = ".hodoscope-demo")]
    folder: PathBuf,
    /// End after the last step, on a terminal too
    #[arg(long)]
    ends: bool,
}

/// Tells the story.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let shell = Shell::new(&args.folder)?;
    let mut host = context.block_on(story::tell(&shell))??;
    shell.say(&format!(
        "\nAll steps held, in {:.0} s.",
        started.elapsed().as_secs_f64()
    ));
    let stays = std::io::stdout().is_terminal() && !args.ends;
    if stays {
        shell.say(&host.next_commands(&shell));
        host.wait()?;
    } else {
        host.stop()?;
        shell.say("The host drained and ended.");
    }
    Ok(ExitCode::SUCCESS)
}
