//! Rows in memory under the names of their features, row after row: what gates and retraining work on. A detector is given
//! its own features in its own order, whatever the order here.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hodoscope_engine::{Batch, Deadline, Detector, Explanation};
use rayon::prelude::*;

use crate::rows::{Block, Selection, Table};

/// Rows of one call.
const CALL_ROWS: usize = 1_024;
/// Offline nobody waits for a call; a loop still ends.
const CALL_DEADLINE: Duration = Duration::from_secs(120);

/// Rows in memory; NaN is missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    names: Vec<String>,
    values: Vec<f64>,
}

/// Rows spread evenly over a table whose length is not known, in bounded memory: every row, then every second, then
/// every fourth.
#[derive(Debug)]
pub struct Sampled {
    frame: Frame,
    capacity: usize,
    stride: u64,
    seen: u64,
}

impl Frame {
    /// Rows of `values`, row-major. Values behind the last whole row are dropped.
    pub fn new(names: Vec<String>, mut values: Vec<f64>) -> Self {
        let width = names.len().max(1);
        values.truncate(values.len() - values.len() % width);
        Self { names, values }
    }

    /// Reads the columns `features` of a file, and the numbers of the column `label` if there is one.
    pub fn read(
        path: &Path,
        features: &[String],
        label: Option<&str>,
    ) -> anyhow::Result<(Self, Option<Vec<f64>>)> {
        let table = Table::open(path)?;
        let label = label.filter(|label| table.columns().iter().any(|column| column == label));
        let selection = Selection {
            features: features.to_vec(),
            keep: label.map(str::to_owned).into_iter().collect(),
        };
        let mut blocks = table.blocks(&selection)?;
        let mut frame = Self::new(features.to_vec(), Vec::new());
        let mut labels = Vec::new();
        while let Some(block) = blocks.next_block()? {
            for piece in &block.pieces {
                frame.extend_columns(&piece.features, piece.rows);
                if let Some(kept) = piece.kept.first() {
                    labels.extend(kept.numbers(piece.rows));
                }
            }
        }
        Ok((frame, label.map(|_| labels)))
    }

    /// The names of the features.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// How many values a row has.
    pub fn width(&self) -> usize {
        self.names.len().max(1)
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width()
    }

    /// One row; empty behind the end.
    pub fn row(&self, at: usize) -> &[f64] {
        let start = at.saturating_mul(self.width());
        self.values
            .get(start..start.saturating_add(self.width()))
            .unwrap_or_default()
    }

    /// Puts a row of as many values behind the others; of another length it is left out.
    pub fn push(&mut self, row: &[f64]) {
        if row.len() == self.width() {
            self.values.extend_from_slice(row);
        }
    }

    /// The rows with these numbers, in this order.
    pub fn pick(&self, rows: &[usize]) -> Self {
        let mut values = Vec::with_capacity(rows.len() * self.width());
        for at in rows {
            values.extend_from_slice(self.row(*at));
        }
        Self::new(self.names.clone(), values)
    }

    /// At most so many rows, evenly spread.
    pub fn spread(&self, most: usize) -> Self {
        let rows = self.rows();
        if rows <= most {
            return self.clone();
        }
        let places: Vec<usize> = (0..most).map(|at| at * rows / most).collect();
        self.pick(&places)
    }

    /// All values as forests see them: single precision, infinities at its ends.
    pub fn narrow(&self) -> Vec<f32> {
        let narrow = |value: &f64| (*value as f32).clamp(f32::MIN, f32::MAX);
        self.values.iter().map(narrow).collect()
    }

    /// The values of one feature.
    pub fn column(&self, feature: usize) -> impl Iterator<Item = f64> + '_ {
        self.values
            .iter()
            .skip(feature)
            .step_by(self.width())
            .copied()
    }

    fn extend_columns(&mut self, columns: &[Vec<f64>], rows: usize) {
        let (width, start) = (self.width(), self.values.len());
        self.values.resize(start + rows * width, f64::NAN);
        for (feature, column) in columns.iter().enumerate() {
            let slots = self.values.iter_mut().skip(start + feature).step_by(width);
            for (slot, value) in slots.zip(column) {
                *slot = *value;
            }
        }
    }

    /// Where the detector's features lie in a row.
    fn places(&self, detector: &Detector) -> anyhow::Result<Vec<usize>> {
        let place = |name: &String| {
            let place = self.names.iter().position(|known| known == name);
            place.with_context(|| format!("the rows have no feature `{name}`"))
        };
        let features = &detector.description().features;
        features
            .iter()
            .map(|feature| place(&feature.name))
            .collect()
    }

    /// Some rows as the detector takes them.
    pub fn batch(&self, detector: &Detector, rows: Range<usize>) -> anyhow::Result<Batch> {
        Ok(self.batch_at(&self.places(detector)?, rows))
    }

    fn batch_at(&self, places: &[usize], rows: Range<usize>) -> Batch {
        let mut values = Vec::with_capacity(places.len() * rows.len());
        for at in rows {
            let row = self.row(at);
            values.extend(places.iter().filter_map(|place| row.get(*place)));
        }
        Batch::new(u32::try_from(places.len()).unwrap_or(u32::MAX), values)
    }

    fn calls<T: Send>(
        &self,
        detector: &Detector,
        call: impl Fn(&Batch) -> Result<T, hodoscope_engine::Fault> + Sync,
    ) -> anyhow::Result<Vec<T>> {
        let places = self.places(detector)?;
        let rows = self.rows();
        let starts: Vec<usize> = (0..rows).step_by(CALL_ROWS).collect();
        starts
            .into_par_iter()
            .map(|start| {
                let batch = self.batch_at(&places, start..rows.min(start + CALL_ROWS));
                Ok(call(&batch)?)
            })
            .collect()
    }

    /// The detector's scores of all rows, on the threads of the current rayon pool.
    pub fn score(&self, detector: &Detector) -> anyhow::Result<Vec<f64>> {
        self.score_timed(detector).map(|(scores, _)| scores)
    }

    /// The scores, and the seconds that all calls took together.
    pub(super) fn score_timed(&self, detector: &Detector) -> anyhow::Result<(Vec<f64>, f64)> {
        let calls = self.calls(detector, |batch| {
            let started = Instant::now();
            let scores = detector.score(batch, Deadline::after(CALL_DEADLINE))?;
            Ok((scores, started.elapsed().as_secs_f64()))
        })?;
        let seconds = calls.iter().map(|(_, seconds)| seconds).sum();
        let scores = calls.into_iter().flat_map(|(scores, _)| scores).collect();
        Ok((scores, seconds))
    }

    /// The detector's scores with their reasons; no rows have none.
    pub fn explain(&self, detector: &Detector) -> anyhow::Result<Explanation> {
        let calls = self.calls(detector, |batch| {
            detector.explain(batch, Deadline::after(CALL_DEADLINE))
        })?;
        let explained = calls.into_iter().reduce(|mut all, more| {
            all.scores.extend(more.scores);
            all.attributions.extend(more.attributions);
            all
        });
        match explained {
            Some(explained) => Ok(explained),
            None => bail!("there are no rows to explain"),
        }
    }
}

impl Sampled {
    /// At most `capacity` rows, and at least half of that if there are so many.
    pub fn new(names: Vec<String>, capacity: usize) -> Self {
        Self {
            frame: Frame::new(names, Vec::new()),
            capacity: capacity.max(2),
            stride: 1,
            seen: 0,
        }
    }

    /// Takes the rows of a block whose features are those of the names.
    pub fn offer(&mut self, block: &Block) {
        for piece in &block.pieces {
            for at in 0..piece.rows {
                if self.seen.is_multiple_of(self.stride) {
                    let row = piece.features.iter().filter_map(|column| column.get(at));
                    self.frame.values.extend(row);
                }
                self.seen += 1;
                if self.frame.rows() > self.capacity {
                    let even: Vec<usize> = (0..self.frame.rows()).step_by(2).collect();
                    self.frame = self.frame.pick(&even);
                    self.stride *= 2;
                }
            }
        }
    }

    /// The rows.
    pub fn finish(self) -> Frame {
        self.frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Piece;

    fn block(from: usize, rows: usize) -> Block {
        let column: Vec<f64> = (from..from + rows).map(|row| row as f64).collect();
        Block {
            pieces: vec![Piece {
                rows,
                features: vec![column],
                kept: Vec::new(),
            }],
        }
    }

    #[test]
    fn a_sample_is_spread_evenly_whatever_the_blocks() {
        let sample = |blocks: &[usize]| {
            let mut sampled = Sampled::new(vec!["x".to_owned()], 8);
            let mut from = 0;
            for rows in blocks {
                sampled.offer(&block(from, *rows));
                from += rows;
            }
            sampled.finish().values().to_vec()
        };
        assert_eq!(sample(&[20]), [0.0, 4.0, 8.0, 12.0, 16.0]);
        assert_eq!(sample(&[7, 6, 7]), sample(&[20]));
        assert_eq!(sample(&[3]), [0.0, 1.0, 2.0]);
    }

    #[test]
    fn rows_are_read_by_name_and_picked_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, "b,a,label\n1,2,0\n3,4,1\n5,,\n").unwrap();
        let names = ["a".to_owned(), "b".to_owned()];
        let (frame, labels) = Frame::read(&path, &names, Some("label")).unwrap();
        assert_eq!((frame.rows(), frame.row(1)), (3, &[4.0, 3.0][..]));
        let labels = labels.unwrap();
        assert_eq!((labels[1], labels[2].is_nan()), (1.0, true));
        assert_eq!(frame.pick(&[1, 0]).values(), [4.0, 3.0, 2.0, 1.0]);
        assert_eq!(frame.spread(1).values(), [2.0, 1.0]);
        assert!(frame.row(9).is_empty());
        let (_, labels) = Frame::read(&path, &names, Some("absent")).unwrap();
        assert_eq!(labels, None);
    }
}
