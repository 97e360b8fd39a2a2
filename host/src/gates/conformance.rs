//! What the engine's gate found, and that the same rows have the same scores however often they are asked for.

use std::time::Duration;

use hodoscope_engine::{Deadline, Outcome};
use hodoscope_release::evidence::{Class, Gate};

use super::Inputs;

/// Rows that are asked for repeatedly.
const ROWS: usize = 1_000;
const CALL_DEADLINE: Duration = Duration::from_secs(60);

pub(super) fn measure(inputs: &Inputs<'_>) -> anyhow::Result<Vec<Gate>> {
    let report = inputs.candidate.report();
    let failed = report
        .checks
        .iter()
        .find(|check| check.outcome == Outcome::Failed);
    let reason = match failed {
        Some(check) => format!("{}: {}", check.name, check.detail),
        None if report.unproven => {
            let checks = report.checks.len();
            format!("{checks} checks of the engine's gate held; it carries no golden rows")
        }
        None => format!("{} checks of the engine's gate held", report.checks.len()),
    };
    let checks = Gate::verdict("conformance", Class::Integrity, failed.is_none(), reason);
    Ok(vec![checks, repeats(inputs)?])
}

fn repeats(inputs: &Inputs<'_>) -> anyhow::Result<Gate> {
    let rows = inputs.held_out.spread(ROWS);
    let batch = rows.batch(inputs.candidate, 0..rows.rows())?;
    let score = || -> anyhow::Result<Vec<u64>> {
        let scores = inputs
            .candidate
            .score(&batch, Deadline::after(CALL_DEADLINE))?;
        Ok(scores.iter().map(|score| score.to_bits()).collect())
    };
    let first = score()?;
    let mut same = true;
    for _ in 1..inputs.policy.repeats.max(2) {
        same &= score()? == first;
    }
    let times = inputs.policy.repeats.max(2);
    let reason = if same {
        format!(
            "{} rows scored {times} times, bit for bit the same",
            rows.rows()
        )
    } else {
        format!(
            "the same {} rows got other scores when asked again",
            rows.rows()
        )
    };
    Ok(Gate::verdict("repeats", Class::Integrity, same, reason))
}
