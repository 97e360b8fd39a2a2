//! Two figures that say without labels how well scores describe where rows are dense: excess mass and mass-volume curves
//! (Goix 2016, arXiv:1607.01152). Pure functions of scores of rows and scores of the volume.
//!
//! With `s` the normality (the negative score), `P` the rows and `V` the volume, whose whole is taken as 1:
//! `EM(t) = max over u of P(s > u) − t·V(s > u)` and `MV(a) = min over u of V(s >= u) where P(s >= u) >= a`.

use std::cmp::Ordering;

/// Masses over which the mass-volume curve is averaged, as in the paper: the last tenth, but the last thousandth.
const MASSES: (f64, f64) = (0.9, 0.999);
/// The excess-mass curve is averaged up to the price at which the reference's falls to this (the paper's `t_max`).
const EXCESS_END: f64 = 0.9;
/// Points of a curve.
const POINTS: usize = 200;

/// How much volume each mass costs: pairs (mass, volume), both rising, from the most normal rows on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve(Vec<(f64, f64)>);

impl Curve {
    /// From scores (higher: more anomalous) of rows and of the volume's rows.
    pub(super) fn new(rows: &[f64], volume: &[f64]) -> Self {
        let rows = crate::evidence::statistics::sorted(rows);
        let volume = crate::evidence::statistics::sorted(volume);
        let (all_rows, all_volume) = (rows.len().max(1) as f64, volume.len().max(1) as f64);
        let mut curve = vec![(0.0, 0.0)];
        let mut taken = 0;
        for tie in rows.chunk_by(|a, b| a.total_cmp(b) == Ordering::Equal) {
            taken += tie.len();
            let score = tie.first().copied().unwrap_or_default();
            let inside = volume.partition_point(|other| *other <= score);
            curve.push((taken as f64 / all_rows, inside as f64 / all_volume));
        }
        Self(curve)
    }

    /// `EM(t)`.
    fn excess(&self, price: f64) -> f64 {
        let excess = self.0.iter().map(|(mass, volume)| mass - price * volume);
        excess.fold(0.0, f64::max)
    }

    /// The price at which the excess mass falls to [`EXCESS_END`].
    pub(super) fn end_price(&self) -> f64 {
        let mut high = 1.0;
        while self.excess(high) > EXCESS_END && high < 1e9 {
            high *= 2.0;
        }
        let mut low = 0.0;
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if self.excess(middle) > EXCESS_END {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    /// The mean of `EM(t)` for prices up to `end`; larger is better.
    pub(super) fn excess_mass(&self, end: f64) -> f64 {
        let price = |point: usize| end * (point as f64 + 0.5) / POINTS as f64;
        (0..POINTS)
            .map(|point| self.excess(price(point)))
            .sum::<f64>()
            / POINTS as f64
    }

    /// The mean of `MV(a)` over [`MASSES`]; smaller is better.
    pub(super) fn mass_volume(&self) -> f64 {
        let (low, high) = MASSES;
        let mass = |point: usize| low + (high - low) * (point as f64 + 0.5) / POINTS as f64;
        let volume = |wanted: f64| {
            let at = self.0.partition_point(|(mass, _)| *mass < wanted);
            self.0.get(at).map_or(1.0, |(_, volume)| *volume)
        };
        (0..POINTS).map(|point| volume(mass(point))).sum::<f64>() / POINTS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows lie in a quarter of the volume: a perfect scorer needs a quarter of it for all rows.
    #[test]
    fn a_scorer_that_knows_where_rows_are_needs_the_least_volume() {
        let rows: Vec<f64> = (0..1000).map(|row| f64::from(row) / 4000.0).collect();
        let volume: Vec<f64> = (0..4000).map(|row| f64::from(row) / 4000.0).collect();
        let perfect = Curve::new(&rows, &volume);
        assert!((perfect.mass_volume() - 0.2374).abs() < 1e-3);
        // EM(t) = max over v <= 1/4 of 4v − t·v = 1 − t/4, which falls to 0.9 at 0.4.
        assert!((perfect.end_price() - 0.4).abs() < 1e-2);
        assert!((perfect.excess_mass(0.4) - 0.95).abs() < 1e-3);
        // One that knows nothing spreads the rows over all of it.
        let blind = Curve::new(&volume, &volume);
        assert!((blind.mass_volume() - 0.9495).abs() < 1e-3);
        assert!(blind.excess_mass(0.4) < perfect.excess_mass(0.4));
    }
}
