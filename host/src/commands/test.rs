//! `hodoscope test`: every check that a push makes, on a file, without a store.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::Context;
use crate::gate;

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component.
    pub component: PathBuf,
}

/// Runs the command: exit code 0 if a push would take the component, 1 if the gate refuses it.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let bytes = fs::read(&args.component)
        .with_context(|| format!("failed to read `{}`", args.component.display()))?;
    let loaded = gate::engine(&context.config)?.load(&bytes);
    let text = gate::verdict(&loaded);
    match loaded {
        Ok(detector) => {
            context.answer(detector.report(), text)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => {
            context.answer(&refusal, text)?;
            Ok(ExitCode::FAILURE)
        }
    }
}
