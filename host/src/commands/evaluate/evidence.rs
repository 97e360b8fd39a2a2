//! The comparison of two releases on the same rows, as a document for a promotion and as a table for people.

use std::fmt;

use serde::Serialize;

use super::statistics::{kolmogorov_smirnov, quantile, roc_auc, sorted, spearman, top_agreement};
use crate::commands::score::pipeline::Scorer;

/// The shares of rows whose highest scores are compared.
const TOP_SHARES: [f64; 3] = [0.001, 0.01, 0.1];

/// What one release did with the rows.
#[derive(Debug, Serialize)]
pub(super) struct Side {
    pub(super) release: String,
    pub(super) digest: String,
    pub(super) threshold: Option<f64>,
    /// The share of rows at or above the threshold.
    pub(super) alert_rate: Option<f64>,
    pub(super) mean: f64,
    pub(super) quantiles: Quantiles,
    /// Of the labelled rows.
    pub(super) roc_auc: Option<f64>,
    /// The share of labelled anomalies at or above the threshold.
    pub(super) recall: Option<f64>,
    /// The share of rows labelled normal at or above the threshold.
    pub(super) false_alarm_rate: Option<f64>,
    /// Rows that one core scores in a second.
    pub(super) rows_per_second_per_core: f64,
}

/// Scores that so many rows do not exceed.
#[derive(Debug, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: Option<f64>,
    pub(super) p90: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) p999: Option<f64>,
}

/// How far the highest rows are the same rows.
#[derive(Debug, Serialize)]
pub(super) struct Agreement {
    pub(super) rows: usize,
    pub(super) agreement: f64,
}

/// The comparison.
#[derive(Debug, Serialize)]
pub(super) struct Evidence {
    pub(super) rows: usize,
    pub(super) current: Side,
    pub(super) candidate: Side,
    /// The share of rows with another verdict.
    pub(super) flip_rate: Option<f64>,
    /// Rows that only the current release calls anomalies.
    pub(super) only_current: Option<usize>,
    /// Rows that only the candidate calls anomalies.
    pub(super) only_candidate: Option<usize>,
    /// Spearman's rank correlation of the scores.
    pub(super) rank_correlation: Option<f64>,
    pub(super) top: Vec<Agreement>,
    /// The largest distance between the distributions of scores (Kolmogorov and Smirnov).
    pub(super) kolmogorov_smirnov: Option<f64>,
    /// The mean of candidate minus current.
    pub(super) mean_shift: f64,
    /// The largest change of one row's score.
    pub(super) largest_change: f64,
}

impl Side {
    pub(super) fn new(release: String, scorer: &Scorer, scores: &[f64]) -> Self {
        let rising = sorted(scores);
        let threshold = scorer.detector().description().threshold;
        let at = |q| quantile(&rising, q);
        Self {
            release,
            digest: scorer.detector().digest().to_string(),
            threshold,
            alert_rate: threshold.map(|threshold| {
                let below = rising.partition_point(|score| *score < threshold);
                (rising.len() - below) as f64 / rising.len() as f64
            }),
            mean: scores.iter().sum::<f64>() / scores.len() as f64,
            quantiles: Quantiles {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
            },
            roc_auc: None,
            recall: None,
            false_alarm_rate: None,
            rows_per_second_per_core: scores.len() as f64 / scorer.busy_seconds().max(1e-9),
        }
    }

    /// Adds what labels tell; rows whose label is missing are left out.
    fn label(&mut self, scores: &[f64], labels: &[f64]) {
        let known: Vec<(f64, bool)> = scores
            .iter()
            .zip(labels)
            .filter(|(_, l)| !l.is_nan())
            .map(|(s, l)| (*s, *l != 0.0))
            .collect();
        let (scores, positive): (Vec<f64>, Vec<bool>) = known.iter().copied().unzip();
        self.roc_auc = roc_auc(&scores, &positive);
        let share = |of: bool, threshold: f64| {
            let all = known.iter().filter(|(_, positive)| *positive == of).count();
            let alarms = known
                .iter()
                .filter(|(score, positive)| *positive == of && *score >= threshold)
                .count();
            (all > 0).then(|| alarms as f64 / all as f64)
        };
        self.recall = self.threshold.and_then(|threshold| share(true, threshold));
        self.false_alarm_rate = self.threshold.and_then(|threshold| share(false, threshold));
    }
}

impl Evidence {
    /// Compares; both lists have a score for the same rows, at least one.
    pub(super) fn of(
        mut current: Side,
        mut candidate: Side,
        a: &[f64],
        b: &[f64],
        labels: Option<&[f64]>,
    ) -> Self {
        if let Some(labels) = labels {
            current.label(a, labels);
            candidate.label(b, labels);
        }
        let rows = a.len();
        let flips = current.threshold.zip(candidate.threshold).map(|(ta, tb)| {
            let verdicts = || a.iter().zip(b).map(|(x, y)| (*x >= ta, *y >= tb));
            (
                verdicts().filter(|v| *v == (true, false)).count(),
                verdicts().filter(|v| *v == (false, true)).count(),
            )
        });
        let top = TOP_SHARES
            .iter()
            .map(|share| ((rows as f64 * share).round() as usize).max(1))
            .filter_map(|k| {
                top_agreement(a, b, k).map(|agreement| Agreement { rows: k, agreement })
            })
            .collect();
        let changes = || a.iter().zip(b).map(|(x, y)| y - x);
        let (rank_correlation, distance) =
            rayon::join(|| spearman(a, b), || kolmogorov_smirnov(a, b));
        Self {
            rows,
            flip_rate: flips.map(|(one, other)| (one + other) as f64 / rows as f64),
            only_current: flips.map(|(one, _)| one),
            only_candidate: flips.map(|(_, other)| other),
            rank_correlation,
            top,
            kolmogorov_smirnov: distance,
            mean_shift: changes().sum::<f64>() / rows as f64,
            largest_change: changes().map(f64::abs).fold(0.0, f64::max),
            current,
            candidate,
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, b) = (&self.current, &self.candidate);
        let mut row = |name: &str, a: String, b: String| writeln!(f, "{name:<22} {a:>20} {b:>20}");
        row(
            &format!("{} rows", self.rows),
            cut(&a.release),
            cut(&b.release),
        )?;
        row("threshold", number(a.threshold), number(b.threshold))?;
        row("alert rate", percent(a.alert_rate), percent(b.alert_rate))?;
        row(
            "median score",
            number(a.quantiles.p50),
            number(b.quantiles.p50),
        )?;
        row(
            "99 % score",
            number(a.quantiles.p99),
            number(b.quantiles.p99),
        )?;
        if a.roc_auc.is_some() {
            row("ROC-AUC", number(a.roc_auc), number(b.roc_auc))?;
            row("anomalies found", percent(a.recall), percent(b.recall))?;
            row(
                "false alarms",
                percent(a.false_alarm_rate),
                percent(b.false_alarm_rate),
            )?;
        }
        let speed = |side: &Side| format!("{:.0}", side.rows_per_second_per_core);
        row("rows/s on one core", speed(a), speed(b))?;
        writeln!(f)?;
        if let (Some(one), Some(other)) = (self.only_current, self.only_candidate) {
            writeln!(
                f,
                "verdicts flipped       {} ({one} only the first, {other} only the second)",
                percent(self.flip_rate)
            )?;
        }
        writeln!(
            f,
            "rank correlation       {} (Spearman)",
            number(self.rank_correlation)
        )?;
        for top in &self.top {
            writeln!(
                f,
                "top {:<18} {} the same rows",
                top.rows,
                percent(Some(top.agreement))
            )?;
        }
        writeln!(
            f,
            "score distributions    {} apart (Kolmogorov-Smirnov)",
            number(self.kolmogorov_smirnov)
        )?;
        write!(
            f,
            "score change           {:+.4} on average, at most {:.4}",
            self.mean_shift, self.largest_change
        )
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |share| format!("{:.2} %", share * 100.0))
}

/// The end of a long name, which is what tells two paths apart.
fn cut(name: &str) -> String {
    const SHOWN: usize = 20;
    let surplus = name.chars().count().saturating_sub(SHOWN);
    name.chars().skip(surplus).collect()
}
