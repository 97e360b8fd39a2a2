//! Which rows are kept: a keyed hash of the request's id and the row's number, so that every host with the same key
//! chooses the same rows, and a caller who does not know the key cannot choose. Pure.

use hodoscope_release::Digest;

/// 2 to the power of 64: a share of 1.
const ALL: f64 = 18_446_744_073_709_551_616.0;

/// Chooses rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sampler {
    key: [u64; 2],
    /// Hashes below it are chosen; 2^64 chooses all.
    limit: u128,
}

/// The choice among the rows of one request.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    seed: u64,
    limit: u128,
}

impl Sampler {
    /// Chooses this share of all rows.
    pub(super) fn new(key: &str, fraction: f64) -> Self {
        let digest = Digest::of(key.as_bytes());
        let word = |from: usize| {
            let bytes = digest.as_bytes().iter().skip(from).take(8);
            bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
        };
        Self {
            key: [word(0), word(8)],
            limit: (fraction.clamp(0.0, 1.0) * ALL) as u128,
        }
    }

    /// The choice among the rows of the request with this id.
    pub(super) fn of(&self, id: &[u8]) -> Choice {
        Choice {
            seed: siphash(self.key, id),
            limit: self.limit,
        }
    }
}

impl Choice {
    /// Whether this row, counted from 0, is chosen. The finish of SplitMix64 (Steele, Lea, Flood 2014) makes the rows of
    /// a request independent of each other.
    pub fn takes(self, row: u64) -> bool {
        let step = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(row.wrapping_add(1));
        let mut hash = self.seed.wrapping_add(step);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u128::from(hash ^ (hash >> 31)) < self.limit
    }
}

/// SipHash-2-4 of <https://www.aumasson.jp/siphash/siphash.pdf> (Aumasson and Bernstein 2012): a keyed hash that is fast
/// on short input.
fn siphash(key: [u64; 2], bytes: &[u8]) -> u64 {
    let [k0, k1] = key;
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let words = bytes.chunks_exact(8);
    let word = |bytes: &[u8]| {
        let bits = bytes.iter().rev();
        bits.fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    let last = word(words.remainder()) | (bytes.len() as u64) << 56;
    for block in words.map(word).chain([last]) {
        state[3] ^= block;
        rounds(&mut state, 2);
        state[0] ^= block;
    }
    state[2] ^= 0xff;
    rounds(&mut state, 4);
    state.iter().fold(0, |hash, part| hash ^ part)
}

fn rounds(state: &mut [u64; 4], count: u32) {
    let [mut a, mut b, mut c, mut d] = *state;
    for _ in 0..count {
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32);
        c = c.wrapping_add(b);
        a = a.wrapping_add(d);
        b = b.rotate_left(17) ^ c;
        d = d.rotate_left(21) ^ a;
        c = c.rotate_left(32);
    }
    *state = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix A of the paper: key 00..0f, input 00..0e.
    #[test]
    fn hashes_the_papers_own_example() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let input: Vec<u8> = (0..15).collect();
        assert_eq!(siphash(key, &input), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn every_host_chooses_the_same_rows_and_another_key_chooses_others() {
        let (one, other) = (Sampler::new("key", 0.1), Sampler::new("key", 0.1));
        let stranger = Sampler::new("another key", 0.1);
        let mut differs = 0;
        for id in 0..500_u32 {
            let id = format!("request-{id}");
            for row in 0..40 {
                let taken = one.of(id.as_bytes()).takes(row);
                assert_eq!(other.of(id.as_bytes()).takes(row), taken);
                differs += u32::from(stranger.of(id.as_bytes()).takes(row) != taken);
            }
        }
        // 2 · 0.1 · 0.9 of 20,000.
        assert!((3300..3900).contains(&differs), "{differs}");
    }

    #[test]
    fn the_share_is_kept_over_requests_and_over_rows() {
        let count = |fraction, ids: u32, rows| -> usize {
            let sampler = Sampler::new("key", fraction);
            let taken = |id: u32| {
                let choice = sampler.of(&id.to_le_bytes());
                (0..rows).filter(|row| choice.takes(*row)).count()
            };
            (0..ids).map(taken).sum()
        };
        // Five standard deviations of a binomial around 10,000 of 100,000: 474.
        for (ids, rows) in [(100_000, 1), (1000, 100), (1, 100_000)] {
            let taken = count(0.1, ids, rows);
            assert!((9526..10_474).contains(&taken), "{ids} × {rows}: {taken}");
        }
        assert_eq!(count(0.0, 1000, 10), 0);
        assert_eq!(count(1.0, 1000, 10), 10_000);
    }
}
