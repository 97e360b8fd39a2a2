//! What one release did with the rows.

use hodoscope_isolation_forest::metrics;
use hodoscope_release::evidence::{Latency, Quantiles, Side};

use super::Named;
use super::statistics::{quantile, sorted};

/// One release's scores, before they are summed up.
pub(super) struct Scored<'a> {
    pub(super) side: Named<'a>,
    pub(super) scores: &'a [f64],
    labels: Option<&'a [f64]>,
    busy_seconds: f64,
}

impl<'a> Scored<'a> {
    pub(super) fn new(
        side: Named<'a>,
        scores: &'a [f64],
        labels: Option<&'a [f64]>,
        busy_seconds: f64,
    ) -> Self {
        Self {
            side,
            scores,
            labels,
            busy_seconds,
        }
    }

    pub(super) fn threshold(&self) -> Option<f64> {
        self.side.detector.description().threshold
    }

    pub(super) fn finish(self, latency: Option<Latency>) -> Side {
        let rising = sorted(self.scores);
        let count = rising.len().max(1) as f64;
        let threshold = self.threshold();
        let at = |q| quantile(&rising, q);
        let mut side = Side {
            release: self.side.name.to_owned(),
            digest: self.side.detector.digest(),
            size_bytes: self.side.detector.inspection().size_bytes,
            threshold,
            alert_rate: threshold.map(|threshold| {
                let below = rising.partition_point(|score| *score < threshold);
                (rising.len() - below) as f64 / count
            }),
            mean: self.scores.iter().sum::<f64>() / count,
            quantiles: Quantiles {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
            },
            roc_auc: None,
            average_precision: None,
            recall: None,
            false_alarm_rate: None,
            rows_per_second_per_core: self.scores.len() as f64 / self.busy_seconds.max(1e-9),
            latency,
        };
        if let Some(labels) = self.labels {
            label(&mut side, self.scores, labels);
        }
        side
    }
}

/// Adds what labels tell; rows whose label is missing are left out.
fn label(side: &mut Side, scores: &[f64], labels: &[f64]) {
    let kinds: Vec<f32> = labels.iter().map(|label| kind(*label)).collect();
    let figures = metrics(scores, &kinds);
    side.roc_auc = figures.map(|figures| figures.roc_auc);
    side.average_precision = figures.map(|figures| figures.average_precision);
    let share = |of: f32, threshold: f64| {
        let rows = || scores.iter().zip(&kinds).filter(|(_, kind)| **kind == of);
        let all = rows().count();
        let alarms = rows().filter(|(score, _)| **score >= threshold).count();
        (all > 0).then(|| alarms as f64 / all as f64)
    };
    side.recall = side.threshold.and_then(|threshold| share(1.0, threshold));
    side.false_alarm_rate = side.threshold.and_then(|threshold| share(0.0, threshold));
}

/// 1 for an anomaly (any number but 0), 0 for a normal row, NaN for unknown.
pub(crate) fn kind(label: f64) -> f32 {
    match label {
        unknown if unknown.is_nan() => f32::NAN,
        0.0 => 0.0,
        _ => 1.0,
    }
}
