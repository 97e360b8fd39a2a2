//! A release that is loaded, with all that a request needs of it, prepared once.

use std::sync::Arc;

use hodoscope_engine::{Batch, Deadline, Detector};
use hodoscope_release::sections::Calibration;
use hodoscope_release::{Digest, Pin, ReleaseName};

use crate::capture::{Capture, Tap};
use crate::columns::Columns;
use crate::telemetry::{Meters, Telemetry};

/// Which release under which name: what a pin of a detector says.
pub type Key = (ReleaseName, Digest);

/// How many times a new release scores a row before it answers: first calls touch memory for the first time.
const WARM_UP_CALLS: usize = 8;
/// How long one of these calls may take.
const WARM_UP_DEADLINE: std::time::Duration = std::time::Duration::from_secs(5);

/// A loaded release.
#[derive(Debug)]
pub struct Served {
    /// Its name.
    pub release: ReleaseName,
    /// What scores.
    pub detector: Detector,
    /// Its columns.
    pub columns: Columns,
    /// From which score on a row is an anomaly.
    pub threshold: Option<f64>,
    /// How scores become p-values.
    pub calibration: Option<Calibration>,
    /// Its part of `/metrics`.
    pub meters: Meters,
    /// Where its requests leave what is captured of them.
    pub tap: Option<Arc<Tap>>,
    /// `"threshold":…,"release":"…","digest":"…"`: the same at the end of each answer.
    pub identity: Box<[u8]>,
}

impl Served {
    /// Prepares a detector that passed the gate.
    pub fn new(
        release: ReleaseName,
        detector: Detector,
        telemetry: &Telemetry,
        capture: Option<&Capture>,
    ) -> Arc<Self> {
        let description = detector.description();
        let threshold = description.threshold;
        let identity = serde_json::json!({
            "threshold": threshold,
            "release": release.to_string(),
            "digest": detector.digest(),
        });
        let identity = identity.to_string();
        let inner = identity.trim_start_matches('{').trim_end_matches('}');
        let names = description
            .features
            .iter()
            .map(|feature| feature.name.clone());
        Arc::new(Self {
            columns: Columns::new(names),
            calibration: detector.sections().calibration.clone(),
            meters: telemetry.meters(&release),
            tap: capture.map(|capture| capture.tap(&release, &detector)),
            identity: inner.as_bytes().into(),
            threshold,
            release,
            detector,
        })
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.detector.digest()
    }

    /// Its name and digest.
    pub fn key(&self) -> Key {
        (self.release.clone(), self.digest())
    }

    /// The pin that wants it.
    pub fn pin(&self) -> Pin {
        Pin {
            version: self.release.version.clone(),
            digest: self.digest(),
        }
    }

    /// Scores a row of missing values some times, so that the first caller meets warm memory. What it answers does not
    /// matter: a refusal is an answer, too, and the gate has judged the rest.
    pub fn warm_up(&self) {
        let width = self.columns.len();
        let columns = u32::try_from(width).unwrap_or(u32::MAX);
        let batch = Batch::new(columns, vec![f64::NAN; width]);
        for _ in 0..WARM_UP_CALLS {
            if self
                .detector
                .score(&batch, Deadline::after(WARM_UP_DEADLINE))
                .is_err()
            {
                return;
            }
        }
    }

    /// How many of these scores are anomalies.
    pub fn count_anomalies(&self, scores: &[f64]) -> u64 {
        let Some(threshold) = self.threshold else {
            return 0;
        };
        scores.iter().filter(|score| **score >= threshold).count() as u64
    }
}
