//! Finding the bin of a score in constant time: edges are quantiles, so they crowd where scores do, and a table of cells
//! says where to start looking. It gives the bins of [`Counts`], whatever the edges are.

use hodoscope_release::window::Counts;

/// Cells between 0 and 1, a power of two so that the product is exact; 8 KiB, which stay in the first cache.
const CELLS: usize = 4096;

/// Rising edges and the table over them.
#[derive(Debug)]
pub(super) struct ScoreEdges {
    edges: Box<[f64]>,
    /// For each cell how many edges lie at or below its start.
    starts: Box<[u16]>,
    range: Option<(f64, f64)>,
}

impl ScoreEdges {
    pub(super) fn new(edges: &[f64], range: Option<(f64, f64)>) -> Self {
        let start = |cell: usize| {
            let at = cell as f64 / CELLS as f64;
            // The first cell takes what is below 0, too.
            let below = if cell == 0 {
                0
            } else {
                edges.partition_point(|edge| *edge <= at)
            };
            u16::try_from(below).unwrap_or(u16::MAX)
        };
        Self {
            starts: (0..CELLS).map(start).collect(),
            edges: edges.into(),
            range,
        }
    }

    /// Empty counts on these edges.
    pub(super) fn counts(&self) -> Counts {
        Counts::on(self.edges.len())
    }

    /// Counts scores, as [`Counts::add`] would.
    pub(super) fn add(&self, counts: &mut Counts, scores: &[f64]) {
        let (low, high) = self.range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        for score in scores {
            if score.is_nan() {
                counts.missing += 1;
                continue;
            }
            let bin = self.bin(*score);
            if let (Some(count), Some(sum)) = (counts.counts.get_mut(bin), counts.sums.get_mut(bin))
            {
                *count += 1;
                *sum += score;
            }
            counts.below += u64::from(*score < low);
            counts.above += u64::from(*score > high);
        }
    }

    fn bin(&self, score: f64) -> usize {
        // The cast ends at 0 and at the largest number.
        let cell = ((score * CELLS as f64) as usize).min(CELLS - 1);
        let start = self.starts.get(cell).copied().unwrap_or(0);
        let rest = self.edges.get(usize::from(start)..).unwrap_or_default();
        usize::from(start) + rest.iter().take_while(|edge| **edge <= score).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_the_plain_search_does_whatever_the_edges() {
        let crowded: Vec<f64> = (0..200).map(|i| 0.4 + f64::from(i) * 1e-5).collect();
        let uniform: Vec<f64> = (1..=128).map(|i| f64::from(i) / 128.0).collect();
        let odd = vec![-1.0, -1e-300, 0.0, 5e-324, 0.3, 0.999_999_999, 1.0, 7.0];
        for edges in [crowded, uniform, odd, vec![], vec![0.5]] {
            let range = edges.first().copied().zip(edges.last().copied());
            let table = ScoreEdges::new(&edges, range);
            let mut values = vec![0.0, -0.0, 1.0, -0.5, 2.0, f64::NAN, 1e300, -1e300, 0.3];
            values.extend(edges.iter().flat_map(|e| [e.next_down(), *e, e.next_up()]));
            values.extend((0..5000).map(|i| f64::from(i) / 4999.0));
            let (mut fast, mut plain) = (table.counts(), table.counts());
            table.add(&mut fast, &values);
            values
                .iter()
                .for_each(|value| plain.add(&edges, range, *value));
            assert_eq!(fast, plain);
        }
    }
}
