//! Distances between two distributions that were counted on the same bins, and what the binning costs: a distance on
//! bins is never above the one on the raw values (Jensen and Shannon, Kolmogorov and Smirnov, Wasserstein), and the
//! functions here that bound the gap say by how much it can be below.

/// The share that stands in for an empty bin in the population stability index, as in Evidently.
pub const EMPTY_SHARE: f64 = 1e-4;
/// Sums are kept to nine digits.
const SAME_VALUE: f64 = 1e-8;

/// What lies in the bins of one side. Bin `i` holds `edges[i-1] <= x < edges[i]`; the first and last are open.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Values in each bin.
    pub counts: &'a [u64],
    /// Their sums.
    pub sums: &'a [f64],
}

/// A distance that binning blurs: the raw values' one lies between the two.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bounds {
    /// Not below this.
    pub least: f64,
    /// Not above this.
    pub most: f64,
}

/// The share of each bin; zeros for an empty side.
pub fn shares(counts: &[u64]) -> Vec<f64> {
    let total: u64 = counts.iter().sum();
    let scale = if total == 0 { 0.0 } else { 1.0 / total as f64 };
    counts.iter().map(|count| *count as f64 * scale).collect()
}

/// Where runs of fine bins end (exclusive) so that about `bins` runs of equal share arise; the last one ends all.
/// A bin that holds more than its part stays alone: values that repeat are never torn apart.
pub fn runs(counts: &[u64], bins: usize) -> Vec<usize> {
    let total: u64 = counts.iter().sum();
    let part = total as f64 / bins.max(1) as f64;
    let (mut ends, mut seen, mut next) = (Vec::new(), 0, part);
    for (index, count) in counts.iter().enumerate() {
        seen += count;
        if seen as f64 >= next - 0.5 && seen < total {
            ends.push(index + 1);
            next = part * ((seen as f64 + 0.5) / part).floor() + part;
        }
    }
    ends.push(counts.len());
    ends
}

/// Sums over the runs that end at `ends`.
pub fn merged<T: Copy + std::iter::Sum>(values: &[T], ends: &[usize]) -> Vec<T> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts
        .zip(ends)
        .map(|(start, end)| values.get(start..*end).unwrap_or_default())
        .map(|run| run.iter().copied().sum())
        .collect()
}

/// The population stability index, `Σ (pᵢ − qᵢ) ln(pᵢ / qᵢ)`: Jeffreys' divergence (1946) on bins. Without drift it is
/// about `χ²(bins − 1) · (1/n + 1/m)` (Yurdakul 2018). An empty bin counts as [`EMPTY_SHARE`].
pub fn psi(reference: &[f64], window: &[f64]) -> f64 {
    let floor = |share: f64| if share > 0.0 { share } else { EMPTY_SHARE };
    reference
        .iter()
        .zip(window)
        .filter(|(p, q)| **p > 0.0 || **q > 0.0)
        .map(|(p, q)| (floor(*p), floor(*q)))
        .map(|(p, q)| (p - q) * (p / q).ln())
        .sum()
}

/// Jensen and Shannon's distance: the root of their divergence (Lin 1991; a metric by Endres and Schindelin 2003),
/// natural logarithm, so at most `√ln 2`.
pub fn jensen_shannon(reference: &[f64], window: &[f64]) -> f64 {
    jensen_shannon_divergence(reference, window).max(0.0).sqrt()
}

/// The square of [`jensen_shannon`]: adds up over bins.
pub(crate) fn jensen_shannon_divergence(reference: &[f64], window: &[f64]) -> f64 {
    let term = |share: f64, middle: f64| {
        if share > 0.0 {
            share * (share / middle).ln()
        } else {
            0.0
        }
    };
    reference
        .iter()
        .zip(window)
        .map(|(p, q)| {
            let middle = 0.5 * (p + q);
            0.5 * (term(*p, middle) + term(*q, middle))
        })
        .sum()
}

/// Kolmogorov and Smirnov's distance `sup |F − G|`. Its supremum over the edges is `least`; inside a bin the two can be
/// further apart by no more than the smaller of the bin's two shares, which gives `most`.
pub fn kolmogorov_smirnov(reference: &[f64], window: &[f64]) -> Bounds {
    let (mut gap, mut bounds) = (0.0_f64, Bounds::default());
    for (p, q) in reference.iter().zip(window) {
        // Inside of the bin F − G lies between `gap − q` and `gap + p`.
        bounds.most = bounds.most.max(gap + p).max(q - gap);
        gap += p - q;
        bounds.least = bounds.least.max(gap.abs());
    }
    bounds.most = bounds.most.clamp(bounds.least, 1.0);
    bounds
}

/// Wasserstein's first distance `∫ |F − G|`, in the values' unit.
///
/// The sums of the values give the *signed* area between the two functions in every bin exactly, also in the open ones:
/// `least` adds their absolute values, and equals the distance wherever the functions do not cross inside a bin (a shift
/// beyond all edges is measured exactly). Where both sides' means in a bin are the same number, the bin holds one value
/// that repeats, and a crossing there is exact, too. `most` is the largest area that counts and sums leave room for.
pub fn wasserstein(edges: &[f64], reference: Side<'_>, window: Side<'_>) -> Bounds {
    let (p, q) = (shares(reference.counts), shares(window.counts));
    let total = |side: Side<'_>| side.counts.iter().sum::<u64>() as f64;
    let (m, n) = (total(reference), total(window));
    if m == 0.0 || n == 0.0 {
        return Bounds::default();
    }
    let (mut gap, mut bounds) = (0.0, Bounds::default());
    for (bin, (p, q)) in p.iter().zip(&q).enumerate() {
        let low = bin.checked_sub(1).and_then(|at| edges.get(at)).copied();
        let high = edges.get(bin).copied();
        let first = mean(reference, bin, low, high).map_or(0.0, |mean| p * mean);
        let second = mean(window, bin, low, high).map_or(0.0, |mean| q * mean);
        let after = gap + p - q;
        let area = match (low, high, one_value(edges, reference, window, bin)) {
            (Some(low), Some(high), Some(value)) => {
                (value - low) * gap.abs() + (high - value) * after.abs()
            }
            (Some(low), Some(high), None) => high * after - low * gap - (first - second),
            (None, Some(high), _) => high * after - (first - second),
            (Some(low), None, _) => -low * gap - (first - second),
            (None, None, _) => second - first,
        };
        let most = match (low, high) {
            (Some(low), Some(high)) => widest(high - low, area, gap - q, gap + p),
            (None, Some(high)) => (high * p - first) + (high * q - second),
            (Some(low), None) => (first - low * p) + (second - low * q),
            (None, None) => f64::INFINITY,
        };
        bounds.least += area.abs();
        bounds.most += most.max(area.abs());
        gap = after;
    }
    bounds
}

/// The only value in a bin, if both sides' means there are one number to the precision that a profile keeps.
pub(crate) fn one_value(
    edges: &[f64],
    reference: Side<'_>,
    window: Side<'_>,
    bin: usize,
) -> Option<f64> {
    let low = bin.checked_sub(1).and_then(|at| edges.get(at)).copied();
    let high = edges.get(bin).copied();
    let first = mean(reference, bin, low, high)?;
    let second = mean(window, bin, low, high)?;
    ((first - second).abs() <= SAME_VALUE * first.abs()).then_some(first)
}

/// The mean of a bin's values, kept inside of the bin: sums of finite values only, or rounded ones, may lead outside.
pub(crate) fn mean(side: Side<'_>, bin: usize, low: Option<f64>, high: Option<f64>) -> Option<f64> {
    let count = side.counts.get(bin).copied().filter(|count| *count > 0)?;
    let mean = side.sums.get(bin).copied().unwrap_or(0.0) / count as f64;
    let mean = if mean.is_finite() { mean } else { 0.0 };
    Some(mean.min(high.unwrap_or(mean)).max(low.unwrap_or(f64::MIN)))
}

/// The largest `∫ |h|` over a width for an `h` between two values whose integral is known.
fn widest(width: f64, area: f64, low: f64, high: f64) -> f64 {
    if low >= 0.0 || high <= 0.0 || high - low <= 0.0 {
        return area.abs();
    }
    let share = ((area / width - low) / (high - low)).clamp(0.0, 1.0);
    width * (share * high - (1.0 - share) * low)
}

/// The mean of all values; none without values.
pub fn overall_mean(edges: &[f64], side: Side<'_>) -> Option<f64> {
    let total: u64 = side.counts.iter().sum();
    let sum: f64 = (0..side.counts.len())
        .filter_map(|bin| {
            let low = bin.checked_sub(1).and_then(|at| edges.get(at)).copied();
            let mean = mean(side, bin, low, edges.get(bin).copied())?;
            Some(mean * side.counts.get(bin).copied().unwrap_or(0) as f64)
        })
        .sum();
    (total > 0).then(|| sum / total as f64)
}

/// The variance of the values inside of each bin, estimated as `(mean − low)(high − mean) / 3`: a third of the most it
/// can be (Bhatia and Davis 2000), right for uniform values and close for exponential tails. `range` closes the open bins.
pub fn inner_variances(edges: &[f64], range: Option<(f64, f64)>, side: Side<'_>) -> Vec<f64> {
    (0..side.counts.len())
        .map(|bin| {
            let low = bin.checked_sub(1).and_then(|at| edges.get(at)).copied();
            let high = edges.get(bin).copied();
            let closed = (low.or(range.map(|r| r.0)), high.or(range.map(|r| r.1)));
            match (mean(side, bin, low, high), closed) {
                (Some(mean), (Some(low), Some(high))) => (mean - low) * (high - mean) / 3.0,
                _ => 0.0,
            }
        })
        .map(|variance| variance.max(0.0))
        .collect()
}

/// The standard deviation of a reference from its bins: what the bins' means spread, and [`inner_variances`].
pub fn deviation(edges: &[f64], range: Option<(f64, f64)>, side: Side<'_>) -> f64 {
    let Some(centre) = overall_mean(edges, side) else {
        return 0.0;
    };
    let inner = inner_variances(edges, range, side);
    let variance: f64 = shares(side.counts)
        .iter()
        .zip(&inner)
        .enumerate()
        .filter_map(|(bin, (share, inner))| {
            let low = bin.checked_sub(1).and_then(|at| edges.get(at)).copied();
            let mean = mean(side, bin, low, edges.get(bin).copied())?;
            Some(share * ((mean - centre).powi(2) + inner))
        })
        .sum();
    variance.max(0.0).sqrt()
}
