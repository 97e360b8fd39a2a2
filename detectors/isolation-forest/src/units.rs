//! Fixed-point path lengths: each forest has one unit, a power of two, in which every path length is a whole number
//! below 2^24. Sums of whole numbers do not depend on their order, so every walk through a forest agrees bit for bit.

use crate::forest::{Forest, Node};

/// Path lengths are whole numbers of units up to this.
pub(crate) const MAX_UNITS: u32 = (1 << 24) - 1;

/// The unit of a forest and what a sum of units means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Units {
    /// Units per path length of 1: a power of two.
    pub(crate) scale: f64,
    /// Bits of `-log2(score)` per unit of the sum over all trees: `1 / (scale · trees · normaliser)`.
    pub(crate) rate: f64,
    /// Every path counts as one unit: a normaliser of 0, where every score is 0.5.
    flat: bool,
}

impl Units {
    /// The finest unit in which every path length of `forest` stays within [`MAX_UNITS`].
    pub(crate) fn of(forest: &Forest) -> Self {
        let flat = forest.normaliser == 0.0;
        let longest = forest
            .trees
            .iter()
            .flat_map(|tree| &tree.nodes)
            .map(Node::length)
            .fold(0.0, f64::max);
        let scale = if flat { 1.0 } else { finest(longest) };
        let normaliser = if flat { 1.0 } else { forest.normaliser };
        let rate = 1.0 / (scale * forest.trees.len() as f64 * normaliser);
        Self {
            scale,
            rate: rate.min(f64::MAX),
            flat,
        }
    }

    /// A path length in units, rounded to the nearest.
    pub(crate) fn round(&self, length: f64) -> u32 {
        if self.flat {
            1
        } else {
            (length * self.scale).round_ties_even() as u32
        }
    }
}

impl Node {
    /// The path length of a leaf, the expected one of a split.
    pub(crate) fn length(&self) -> f64 {
        match *self {
            Self::Split { expected, .. } => expected,
            Self::Leaf { length } => length,
        }
    }
}

/// The largest power of two (within 2^±1000) that keeps `longest` within [`MAX_UNITS`] after rounding.
fn finest(longest: f64) -> f64 {
    if longest == 0.0 {
        return 1.0;
    }
    let start = (23 - longest.log2().floor() as i32).clamp(-1000, 1000);
    let fits = |power: i32| (longest * 2f64.powi(power)).round_ties_even() <= f64::from(MAX_UNITS);
    let power = [start + 1, start, start - 1]
        .into_iter()
        .find(|power| *power <= 1000 && fits(*power))
        .unwrap_or(start - 2);
    2f64.powi(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_nearly_fills_24_bits_at_any_magnitude() {
        for longest in [1e-200, 0.3, 1.0, 1.999_999_99, 10.25, 4096.0, 1e200] {
            let units = (longest * finest(longest)).round_ties_even();
            assert!(
                (8_388_607.0..=16_777_215.0).contains(&units),
                "{longest}: {units}"
            );
        }
    }

    #[test]
    fn rounding_twice_changes_nothing() {
        for longest in [0.3, 1.0, 7.99, 10.25] {
            let scale = finest(longest);
            let rounded = (longest * scale).round_ties_even() / scale;
            assert_eq!(finest(rounded), scale, "{longest}");
        }
    }
}
