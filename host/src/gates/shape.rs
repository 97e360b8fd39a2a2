//! The shape of the scores: that they differ between rows, rank as the champion's do, and alert on about as many rows as
//! they shall.

use std::collections::HashMap;

use hodoscope_engine::Detector;
use hodoscope_release::evidence::{Class, Gate, Limit};

use super::{Inputs, percent};
use crate::evidence::Frame;
use crate::evidence::statistics::spearman;

pub(super) fn measure(inputs: &Inputs<'_>) -> anyhow::Result<Vec<Gate>> {
    let mut gates = vec![single_score(inputs)?, rank(inputs)?];
    gates.extend(alert_rate(inputs)?);
    Ok(gates)
}

/// The largest share of distinct rows that have one and the same score.
fn single_score(inputs: &Inputs<'_>) -> anyhow::Result<Gate> {
    let rows = distinct(inputs.held_out);
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for score in rows.score(inputs.candidate)? {
        *counts.entry(score.to_bits()).or_default() += 1;
    }
    let most = counts.values().max().copied().unwrap_or_default();
    let share = most as f64 / rows.rows().max(1) as f64;
    Ok(Gate::measured(
        "single_score",
        Class::Integrity,
        share,
        Limit::at_most(inputs.policy.single_score_share, 0.0),
        inputs.policy,
        format!(
            "{} of the distinct rows have one and the same score",
            percent(share)
        ),
    ))
}

fn distinct(rows: &Frame) -> Frame {
    let mut seen = std::collections::HashSet::new();
    let bits = |at: usize| -> Vec<u64> { rows.row(at).iter().map(|v| v.to_bits()).collect() };
    let kept: Vec<usize> = (0..rows.rows())
        .filter(|at| seen.insert(bits(*at)))
        .collect();
    rows.pick(&kept)
}

/// Spearman's correlation with the champion's scores on the champion's golden rows.
fn rank(inputs: &Inputs<'_>) -> anyhow::Result<Gate> {
    let absent = |reason: &str| Gate::not_applicable("rank", Class::Similarity, reason);
    let Some(champion) = inputs.champion else {
        return Ok(absent("there is no champion"));
    };
    let Some((rows, scores)) = golden(champion) else {
        return Ok(absent("the champion carries no golden rows"));
    };
    let Some(correlation) = spearman(&scores, &rows.score(inputs.candidate)?) else {
        return Ok(absent("one of the two gives all golden rows one score"));
    };
    Ok(Gate::measured(
        "rank",
        Class::Similarity,
        correlation,
        Limit::at_least(inputs.policy.rank_correlation, 1.0),
        inputs.policy,
        format!(
            "rank correlation {correlation:.3} on {} golden rows of the champion",
            rows.rows()
        ),
    ))
}

/// A detector's golden rows and their scores.
pub(super) fn golden(detector: &Detector) -> Option<(Frame, Vec<f64>)> {
    let golden = detector.sections().golden.as_ref()?;
    let features = &detector.description().features;
    let names = features
        .iter()
        .map(|feature| feature.name.clone())
        .collect();
    let values = golden.rows.iter().flatten();
    let values = values.map(|value| value.unwrap_or(f64::NAN)).collect();
    Some((Frame::new(names, values), golden.scores.clone()))
}

/// The alert rate on rows that the threshold was not set on: at least and at most a multiple of the target, each widened by two standard
/// deviations of a count of that size, and never above the cap.
fn alert_rate(inputs: &Inputs<'_>) -> anyhow::Result<Vec<Gate>> {
    let names = ["alert_rate.low", "alert_rate.high", "alert_rate.cap"];
    let absent = |reason: &str| {
        names
            .map(|name| Gate::not_applicable(name, Class::Similarity, reason))
            .to_vec()
    };
    let (Some(target), Some(threshold)) =
        (inputs.target(), inputs.candidate.description().threshold)
    else {
        return Ok(absent("nobody said which share of the rows shall alert"));
    };
    let (rows, of) = match inputs.unseen {
        Some(unseen) if unseen.rows() > 0 => (unseen, "that the threshold was not set on"),
        _ => (inputs.held_out, "that were held out"),
    };
    let scores = rows.score(inputs.candidate)?;
    let count = scores.len().max(1) as f64;
    let alerts = scores.iter().filter(|score| **score >= threshold).count();
    let rate = alerts as f64 / count;
    let noise = |rate: f64| 2.0 * (rate / count).sqrt();
    let (low, high) = inputs.policy.alert_rate_factors;
    let low = (low * target - noise(low * target)).max(0.0);
    let high = high * target + noise(high * target);
    // An owner who wants more alerts than the cap gets them, with a little room.
    let cap = inputs
        .policy
        .alert_rate_cap
        .max(1.2 * target + noise(target));
    let reason = format!(
        "{} of {} rows {of} alert, {} shall",
        percent(rate),
        scores.len(),
        percent(target)
    );
    let [at_least, at_most, never] = names;
    let similarity = Class::Similarity;
    let limits = [
        (at_least, similarity, Limit::at_least(low, target)),
        (at_most, similarity, Limit::at_most(high, target)),
        (never, Class::Integrity, Limit::at_most(cap, target)),
    ];
    let gate = |(name, class, limit)| {
        Gate::measured(name, class, rate, limit, inputs.policy, reason.clone())
    };
    Ok(limits.map(gate).to_vec())
}

/// Rows that raised an alarm and no longer would: the champion's alarms, and the anchor's, of which little by little many
/// are forgiven. A new world and a poisoned one look the same from here; a person can tell whether those alarms were false.
pub(super) fn measure_forgiven(inputs: &Inputs<'_>) -> anyhow::Result<Vec<Gate>> {
    const NAME: &str = "forgiven";
    let absent = |reason: &str| vec![Gate::not_applicable(NAME, Class::Similarity, reason)];
    let (Some(target), Some(now)) = (inputs.target(), inputs.candidate.description().threshold)
    else {
        return Ok(absent("nobody said which share of the rows shall alert"));
    };
    let after = inputs.held_out.score(inputs.candidate)?;
    let count = after.len().max(1) as f64;
    let mut worst: Option<(usize, String)> = None;
    for (whose, earlier) in [("champion", inputs.champion), ("anchor", inputs.anchor)] {
        let Some((earlier, then)) =
            earlier.and_then(|earlier| Some((earlier, earlier.description().threshold?)))
        else {
            continue;
        };
        let before = inputs.held_out.score(earlier)?;
        let alarms = before.iter().filter(|score| **score >= then).count();
        let judged = before.iter().zip(&after);
        let forgiven = judged.filter(|(a, b)| **a >= then && **b < now).count();
        if worst.as_ref().is_none_or(|(most, _)| forgiven > *most) {
            let rows = after.len();
            let reason = format!(
                "{forgiven} of the {whose}'s {alarms} alarms in {rows} rows would no longer be raised"
            );
            worst = Some((forgiven, reason));
        }
    }
    let Some((forgiven, reason)) = worst else {
        return Ok(absent("there is no earlier release with a threshold"));
    };
    let most = inputs.policy.forgiven_factor * target;
    let limit = Limit::at_most(most + 2.0 * (most / count).sqrt(), 0.0);
    let share = forgiven as f64 / count;
    Ok(vec![Gate::measured(
        NAME,
        Class::Similarity,
        share,
        limit,
        inputs.policy,
        reason,
    )])
}

/// The alert rate of each half's forest on the other half's rows.
pub(super) fn measure_halves(inputs: &Inputs<'_>) -> anyhow::Result<Vec<Gate>> {
    let Some(halves) = inputs.halves else {
        let reason = "there are too few rows, or it was not retrained here";
        return Ok(vec![Gate::not_applicable(
            "halves",
            Class::Similarity,
            reason,
        )]);
    };
    let widest = inputs.policy.halves_factor * halves.target;
    let limit = widest + 2.0 * (widest / halves.rows.max(1) as f64).sqrt();
    Ok(vec![Gate::measured(
        "halves",
        Class::Similarity,
        halves.older_on_newer.max(halves.newer_on_older),
        Limit::at_most(limit, halves.target),
        inputs.policy,
        format!(
            "a forest of the older half alerts on {} of the newer, one of the newer on {} of the older",
            percent(halves.older_on_newer),
            percent(halves.newer_on_older)
        ),
    )])
}
