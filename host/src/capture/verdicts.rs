//! What hosts know of the drift job: the last verdict of each detector and its age. Where there never was one, the age is
//! that of this host, so that an alert sees a schedule that never ran.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hodoscope_drift::Verdict;
use hodoscope_release::DetectorName;
use hodoscope_release::window::VerdictRecord;
use serde::de::IntoDeserializer as _;
use serde::{Deserialize as _, de};

/// The last verdicts.
#[derive(Debug)]
pub struct Verdicts {
    started_ms: u64,
    known: Mutex<BTreeMap<DetectorName, VerdictRecord>>,
}

/// What `/metrics` says of a detector's last verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VerdictLine {
    /// Its age, or that of this host if there never was one.
    pub age_seconds: f64,
    /// Its word; `unknown` for one that this version does not know.
    pub verdict: Option<&'static str>,
}

impl Verdicts {
    pub(super) fn new(started_ms: u64) -> Self {
        Self {
            started_ms,
            known: Mutex::default(),
        }
    }

    pub(super) fn learn(&self, record: VerdictRecord) {
        self.lock().insert(record.detector.clone(), record);
    }

    /// What is known of this detector at this moment.
    pub fn line(&self, detector: &DetectorName, now_ms: u64) -> VerdictLine {
        let known = self.lock();
        let record = known.get(detector);
        let since = record.map_or(self.started_ms, |record| record.time_ms);
        VerdictLine {
            age_seconds: now_ms.saturating_sub(since) as f64 / 1000.0,
            verdict: record.map(|record| word(&record.verdict)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DetectorName, VerdictRecord>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of few words, so that a strange file makes no new series.
fn word(text: &str) -> &'static str {
    let text: de::value::StrDeserializer<'_, de::value::Error> = text.into_deserializer();
    Verdict::deserialize(text).map_or("unknown", Verdict::kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_counts_from_the_start_until_there_is_a_verdict() {
        let verdicts = Verdicts::new(5000);
        let pump: DetectorName = "pump".parse().unwrap();
        let line = verdicts.line(&pump, 65_000);
        assert_eq!((line.age_seconds, line.verdict), (60.0, None));
        let mut record = VerdictRecord {
            schema: 1,
            detector: pump.clone(),
            verdict: "drifted".to_owned(),
            time_ms: 60_000,
            window: "20261124T000000Z".parse().unwrap(),
            release: "pump@1.0.0".parse().unwrap(),
            digest: hodoscope_release::Digest::of(b""),
        };
        verdicts.learn(record.clone());
        let line = verdicts.line(&pump, 65_000);
        assert_eq!((line.age_seconds, line.verdict), (5.0, Some("drifted")));
        // A job whose clock is ahead, and a word of a later version.
        record.verdict = "x".repeat(1000);
        record.time_ms = 70_000;
        verdicts.learn(record);
        let line = verdicts.line(&pump, 65_000);
        assert_eq!((line.age_seconds, line.verdict), (0.0, Some("unknown")));
    }
}
