//! What a stream shows while it runs, and what it says at its end.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use serde::Serialize;

use super::latency::Latency;
use super::tally::{Counts, Share, Tally};
use super::telemetry::Fault;

/// Latencies in milliseconds, counted from when each request was due.
#[derive(Debug, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: Option<f64>,
    pub(crate) p90: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
    pub(crate) max: Option<f64>,
}

/// Counts with their latency.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    #[serde(flatten)]
    pub(crate) counts: Counts,
    pub(crate) false_alarm_rate: Option<f64>,
    pub(crate) latency_ms: Quantiles,
}

/// What came of the swaps.
#[derive(Debug, Serialize)]
pub(crate) struct Swaps {
    pub(crate) done: usize,
    /// From the edit of the channel to the first answer of the other release.
    pub(crate) took_ms: Quantiles,
    pub(crate) p99_ms_without: Option<f64>,
    pub(crate) p99_ms_with: Option<f64>,
    pub(crate) p99_ratio: Option<f64>,
}

/// What `--output json` prints.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) detector: String,
    pub(crate) seconds: f64,
    pub(crate) rows_per_second: f64,
    pub(crate) requests_per_second: f64,
    #[serde(flatten)]
    pub(crate) total: Line,
    pub(crate) failures: BTreeMap<String, u64>,
    pub(crate) faults: BTreeMap<Fault, Counts>,
    pub(crate) releases: BTreeMap<String, Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) swaps: Option<Swaps>,
    /// One line per second of the stream.
    pub(crate) timeline: Vec<Line>,
}

impl Quantiles {
    fn of(latency: &Latency) -> Self {
        Self {
            p50: latency.quantile_ms(0.5),
            p90: latency.quantile_ms(0.9),
            p99: latency.quantile_ms(0.99),
            p999: latency.quantile_ms(0.999),
            max: latency.max_ms(),
        }
    }
}

impl Line {
    fn of(share: &Share) -> Self {
        Self {
            false_alarm_rate: share.counts.false_alarm_rate(),
            latency_ms: Quantiles::of(&share.latency),
            counts: share.counts.clone(),
        }
    }
}

impl Swaps {
    pub(super) fn of(took: &[Duration], tally: &Tally) -> Self {
        let mut histogram = Latency::default();
        took.iter().for_each(|duration| histogram.record(*duration));
        let (without, with) = (
            tally.without_swaps.quantile_ms(0.99),
            tally.with_swaps.quantile_ms(0.99),
        );
        Self {
            done: took.len(),
            took_ms: Quantiles::of(&histogram),
            p99_ms_without: without,
            p99_ms_with: with,
            p99_ratio: with.zip(without).map(|(with, without)| with / without),
        }
    }
}

impl Summary {
    pub(super) fn of(
        detector: String,
        elapsed: Duration,
        tally: &Tally,
        swaps: Option<Swaps>,
    ) -> Self {
        let seconds = elapsed.as_secs_f64().max(1e-9);
        Self {
            detector,
            seconds,
            rows_per_second: tally.total.counts.rows as f64 / seconds,
            requests_per_second: tally.total.counts.requests as f64 / seconds,
            total: Line::of(&tally.total),
            failures: tally.failures.clone(),
            faults: tally.faults.clone(),
            releases: tally
                .releases
                .iter()
                .map(|(name, share)| (name.clone(), Line::of(share)))
                .collect(),
            swaps,
            timeline: tally.seconds.iter().map(Line::of).collect(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.total.counts;
        let latency = &self.total.latency_ms;
        writeln!(
            f,
            "{} rows in {} requests to {} in {:.1} s ({:.0} rows/s)",
            counts.rows, counts.requests, self.detector, self.seconds, self.rows_per_second
        )?;
        let [p50, p99, max] = [latency.p50, latency.p99, latency.max].map(milliseconds);
        writeln!(f, "latency       p50 {p50}, p99 {p99}, longest {max}")?;
        let labelled = counts.found + counts.missed;
        if labelled > 0 || counts.false_alarms > 0 {
            writeln!(
                f,
                "anomalies     {} of {labelled} found, {} false alarms ({})",
                counts.found,
                counts.false_alarms,
                percent(self.total.false_alarm_rate)
            )?;
        } else {
            writeln!(f, "anomalies     {} of {} rows", counts.alerts, counts.rows)?;
        }
        for (release, line) in &self.releases {
            let rate = percent(line.false_alarm_rate);
            writeln!(
                f,
                "{release:<13} {} rows, false alarms {rate}",
                line.counts.rows
            )?;
        }
        if let Some(swaps) = &self.swaps {
            writeln!(
                f,
                "swaps         {} done, each seen after {} (median); p99 {} with, {} without",
                swaps.done,
                milliseconds(swaps.took_ms.p50),
                milliseconds(swaps.p99_ms_with),
                milliseconds(swaps.p99_ms_without)
            )?;
        }
        write!(f, "failed        {} requests", counts.failed_requests)?;
        for (kind, count) in &self.failures {
            write!(f, "\n  {count} x {kind}")?;
        }
        Ok(())
    }
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2} ms"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |share| format!("{:.2} %", share * 100.0))
}

/// The line on standard error: rewritten in place on a terminal, a new one every few seconds elsewhere.
#[derive(Debug)]
pub(super) struct Live {
    terminal: bool,
    before: Counts,
}

impl Live {
    pub(super) fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            before: Counts::default(),
        }
    }

    /// How often `show` should be called.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(if self.terminal { 500 } else { 2000 })
    }

    /// Shows what happened since the last line.
    pub(super) fn show(&mut self, elapsed: Duration, tally: &Tally) {
        let now = tally.total.counts.clone();
        let rows = now.rows.saturating_sub(self.before.rows);
        let rate = rows as f64 / self.interval().as_secs_f64();
        let mut recent = Latency::default();
        let mut counts = Counts::default();
        for share in tally.seconds.iter().rev().take(2) {
            recent.add(&share.latency);
            counts.rows += share.counts.rows;
            counts.found += share.counts.found;
            counts.missed += share.counts.missed;
            counts.false_alarms += share.counts.false_alarms;
        }
        let line = format!(
            "{:>4.0} s  {rate:>7.0} rows/s  p50 {}  p99 {}  found {} missed {}  false alarms {}  failed {}  {}",
            elapsed.as_secs_f64(),
            milliseconds(recent.quantile_ms(0.5)),
            milliseconds(recent.quantile_ms(0.99)),
            now.found,
            now.missed,
            percent(counts.false_alarm_rate()),
            now.failed_requests,
            tally.serving.as_deref().unwrap_or("-"),
        );
        let mut out = std::io::stderr().lock();
        // A line that cannot be shown is no reason to stop the stream.
        let _ = if self.terminal {
            write!(out, "\r\x1b[2K{line}")
        } else {
            writeln!(out, "{line}")
        };
        let _ = out.flush();
        self.before = now;
    }

    /// Leaves the last line standing.
    pub(super) fn finish(&self) {
        if self.terminal {
            let _ = writeln!(std::io::stderr());
        }
    }
}
