//! Values as ranks among thresholds, exactly: the tables by which the kernel finds the position of a value among all
//! thresholds of its feature, and for each group of trees the map from positions to ranks within the group.

use super::fast::splits;
use super::image::Image;
use crate::forest::Tree;
use crate::kernel::header;

/// Positions are u16.
pub(crate) const MAX_POSITIONS: usize = 65_535;
/// Thresholds compared at a time.
const WINDOW: usize = 4;
/// Buckets of a feature at most: 8 KiB.
const MAX_BUCKETS: usize = 4096;
/// `2^23`: adding it to a smaller float leaves its whole part in the low bits.
const WHOLE: f32 = 8_388_608.0;

/// The different thresholds of each feature, rising.
#[derive(Debug, Clone)]
pub(crate) struct Thresholds(Vec<Vec<f32>>);

impl Thresholds {
    /// None yet.
    pub(crate) fn new(features: usize) -> Self {
        Self(vec![vec![]; features])
    }

    /// Those of a tree.
    pub(crate) fn of(features: usize, tree: &Tree) -> Self {
        let mut thresholds = Self::new(features);
        for (feature, threshold) in splits(tree) {
            if let Some(of_feature) = thresholds.0.get_mut(feature as usize) {
                // Adding 0 makes one of the two zeros, which compare equal.
                of_feature.push(threshold + 0.0);
            }
        }
        thresholds.0.iter_mut().for_each(tidy);
        thresholds
    }

    /// These and others.
    pub(crate) fn joined(&self, other: &Self) -> Self {
        let join = |(mine, others): (&Vec<f32>, &Vec<f32>)| {
            let mut joined = [mine.as_slice(), others].concat();
            tidy(&mut joined);
            joined
        };
        Self(self.0.iter().zip(&other.0).map(join).collect())
    }

    /// How many the feature with the most has.
    pub(crate) fn most(&self) -> usize {
        self.0.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// How many positions the kernel has to tell apart, with room for windows.
    pub(crate) fn positions(&self) -> usize {
        self.0
            .iter()
            .map(|of_feature| of_feature.len() + WINDOW)
            .sum()
    }

    /// The rank of a threshold within its feature, as the kernel compares it: less 128.
    pub(crate) fn rank(&self, feature: u32, threshold: f32) -> u8 {
        let below = self.below(feature as usize, threshold);
        (below as u8).wrapping_sub(128)
    }

    /// How many thresholds of a feature lie below a value.
    fn below(&self, feature: usize, value: f32) -> usize {
        self.0
            .get(feature)
            .map_or(0, |of_feature| of_feature.partition_point(|t| *t < value))
    }
}

fn tidy(thresholds: &mut Vec<f32>) {
    thresholds.sort_unstable_by(f32::total_cmp);
    thresholds.dedup();
}

/// A stretch of values cut into equal buckets; what lies outside takes the first or the last.
#[derive(Debug, Clone, Copy)]
struct Piece {
    lowest: f32,
    per_value: f32,
    last: f32,
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
struct Buckets {
    whole: Piece,
    /// The stretch where most thresholds lie, where one piece does not tell them apart.
    dense: Piece,
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

    fn last(&self) -> usize {
        (self.whole.last + self.dense.last) as usize
    }

    fn bucket(&self, value: f32) -> usize {
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
    fn choose(thresholds: &[f32]) -> (Self, usize) {
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

/// Places the tables; gives for each group the address of its map.
pub(crate) fn place<'a>(
    image: &mut Image,
    all: &Thresholds,
    groups: impl Iterator<Item = &'a Thresholds>,
) -> Vec<u32> {
    let starts = place_features(image, all);
    groups
        .map(|group| place_map(image, all, &starts, group))
        .collect()
}

/// Thresholds, buckets, and what the kernel reads of four features at a time. Gives each feature's first position.
fn place_features(image: &mut Image, all: &Thresholds) -> Vec<u16> {
    let mut starts = Vec::with_capacity(all.0.len());
    let mut positions: Vec<f32> = Vec::new();
    let mut quads: Vec<u32> = Vec::new();
    for four in all.0.chunks(4) {
        let chosen: Vec<(Buckets, usize)> = four.iter().map(|of| Buckets::choose(of)).collect();
        let fullest = chosen
            .iter()
            .map(|(_, fullest)| *fullest)
            .max()
            .unwrap_or(0);
        let windows = fullest.div_ceil(WINDOW).max(1);
        let mut tables = Vec::new();
        for (of_feature, (buckets, _)) in four.iter().zip(&chosen) {
            let start = positions.len() as u16;
            starts.push(start);
            tables.push(place_buckets(image, of_feature, buckets, start));
            positions.extend(of_feature);
            positions.extend(std::iter::repeat_n(f32::INFINITY, windows * WINDOW));
        }
        // A quad that is not full repeats its last feature; nobody looks at those ranks.
        let last = (chosen.last().copied(), tables.last().copied());
        let (Some((buckets, _)), Some(table)) = last else {
            continue;
        };
        let mut words = |word: &dyn Fn(&Buckets) -> u32| {
            let of_four = chosen.iter().map(|(buckets, _)| word(buckets));
            quads.extend(of_four.chain(std::iter::repeat(word(&buckets))).take(4));
        };
        for piece in [
            |buckets: &Buckets| buckets.whole,
            |buckets: &Buckets| buckets.dense,
        ] {
            words(&|buckets| piece(buckets).lowest.to_bits());
            words(&|buckets| piece(buckets).per_value.to_bits());
            words(&|buckets| piece(buckets).last.to_bits());
        }
        let bias = WHOLE.to_bits().wrapping_mul(2);
        let addresses = tables
            .iter()
            .copied()
            .chain(std::iter::repeat(table))
            .take(4);
        quads.extend(addresses.map(|address| address.wrapping_sub(bias)));
        quads.extend([windows as u32; 4]);
    }
    let words: Vec<u32> = positions.iter().map(|t| t.to_bits()).collect();
    let thresholds = image.place_words(&words);
    image.put_word(header::THRESHOLDS, thresholds);
    image.align(16);
    let features = image.place_words(&quads);
    image.put_span(header::FEATURES, features, quads.len() * 4);
    starts
}

/// For each bucket the position of the first threshold that is not in a bucket before.
fn place_buckets(image: &mut Image, thresholds: &[f32], buckets: &Buckets, start: u16) -> u32 {
    let table: Vec<u8> = (0..=buckets.last())
        .map(|bucket| thresholds.partition_point(|t| buckets.bucket(*t) < bucket) as u16)
        .flat_map(|before| start.wrapping_add(before).to_le_bytes())
        .collect();
    image.place(&table, 4)
}

/// For each position the rank within a group, less 128.
fn place_map(image: &mut Image, all: &Thresholds, starts: &[u16], group: &Thresholds) -> u32 {
    let mut map = Vec::new();
    for (feature, (of_feature, start)) in all.0.iter().zip(starts).enumerate() {
        map.resize(usize::from(*start), 0);
        map.extend(of_feature.iter().map(|t| group.rank(feature as u32, *t)));
        // Above all thresholds: above all of the group.
        map.push((group.below(feature, f32::INFINITY) as u8).wrapping_sub(128));
    }
    image.place(&map, 16)
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
            tidy(&mut values);
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
