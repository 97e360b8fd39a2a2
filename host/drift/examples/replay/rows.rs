//! Rows from the files of `verify/drift/prepare.py`, binned once on a profile's edges, from which windows are drawn.

use std::error::Error;
use std::fs;
use std::path::Path;

use hodoscope_drift::{MergedWindow, Reference};
use hodoscope_release::sections::{Histogram, Profile};
use hodoscope_release::window::Counts;
use hodoscope_release::{Digest, ReleaseName};

/// The share of reference rows that alert.
pub(crate) const TARGET: f64 = 0.01;

/// Rows of float32, features first and the score last.
pub(crate) struct Rows {
    pub(crate) width: usize,
    values: Vec<f32>,
}

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`; the bias of the product is under 2⁻⁴⁰ for the sizes here.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.word()) * limit as u128) >> 64) as usize
    }

    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for end in (1..values.len()).rev() {
            values.swap(end, self.below(end + 1));
        }
    }
}

impl Rows {
    pub(crate) fn read(path: &Path, width: usize) -> Result<Self, Box<dyn Error>> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let values = bytes.as_chunks::<4>().0.iter();
        Ok(Self {
            width: width + 1,
            values: values.map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        })
    }

    /// Rows that no file holds: each value the mean of three uniform ones, the score the mean of the features.
    pub(crate) fn drawn(random: &mut Random, features: usize, count: usize, shift: f32) -> Self {
        let mut values = Vec::with_capacity(count * (features + 1));
        for _ in 0..count {
            let mut sum = 0.0;
            for _ in 0..features {
                let mean = (0..3).map(|_| random.below(1 << 20) as f32).sum::<f32>();
                let value = mean / (3 << 20) as f32 + shift / 6.0;
                values.push(value);
                sum += value;
            }
            values.push(sum / features as f32);
        }
        Self {
            width: features + 1,
            values,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.width
    }

    pub(crate) fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.width..(at + 1) * self.width]
    }
}

/// What a release would carry that was calibrated on some rows.
pub(crate) struct Known {
    release: ReleaseName,
    names: Vec<String>,
    pub(crate) profile: Profile,
    threshold: f64,
}

impl Known {
    pub(crate) fn of(rows: &Rows, chosen: &[usize]) -> Result<Self, Box<dyn Error>> {
        let column = |at: usize| {
            chosen
                .iter()
                .map(|row| f64::from(rows.row(*row)[at]))
                .collect()
        };
        let features = rows.width - 1;
        let mut scores: Vec<f64> = column(features);
        let profile = Profile {
            schema: 1,
            rows: chosen.len() as u64,
            features: (0..features).map(|at| histogram(column(at))).collect(),
            scores: histogram(scores.clone()),
        };
        scores.sort_by(f64::total_cmp);
        Ok(Self {
            release: "replay@1.0.0".parse()?,
            names: (0..features).map(|at| format!("f{at}")).collect(),
            profile,
            threshold: scores[scores.len() - (scores.len() as f64 * TARGET) as usize],
        })
    }

    pub(crate) fn reference(&self) -> Reference<'_> {
        Reference {
            release: &self.release,
            digest: Digest::of(b"replay"),
            features: &self.names,
            profile: Some(&self.profile),
            alert_rate: Some(TARGET),
        }
    }

    fn histograms(&self) -> impl Iterator<Item = &Histogram> {
        self.profile.features.iter().chain([&self.profile.scores])
    }
}

/// Bins of about equal counts with edges between values that occur, as the trainer makes them.
fn histogram(mut values: Vec<f64>) -> Histogram {
    let all = values.len();
    values.retain(|value| !value.is_nan());
    values.sort_by(f64::total_cmp);
    let mut edges: Vec<f64> = Vec::new();
    for bin in 1..128 {
        let value = values[bin * values.len() / 128];
        let start = values.partition_point(|other| *other < value);
        if start > 0 {
            edges.push((values[start - 1] + value) / 2.0);
        }
    }
    edges.dedup();
    let range = values.first().copied().zip(values.last().copied());
    let mut counts = Counts::on(edges.len());
    values
        .iter()
        .for_each(|value| counts.add(&edges, range, *value));
    Histogram {
        edges,
        counts: counts.counts,
        sums: counts.sums,
        missing: (all - values.len()) as u64,
        range,
    }
}

/// Rows on a profile's edges, so that a window of a hundred thousand is drawn in milliseconds.
pub(crate) struct Traffic<'a> {
    known: &'a Known,
    rows: &'a Rows,
    chosen: Vec<usize>,
    /// Row by row, the bin of each value; 255 for a missing one.
    bins: Vec<u8>,
}

impl<'a> Traffic<'a> {
    pub(crate) fn new(known: &'a Known, rows: &'a Rows, chosen: Vec<usize>) -> Self {
        let mut bins = Vec::with_capacity(chosen.len() * rows.width);
        for row in &chosen {
            for (value, histogram) in rows.row(*row).iter().zip(known.histograms()) {
                let value = f64::from(*value);
                bins.push(match value.is_nan() {
                    true => u8::MAX,
                    false => histogram.edges.partition_point(|edge| *edge <= value) as u8,
                });
            }
        }
        Self {
            known,
            rows,
            chosen,
            bins,
        }
    }

    /// A window of `size` rows drawn with replacement, in runs of `run` neighbours.
    pub(crate) fn window(
        &self,
        random: &mut Random,
        size: usize,
        run: usize,
    ) -> Result<MergedWindow, Box<dyn Error>> {
        let mut weights = vec![0_u64; self.chosen.len()];
        for _ in 0..size / run {
            let start = random.below(self.chosen.len());
            for step in 0..run {
                weights[(start + step) % self.chosen.len()] += 1;
            }
        }
        let histograms: Vec<&Histogram> = self.known.histograms().collect();
        let mut counts: Vec<Counts> = histograms
            .iter()
            .map(|h| Counts::on(h.edges.len()))
            .collect();
        let mut alerts = 0;
        for (at, weight) in weights
            .into_iter()
            .enumerate()
            .filter(|(_, weight)| *weight > 0)
        {
            let row = self.rows.row(self.chosen[at]);
            let bins = &self.bins[at * self.rows.width..(at + 1) * self.rows.width];
            for (((counts, histogram), value), bin) in
                counts.iter_mut().zip(&histograms).zip(row).zip(bins)
            {
                add(counts, histogram, f64::from(*value), *bin, weight);
            }
            if row
                .last()
                .is_some_and(|score| f64::from(*score) >= self.known.threshold)
            {
                alerts += weight;
            }
        }
        let scores = counts.pop().unwrap_or_default();
        let rows = (size / run * run) as u64;
        Ok(MergedWindow {
            detector: self.known.release.detector.clone(),
            version: self.known.release.version.clone(),
            digest: Digest::of(b"replay"),
            window: "20261124T000000Z".parse()?,
            window_seconds: 86_400,
            parts: 1,
            threshold: Some(self.known.threshold),
            rows,
            alerts,
            scores,
            sampled_rows: rows,
            sample_fraction: 1.0,
            dropped_rows: 0,
            features: counts,
            shadow: None,
        })
    }
}

fn add(counts: &mut Counts, histogram: &Histogram, value: f64, bin: u8, weight: u64) {
    if bin == u8::MAX {
        counts.missing += weight;
        return;
    }
    counts.counts[usize::from(bin)] += weight;
    counts.sums[usize::from(bin)] += value * weight as f64;
    if let Some((low, high)) = histogram.range {
        counts.below += weight * u64::from(value < low);
        counts.above += weight * u64::from(value > high);
    }
}
