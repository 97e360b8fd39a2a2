//! `hodoscope config`: every setting, its value and where the value comes from. Secrets are masked.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::Context;

/// The arguments of `hodoscope config`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let shown = &context.config.shown;
    let wide = |field: fn(&crate::config::Shown) -> usize| shown.iter().map(field).max();
    let key = wide(|setting| setting.key.len()).unwrap_or(0);
    let value = wide(|setting| setting.value.len()).unwrap_or(0).min(40);
    let mut text = String::new();
    for setting in shown {
        writeln!(
            text,
            "{:key$}  {:value$}  {:<12} {}",
            setting.key, setting.value, setting.origin, setting.about
        )?;
    }
    context.answer(shown, text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
