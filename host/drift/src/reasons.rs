//! Why a verdict is what it is, in words: the most important first.

use crate::compare::excess;
use crate::judge::{Looked, Reference, many, many_twice, score_windows};
use crate::report::{Comparison, Policy, Verdict};

/// How many features a sentence names.
const NAMED: usize = 5;

/// One sentence for each thing that speaks for the verdict, and for what else a person should know.
pub(crate) fn reasons(
    reference: &Reference<'_>,
    looked: &[Looked],
    policy: &Policy,
    verdict: Verdict,
) -> Vec<String> {
    let Some(last) = looked.last() else {
        return vec!["there is no window to judge".to_owned()];
    };
    match verdict {
        Verdict::NoReference => vec![format!(
            "{} carries no profile, so there is nothing to compare with; train it again with this version",
            reference.release
        )],
        Verdict::InsufficientData => vec![format!(
            "{} rows; {} are needed",
            last.summary.rows, policy.min_rows
        )],
        Verdict::DataQuality => last
            .problems
            .iter()
            .map(|problem| format!("{}: {}", problem.feature, problem.detail))
            .collect(),
        Verdict::Stable | Verdict::Watching | Verdict::Drifted => drift(looked, last, policy),
    }
}

fn drift(looked: &[Looked], last: &Looked, policy: &Policy) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(rate) = last.alert_rate.filter(|rate| !rate.within) {
        let (low, high) = policy.alert_rate_factors;
        reasons.push(format!(
            "{:.3} % of the rows alert, {:.3} % at calibration: outside {low:.2} to {high:.2} times that, and not by chance",
            rate.window * 100.0,
            rate.target * 100.0
        ));
    }
    match last.score.as_ref().filter(|_| last.summary.score_drifted) {
        Some(score) => reasons.push(format!(
            "scores drifted in {} of the last {} windows, {} are needed: {}",
            score_windows(looked, policy),
            looked.len().min(policy.windows_seen),
            policy.windows_needed,
            effect(score)
        )),
        None => reasons.push("scores are distributed as in the reference".to_owned()),
    }
    reasons.extend(features(looked, last, policy));
    reasons
}

fn features(looked: &[Looked], last: &Looked, policy: &Policy) -> Option<String> {
    if last.features.is_empty() {
        let summary = &last.summary;
        return Some(format!(
            "features were not judged: {} sampled rows, {} are needed",
            summary.sampled_rows, policy.min_rows
        ));
    }
    let drifted: Vec<&str> = last
        .features
        .iter()
        .filter(|feature| feature.comparison.drifted)
        .map(|feature| feature.name.as_str())
        .collect();
    if drifted.is_empty() {
        return None;
    }
    let named: Vec<&str> = drifted.iter().copied().take(NAMED).collect();
    let rest = match drifted.len().saturating_sub(NAMED) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    let decides = match (many_twice(looked, policy), many(last, policy)) {
        (true, _) => ", and so in the window before",
        (false, true) => ", not as far or not as many in the window before",
        (false, false) => "",
    };
    let far = last.summary.features_far * last.features.len() as f64;
    Some(format!(
        "{} of {} features drifted, {far:.0} of them far ({:.0} % at {:.1} times their limits, twice running, decide){decides}: {}{rest}",
        drifted.len(),
        last.features.len(),
        policy.feature_share * 100.0,
        policy.feature_factor,
        named.join(", ")
    ))
}

/// The effect that is furthest over its limit.
fn effect(comparison: &Comparison) -> String {
    let (e, l) = (&comparison.effects, &comparison.limits);
    let all = [
        ("PSI", e.psi, l.psi),
        ("KS", e.ks, l.ks),
        ("Wasserstein / σ", e.wasserstein, l.wasserstein),
        ("Jensen-Shannon", e.jensen_shannon, l.jensen_shannon),
        ("missing", e.missing.abs(), l.missing),
    ];
    let worst = all
        .into_iter()
        .max_by(|a, b| (a.1 / a.2).total_cmp(&(b.1 / b.2)));
    worst.map_or_else(String::new, |(name, effect, limit)| {
        let times = excess(e, l);
        format!("{name} {effect:.3} over a limit of {limit:.3} ({times:.1} times)")
    })
}
