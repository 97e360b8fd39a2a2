//! Everything that is counted while a stream runs: in all, per second, per release and per kind of fault.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::latency::Latency;
use super::telemetry::Fault;

/// What one row was, and what the detector said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) anomaly: bool,
    pub(super) truth: Truth,
}

/// What is known of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    /// Nothing: the file has no label.
    Unknown,
    Normal,
    Anomaly,
    Fault(Fault),
}

/// What came of one request.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The second of the stream in which it was due.
    pub(super) second: usize,
    pub(super) latency: Duration,
    /// Whether swaps were going on when it was sent.
    pub(super) during_swaps: bool,
    pub(super) answer: Result<Answered, String>,
    pub(super) rows: u64,
}

/// A good answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) release: String,
    pub(super) verdicts: Vec<Verdict>,
}

/// Counts of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Requests that were answered.
    pub(crate) requests: u64,
    /// Requests that were not, or not with scores.
    pub(crate) failed_requests: u64,
    /// Rows that got a score.
    pub(crate) rows: u64,
    /// Rows that the detector called anomalies.
    pub(crate) alerts: u64,
    /// Labelled anomalies that it called so.
    pub(crate) found: u64,
    /// Labelled anomalies that it did not.
    pub(crate) missed: u64,
    /// Normal rows that it called anomalies.
    pub(crate) false_alarms: u64,
}

/// Counts and latency of one second, release or phase.
#[derive(Debug, Clone, Default)]
pub(super) struct Share {
    pub(super) counts: Counts,
    pub(super) latency: Latency,
}

/// All counts of a stream.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) total: Share,
    pub(super) seconds: Vec<Share>,
    pub(super) releases: BTreeMap<String, Share>,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) faults: BTreeMap<Fault, Counts>,
    pub(super) without_swaps: Latency,
    pub(super) with_swaps: Latency,
    /// The release of the last answer.
    pub(super) serving: Option<String>,
}

impl Tally {
    pub(super) fn record(&mut self, outcome: Outcome) {
        if self.seconds.len() <= outcome.second {
            self.seconds.resize_with(outcome.second + 1, Share::default);
        }
        let second = self.seconds.get_mut(outcome.second);
        let answered = match outcome.answer {
            Ok(answered) => answered,
            Err(kind) => {
                *self.failures.entry(kind).or_default() += 1;
                self.total.counts.failed_requests += 1;
                if let Some(second) = second {
                    second.counts.failed_requests += 1;
                }
                return;
            }
        };
        let mut counts = Counts {
            requests: 1,
            rows: outcome.rows,
            ..Counts::default()
        };
        for verdict in &answered.verdicts {
            counts.count(*verdict);
            if let Truth::Fault(fault) = verdict.truth {
                let of_kind = self.faults.entry(fault).or_default();
                of_kind.rows += 1;
                of_kind.count(*verdict);
            }
        }
        let phase = if outcome.during_swaps {
            &mut self.with_swaps
        } else {
            &mut self.without_swaps
        };
        phase.record(outcome.latency);
        let release = self.releases.entry(answered.release.clone()).or_default();
        for share in [Some(&mut self.total), second, Some(release)]
            .into_iter()
            .flatten()
        {
            share.counts.add(&counts);
            share.latency.record(outcome.latency);
        }
        self.serving = Some(answered.release);
    }
}

impl Counts {
    fn count(&mut self, verdict: Verdict) {
        let labelled = matches!(verdict.truth, Truth::Anomaly | Truth::Fault(_));
        self.alerts += u64::from(verdict.anomaly);
        self.found += u64::from(labelled && verdict.anomaly);
        self.missed += u64::from(labelled && !verdict.anomaly);
        self.false_alarms += u64::from(verdict.truth == Truth::Normal && verdict.anomaly);
    }

    fn add(&mut self, more: &Self) {
        self.requests += more.requests;
        self.failed_requests += more.failed_requests;
        self.rows += more.rows;
        self.alerts += more.alerts;
        self.found += more.found;
        self.missed += more.missed;
        self.false_alarms += more.false_alarms;
    }

    /// The share of rows that were called anomalies without being any.
    pub(crate) fn false_alarm_rate(&self) -> Option<f64> {
        let normal = self.rows.saturating_sub(self.found + self.missed);
        (normal > 0).then(|| self.false_alarms as f64 / normal as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(second: usize, release: &str, verdicts: &[(bool, Truth)]) -> Outcome {
        let verdicts: Vec<Verdict> = verdicts
            .iter()
            .map(|(anomaly, truth)| Verdict {
                anomaly: *anomaly,
                truth: *truth,
            })
            .collect();
        Outcome {
            second,
            latency: Duration::from_millis(1),
            during_swaps: second > 0,
            rows: verdicts.len() as u64,
            answer: Ok(Answered {
                release: release.to_owned(),
                verdicts,
            }),
        }
    }

    #[test]
    fn counts_found_missed_and_false_alarms_by_second_release_and_kind() {
        let mut tally = Tally::default();
        let leak = Truth::Fault(Fault::Leak);
        tally.record(outcome(
            0,
            "pump@1.0.0",
            &[(true, leak), (false, leak), (true, Truth::Normal)],
        ));
        tally.record(outcome(
            2,
            "pump@1.1.0",
            &[(false, Truth::Normal), (true, Truth::Unknown)],
        ));
        let total = &tally.total.counts;
        assert_eq!(
            (
                total.rows,
                total.alerts,
                total.found,
                total.missed,
                total.false_alarms
            ),
            (5, 3, 1, 1, 1)
        );
        assert_eq!(tally.seconds.len(), 3);
        assert_eq!(tally.seconds[2].counts.rows, 2);
        assert_eq!(tally.releases["pump@1.0.0"].counts.false_alarms, 1);
        assert_eq!(tally.faults[&Fault::Leak].found, 1);
        assert_eq!(tally.serving.as_deref(), Some("pump@1.1.0"));
        assert_eq!((tally.without_swaps.total, tally.with_swaps.total), (1, 1));
        assert_eq!(tally.seconds[0].counts.false_alarm_rate(), Some(1.0));
    }

    #[test]
    fn a_failed_request_counts_by_its_reason_and_has_no_latency() {
        let mut tally = Tally::default();
        let failed = Outcome {
            answer: Err("503 queue_full".to_owned()),
            ..outcome(0, "", &[])
        };
        tally.record(failed);
        assert_eq!(tally.failures["503 queue_full"], 1);
        assert_eq!(tally.total.counts.failed_requests, 1);
        assert_eq!(tally.total.latency.total, 0);
    }
}
