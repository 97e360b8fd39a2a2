//! How a feature's values fall into buckets, so that a value is compared with a few thresholds only. Every operation is
//! monotone, so that no rounding can change the order of a value and a threshold in different buckets.

/// Thresholds compared at a time.
pub(crate) const WINDOW: usize = 4;
/// `2^23`: adding it to a smaller float leaves its whole part in the low bits.
pub(crate) const WHOLE: f32 = 8_388_608.0;
/// Buckets of a feature at most: 8 KiB.
const MAX_BUCKETS: usize = 4096;

/// A stretch of values cut into equal buckets; what lies outside takes the first or the last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    /// Where the buckets begin.
    pub(crate) lowest: f32,
    /// Buckets per value.
    pub(crate) per_value: f32,
    /// The last bucket.
    pub(crate) last: f32,
}

impl Piece {
    /// Adds no buckets.
    const NONE: Self = Self {
        lowest: 0.0,
        per_value: 1.0,
        last: 0.0,
    };

    /// From `low` to `high`, which lies half a bucket before the last.
    fn between(low: f32, high: f32, last: usize) -> Self {
        let last = last as f32;
        // Where the span overflows, what is below 0 shares the first bucket.
        let lowest = if (high - low).is_finite() { low } else { 0.0 };
        let span = high - lowest;
        let per_value = if span > 0.0 { (last - 1.5) / span } else { 1.0 };
        Self {
            lowest,
            per_value: per_value.clamp(f32::MIN_POSITIVE, f32::MAX),
            last,
        }
    }

    /// The kernel's operations, one by one.
    fn at(&self, value: f32) -> f32 {
        let scaled = (value - self.lowest) * self.per_value;
        let limited = if scaled < self.last {
            scaled
        } else {
            self.last
        };
        if limited < 0.0 { 0.0 } else { limited }
    }
}

/// How a feature's values fall into buckets: rising with the value, and every threshold before the last bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buckets {
    /// From the first threshold to the last.
    pub(crate) whole: Piece,
    /// The stretch where most thresholds lie, where one piece does not tell them apart.
    pub(crate) dense: Piece,
}

/// Shares of the thresholds that may lie on either side of the dense stretch.
const TAILS: [f32; 6] = [0.0, 0.01, 0.03, 0.1, 0.2, 0.35];
/// Buckets from which a second piece is tried.
const DENSE_BUCKETS: usize = 256;

impl Buckets {
    fn linear(thresholds: &[f32], last: usize) -> Self {
        let (low, high) = ends(thresholds, 0.0, 0.0);
        Self {
            whole: Piece::between(low, high, last),
            dense: Piece::NONE,
        }
    }

    fn dense(thresholds: &[f32], last: usize, tails: [f32; 2]) -> Self {
        let [below, above] = tails;
        let (low, high) = ends(thresholds, below, above);
        Self {
            dense: Piece::between(low, high, last / 2),
            ..Self::linear(thresholds, last / 2)
        }
    }

    /// The last bucket, which only values above all thresholds and NaN take.
    pub(crate) fn last(&self) -> usize {
        (self.whole.last + self.dense.last) as usize
    }

    /// The bucket of a value, by the kernel's operations.
    pub(crate) fn bucket(&self, value: f32) -> usize {
        let sum = self.whole.at(value) + self.dense.at(value);
        ((sum + WHOLE).to_bits() & 0x7f_ffff) as usize
    }

    /// Thresholds in the fullest bucket; too many to be chosen if one would lie in the last.
    fn fullest(&self, thresholds: &[f32]) -> usize {
        let mut fullest = 0;
        let mut run = 0;
        let mut before = usize::MAX;
        for threshold in thresholds {
            let bucket = self.bucket(*threshold);
            run = if bucket == before { run + 1 } else { 1 };
            before = bucket;
            fullest = fullest.max(run);
        }
        if before == self.last() {
            usize::MAX
        } else {
            fullest
        }
    }

    /// The fewest buckets whose fullest fits one window, or those whose fullest holds the least.
    pub(crate) fn choose(thresholds: &[f32]) -> (Self, usize) {
        // A handful of buckets is always right: the largest f32 falls into the fourth.
        let all = Self {
            whole: Piece {
                lowest: 0.0,
                per_value: f32::MIN_POSITIVE,
                last: 8.0,
            },
            dense: Piece::NONE,
        };
        let mut best = (all, thresholds.len());
        let mut last = 16;
        while last <= MAX_BUCKETS && best.1 > WINDOW {
            best = Self::better(thresholds, Self::linear(thresholds, last), best);
            if best.1 > WINDOW && last >= DENSE_BUCKETS {
                for tails in TAILS.iter().flat_map(|a| TAILS.map(|b| [*a, b])) {
                    if best.1 > WINDOW {
                        let dense = Self::dense(thresholds, last, tails);
                        best = Self::better(thresholds, dense, best);
                    }
                }
            }
            last *= 2;
        }
        best
    }

    fn better(thresholds: &[f32], buckets: Self, best: (Self, usize)) -> (Self, usize) {
        match buckets.fullest(thresholds) {
            fullest if fullest < best.1 => (buckets, fullest),
            _ => best,
        }
    }
}

/// The first and last of the thresholds between two tails.
fn ends(thresholds: &[f32], below: f32, above: f32) -> (f32, f32) {
    let most = thresholds.len().saturating_sub(1);
    let at = |index: usize| thresholds.get(index).copied().unwrap_or(0.0);
    let skip = |share: f32| (most as f32 * share) as usize;
    (at(skip(below)), at(most - skip(above)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_keep_the_order_of_values_and_leave_the_last_one_empty() {
        let cases: [&[f32]; 6] = [
            &[],
            &[1.5],
            &[0.0, 1e-45],
            &[f32::MIN, -1.0, f32::MAX],
            &[1.7e9, 1.7e9 + 128.0, 1.7e9 + 256.0],
            &[-3.0, 1e-40, 1e-39, 0.5, 1e20],
        ];
        for thresholds in cases {
            let (buckets, fullest) = Buckets::choose(thresholds);
            assert!(fullest <= thresholds.len());
            let mut values = thresholds.to_vec();
            values.extend([f32::NEG_INFINITY, f32::INFINITY, 0.0, f32::MIN_POSITIVE]);
            values.sort_by(f32::total_cmp);
            assert!(values.is_sorted_by_key(|value| buckets.bucket(*value)));
            assert!(
                thresholds
                    .iter()
                    .all(|t| buckets.bucket(*t) < buckets.last())
            );
            assert_eq!(buckets.bucket(f32::NAN), buckets.last());
        }
    }
}
