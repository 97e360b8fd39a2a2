//! The engine as the settings want it, for every command that gates or scores, and the conformance report as people read
//! it. The trusted kernels are those of the forest compiler built into this executable.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use hodoscope_engine::{Compiler, Detector, Engine, EngineConfig, Outcome, Refusal, Report};

use crate::config::Config;

/// The hidden subcommand that is the body of the compiling child.
const COMPILE_COMMAND: &str = "compile";

/// What the settings say to the engine.
pub fn engine_config(config: &Config) -> anyhow::Result<EngineConfig> {
    let settings = &config.engine;
    let program = std::env::current_exe().context("failed to find this executable")?;
    let mut engine = EngineConfig {
        queue_capacity: settings.queue_capacity,
        pool_threads: settings.pool_threads.unwrap_or(0),
        cache_dir: Some(settings.cache_dir.join("compiled")),
        compiler: Compiler::Child {
            program,
            args: vec![COMPILE_COMMAND.to_owned()],
        },
        trusted_kernels: hodoscope_isolation_forest::kernel_digests(),
        reuse: settings.reuse.clone(),
        ..EngineConfig::default()
    };
    engine.limits.component_bytes = settings.component_limit_bytes as u64;
    engine.limits.memory_bytes = settings.memory_limit_bytes as u64;
    engine.limits.compile_cpu = Duration::from_secs(settings.compile_cpu_seconds);
    // A busy machine gives a child half a core at times.
    engine.limits.compile_wall = engine.limits.compile_cpu * 2;
    Ok(engine)
}

/// Starts an engine as the settings want it.
pub fn engine(config: &Config) -> anyhow::Result<Engine> {
    Ok(Engine::new(engine_config(config)?)?)
}

/// What the gate said, for people: one line per check, then the verdict.
pub fn verdict(loaded: &Result<Detector, Refusal>) -> String {
    match loaded {
        Ok(detector) => report_text(detector.report()),
        Err(refusal) => {
            let checks = refusal.report.as_deref().map(checks_text);
            format!(
                "{}refused ({})\n  found:     {}\n  supported: {}\n  fix:       {}",
                checks.unwrap_or_default(),
                refusal.kind().as_str(),
                refusal.found,
                refusal.supported,
                refusal.fix
            )
        }
    }
}

/// A report of a component that passed.
pub fn report_text(report: &Report) -> String {
    let word = |yes: bool, word: &'static str| if yes { word } else { "" };
    let marks: Vec<&str> = [
        if report.trusted {
            "trusted"
        } else {
            "untrusted"
        },
        word(report.unproven, "unproven"),
        word(report.explains, "explains"),
    ]
    .into_iter()
    .filter(|mark| !mark.is_empty())
    .collect();
    format!(
        "{}accepted ({})\n  digest:   {}\n  contract: {}\n  cost:     {:.1} µs a call, {:.0} ns a further row",
        checks_text(report),
        marks.join(", "),
        report.digest,
        report.contract,
        report.cost.call_seconds * 1e6,
        report.cost.row_seconds * 1e9,
    )
}

fn checks_text(report: &Report) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let outcome = match check.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "skipped",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {outcome:<8} {:<16} {}", check.name, check.detail);
    }
    text
}
