//! What distances reach without drift: many pairs of samples of one distribution, drawn once for a pair of sizes and then
//! read by every feature and the score. Counts of equally likely cells are drawn by halving, whose binomials of one half
//! are the number of set bits of random words; a feature's bins are then runs of cells. No state outside, one seed.

/// Cells of equal probability: as many as a profile has bins at most, whose ends they then are.
const CELLS: usize = 128;
/// Above this a binomial of one half is drawn from its normal limit, rounded; its skewness is nil.
const EXACT: u64 = 512;

/// Pairs of samples of one distribution, as shares below each cell's end.
#[derive(Debug, Clone)]
pub(crate) struct Splits {
    /// How many pairs.
    pub(crate) count: usize,
    /// `1/n + 1/m`.
    pub(crate) noise: f64,
    /// At `end · count + split`: the reference's share of values below the end of so many cells.
    reference: Vec<f64>,
    /// The window's.
    window: Vec<f64>,
    /// Standard normals, two for each split.
    normals: [Vec<f64>; 2],
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A standard normal within 0.1 % at three deviations: the set bits of 512 random ones, spread over their steps.
    fn normal(&mut self) -> f64 {
        let bits: u32 = (0..8).map(|_| self.word().count_ones()).sum();
        let step = (self.word() >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
        (f64::from(bits) - 256.0 + step) / (128.0_f64 + 1.0 / 12.0).sqrt()
    }

    /// How many of `trials` fall into the first half.
    fn half(&mut self, trials: u64) -> u64 {
        if trials > EXACT {
            let mean = trials as f64 / 2.0;
            let draw = mean + self.normal() * (mean / 2.0).sqrt();
            return (draw.round().max(0.0) as u64).min(trials);
        }
        let (mut left, mut found) = (trials, 0);
        while left >= 64 {
            found += u64::from(self.word().count_ones());
            left -= 64;
        }
        if left > 0 {
            found += u64::from((self.word() >> (64 - left)).count_ones());
        }
        found
    }

    /// How many of `trials` fall below each cell's end, cell by cell.
    fn below(&mut self, trials: u64) -> [u64; CELLS + 1] {
        let mut ends = [0; CELLS + 1];
        if let Some(last) = ends.last_mut() {
            *last = trials;
        }
        let mut width = CELLS;
        while width > 1 {
            for start in (0..CELLS).step_by(width) {
                let low = ends.get(start).copied().unwrap_or(0);
                let high = ends.get(start + width).copied().unwrap_or(low);
                let first = self.half(high - low);
                if let Some(middle) = ends.get_mut(start + width / 2) {
                    *middle = low + first;
                }
            }
            width /= 2;
        }
        ends
    }
}

impl Splits {
    /// Draws `count` pairs: `n` values for the window, `m` for the reference.
    pub(crate) fn draw(n: u64, m: u64, count: usize, seed: u64) -> Self {
        let mut random = Random(seed ^ n.rotate_left(20) ^ m.rotate_left(40));
        let mut side = |trials: u64| {
            let mut ends = vec![0.0; (CELLS + 1) * count];
            for split in 0..count {
                let drawn = random.below(trials);
                for (end, below) in drawn.iter().enumerate() {
                    if let Some(slot) = ends.get_mut(end * count + split) {
                        *slot = *below as f64 / trials.max(1) as f64;
                    }
                }
            }
            ends
        };
        let (window, reference) = (side(n), side(m));
        let mut normals = || (0..count).map(|_| random.normal()).collect();
        Self {
            count,
            noise: 1.0 / n.max(1) as f64 + 1.0 / m.max(1) as f64,
            reference,
            window,
            normals: [normals(), normals()],
        }
    }

    /// For each split the share of the reference's and of the window's values below a quantile of the distribution.
    pub(crate) fn below(&self, quantile: f64) -> (Vec<f64>, Vec<f64>) {
        let place = (quantile * CELLS as f64).clamp(0.0, CELLS as f64);
        let cell = (place as usize).min(CELLS - 1);
        let weight = place - cell as f64;
        let read = |ends: &[f64]| {
            let at = |end: usize| ends.get(end * self.count..(end + 1) * self.count);
            let (low, high) = (
                at(cell).unwrap_or_default(),
                at(cell + 1).unwrap_or_default(),
            );
            low.iter()
                .zip(high)
                .map(|(low, high)| low + weight * (high - low))
                .collect()
        };
        (read(&self.reference), read(&self.window))
    }

    /// Standard normals, one for each split: what the mean of an open bin's values varies by.
    pub(crate) fn normals(&self, upper: bool) -> &[f64] {
        let [low, high] = &self.normals;
        if upper { high } else { low }
    }
}

/// The least value that at least this share of the values does not exceed.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let rank = (share * values.len() as f64).ceil() as usize;
    let Some(last) = values.len().checked_sub(1) else {
        return 0.0;
    };
    let mut left = values.to_vec();
    let (_, value, _) =
        left.select_nth_unstable_by(rank.saturating_sub(1).min(last), f64::total_cmp);
    *value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_vary_as_binomials_do_at_every_size() {
        for (n, m) in [(500, 2_000), (5_000, 700), (1_000_000_000, 100_000)] {
            let splits = Splits::draw(n, m, 2_000, 7);
            for share in [0.1, 0.25, 0.5, 0.9] {
                let (reference, window) = splits.below(share);
                for (values, size) in [(reference, m), (window, n)] {
                    let count = values.len() as f64;
                    let mean: f64 = values.iter().sum::<f64>() / count;
                    let variance: f64 =
                        values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
                    let wanted = share * (1.0 - share) / size as f64;
                    assert!((mean - share).abs() < 5.0 * (wanted / count).sqrt());
                    assert!((variance / wanted - 1.0).abs() < 0.15, "{share} of {size}");
                }
            }
        }
    }

    #[test]
    fn one_seed_gives_one_draw() {
        let draw = |seed| Splits::draw(600, 900, 10, seed).below(0.3);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_quantile_is_a_value_that_occurs() {
        let values: Vec<f64> = (1..=500).rev().map(f64::from).collect();
        assert_eq!(quantile(&values, 0.99), 495.0);
        assert_eq!(quantile(&values, 1.0), 500.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
