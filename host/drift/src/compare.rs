//! One distribution of a window against its reference: effects, p-value, and the limits that samples without drift reach.

use std::collections::HashMap;
use std::rc::Rc;

use hodoscope_release::sections::Histogram;
use hodoscope_release::window::Counts;
use statrs::distribution::{ContinuousCDF, Normal};

use crate::distance::{self, Side};
use crate::report::{Comparison, Effects, Floors, Policy};
use crate::significance;
use crate::splits::{Splits, quantile};

/// Bins of the population stability index, Jensen and Shannon's distance and the test of homogeneity.
const COARSE: usize = 10;
/// Bins of a plot.
const PLOT: usize = 20;
/// Places of the edges are told apart to this part of all values when draws are shared between features.
const SHARED: f64 = 2048.0;
/// Bits of a sample's size that tell draws apart: sizes are rounded down by 3 % at most.
const SIZE_BITS: u32 = 6;

/// A reference and a window on its edges.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) reference: &'a Histogram,
    pub(crate) window: &'a Counts,
}

/// What is measured before anything is decided.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    pub(crate) effects: Effects,
    pub(crate) p_value: f64,
}

/// Draws of splits, made once for each pair of sizes and shared by all features with equal bins.
pub(crate) struct Calibrator<'a> {
    policy: &'a Policy,
    seed: u64,
    splits: HashMap<(u64, u64), Rc<Splits>>,
    shapes: HashMap<(u64, u64, Vec<u32>), Rc<Shape>>,
}

/// What splits reach on bins of given shares, whatever the values in them are.
struct Shape {
    splits: Rc<Splits>,
    psi: Vec<f64>,
    jensen_shannon: Vec<f64>,
    kolmogorov_smirnov: Vec<f64>,
    /// For each edge, each split's `F − G` there.
    gaps: Vec<Vec<f64>>,
}

impl<'a> Pair<'a> {
    pub(crate) fn sides(&self) -> (Side<'a>, Side<'a>) {
        let side = |counts, sums| Side { counts, sums };
        (
            side(&self.reference.counts, &self.reference.sums),
            side(&self.window.counts, &self.window.sums),
        )
    }

    /// Values that are not missing: the reference's, the window's.
    pub(crate) fn present(&self) -> (u64, u64) {
        (
            self.reference.counts.iter().sum(),
            self.window.counts.iter().sum(),
        )
    }

    /// The shares of missing values: the reference's, the window's.
    pub(crate) fn missing(&self) -> (f64, f64) {
        let share = |missing: u64, present: u64| missing as f64 / (missing + present).max(1) as f64;
        let (m, n) = self.present();
        (
            share(self.reference.missing, m),
            share(self.window.missing, n),
        )
    }

    /// The shares of the window's values under and over the reference's range.
    pub(crate) fn outside(&self) -> (f64, f64) {
        let scale = 1.0 / self.present().1.max(1) as f64;
        let share = |count: u64| count as f64 * scale;
        match self.reference.range {
            Some(_) => (share(self.window.below), share(self.window.above)),
            None => (0.0, 0.0),
        }
    }

    /// Means: the reference's, the window's; 0 without values.
    pub(crate) fn means(&self) -> (f64, f64) {
        let (reference, window) = self.sides();
        let mean = |side| distance::overall_mean(&self.reference.edges, side).unwrap_or(0.0);
        (mean(reference), mean(window))
    }

    /// The reference's standard deviation.
    pub(crate) fn deviation(&self) -> f64 {
        let Histogram { edges, range, .. } = self.reference;
        distance::deviation(edges, *range, self.sides().0)
    }

    /// Effects and p-value. Without values on a side only the change of missing values says something.
    pub(crate) fn measure(&self) -> Measured {
        let (m, n) = self.present();
        let missing = self.missing();
        let ends = distance::runs(&self.reference.counts, COARSE);
        let mut coarse = (
            distance::merged(&self.reference.counts, &ends),
            distance::merged(&self.window.counts, &ends),
        );
        let mut effects = Effects {
            missing: missing.1 - missing.0,
            ..Effects::default()
        };
        if m > 0 && n > 0 {
            let (p, q) = (distance::shares(&coarse.0), distance::shares(&coarse.1));
            effects.psi = distance::psi(&p, &q);
            effects.jensen_shannon = distance::jensen_shannon(&p, &q);
            effects.ks = self.kolmogorov_smirnov();
            effects.wasserstein = self.wasserstein();
        }
        coarse.0.push(self.reference.missing);
        coarse.1.push(self.window.missing);
        let shift = significance::kolmogorov_smirnov(effects.ks, n, m);
        let shape = significance::homogeneity(&coarse.0, &coarse.1);
        Measured {
            effects,
            p_value: (2.0 * shift.min(shape)).min(1.0),
        }
    }

    /// The reference's range adds two points at which both functions are known.
    fn kolmogorov_smirnov(&self) -> f64 {
        let shares = |counts: &[u64]| distance::shares(counts);
        let (p, q) = (shares(&self.reference.counts), shares(&self.window.counts));
        let (below, above) = self.outside();
        distance::kolmogorov_smirnov(&p, &q)
            .least
            .max(below)
            .max(above)
    }

    /// A constant reference has no scale: there it is the share of values that differ.
    fn wasserstein(&self) -> f64 {
        let (reference, window) = self.sides();
        let deviation = self.deviation();
        if deviation > 0.0 {
            distance::wasserstein(&self.reference.edges, reference, window).least / deviation
        } else {
            let (below, above) = self.outside();
            below + above
        }
    }

    /// The comparison as the report shows it; not drifted until [`decide`] says so.
    pub(crate) fn comparison(&self, measured: Measured, limits: Floors, plot: bool) -> Comparison {
        let (plot_edges, plot_reference, plot_window) = match plot {
            true => self.plot(),
            false => (Vec::new(), Vec::new(), Vec::new()),
        };
        Comparison {
            effects: measured.effects,
            limits,
            p_value: measured.p_value,
            p_adjusted: measured.p_value,
            drifted: false,
            means: self.means(),
            plot_edges,
            plot_reference,
            plot_window,
        }
    }

    fn plot(&self) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let ends = distance::runs(&self.reference.counts, PLOT);
        let inner = ends
            .iter()
            .filter_map(|end| self.reference.edges.get(end.checked_sub(1)?).copied());
        let mut edges: Vec<f64> = inner.collect();
        let share = |counts: &[u64]| distance::merged(&distance::shares(counts), &ends);
        let (mut reference, mut window) =
            (share(&self.reference.counts), share(&self.window.counts));
        if let Some((low, high)) = self.reference.range {
            let (below, above) = self.outside();
            edges.insert(0, low);
            edges.push(high);
            for (shares, below, above) in [(&mut reference, 0.0, 0.0), (&mut window, below, above)]
            {
                if let Some(first) = shares.first_mut() {
                    *first = (*first - below).max(0.0);
                }
                if let Some(last) = shares.last_mut() {
                    *last = (*last - above).max(0.0);
                }
                shares.insert(0, below);
                shares.push(above);
            }
        }
        (edges, reference, window)
    }
}

/// Sure, and large enough in one of the distances.
pub(crate) fn decide(comparison: &mut Comparison, p_adjusted: f64, significance: f64) {
    comparison.p_adjusted = p_adjusted;
    comparison.drifted =
        p_adjusted <= significance && excess(&comparison.effects, &comparison.limits) >= 1.0;
}

/// The largest effect as a multiple of its limit.
pub(crate) fn excess(effects: &Effects, limits: &Floors) -> f64 {
    [
        (effects.psi, limits.psi),
        (effects.ks, limits.ks),
        (effects.wasserstein, limits.wasserstein),
        (effects.jensen_shannon, limits.jensen_shannon),
        (effects.missing.abs(), limits.missing),
    ]
    .into_iter()
    .map(|(effect, limit)| effect / limit.max(f64::MIN_POSITIVE))
    .fold(0.0, f64::max)
}

impl<'a> Calibrator<'a> {
    pub(crate) fn new(policy: &'a Policy, seed: u64) -> Self {
        Self {
            policy,
            seed,
            splits: HashMap::new(),
            shapes: HashMap::new(),
        }
    }

    /// What the policy's quantile of splits reaches at this size, or the floors where they are higher. Where several
    /// distances together exceed their limits more often than the quantile allows, all limits rise by one factor.
    pub(crate) fn limits(&mut self, pair: Pair<'_>) -> Floors {
        let floors = self.policy.floors;
        let mut limits = Floors {
            missing: floors.missing.max(self.missing(pair)),
            ..floors
        };
        let (m, n) = pair.present();
        if m == 0 || n == 0 {
            return limits;
        }
        let shape = self.shape(pair, m, n);
        let wasserstein = shape.wasserstein(pair);
        let share = self.policy.calibration_quantile;
        limits.psi = floors.psi.max(quantile(&shape.psi, share));
        limits.ks = floors.ks.max(quantile(&shape.kolmogorov_smirnov, share));
        limits.wasserstein = floors.wasserstein.max(quantile(&wasserstein, share));
        limits.jensen_shannon = floors
            .jensen_shannon
            .max(quantile(&shape.jensen_shannon, share));
        let together: Vec<f64> = (0..shape.splits.count)
            .map(|split| {
                let at = |values: &[f64]| values.get(split).copied().unwrap_or(0.0);
                let effects = Effects {
                    psi: at(&shape.psi),
                    ks: at(&shape.kolmogorov_smirnov),
                    wasserstein: at(&wasserstein),
                    jensen_shannon: at(&shape.jensen_shannon),
                    missing: 0.0,
                };
                excess(&effects, &limits)
            })
            .collect();
        let factor = quantile(&together, share).max(1.0);
        Floors {
            psi: limits.psi * factor,
            ks: limits.ks * factor,
            wasserstein: limits.wasserstein * factor,
            jensen_shannon: limits.jensen_shannon * factor,
            missing: limits.missing,
        }
    }

    /// The quantile of the change of the share of missing values, by the normal limit of two binomials.
    fn missing(&self, pair: Pair<'_>) -> f64 {
        let (m, n) = pair.present();
        let rows = (
            (m + pair.reference.missing) as f64,
            (n + pair.window.missing) as f64,
        );
        if rows.0 == 0.0 || rows.1 == 0.0 {
            return 0.0;
        }
        let share =
            (pair.reference.missing + pair.window.missing) as f64 / (rows.0 + rows.1).max(1.0);
        let spread = (share * (1.0 - share) * (1.0 / rows.0 + 1.0 / rows.1)).sqrt();
        let tail = 0.5 + self.policy.calibration_quantile.clamp(0.0, 1.0 - 1e-9) / 2.0;
        Normal::new(0.0, 1.0).map_or(0.0, |law| law.inverse_cdf(tail) * spread)
    }

    fn shape(&mut self, pair: Pair<'_>, m: u64, n: u64) -> Rc<Shape> {
        let (m, n) = (rounded(m), rounded(n));
        let mut seen = 0.0;
        let ends: Vec<f64> = distance::shares(&pair.reference.counts)
            .iter()
            .map(|share| {
                seen += share;
                seen
            })
            .collect();
        let places = ends.iter().map(|end| (end * SHARED).round() as u32);
        let key = (m, n, places.collect());
        if let Some(shape) = self.shapes.get(&key) {
            return Rc::clone(shape);
        }
        let (count, seed) = (self.policy.calibration_splits as usize, self.seed);
        let splits = self
            .splits
            .entry((m, n))
            .or_insert_with(|| Rc::new(Splits::draw(n, m, count, seed)));
        let shape = Rc::new(Shape::of(Rc::clone(splits), &pair.reference.counts, &ends));
        self.shapes.insert(key, Rc::clone(&shape));
        shape
    }
}

impl Shape {
    fn of(splits: Rc<Splits>, counts: &[u64], ends: &[f64]) -> Self {
        let runs = distance::runs(counts, COARSE);
        let zeros = || vec![0.0; splits.count];
        let (mut psi, mut divergence, mut furthest) = (zeros(), zeros(), zeros());
        let (mut gaps, mut last) = (Vec::new(), (zeros(), zeros()));
        for (bin, end) in ends.iter().enumerate() {
            let below = splits.below(*end);
            let gap = below.0.iter().zip(&below.1).map(|(f, g)| f - g);
            let gap: Vec<f64> = gap.collect();
            for (most, gap) in furthest.iter_mut().zip(&gap) {
                *most = f64::max(*most, gap.abs());
            }
            gaps.push(gap);
            if runs.contains(&(bin + 1)) {
                for split in 0..splits.count {
                    let share = |below: &[f64], last: &[f64]| {
                        let at = |ends: &[f64]| ends.get(split).copied().unwrap_or(0.0);
                        [(at(below) - at(last)).max(0.0)]
                    };
                    let (p, q) = (share(&below.0, &last.0), share(&below.1, &last.1));
                    if let Some(sum) = psi.get_mut(split) {
                        *sum += distance::psi(&p, &q);
                    }
                    if let Some(sum) = divergence.get_mut(split) {
                        *sum += distance::jensen_shannon_divergence(&p, &q);
                    }
                }
                last = below;
            }
        }
        Self {
            splits,
            psi,
            jensen_shannon: divergence.iter().map(|sum| sum.max(0.0).sqrt()).collect(),
            kolmogorov_smirnov: furthest,
            gaps,
        }
    }

    /// What each split reaches in Wasserstein's distance over the deviation: the signed area of each bin from the gaps at
    /// its ends, and in the open bins also from the spread of the mean of the values in them.
    fn wasserstein(&self, pair: Pair<'_>) -> Vec<f64> {
        let mut total = vec![0.0; self.splits.count];
        let deviation = pair.deviation();
        if deviation <= 0.0 {
            return total;
        }
        let Histogram {
            edges,
            range,
            counts,
            ..
        } = pair.reference;
        let (side, window) = pair.sides();
        let inner = distance::inner_variances(edges, *range, side);
        let shares = distance::shares(counts);
        let none = vec![0.0; self.splits.count];
        for bin in 0..counts.len() {
            let low = bin.checked_sub(1).and_then(|at| edges.get(at)).copied();
            let high = edges.get(bin).copied();
            let Some(mean) = distance::mean(side, bin, low, high) else {
                continue;
            };
            let before = bin.checked_sub(1).and_then(|at| self.gaps.get(at));
            let after = self.gaps.get(bin).filter(|_| high.is_some());
            let rise = (mean - low.unwrap_or(mean)) / deviation;
            let fall = (high.unwrap_or(mean) - mean) / deviation;
            let open = low.is_none() || high.is_none();
            let spread = match (open, inner.get(bin), shares.get(bin)) {
                (true, Some(inner), Some(share)) => (inner * share * self.splits.noise).sqrt(),
                _ => 0.0,
            };
            let spread = spread / deviation;
            let normals = self.splits.normals(high.is_none());
            let ends = before.unwrap_or(&none).iter().zip(after.unwrap_or(&none));
            let apart = distance::one_value(edges, side, window, bin).is_some();
            for ((sum, (before, after)), normal) in total.iter_mut().zip(ends).zip(normals) {
                *sum += match apart {
                    true => (rise * before).abs() + (fall * after).abs(),
                    false => (rise * before + fall * after + spread * normal).abs(),
                };
            }
        }
        total
    }
}

/// A size with its upper bits only.
fn rounded(size: u64) -> u64 {
    let low = (u64::BITS - size.leading_zeros()).saturating_sub(SIZE_BITS);
    size >> low << low
}
