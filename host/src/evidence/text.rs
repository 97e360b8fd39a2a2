//! The comparison as a table for people.

use std::fmt::Write as _;

use hodoscope_release::evidence::{AttributionShift, CallLatency, Comparison, Latency, Side};

/// Features of which the shift of attribution is shown.
const FEATURES: usize = 3;

/// A table of the two sides, then how they differ.
pub fn text(comparison: &Comparison) -> String {
    let mut out = String::new();
    sides(&mut out, comparison);
    out.push('\n');
    differences(&mut out, comparison);
    out.truncate(out.trim_end().len());
    out
}

fn sides(out: &mut String, comparison: &Comparison) {
    let (a, b) = (&comparison.current, &comparison.candidate);
    let rows = format!("{} rows", comparison.rows);
    row(out, &rows, cut(&a.release), cut(&b.release));
    let mut numbers = |name: &str, of: fn(&Side) -> Option<f64>| {
        row(out, name, number(of(a)), number(of(b)));
    };
    numbers("threshold", |side| side.threshold);
    numbers("median score", |side| side.quantiles.p50);
    numbers("99 % score", |side| side.quantiles.p99);
    if a.roc_auc.is_some() {
        numbers("ROC-AUC", |side| side.roc_auc);
        numbers("average precision", |side| side.average_precision);
    }
    let mut shares = |name: &str, of: fn(&Side) -> Option<f64>| {
        row(out, name, percent(of(a)), percent(of(b)));
    };
    shares("alert rate", |side| side.alert_rate);
    if a.recall.is_some() {
        shares("anomalies found", |side| side.recall);
        shares("false alarms", |side| side.false_alarm_rate);
    }
    let speed = |side: &Side| format!("{:.0}", side.rows_per_second_per_core);
    row(out, "rows/s on one core", speed(a), speed(b));
    let mut times = |name: &str, of: fn(&Latency) -> CallLatency| {
        row(out, name, microseconds(a, of), microseconds(b, of));
    };
    times("1 row p50 / p99", |latency| latency.one_row);
    times("100 rows p50 / p99", |latency| latency.hundred_rows);
    let size = |side: &Side| format!("{} KiB", side.size_bytes.div_ceil(1024));
    row(out, "component", size(a), size(b));
}

fn differences(out: &mut String, comparison: &Comparison) {
    if let (Some(one), Some(other)) = (comparison.only_current, comparison.only_candidate) {
        let flips = percent(comparison.flip_rate);
        line(
            out,
            "verdicts flipped",
            &format!("{flips} ({one} only the first, {other} only the second)"),
        );
    }
    line(
        out,
        "rank correlation",
        &format!("{} (Spearman)", number(comparison.rank_correlation)),
    );
    for top in &comparison.top {
        let agreement = percent(Some(top.agreement));
        line(
            out,
            &format!("top {}", top.rows),
            &format!("{agreement} the same rows"),
        );
    }
    line(
        out,
        "score distributions",
        &format!(
            "{} apart (Kolmogorov-Smirnov)",
            number(comparison.kolmogorov_smirnov)
        ),
    );
    line(
        out,
        "score change",
        &format!(
            "{:+.4} on average, at most {:.4}",
            comparison.mean_shift, comparison.largest_change
        ),
    );
    if let Some(shift) = &comparison.attribution {
        line(out, "reasons", &reasons(shift));
    }
}

/// `3.2 % moved (vibration 41 % -> 38 %, …)`
fn reasons(shift: &AttributionShift) -> String {
    let features: Vec<String> = shift
        .features
        .iter()
        .take(FEATURES)
        .map(|feature| {
            format!(
                "{} {:.0} % -> {:.0} %",
                feature.name,
                feature.current * 100.0,
                feature.candidate * 100.0
            )
        })
        .collect();
    format!(
        "{} moved to other features ({})",
        percent(Some(shift.total_variation)),
        features.join(", ")
    )
}

fn row(out: &mut String, name: &str, a: String, b: String) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{name:<22} {a:>20} {b:>20}");
}

fn line(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "{name:<22} {text}");
}

fn microseconds(side: &Side, of: fn(&Latency) -> CallLatency) -> String {
    side.latency.as_ref().map_or_else(
        || "-".to_owned(),
        |latency| {
            let call = of(latency);
            format!("{:.1} / {:.1} µs", call.p50_us, call.p99_us)
        },
    )
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
