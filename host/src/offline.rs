//! Tables through a detector offline: reading, scoring and writing at the same time. While block `n` is scored, block
//! `n + 1` is decoded and what came of block `n - 1` is handed on. All three share the threads of the caller's rayon pool,
//! so none waits while another has work to give away; memory is three blocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use hodoscope_engine::{Batch, Deadline, Detector, Explanation, Fault};
use rayon::prelude::*;

use crate::rows::{Block, Blocks, Piece};

/// Values of one call: half of a core's second-level cache, so that rows are still warm when the kernel walks them.
const CALL_BYTES: usize = 256 << 10;
/// At least so many rows, so that a fresh instance per call is paid for.
const CALL_ROWS: std::ops::RangeInclusive<usize> = 512..=32 << 10;
/// Offline nobody waits for a call; a loop still ends.
const CALL_DEADLINE: Duration = Duration::from_secs(120);

/// Runs `work` on every block and `sink` on every result, in order.
pub(crate) fn stream<T: Send>(
    mut blocks: Blocks,
    work: impl Fn(Block) -> anyhow::Result<T> + Sync,
    mut sink: impl FnMut(T) -> anyhow::Result<()> + Send,
    tick: impl Fn(usize, u64) + Send,
) -> anyhow::Result<()> {
    let mut done = None;
    let mut current = blocks.next_block()?;
    while let Some(block) = current {
        let rows = block.rows();
        // What cannot be split goes first: the thread that ends it then takes its share of the rest.
        let (sunk, (next, worked)) = rayon::join(
            || done.take().map_or(Ok(()), &mut sink),
            || rayon::join(|| blocks.next_block(), || work(block)),
        );
        sunk?;
        done = Some(worked?);
        current = next?;
        tick(rows, blocks.bytes_read());
    }
    done.map_or(Ok(()), sink)
}

/// A detector and the places of its features among those of a block.
pub(crate) struct Scorer {
    detector: Detector,
    places: Vec<usize>,
    busy_ns: AtomicU64,
}

impl Scorer {
    /// A scorer for blocks whose features are `names`; the caller has selected at least those of the detector.
    pub(crate) fn new(detector: Detector, names: &[String]) -> anyhow::Result<Self> {
        let place = |name: &String| {
            let place = names.iter().position(|known| known == name);
            place.with_context(|| format!("feature `{name}` was not read"))
        };
        let features = &detector.description().features;
        let places = features
            .iter()
            .map(|feature| place(&feature.name))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            detector,
            places,
            busy_ns: AtomicU64::new(0),
        })
    }

    /// The detector.
    pub(crate) fn detector(&self) -> &Detector {
        &self.detector
    }

    /// Seconds that all calls took together, on however many cores.
    pub(crate) fn busy_seconds(&self) -> f64 {
        self.busy_ns.load(Ordering::Relaxed) as f64 / 1e9
    }

    /// The scores of a block, piece by piece, row by row.
    pub(crate) fn score(&self, block: &Block) -> anyhow::Result<Vec<f64>> {
        let scored: Vec<Vec<f64>> = self.calls(block, |batch, deadline| {
            self.detector.score(batch, deadline)
        })?;
        Ok(scored.concat())
    }

    /// The scores and attributions of a block.
    pub(crate) fn explain(&self, block: &Block) -> anyhow::Result<Explanation> {
        let explained: Vec<Explanation> = self.calls(block, |batch, deadline| {
            self.detector.explain(batch, deadline)
        })?;
        explained
            .into_iter()
            .reduce(|mut all, more| {
                all.scores.extend(more.scores);
                all.attributions.extend(more.attributions);
                all
            })
            .ok_or_else(|| anyhow!("a block without rows"))
    }

    fn calls<T: Send>(
        &self,
        block: &Block,
        call: impl Fn(&Batch, Deadline) -> Result<T, Fault> + Sync,
    ) -> anyhow::Result<Vec<T>> {
        slices(block, self.places.len())
            .par_iter()
            .map(|slice| {
                let batch = slice.batch(&self.places);
                let started = Instant::now();
                let answer = call(&batch, Deadline::after(CALL_DEADLINE));
                let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.busy_ns.fetch_add(took, Ordering::Relaxed);
                answer.with_context(|| format!("failed to score {} rows", batch.rows()))
            })
            .collect()
    }
}

/// Some rows of one piece.
struct Slice<'a> {
    piece: &'a Piece,
    from: usize,
    to: usize,
}

fn slices(block: &Block, width: usize) -> Vec<Slice<'_>> {
    let rows = (CALL_BYTES / (8 * width.max(1))).clamp(*CALL_ROWS.start(), *CALL_ROWS.end());
    let mut slices = Vec::new();
    for piece in &block.pieces {
        let mut from = 0;
        while from < piece.rows {
            let to = piece.rows.min(from + rows);
            slices.push(Slice { piece, from, to });
            from = to;
        }
    }
    slices
}

impl Slice<'_> {
    /// The rows one after the other, as the contract wants them, with the features at `places`.
    fn batch(&self, places: &[usize]) -> Batch {
        let width = places.len();
        let mut values = vec![0.0; width * (self.to - self.from)];
        for (offset, place) in places.iter().enumerate() {
            let column = self.piece.features.get(*place);
            let column = column
                .and_then(|column| column.get(self.from..self.to))
                .unwrap_or_default();
            let slots = values.iter_mut().skip(offset).step_by(width.max(1));
            for (slot, value) in slots.zip(column) {
                *slot = *value;
            }
        }
        Batch::new(u32::try_from(width).unwrap_or(u32::MAX), values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_laid_one_after_the_other_in_the_order_of_the_detector() {
        let features = vec![vec![1.0, 2.0, 3.0], vec![0.0; 3], vec![10.0, 20.0, 30.0]];
        let piece = Piece {
            rows: 3,
            features,
            kept: vec![],
        };
        let slice = Slice {
            piece: &piece,
            from: 1,
            to: 3,
        };
        assert_eq!(
            slice.batch(&[2, 0]),
            Batch::new(2, vec![20.0, 2.0, 30.0, 3.0])
        );
    }

    #[test]
    fn slices_cover_every_row_once_and_in_order() {
        let piece = |rows| Piece {
            rows,
            features: vec![],
            kept: vec![],
        };
        let block = Block {
            pieces: vec![piece(1300), piece(1), piece(512)],
        };
        let spans: Vec<_> = slices(&block, 100)
            .iter()
            .map(|slice| (slice.from, slice.to))
            .collect();
        assert_eq!(
            spans,
            vec![(0, 512), (512, 1024), (1024, 1300), (0, 1), (0, 512)]
        );
    }
}
