//! Broken input, which alerts and never retrains: a model that is trained on it learns the fault. What is found here is
//! too large or too uniform to be a change of the world; what is smaller counts as drift.

use crate::compare::Pair;
use crate::distance::{merged, runs, shares};
use crate::report::{Policy, Problem, Quality};

/// A bin that held more of the reference than this may well hold all of a window.
const USUAL_SHARE: f64 = 0.9;
/// A bin that holds more than this holds one value that repeats.
const REPEATED: f64 = 0.5;
/// Fewer values than this outside of the range are no flood, however few vary.
const LEAST_OUTSIDE: f64 = 0.05;
/// A window in one bin by chance less often than this is no chance.
const NO_CHANCE: f64 = 1e-6;
/// The world seldom multiplies every value by so much without another change.
const UNIT_FACTOR: f64 = 8.0;
/// Quantiles that all differ by one factor: the logarithms of the factors are no further apart.
const UNIT_SPREAD: f64 = 0.25;
/// Fewest quantiles that tell a factor.
const UNIT_QUANTILES: usize = 5;

/// What is wrong with a feature, if anything.
pub(crate) fn problem(feature: &str, pair: Pair<'_>, policy: &Policy) -> Option<Problem> {
    let (kind, detail) = missing(pair, policy)
        .or_else(|| outside(pair, policy))
        .or_else(|| one_bin(pair))
        .or_else(|| factor(pair))?;
    Some(Problem {
        feature: feature.to_owned(),
        kind,
        detail,
    })
}

fn missing(pair: Pair<'_>, policy: &Policy) -> Option<(Quality, String)> {
    let (known, share) = pair.missing();
    let detail = format!(
        "{:.1} % missing, {:.1} % in the reference",
        share * 100.0,
        known * 100.0
    );
    if share >= 1.0 && known < 1.0 {
        return Some((Quality::MissingColumn, detail));
    }
    (share - known > policy.missing_flood).then_some((Quality::MissingFlood, detail))
}

/// A flood of values outside of the range. Where one value repeats in most rows, as the zero of counts does, no factor
/// moves it: the flood is one of the other rows.
fn outside(pair: Pair<'_>, policy: &Policy) -> Option<(Quality, String)> {
    let (low, high) = pair.reference.range.filter(|(low, high)| low < high)?;
    let (below, above) = pair.outside();
    let usual = shares(&pair.reference.counts)
        .into_iter()
        .filter(|share| *share > REPEATED)
        .fold(0.0, f64::max);
    let limit = (policy.outside_flood * (1.0 - usual)).max(LEAST_OUTSIDE);
    (below + above > limit).then(|| {
        let (before, now) = pair.means();
        let detail = format!(
            "{:.1} % under and {:.1} % over the reference's range {low}..{high}; the mean was {before:.6} and is {now:.6}",
            below * 100.0,
            above * 100.0
        );
        (Quality::UnitChange, detail)
    })
}

/// All values in one bin of several: a constant, or a unit that is far larger.
fn one_bin(pair: Pair<'_>) -> Option<(Quality, String)> {
    let n = pair.present().1;
    let bin = pair
        .window
        .counts
        .iter()
        .position(|count| *count == n && n > 0)?;
    let known = *shares(&pair.reference.counts).get(bin)?;
    if known > USUAL_SHARE || known.powf(n as f64) > NO_CHANCE {
        return None;
    }
    let (before, now) = pair.means();
    let shrunk = bin == 0
        && pair.reference.range.is_some_and(|(low, _)| low >= 0.0)
        && now > 0.0
        && now * UNIT_FACTOR <= before;
    let detail = format!(
        "all {n} values lie where {:.1} % of the reference's do; the mean was {before:.6} and is {now:.6}",
        known * 100.0
    );
    let kind = if shrunk {
        Quality::UnitChange
    } else {
        Quality::Constant
    };
    Some((kind, detail))
}

/// All quantiles are larger or smaller by one factor, far from one.
fn factor(pair: Pair<'_>) -> Option<(Quality, String)> {
    let mut factors: Vec<f64> = quantiles(pair)
        .into_iter()
        .filter(|(known, now)| known * now > 0.0)
        .map(|(known, now)| (now / known).ln())
        .collect();
    factors.sort_by(f64::total_cmp);
    let (least, most) = (*factors.first()?, *factors.last()?);
    let middle = *factors.get(factors.len() / 2)?;
    let common = factors.len() >= UNIT_QUANTILES
        && most - least <= UNIT_SPREAD
        && middle.abs() >= UNIT_FACTOR.ln();
    common.then(|| {
        let detail = format!(
            "{} quantiles are all about {:.4} times the reference's",
            factors.len(),
            middle.exp()
        );
        (Quality::UnitChange, detail)
    })
}

/// Deciles of the reference beside the window's at the same shares, read inside closed bins only.
fn quantiles(pair: Pair<'_>) -> Vec<(f64, f64)> {
    let edges = &pair.reference.edges;
    let ends = runs(&pair.reference.counts, 10);
    let parts = merged(&shares(&pair.reference.counts), &ends);
    let window = shares(&pair.window.counts);
    let mut share = 0.0;
    ends.iter()
        .zip(parts)
        .filter_map(|(end, part)| {
            share += part;
            let known = *edges.get(end.checked_sub(1)?)?;
            Some((known, quantile(edges, &window, share)?))
        })
        .collect()
}

/// The value below which a share of the values lies, linear inside of its bin; none in an open bin.
fn quantile(edges: &[f64], shares: &[f64], wanted: f64) -> Option<f64> {
    let mut below = 0.0;
    for (bin, share) in shares.iter().enumerate() {
        if below + share >= wanted && *share > 0.0 {
            let low = *edges.get(bin.checked_sub(1)?)?;
            let high = *edges.get(bin)?;
            return Some(low + (high - low) * ((wanted - below) / share).clamp(0.0, 1.0));
        }
        below += share;
    }
    None
}
