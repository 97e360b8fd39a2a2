//! What a shadow run counted: the candidate on copies of real calls.

use hodoscope_release::evidence::{Class, Gate, Limit};

use super::{Inputs, percent};

pub(super) fn measure(inputs: &Inputs<'_>) -> anyhow::Result<Vec<Gate>> {
    let absent = |reason: String| Gate::not_applicable("shadow", Class::Integrity, reason);
    let Some(counts) = inputs.shadow else {
        return Ok(vec![absent("no shadow ran".to_owned())]);
    };
    let digest = inputs.candidate.digest().to_string();
    if counts.digest != digest {
        return Ok(vec![absent(format!(
            "the shadow was another release, {}",
            counts.version
        ))]);
    }
    let enough = counts.rows >= inputs.policy.shadow_rows;
    // Faults count however few rows there were.
    if !enough && counts.faults <= inputs.policy.shadow_faults {
        return Ok(vec![absent(format!(
            "the shadow scored {} rows; {} are needed",
            counts.rows, inputs.policy.shadow_rows
        ))]);
    }
    Ok(vec![Gate::measured(
        "shadow",
        Class::Integrity,
        counts.faults as f64,
        Limit::at_most(inputs.policy.shadow_faults as f64, 0.0),
        inputs.policy,
        format!(
            "{} faults in {} rows of real calls; {} of the verdicts differ, scores by {:.4} on average",
            counts.faults,
            counts.rows,
            percent(counts.flips as f64 / counts.rows.max(1) as f64),
            counts.difference_sum / counts.rows.max(1) as f64
        ),
    )])
}
