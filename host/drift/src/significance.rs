//! How likely a distance is by chance, when both sides are finite samples: the reference is one, too.
//!
//! Two p-values are kept, each right for its kind of change, and the smaller one counts twice (Bonferroni): Kolmogorov
//! and Smirnov's for shifts, whose distance on bins makes it conservative, and Pearson's test of homogeneity on about ten
//! bins for changes of shape and of the share of missing values. The edges are quantiles of the reference itself; that
//! changes nothing in the limit, since a share between two order statistics has the variance of a counted one.

use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF, DiscreteCDF};

/// Expected counts below this are pooled with their neighbour (Cochran 1954).
const LEAST_EXPECTED: f64 = 5.0;

/// The chance of Kolmogorov and Smirnov's distance or more between samples of `n` and `m` values of one distribution:
/// `Q(λ) = 2 Σ (−1)^(k−1) exp(−2k²λ²)`, with Stephens' (1970) `λ = (√e + 0.12 + 0.11/√e) D`, `e = nm/(n+m)`.
pub fn kolmogorov_smirnov(distance: f64, n: u64, m: u64) -> f64 {
    if n == 0 || m == 0 {
        return 1.0;
    }
    let (n, m) = (n as f64, m as f64);
    let root = (n * m / (n + m)).sqrt();
    kolmogorov((root + 0.12 + 0.11 / root) * distance)
}

/// The upper tail of Kolmogorov's distribution; the theta function's other form where the first converges slowly.
fn kolmogorov(lambda: f64) -> f64 {
    use std::f64::consts::PI;
    if lambda < 0.2 {
        return 1.0;
    }
    if lambda < 1.18 {
        let base = (-PI * PI / (8.0 * lambda * lambda)).exp();
        let sum = base + base.powi(9) + base.powi(25) + base.powi(49);
        return (1.0 - (2.0 * PI).sqrt() / lambda * sum).clamp(0.0, 1.0);
    }
    let term = |k: f64| (-2.0 * k * k * lambda * lambda).exp();
    (2.0 * (term(1.0) - term(2.0) + term(3.0) - term(4.0))).clamp(0.0, 1.0)
}

/// The chance of such unequal counts in the same cells from one distribution: Pearson's test of homogeneity, cells with
/// fewer than five expected on either side pooled with the next.
pub fn homogeneity(reference: &[u64], window: &[u64]) -> f64 {
    let total = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
    let (m, n) = (total(reference), total(window));
    if m == 0.0 || n == 0.0 {
        return 1.0;
    }
    let enough = |r: f64, w: f64| (r + w) * m.min(n) / (m + n) >= LEAST_EXPECTED;
    let mut cells: Vec<(f64, f64)> = Vec::new();
    let (mut r, mut w) = (0.0, 0.0);
    for (more_r, more_w) in reference.iter().zip(window) {
        r += *more_r as f64;
        w += *more_w as f64;
        if enough(r, w) {
            cells.push((r, w));
            (r, w) = (0.0, 0.0);
        }
    }
    if let Some(last) = cells.last_mut() {
        last.0 += r;
        last.1 += w;
    }
    let (scale_r, scale_w) = ((n / m).sqrt(), (m / n).sqrt());
    let statistic: f64 = cells
        .iter()
        .map(|(r, w)| (scale_r * r - scale_w * w).powi(2) / (r + w))
        .sum();
    let freedom = cells.len().saturating_sub(1) as f64;
    ChiSquared::new(freedom).map_or(1.0, |law| law.sf(statistic))
}

/// Benjamini and Hochberg's (1995) adjusted p-values, in the order given: the least share of false discoveries at which
/// each would still be one.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len() as f64;
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    let at = |index: usize| p_values.get(index).copied().unwrap_or(1.0);
    order.sort_by(|a, b| at(*b).total_cmp(&at(*a)));
    let (mut adjusted, mut least) = (vec![1.0; p_values.len()], 1.0_f64);
    for (rank, index) in order.into_iter().enumerate() {
        least = least.min(at(index) * count / (count - rank as f64));
        if let Some(slot) = adjusted.get_mut(index) {
            *slot = least;
        }
    }
    adjusted
}

/// The chance of so many events or more in `n` rows if their rate were `factor` times the one that gave `known` events in
/// `m` rows: both are counts, and given their sum the first is binomial (Przyborowski and Wilenski 1940).
pub fn rate_above(events: u64, n: u64, known: u64, m: u64, factor: f64) -> f64 {
    match law(events, n, known, m, factor) {
        Some(law) if events > 0 => law.sf(events - 1),
        _ => 1.0,
    }
}

/// The chance of so few events or fewer; see [`rate_above`].
pub fn rate_below(events: u64, n: u64, known: u64, m: u64, factor: f64) -> f64 {
    law(events, n, known, m, factor).map_or(1.0, |law| law.cdf(events))
}

fn law(events: u64, n: u64, known: u64, m: u64, factor: f64) -> Option<Binomial> {
    let (n, m) = (factor * n as f64, m as f64);
    (n + m > 0.0)
        .then(|| Binomial::new(n / (n + m), events + known).ok())
        .flatten()
}
