//! The distance from the anchor: how many of the anchor's own rows are judged otherwise than the anchor judged them. Each
//! retraining may move a little; the anchor does not move with it, so that many small steps add up where they are seen.

use hodoscope_engine::Detector;
use hodoscope_release::evidence::{Class, Gate, Limit};
use hodoscope_release::sections::{Histogram, Profile};

use super::random::Random;
use super::shape::golden;
use super::{Inputs, percent};
use crate::evidence::Frame;

const NAME: &str = "anchor";
const SEED: u64 = 0x0061_6e63_686f_7273;
/// Rows drawn from the anchor's profile.
const DRAWN_ROWS: usize = 2_000;

pub(super) fn measure(inputs: &Inputs<'_>) -> anyhow::Result<Vec<Gate>> {
    let absent = |reason: &str| vec![Gate::not_applicable(NAME, Class::Similarity, reason)];
    let Some(anchor) = inputs.anchor.or(inputs.champion) else {
        return Ok(absent("there is no earlier release"));
    };
    let thresholds = (
        anchor.description().threshold,
        inputs.candidate.description().threshold,
    );
    let (Some(then), Some(now)) = thresholds else {
        return Ok(absent("one of the two has no threshold"));
    };
    let mut parts = Vec::new();
    let mut worst: f64 = 0.0;
    let golden = golden(anchor).map(|(rows, _)| ("golden", rows));
    let drawn = anchor.sections().profile.as_ref();
    let drawn = drawn.map(|profile| ("drawn", draw(anchor, profile)));
    for (what, rows) in golden.into_iter().chain(drawn) {
        let before = rows.score(anchor)?;
        let after = rows.score(inputs.candidate)?;
        let judged = before.iter().zip(&after);
        let flips = judged
            .filter(|(a, b)| (**a >= then) != (**b >= now))
            .count();
        let share = flips as f64 / rows.rows().max(1) as f64;
        worst = worst.max(share);
        parts.push(format!("{} of {} {what} rows", percent(share), rows.rows()));
    }
    if parts.is_empty() {
        return Ok(absent(
            "the anchor carries neither golden rows nor a profile",
        ));
    }
    Ok(vec![Gate::measured(
        NAME,
        Class::Similarity,
        worst,
        Limit::at_most(inputs.policy.anchor_flips, 0.0),
        inputs.policy,
        format!(
            "{} are judged otherwise than the anchor did",
            parts.join(" and ")
        ),
    )])
}

/// Rows whose features are each distributed as in the anchor's reference, but drawn one by one: the profile does not know
/// which values came together.
fn draw(anchor: &Detector, profile: &Profile) -> Frame {
    let features = &anchor.description().features;
    let names = features
        .iter()
        .map(|feature| feature.name.clone())
        .collect();
    let mut random = Random::new(SEED);
    let mut values = Vec::new();
    for _ in 0..DRAWN_ROWS {
        for histogram in &profile.features {
            values.push(value(histogram, &mut random));
        }
    }
    Frame::new(names, values)
}

fn value(histogram: &Histogram, random: &mut Random) -> f64 {
    let present: u64 = histogram.counts.iter().sum();
    let mut place = random.below((present + histogram.missing) as usize) as u64;
    let (low, high) = histogram.range.unwrap_or((0.0, 0.0));
    for (bin, count) in histogram.counts.iter().enumerate() {
        if place < *count {
            let edge = |at: Option<usize>| at.and_then(|at| histogram.edges.get(at)).copied();
            let from = edge(bin.checked_sub(1)).unwrap_or(low);
            let to = edge(Some(bin)).unwrap_or(high);
            // A bin with one value holds that value: its sum says so.
            let mean = histogram
                .sums
                .get(bin)
                .map_or(from, |sum| sum / *count as f64);
            let spread = (mean - from).min(to - mean).max(0.0);
            return random.within(mean - spread, mean + spread);
        }
        place -= count;
    }
    f64::NAN
}
