//! The trainer's own random numbers, so that a seed means the same on every machine and in every version: SplitMix64
//! (Steele, Lea, Flood 2014) for keys and seeds, xoshiro256++ (Blackman and Vigna 2019) for streams.

/// The increment of SplitMix64.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's output for the `index`-th state after `seed`: a hash of the pair.
pub(crate) fn hash(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(GAMMA));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of random numbers.
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of a seed and an index, independent of its neighbours'.
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        let start = hash(seed, index);
        Self {
            state: [0, 1, 2, 3].map(|word| hash(start, word)),
        }
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        let (b_next, a_next) = (b ^ c, a ^ d);
        self.state = [a_next, b_next, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// Below `bound`, which is at least 1 (Lemire's multiplication; its bias is below 2^-32 for bounds below 2^32).
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()) * bound as u128;
        (wide >> 64) as usize
    }

    /// In 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A fair coin.
    pub(crate) fn coin(&mut self) -> bool {
        self.next() >> 63 == 1
    }

    /// `count` distinct numbers below `bound`, in random order (Floyd 1987, then shuffled); all of them if `count` is not less.
    pub(crate) fn distinct(&mut self, count: usize, bound: usize) -> Vec<u32> {
        let count = count.min(bound);
        let mut drawn: Vec<u32>;
        if count * 8 >= bound {
            drawn = (0..bound as u32).collect();
            for at in 0..count {
                let other = at + self.below(bound - at);
                drawn.swap(at, other);
            }
            drawn.truncate(count);
            return drawn;
        }
        drawn = Vec::with_capacity(count);
        let mut seen = std::collections::HashSet::with_capacity_and_hasher(2 * count, Mixed);
        for last in bound - count..bound {
            let candidate = self.below(last + 1) as u32;
            let taken = if seen.insert(candidate) {
                candidate
            } else {
                last as u32
            };
            if taken == last as u32 {
                seen.insert(taken);
            }
            let at = self.below(drawn.len() + 1);
            drawn.push(taken);
            let end = drawn.len() - 1;
            drawn.swap(at, end);
        }
        drawn
    }
}

/// A hasher for row numbers, which need no protection from an attacker.
#[derive(Clone, Copy, Default)]
struct Mixed;

#[derive(Default)]
struct MixedHasher(u64);

impl std::hash::BuildHasher for Mixed {
    type Hasher = MixedHasher;

    fn build_hasher(&self) -> MixedHasher {
        MixedHasher::default()
    }
}

impl std::hash::Hasher for MixedHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = (self.0 ^ u64::from(value))
            .wrapping_mul(GAMMA)
            .rotate_left(29);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_distinct_numbers_and_all_of_them_when_asked_for_more() {
        let mut random = Random::new(7, 0);
        for (count, bound) in [(256, 100_000), (256, 300), (10, 10), (20, 10), (1, 1)] {
            let mut drawn = random.distinct(count, bound);
            assert_eq!(drawn.len(), count.min(bound));
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn.len(), count.min(bound));
            assert!(drawn.iter().all(|number| (*number as usize) < bound));
        }
    }

    #[test]
    fn draws_every_number_equally_often() {
        let mut counts = [0u32; 50];
        for index in 0..20_000 {
            for number in Random::new(3, index).distinct(5, 50) {
                counts[number as usize] += 1;
            }
        }
        assert!(
            counts.iter().all(|count| (1_800..2_200).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut random = Random::new(42, 1);
        assert_eq!(
            [
                random.below(1_000),
                random.below(1_000),
                random.below(1_000)
            ],
            [186, 105, 533]
        );
    }
}
