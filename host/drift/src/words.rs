//! The words and figures that the page and the text share: what a verdict means, what to do next, and how numbers are
//! written. Names of features come from outside: [`visible`] shows what would otherwise act or hide.

use std::fmt::Write as _;

use hodoscope_release::window::WindowName;

use crate::{Comparison, DriftReport, Policy, Quality, Verdict, WindowSummary};

/// The longest reason that is shown whole, in characters.
const SHOWN_LIMIT: usize = 400;
/// The longest name that is shown whole, in characters.
const NAME_LIMIT: usize = 120;

/// What a person does now.
pub(crate) struct Next {
    /// In a sentence.
    pub(crate) sentence: String,
    /// The command that does it, if there is one.
    pub(crate) command: Option<String>,
}

impl Next {
    /// What the caller says, where something was done about the report already.
    pub(crate) fn told(sentence: &str) -> Self {
        Self {
            sentence: visible(sentence),
            command: None,
        }
    }
}

/// One of a comparison's distances, beside the limit that it must reach.
pub(crate) struct Measure {
    /// For headers.
    pub(crate) short: &'static str,
    /// For people.
    pub(crate) long: &'static str,
    /// How far apart.
    pub(crate) value: f64,
    /// From where on it counts.
    pub(crate) limit: f64,
    /// Both are shares, written in percentage points.
    pub(crate) points: bool,
}

impl Measure {
    /// Large enough to count.
    pub(crate) fn reached(&self) -> bool {
        self.value.abs() >= self.limit
    }

    /// The distance, written.
    pub(crate) fn value(&self) -> String {
        if self.points {
            points(self.value)
        } else {
            distance(self.value)
        }
    }

    /// The limit, written.
    pub(crate) fn limit(&self) -> String {
        let text = if self.points {
            points(self.limit)
        } else {
            distance(self.limit)
        };
        text.trim_start_matches('+').to_owned()
    }
}

/// A verdict in one or two words.
pub(crate) const fn label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::InsufficientData => "Too few rows",
        Verdict::NoReference => "No reference",
        Verdict::DataQuality => "Broken input",
        Verdict::Stable => "Stable",
        Verdict::Watching => "Watching",
        Verdict::Drifted => "Drifted",
    }
}

/// The verdict in one sentence, without its full stop.
pub(crate) fn headline(report: &DriftReport) -> String {
    let release = release(report);
    match report.verdict {
        Verdict::InsufficientData => format!("Too few rows to judge {release}"),
        Verdict::NoReference => format!("{release} carries no profile to compare with"),
        Verdict::DataQuality => {
            let broken = report.problems.len();
            let features = if broken == 1 { "feature" } else { "features" };
            format!("The input of {release} is broken: {broken} {features}")
        }
        Verdict::Stable => format!("{release} still fits its traffic"),
        Verdict::Watching => {
            format!("{release} drifted in this window, but not for long enough to act")
        }
        Verdict::Drifted => format!("{release} no longer fits its traffic"),
    }
}

/// What follows from the verdict.
pub(crate) fn next(report: &DriftReport) -> Next {
    let policy = &report.policy;
    let detector = &report.release.detector;
    let (sentence, command) = match report.verdict {
        Verdict::InsufficientData => (
            format!(
                "Wait for more traffic, or sample more of it (capture_fraction): a window needs {} rows.",
                count(policy.min_rows)
            ),
            None,
        ),
        Verdict::NoReference => (
            "Train the detector again: a release made by `hodoscope train` carries its profile.".into(),
            None,
        ),
        Verdict::DataQuality => (
            "Mend the source of these features, then look again. The release stays, and nothing is retrained on broken input."
                .into(),
            Some(format!("hodoscope drift --detector {detector} --dry-run")),
        ),
        Verdict::Stable => ("Nothing to do.".into(), None),
        Verdict::Watching => (
            format!(
                "Nothing yet: a retraining needs {} drifted windows of the last {}.",
                policy.windows_needed, policy.windows_seen
            ),
            None,
        ),
        Verdict::Drifted => (
            "Retrain on the new traffic. The gates judge the new release, and a pull request proposes it.".into(),
            Some(format!("hodoscope drift --detector {detector} --retrain --propose")),
        ),
    };
    Next { sentence, command }
}

/// What is said of a window's scores, after a shape.
pub(crate) fn scores(report: &DriftReport, window: &WindowSummary) -> &'static str {
    let judged = report.verdict != Verdict::NoReference && window.rows >= report.policy.min_rows;
    match (window.score_drifted, judged) {
        (true, _) => "▲ drifted",
        (false, true) => "● calm",
        (false, false) => "– not judged",
    }
}

/// How many reasons a head shows.
const REASONS_SHOWN: usize = 4;

/// The reasons for the head, safe to show; broken features are listed on their own, so only the first is repeated.
pub(crate) fn reasons(report: &DriftReport) -> Vec<String> {
    let listed = report.verdict == Verdict::DataQuality && !report.problems.is_empty();
    let most = if listed { 1 } else { REASONS_SHOWN };
    let mut shown: Vec<String> = report
        .reasons
        .iter()
        .take(most)
        .map(|reason| visible(reason))
        .collect();
    if !listed && report.reasons.len() > most {
        shown.push(format!("and {} more", report.reasons.len() - most));
    }
    shown
}

/// The release as it is spoken of: `pump 1.4.0`.
pub(crate) fn release(report: &DriftReport) -> String {
    format!("{} {}", report.release.detector, report.release.version)
}

/// A broken feature's kind, in words.
pub(crate) const fn quality(kind: Quality) -> &'static str {
    match kind {
        Quality::MissingColumn => "missing column",
        Quality::MissingFlood => "flood of missing values",
        Quality::Constant => "constant",
        Quality::UnitChange => "changed unit",
    }
}

/// The distances with their limits, in the order in which they are always shown.
pub(crate) fn measures(comparison: &Comparison) -> [Measure; 5] {
    let (effects, limits) = (&comparison.effects, &comparison.limits);
    let measure = |short, long, value, limit| Measure {
        short,
        long,
        value,
        limit,
        points: false,
    };
    [
        measure("PSI", "Population stability index", effects.psi, limits.psi),
        measure("KS", "Kolmogorov–Smirnov distance", effects.ks, limits.ks),
        measure(
            "W₁/σ",
            "Wasserstein distance in standard deviations",
            effects.wasserstein,
            limits.wasserstein,
        ),
        measure(
            "JS",
            "Jensen–Shannon distance",
            effects.jensen_shannon,
            limits.jensen_shannon,
        ),
        Measure {
            points: true,
            ..measure(
                "Missing",
                "Change of missing values, in percentage points",
                effects.missing,
                limits.missing,
            )
        },
    ]
}

/// The largest distance in multiples of its limit: one figure to sort and to glance at.
pub(crate) fn strength(comparison: &Comparison) -> f64 {
    measures(comparison)
        .iter()
        .filter(|measure| measure.limit > 0.0)
        .map(|measure| measure.value.abs() / measure.limit)
        .filter(|ratio| ratio.is_finite())
        .fold(0.0, f64::max)
}

/// A policy's limits, for people.
pub(crate) fn limits(policy: &Policy) -> Vec<(&'static str, String)> {
    let floors = &policy.floors;
    let (least, most) = policy.alert_rate_factors;
    vec![
        ("Rows a window needs", count(policy.min_rows)),
        ("Share of false discoveries", percent(policy.significance)),
        (
            "Smallest effects that count",
            format!(
                "PSI {}, KS {}, W₁/σ {}, JS {}, missing {} points",
                distance(floors.psi),
                distance(floors.ks),
                distance(floors.wasserstein),
                distance(floors.jensen_shannon),
                points(floors.missing).trim_start_matches('+')
            ),
        ),
        (
            "And more than chance makes",
            format!(
                "{} of {} A/A splits of the reference",
                percent(policy.calibration_quantile),
                policy.calibration_splits
            ),
        ),
        (
            "Retrain when scores drifted in",
            format!(
                "{} of the last {} windows",
                policy.windows_needed, policy.windows_seen
            ),
        ),
        (
            "Or when features drifted far, twice running",
            format!(
                "{} of them by {} their limits",
                percent(policy.feature_share),
                times(policy.feature_factor)
            ),
        ),
        (
            "Or when the alert rate leaves",
            format!("{} to {} its target", times(least), times(most)),
        ),
        (
            "Broken when more values are missing by",
            percent(policy.missing_flood),
        ),
        (
            "Broken when more values are out of range than",
            percent(policy.outside_flood),
        ),
    ]
}

/// A window's start for people: `2026-11-24 00:00`, always in UTC.
pub(crate) fn moment(window: &WindowName) -> String {
    let text = window.as_str();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{} {}:{}",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(9, 11),
        part(11, 13)
    )
}

/// A whole number in groups of three: `1,204,331`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share as a percentage, with as many digits as it deserves.
pub(crate) fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value.abs() {
        _ if !value.is_finite() => "n/a".into(),
        0.0 => "0 %".into(),
        size if size < 0.01 => "< 0.01 %".into(),
        size if size < 10.0 => format!("{value:.2} %"),
        size if size < 99.95 => format!("{value:.1} %"),
        _ => format!("{value:.0} %"),
    }
}

/// A change of a share in percentage points, with its sign.
pub(crate) fn points(change: f64) -> String {
    let value = change * 100.0;
    if !value.is_finite() {
        return "n/a".into();
    }
    if value.abs() < 0.05 {
        return "0".into();
    }
    let sign = if value < 0.0 { "−" } else { "+" };
    format!("{sign}{:.1}", value.abs())
}

/// A number with three significant digits, without an exponent where people would not write one.
pub(crate) fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "n/a".into();
    }
    let size = value.abs();
    let text = if size == 0.0 {
        "0".into()
    } else if !(1e-3..1e6).contains(&size) {
        format!("{value:.2e}")
    } else if size >= 1000.0 {
        format!("{value:.0}")
    } else if size >= 100.0 {
        format!("{value:.1}")
    } else if size >= 0.1 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    };
    text.replace('-', "−")
}

/// A distance: two digits after the point are as much as anyone acts on.
pub(crate) fn distance(value: f64) -> String {
    match value {
        _ if !value.is_finite() => "n/a".into(),
        _ if value >= 99.5 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// A multiple, for instance of a limit: `4.2 ×`.
pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        _ if !ratio.is_finite() => "n/a".into(),
        _ if ratio >= 99.5 => format!("{ratio:.0} ×"),
        _ if ratio >= 0.995 => format!("{ratio:.1} ×"),
        _ => format!("{ratio:.2} ×"),
    }
}

/// A chance.
pub(crate) fn chance(p: f64) -> String {
    match p {
        _ if !p.is_finite() => "n/a".into(),
        _ if p < 1e-4 => "< 0.0001".into(),
        _ if p < 0.01 => format!("{p:.4}"),
        _ => format!("{p:.2}"),
    }
}

/// Text from outside as it may be shown: whatever would end a line, turn the direction of writing, drive a terminal or
/// hide itself is written as its code, and what is longer than 400 characters is cut.
pub(crate) fn visible(text: &str) -> String {
    shown(text, SHOWN_LIMIT)
}

/// The same of a name, of at most 120 characters.
pub(crate) fn short(name: &str) -> String {
    shown(name, NAME_LIMIT)
}

fn shown(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit * 2));
    for (at, letter) in text.chars().enumerate() {
        if at == limit {
            out.push('…');
            break;
        }
        if acts(letter) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(letter));
        } else {
            out.push(letter);
        }
    }
    if out.trim().is_empty() {
        out = format!("\"{out}\"");
    }
    out
}

/// Controls, line ends, marks of direction, and what has no width (Unicode's Bidi_Control and Default_Ignorable, and the
/// tag characters).
fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_204_331), "1,204,331");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.00001), "< 0.01 %");
        assert_eq!(percent(0.0123), "1.23 %");
        assert_eq!(percent(0.5), "50.0 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(points(0.12), "+12.0");
        assert_eq!(points(-0.12), "−12.0");
        assert_eq!(points(0.0001), "0");
        assert_eq!(figure(0.0), "0");
        assert_eq!(figure(1234.5), "1234");
        assert_eq!(figure(-0.5), "−0.50");
        assert_eq!(figure(0.0123), "0.0123");
        assert_eq!(figure(1.5e-7), "1.50e−7");
        assert_eq!(figure(f64::NAN), "n/a");
        assert_eq!(chance(0.0), "< 0.0001");
        assert_eq!(chance(0.05), "0.05");
        assert_eq!(times(4.21), "4.2 ×");
        assert_eq!(times(1.0 / 3.0), "0.33 ×");
        assert_eq!(distance(0.204), "0.20");
    }

    #[test]
    fn what_would_act_is_shown_as_its_code() {
        assert_eq!(visible("flow_rate"), "flow_rate");
        assert_eq!(visible("a\u{1b}[31mb\r\n"), "a\\u{1b}[31mb\\u{d}\\u{a}");
        assert_eq!(
            visible("evil\u{202e}txt\u{200b}"),
            "evil\\u{202e}txt\\u{200b}"
        );
        assert_eq!(visible(" "), "\" \"");
        assert_eq!(visible(&"x".repeat(500)).chars().count(), SHOWN_LIMIT + 1);
        assert_eq!(visible("größe 温度"), "größe 温度");
    }

    #[test]
    fn a_window_is_written_as_a_date() {
        let window: WindowName = "20261124T013000Z".parse().unwrap();
        assert_eq!(moment(&window), "2026-11-24 01:30");
    }
}
