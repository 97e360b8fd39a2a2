//! One random sample of the rows, taken in a single reading with bounded memory: the rows with the smallest hashes of
//! (seed, row number), a "bottom-k" sketch. Which rows these are depends on their order only: not on threads, chunks or
//! files. In the order of their hashes they are a random permutation, so any prefix is a sample too.

use std::collections::BinaryHeap;

use super::random::hash;
use crate::input::{Chunk, Position};

/// What the hashes of rows are keyed with besides the seed, so that rows and trees draw from different streams.
const ROW_STREAM: u64 = 0x526f_7753_616d_706c;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    key: u64,
    row: u64,
    slot: u32,
}

/// The sketch while rows come in.
pub(crate) struct Reservoir {
    seed: u64,
    width: usize,
    capacity: usize,
    cutoff: u64,
    /// What is kept while there is room, in any order.
    kept: Vec<Kept>,
    /// What is kept when there is none; the row to give up first is on top.
    full: BinaryHeap<Kept>,
    values: Vec<f32>,
    labels: Vec<f32>,
    /// Scratch: rows of a chunk below the cutoff.
    candidates: Vec<(u64, usize)>,
}

/// The sampled rows.
pub(crate) struct Sample {
    width: usize,
    /// Places in `values`, in the order of the hashes.
    order: Vec<u32>,
    values: Vec<f32>,
    labels: Vec<f32>,
}

impl Reservoir {
    /// A sketch of at most `capacity` rows. Where the number of rows is known beforehand, only those that stay are copied.
    pub(crate) fn new(seed: u64, width: usize, capacity: usize, total: Option<u64>) -> Self {
        let seed = seed ^ ROW_STREAM;
        Self {
            seed,
            width,
            capacity,
            cutoff: total.map_or(u64::MAX, |total| cutoff(seed, total, capacity as u64)),
            kept: Vec::new(),
            full: BinaryHeap::new(),
            values: Vec::new(),
            labels: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// Takes the rows of a chunk.
    pub(crate) fn offer(&mut self, chunk: &Chunk, position: Position) {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        let keys = (0..chunk.rows).map(|row| (hash(self.seed, position.rows + row as u64), row));
        candidates.extend(keys.filter(|(key, _)| *key <= self.cutoff));
        for (key, row) in &candidates {
            self.keep(*key, position.rows + *row as u64, chunk, *row);
        }
        self.candidates = candidates;
    }

    fn keep(&mut self, key: u64, number: u64, chunk: &Chunk, row: usize) {
        let label = chunk.labels.get(row).copied();
        if self.full.is_empty() {
            if self.kept.len() < self.capacity {
                let slot = self.kept.len() as u32;
                let values = chunk.columns.iter().filter_map(|column| column.get(row));
                self.values.extend(values);
                self.labels.extend(label);
                self.kept.push(Kept {
                    key,
                    row: number,
                    slot,
                });
                return;
            }
            self.full = std::mem::take(&mut self.kept).into();
        }
        let Some(mut last) = self.full.peek_mut() else {
            return;
        };
        if (key, number) >= (last.key, last.row) {
            return;
        }
        let slot = last.slot;
        *last = Kept {
            key,
            row: number,
            slot,
        };
        drop(last);
        let start = slot as usize * self.width;
        let places = self.values.iter_mut().skip(start);
        for (place, column) in places.zip(&chunk.columns) {
            *place = column.get(row).copied().unwrap_or(f32::NAN);
        }
        if let (Some(place), Some(label)) = (self.labels.get_mut(slot as usize), label) {
            *place = label;
        }
        if let Some(last) = self.full.peek() {
            self.cutoff = last.key;
        }
    }

    /// The sample.
    pub(crate) fn finish(self) -> Sample {
        let mut kept = self.kept;
        kept.extend(self.full);
        kept.sort_unstable();
        let order = kept.into_iter().map(|kept| kept.slot).collect();
        Sample {
            width: self.width,
            order,
            values: self.values,
            labels: self.labels,
        }
    }
}

impl Sample {
    /// These rows in this order, without labels.
    pub(crate) fn of(values: Vec<f32>, width: usize) -> Self {
        let rows = (values.len() / width.max(1)) as u32;
        Self {
            width,
            order: (0..rows).collect(),
            values,
            labels: Vec::new(),
        }
    }

    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// The row at a place in the order of the hashes.
    pub(crate) fn row(&self, at: usize) -> &[f32] {
        let start = self
            .order
            .get(at)
            .map_or(usize::MAX, |slot| *slot as usize * self.width);
        self.values
            .get(start..start.saturating_add(self.width))
            .unwrap_or_default()
    }

    /// The label of that row, NaN if there is none.
    pub(crate) fn label(&self, at: usize) -> f32 {
        let slot = self.order.get(at).map_or(usize::MAX, |slot| *slot as usize);
        self.labels.get(slot).copied().unwrap_or(f32::NAN)
    }

    /// The first `count` rows, row-major.
    pub(crate) fn prefix(&self, count: usize) -> Vec<f32> {
        let mut rows = Vec::with_capacity(count * self.width);
        for at in 0..count.min(self.len()) {
            rows.extend_from_slice(self.row(at));
        }
        rows
    }
}

/// The `capacity`-th smallest hash of `total` rows: found among those below a bound that nearly always holds enough.
fn cutoff(seed: u64, total: u64, capacity: u64) -> u64 {
    if total <= capacity || capacity == 0 {
        return u64::MAX;
    }
    let mut wanted = capacity as f64 + 6.0 * (capacity as f64).sqrt() + 16.0;
    loop {
        let share = wanted / total as f64;
        let bound = if share >= 1.0 {
            u64::MAX
        } else {
            (share * u64::MAX as f64) as u64
        };
        let mut keys: Vec<u64> = (0..total)
            .map(|row| hash(seed, row))
            .filter(|key| *key <= bound)
            .collect();
        if keys.len() as u64 >= capacity {
            let (_, key, _) = keys.select_nth_unstable(capacity as usize - 1);
            return *key;
        }
        wanted *= 2.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rows: usize, capacity: usize, per_chunk: usize, total: Option<u64>) -> Vec<f32> {
        let mut reservoir = Reservoir::new(5, 1, capacity, total);
        let all: Vec<f32> = (0..rows).map(|row| row as f32).collect();
        let mut position = Position::default();
        for values in all.chunks(per_chunk) {
            let chunk = Chunk {
                rows: values.len(),
                columns: vec![values.to_vec()],
                labels: values.to_vec(),
            };
            reservoir.offer(&chunk, position);
            position.rows += values.len() as u64;
        }
        let sample = reservoir.finish();
        assert!((0..sample.len()).all(|at| sample.row(at) == [sample.label(at)]));
        sample.prefix(sample.len())
    }

    #[test]
    fn takes_the_same_rows_in_any_chunks_and_with_or_without_their_number() {
        let expected = taken(50_000, 1_000, 50_000, None);
        assert_eq!(expected.len(), 1_000);
        for per_chunk in [1, 77, 9_999] {
            assert_eq!(taken(50_000, 1_000, per_chunk, None), expected);
            assert_eq!(taken(50_000, 1_000, per_chunk, Some(50_000)), expected);
        }
        let all = taken(300, 1_000, 100, Some(300));
        assert_eq!(all.len(), 300);
    }

    #[test]
    fn takes_every_row_equally_often() {
        let mean = taken(100_000, 10_000, 65_536, Some(100_000))
            .iter()
            .sum::<f32>()
            / 10_000.0;
        assert!((mean - 50_000.0).abs() < 1_000.0, "{mean}");
    }
}
