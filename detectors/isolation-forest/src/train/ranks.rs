//! Ranks of values among a feature's thresholds, for many rows at a time and without branches: a linear bucket says where
//! to start, a binary search within the fullest bucket's size does the rest. Exact, since bucketing never falls.

use super::scorer::{LANES, Lane};

/// At most this many buckets: 4 KiB per feature.
const BUCKETS_MOST: usize = 1_024;
/// Adding it to a number within 0..2^22 leaves the number, rounded, in the low bits (2^23).
const ROUNDER: f32 = 8_388_608.0;

/// One feature's thresholds.
pub(super) struct Ranks {
    /// Rising, then infinities, so that a search may look past the end.
    thresholds: Vec<f32>,
    low: f32,
    scale: f32,
    /// The number of thresholds in lower buckets.
    starts: Vec<u32>,
    /// The fullest bucket has fewer than `2^steps` thresholds.
    steps: u32,
}

impl Ranks {
    /// Of rising, distinct thresholds.
    pub(super) fn new(thresholds: &[f32]) -> Self {
        let low = thresholds.first().copied().unwrap_or_default();
        let high = thresholds.last().copied().unwrap_or_default();
        let buckets = (4 * thresholds.len()).next_power_of_two().min(BUCKETS_MOST);
        let scale = (buckets - 1) as f32 / (high - low);
        let mut ranks = Self {
            thresholds: thresholds.to_vec(),
            low,
            scale: if scale.is_finite() { scale } else { 0.0 },
            starts: vec![0; buckets + 1],
            steps: 0,
        };
        let places: Vec<u32> = thresholds
            .iter()
            .map(|value| ranks.bucket(*value))
            .collect();
        for (bucket, start) in ranks.starts.iter_mut().enumerate() {
            *start = places.partition_point(|place| (*place as usize) < bucket) as u32;
        }
        let fullest = ranks.starts.windows(2).map(|pair| match pair {
            [start, end] => end - start,
            _ => 0,
        });
        ranks.steps = u32::BITS - fullest.max().unwrap_or(0).leading_zeros();
        let padding = std::iter::repeat_n(f32::INFINITY, 1 << ranks.steps);
        ranks.thresholds.extend(padding);
        ranks
    }

    /// Never falls as the value rises; 0 for NaN.
    #[inline]
    fn bucket(&self, value: f32) -> u32 {
        let top = (self.starts.len() - 2) as f32;
        let at = ((value - self.low) * self.scale).max(0.0).min(top);
        (at + ROUNDER).to_bits() & 0x3f_ffff
    }

    /// For each value the number of thresholds below it; `u32::MAX` for NaN.
    #[expect(
        clippy::indexing_slicing,
        reason = "buckets are within starts, searches within the padding"
    )]
    pub(super) fn of(&self, lane: &Lane, ranks: &mut [u32; LANES]) {
        for (rank, value) in ranks.iter_mut().zip(lane) {
            *rank = self.bucket(*value);
        }
        for rank in ranks.iter_mut() {
            *rank = self.starts[*rank as usize];
        }
        let mut shift = self.steps;
        while shift > 0 {
            shift -= 1;
            let half = (1usize << shift) - 1;
            for (rank, value) in ranks.iter_mut().zip(lane) {
                let bound = self.thresholds[*rank as usize + half];
                *rank += u32::from(bound < *value) << shift;
            }
        }
        for (rank, value) in ranks.iter_mut().zip(lane) {
            *rank |= u32::from(value.is_nan()).wrapping_neg();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;

    fn check(mut thresholds: Vec<f32>) {
        thresholds.sort_unstable_by(f32::total_cmp);
        thresholds.dedup();
        let ranks = Ranks::new(&thresholds);
        let beside = thresholds
            .iter()
            .flat_map(|t| [*t, t.next_up(), t.next_down()]);
        let odd = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            f32::MIN,
            0.0,
            -0.0,
            1e-45,
        ];
        let values: Vec<f32> = beside.chain(odd).collect();
        for chunk in values.chunks(LANES) {
            let mut lane = [0.0; LANES];
            lane[..chunk.len()].copy_from_slice(chunk);
            let mut found = [0; LANES];
            ranks.of(&lane, &mut found);
            for (value, rank) in chunk.iter().zip(found) {
                let expected = thresholds.iter().filter(|t| *t < value).count() as u32;
                assert_eq!(
                    rank,
                    if value.is_nan() { u32::MAX } else { expected },
                    "{value}"
                );
            }
        }
    }

    #[test]
    fn counts_the_thresholds_below_at_any_spacing() {
        let mut random = Random::new(1, 1);
        check(vec![]);
        check(vec![3.0]);
        check(vec![-0.5, 0.0, 0.5]);
        check((0..2_000).map(|_| random.unit() as f32).collect());
        check(
            (0..500)
                .map(|_| (random.unit() * 200.0 - 100.0).exp2() as f32)
                .collect(),
        );
        check(
            (0..300)
                .map(|i| {
                    if i == 0 {
                        1e30
                    } else {
                        1.0 + i as f32 * f32::EPSILON
                    }
                })
                .collect(),
        );
        check(vec![f32::MIN, -1.0, 0.0, 1.0, f32::MAX.next_down()]);
    }
}
