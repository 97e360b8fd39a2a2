//! What a shadow run counted: the candidate on copies of real calls.

use hodoscope_release::evidence::{Class, Gate, GatePolicy, Limit};
use hodoscope_release::window::ShadowCounts;

use super::{Inputs, percent};

const NAME: &str = "shadow";

pub(super) fn measure(inputs: &Inputs<'_>) -> anyhow::Result<Vec<Gate>> {
    let absent = |reason: String| Gate::not_applicable(NAME, Class::Integrity, reason);
    let digest = inputs.candidate.digest().to_string();
    let gate = match inputs.shadow {
        None => absent("no shadow ran".to_owned()),
        Some(counts) if counts.digest != digest => absent(format!(
            "the shadow was another release, {}",
            counts.version
        )),
        Some(counts) => judge(counts, inputs.policy),
    };
    Ok(vec![gate])
}

/// The gate for what a shadow of the candidate counted.
pub(super) fn judge(counts: &ShadowCounts, policy: &GatePolicy) -> Gate {
    let enough = counts.rows >= policy.shadow_rows;
    // Faults count however few rows there were.
    if !enough && counts.faults <= policy.shadow_faults {
        let reason = format!(
            "the shadow scored {} rows; {} are needed",
            counts.rows, policy.shadow_rows
        );
        return Gate::not_applicable(NAME, Class::Integrity, reason);
    }
    Gate::measured(
        NAME,
        Class::Integrity,
        counts.faults as f64,
        Limit::at_most(policy.shadow_faults as f64, 0.0),
        policy,
        format!(
            "{} faults in {} rows of real calls; {} of the verdicts differ, scores by {:.4} on average",
            counts.faults,
            counts.rows,
            percent(counts.flips as f64 / counts.rows.max(1) as f64),
            counts.difference_sum / counts.rows.max(1) as f64
        ),
    )
}
