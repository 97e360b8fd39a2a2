//! What is counted of captured traffic, and what hosts tell of the drift job. Only the worker adds to it, never a request.

use hodoscope_release::{DetectorName, Version};
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::{RELEASE, Row, counters, gauge, gauges, opts, registered};
use crate::capture::VerdictLine;

const ROWS: Row = (
    "hodoscope_capture_rows_total",
    "Sampled rows that were put into the store.",
    RELEASE,
);
const DROPPED: Row = (
    "hodoscope_capture_dropped_rows_total",
    "Rows that were chosen but not put, by reason.",
    &["detector", "reason"],
);
const LOST_PARTS: Row = (
    "hodoscope_capture_lost_parts_total",
    "Parts of windows that were dropped, since too much waited to be put.",
    &[],
);
const BYTES: Row = (
    "hodoscope_capture_bytes_total",
    "Bytes of captured traffic that were put into the store.",
    &[],
);
const PUT_FAILURES: Row = (
    "hodoscope_capture_put_failures_total",
    "Puts of captured traffic that failed, by the word of the error.",
    &["reason"],
);
const BACKLOG_FILES: Row = (
    "hodoscope_capture_backlog_files",
    "Files of captured traffic that wait to be put.",
    &[],
);
const BACKLOG_BYTES: Row = (
    "hodoscope_capture_backlog_bytes",
    "Bytes of captured traffic that wait to be put.",
    &[],
);
const VERDICT_AGE: Row = (
    "hodoscope_drift_verdict_age_seconds",
    "Age of the last drift verdict, or of this host if there never was one; told by hosts that capture.",
    &["detector"],
);
const VERDICT: Row = (
    "hodoscope_drift_verdict",
    "1 for the last drift verdict.",
    &["detector", "verdict"],
);

/// The rows of the table.
pub(super) const TABLE: [Row; 9] = [
    ROWS,
    DROPPED,
    LOST_PARTS,
    BYTES,
    PUT_FAILURES,
    BACKLOG_FILES,
    BACKLOG_BYTES,
    VERDICT_AGE,
    VERDICT,
];

/// The capture's handles. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CaptureMeters {
    rows: IntCounterVec,
    dropped: IntCounterVec,
    bytes: IntCounter,
    backlog_files: IntGauge,
    backlog_bytes: IntGauge,
    verdict_age: GaugeVec,
    verdict: IntGaugeVec,
    /// Parts of windows that were dropped.
    pub lost_parts: IntCounter,
    /// Puts that failed.
    pub put_failures: IntCounterVec,
}

impl CaptureMeters {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |row: Row| registered(registry, IntCounter::with_opts(opts(row))?);
        Ok(Self {
            rows: counters(registry, ROWS)?,
            dropped: counters(registry, DROPPED)?,
            bytes: counter(BYTES)?,
            backlog_files: gauge(registry, BACKLOG_FILES)?,
            backlog_bytes: gauge(registry, BACKLOG_BYTES)?,
            verdict_age: registered(registry, GaugeVec::new(opts(VERDICT_AGE), VERDICT_AGE.2)?)?,
            verdict: gauges(registry, VERDICT)?,
            lost_parts: counter(LOST_PARTS)?,
            put_failures: counters(registry, PUT_FAILURES)?,
        })
    }

    /// Counts a file that was put.
    pub fn put(&self, detector: &DetectorName, version: &Version, rows: u64, bytes: usize) {
        self.bytes.inc_by(bytes as u64);
        if rows > 0 {
            let labels = [detector.as_str(), &version.to_string()];
            self.rows.with_label_values(&labels).inc_by(rows);
        }
    }

    /// Counts rows that were chosen and dropped.
    pub fn dropped(&self, detector: &str, reason: &'static str, rows: u64) {
        if rows > 0 {
            let dropped = self.dropped.with_label_values(&[detector, reason]);
            dropped.inc_by(rows);
        }
    }

    /// Says how much waits.
    pub fn backlog(&self, files: usize, bytes: usize) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.backlog_files.set(count(files));
        self.backlog_bytes.set(count(bytes));
    }

    pub(super) fn reset_verdicts(&self) {
        self.verdict_age.reset();
        self.verdict.reset();
    }

    pub(super) fn tell_verdict(&self, detector: &DetectorName, line: VerdictLine) {
        let age = self.verdict_age.with_label_values(&[detector.as_str()]);
        age.set(line.age_seconds);
        if let Some(verdict) = line.verdict {
            let last = self
                .verdict
                .with_label_values(&[detector.as_str(), verdict]);
            last.set(1);
        }
    }
}
