//! What is gathered of one release until its part is closed: counts of every row, the sampled rows and the counts of their
//! features, and the comparison with a shadow. Closing gives the files to put. It reads no clock and does no I/O.

use std::sync::Arc;

use bytes::Bytes;
use hodoscope_registry::capture::{CaptureKey, Writer};
use hodoscope_release::window::{Counts, SCHEMA, WindowName, WindowPart};
use hodoscope_release::{DetectorName, Version};
use tracing::warn;

use super::table;
use super::tap::{Gathered, Tap};
use crate::roster::Shadowing;

/// An open part.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) tap: Arc<Tap>,
    pub(super) began_ms: u64,
    pub(super) window: WindowName,
    gathered: Gathered,
    features: Vec<Counts>,
    shadow: Option<Shadowing>,
}

/// Which part this is, and how it was sampled.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    pub(super) host: Arc<str>,
    pub(super) boot: Arc<str>,
    pub(super) sequence: u64,
    pub(super) window_seconds: u64,
    pub(super) fraction: f64,
}

/// A file to put.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) key: CaptureKey,
    pub(super) bytes: Bytes,
    pub(super) detector: DetectorName,
    pub(super) version: Version,
    /// How many sampled rows it holds; 0 for a part of a window.
    pub(super) rows: u64,
}

impl Open {
    pub(super) fn new(tap: Arc<Tap>, now_ms: u64, window: WindowName) -> Self {
        Self {
            gathered: Gathered::default(),
            features: empty(&tap),
            shadow: None,
            began_ms: now_ms,
            window,
            tap,
        }
    }

    /// Adds what was gathered since the last time; the features of sampled rows are counted now.
    pub(super) fn add(&mut self, mut gathered: Gathered) {
        if !table::fits(&self.tap.about.names) {
            gathered.over_limit += gathered.sampled.len() as u64;
            gathered.sampled.clear();
            gathered.values.clear();
        }
        if let Some(profile) = &self.tap.about.profile {
            for row in gathered
                .values
                .chunks_exact(self.tap.about.names.len().max(1))
            {
                let edges = profile.features.iter().zip(&mut self.features);
                for ((histogram, counts), value) in edges.zip(row) {
                    counts.add(&histogram.edges, histogram.range, *value);
                }
            }
        }
        self.gathered.append(gathered);
    }

    /// The bytes of the sampled rows, about.
    pub(super) fn size_bytes(&self) -> usize {
        self.gathered.values.len() * size_of::<f64>() + self.gathered.sampled.len() * 96
    }

    /// Looks which shadow scores copies of this release's calls; true if it is another one than before.
    pub(super) fn watch(&mut self, shadow: Option<&Shadowing>) -> bool {
        let same = match (&self.shadow, shadow) {
            (Some(before), Some(now)) => Arc::ptr_eq(&before.tally, &now.tally),
            (None, None) => true,
            _ => false,
        };
        if self.shadow.is_none() {
            self.shadow = shadow.cloned();
            return false;
        }
        !same
    }

    /// Ends the part: its files, and the next part is open. Nothing happened: no files.
    pub(super) fn close(&mut self, stamp: &Stamp, now_ms: u64, window: WindowName) -> Vec<File> {
        let next = Self::new(self.tap.clone(), now_ms, window);
        let closed = std::mem::replace(self, next);
        let shadow = closed.shadow.as_ref().and_then(|shadow| {
            let served = &shadow.served;
            shadow.tally.take(&served.release.version, &served.digest())
        });
        let dropped_rows = closed.gathered.over_limit + closed.gathered.over_queue;
        if closed.gathered.rows == 0 && dropped_rows == 0 && shadow.is_none() {
            return Vec::new();
        }
        let release = &closed.tap.release;
        let part = WindowPart {
            schema: SCHEMA,
            detector: release.detector.clone(),
            version: release.version.clone(),
            digest: closed.tap.about.digest,
            window: closed.window.clone(),
            window_seconds: stamp.window_seconds,
            host: stamp.host.to_string(),
            boot: stamp.boot.to_string(),
            sequence: stamp.sequence,
            threshold: closed.tap.about.threshold,
            rows: closed.gathered.rows,
            alerts: closed.gathered.alerts,
            scores: closed.gathered.scores.clone(),
            sampled_rows: closed.gathered.sampled.len() as u64,
            sample_fraction: stamp.fraction,
            dropped_rows,
            features: closed.features.clone(),
            shadow,
        };
        closed.files(part, stamp)
    }

    /// The rows first: whoever reads of a part may look for its rows.
    fn files(&self, part: WindowPart, stamp: &Stamp) -> Vec<File> {
        let release = &self.tap.release;
        let file = |key, bytes, rows| File {
            key,
            bytes,
            detector: release.detector.clone(),
            version: release.version.clone(),
            rows,
        };
        let mut files = Vec::new();
        let rows = self.gathered.sampled.len() as u64;
        if rows > 0 {
            let writer = Writer {
                host: &stamp.host,
                boot: &stamp.boot,
                sequence: stamp.sequence,
            };
            let key = CaptureKey::rows(&release.detector, self.began_ms / 1000, writer);
            match table::encode(&self.tap, &self.gathered) {
                Ok(bytes) => files.push(file(key, bytes, rows)),
                Err(error) => warn!(%error, "failed to write sampled rows of {release} as Parquet"),
            }
        }
        match serde_json::to_vec(&part) {
            Ok(bytes) => files.push(file(CaptureKey::part(&part), bytes.into(), 0)),
            Err(error) => warn!(%error, "failed to write a part of {release}"),
        }
        files
    }
}

fn empty(tap: &Tap) -> Vec<Counts> {
    let features = tap
        .about
        .profile
        .iter()
        .flat_map(|profile| &profile.features);
    features
        .map(|feature| Counts::on(feature.edges.len()))
        .collect()
}
