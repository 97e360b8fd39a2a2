//! What the candidate costs: latency against the champion's, and size, memory and load time against the host's limits. A
//! richer world makes deeper trees, so that a slower candidate is for a person to judge; one beyond the limits is broken.

use hodoscope_release::evidence::{Class, Gate, Limit};

use super::Inputs;
use crate::evidence::{latencies, latency_ratio};

/// Rows that calls are made of.
const ROWS: usize = 4_096;
/// A machine that is busy with something else fails this gate by chance: it is measured again before it counts.
const TRIES: usize = 3;

pub(super) fn measure(inputs: &Inputs<'_>) -> anyhow::Result<Vec<Gate>> {
    Ok(vec![
        latency(inputs)?,
        within(
            inputs,
            "cost.size",
            inputs.candidate.inspection().size_bytes,
            inputs.limits.component_bytes,
            "bytes of component",
        ),
        within(
            inputs,
            "cost.memory",
            inputs.candidate.stats().memory_peak_bytes as u64,
            inputs.limits.memory_bytes,
            "bytes of memory at most",
        ),
        Gate::measured(
            "cost.load",
            Class::Integrity,
            inputs.candidate.report().load_seconds,
            Limit::at_most(
                (inputs.limits.compile_wall + inputs.limits.gate_total).as_secs_f64(),
                0.0,
            ),
            inputs.policy,
            format!("{:.2} s to load", inputs.candidate.report().load_seconds),
        ),
    ])
}

fn latency(inputs: &Inputs<'_>) -> anyhow::Result<Gate> {
    const NAME: &str = "cost.latency";
    let absent = |reason: &str| Ok(Gate::not_applicable(NAME, Class::Similarity, reason));
    let Some(champion) = inputs.champion else {
        return absent("there is no champion");
    };
    let rows = inputs.held_out.spread(ROWS);
    let limit = Limit::at_most(inputs.policy.p99_ratio, 1.0);
    let mut best = (f64::INFINITY, String::new());
    for _ in 0..TRIES {
        let Some((before, now)) = latencies(champion, inputs.candidate, &rows)? else {
            return absent("there are no rows");
        };
        let ratio = latency_ratio(&before, &now);
        if ratio < best.0 {
            let reason = format!(
                "99 % of calls within {:.1} µs (1 row) and {:.1} µs (100 rows), the champion's {:.1} and {:.1}",
                now.one_row.p99_us,
                now.hundred_rows.p99_us,
                before.one_row.p99_us,
                before.hundred_rows.p99_us
            );
            best = (ratio, reason);
        }
        if limit.holds(best.0) && limit.room_left(best.0) >= inputs.policy.near_share {
            break;
        }
    }
    let (ratio, reason) = best;
    Ok(Gate::measured(
        NAME,
        Class::Similarity,
        ratio,
        limit,
        inputs.policy,
        reason,
    ))
}

fn within(inputs: &Inputs<'_>, name: &str, found: u64, limit: u64, what: &str) -> Gate {
    Gate::measured(
        name,
        Class::Integrity,
        found as f64,
        Limit::at_most(limit as f64, 0.0),
        inputs.policy,
        format!("{found} {what}"),
    )
}
