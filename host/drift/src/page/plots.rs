//! The plots, as inline SVG: each keeps its text at one size on every screen (positions are percentages, only the shapes
//! are stretched), has a title and a description, and says the same as a table or a sentence beside it.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::named;
use crate::bins::{Axis, Bin, Bins, bins};
use crate::words::{self, count, figure, percent, points, times};
use crate::{AlertRate, Comparison, DriftReport};

/// The width of the stretched shapes' own coordinates.
const WIDE: f64 = 1000.0;
/// Their height.
const HIGH: f64 = 100.0;
/// The width of an open bin.
const OPEN: f64 = 70.0;
/// What parts an open bin from the others.
const GAP: f64 = 14.0;

/// How large a histogram is, and how much is said about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// One of many.
    Small,
    /// The scores'.
    Large,
}

/// The reference as an area and the window as a line over it, with the distances and a table. `name` comes from outside.
pub(super) fn histogram(id: &str, name: &str, comparison: &Comparison, size: Size) -> Markup {
    let shown = words::short(name);
    let found = bins(comparison);
    html! {
        figure.plot id=(id) {
            figcaption {
                @if size == Size::Small { div.name { (named(name)) } } @else { strong.name { (name) } }
                (key(comparison))
            }
            @if size == Size::Large { (distances(comparison)) }
            @if let Some(bins) = &found {
                (drawing(id, &shown, comparison, bins, size))
                @if size == Size::Large { (legend()) }
                details { summary { "Figures of this plot" } (figures(&shown, bins)) }
            } @else { p.note { "No bins to plot." } }
        }
    }
}

/// The one line that is read first.
fn key(comparison: &Comparison) -> Markup {
    let missing = points(comparison.effects.missing);
    html! {
        span.key {
            @if comparison.drifted { b.yes { "▲ " (times(words::strength(comparison))) " its limit" } }
            @else { span.no { "● " (times(words::strength(comparison))) " its limit" } }
            span { "mean " (figure(comparison.means.0)) " → " (figure(comparison.means.1)) }
            @if missing != "0" { span { "missing " (missing) " points" } }
        }
    }
}

fn distances(comparison: &Comparison) -> Markup {
    html! {
        dl.distances {
            @for measure in words::measures(comparison) {
                div { dt { abbr title=(measure.long) { (measure.short) } } dd {
                    @if measure.reached() { b { (measure.value()) } } @else { (measure.value()) }
                    small { " / " (measure.limit()) }
                } }
            }
            div { dt { "Adjusted p" } dd { (words::chance(comparison.p_adjusted)) } }
        }
    }
}

/// What the area and the line are.
pub(super) fn legend() -> Markup {
    html! {
        p.legend aria-hidden="true" {
            span { svg width="18" height="12" { rect.reference x="1" y="2" width="16" height="10" {} } " reference" }
            span { svg width="18" height="12" { path.window d="M1 11V4H9V8H17" {} } " window" }
        }
    }
}

fn drawing(id: &str, name: &str, comparison: &Comparison, bins: &Bins, size: Size) -> Markup {
    let inner = if size == Size::Large { 170 } else { 96 };
    let (low, high) = bins.ends;
    let layout = Layout::of(bins);
    let end = (layout.from / WIDE * 100.0, layout.to / WIDE * 100.0);
    let unit = match bins.axis {
        Axis::Densities => "share of rows, by area".to_owned(),
        Axis::Shares | Axis::Steps => format!("share of rows, up to {}", percent(bins.tallest())),
    };
    html! {
        svg.histogram role="img" aria-labelledby=(format!("{id}-t {id}-d")) width="100%" height=(inner + 38) {
            title id=(format!("{id}-t")) { "Distribution of " (name) ", reference and window" }
            desc id=(format!("{id}-d")) { (description(comparison, bins)) }
            text x="0" y="11" { (unit) }
            svg y="18" width="100%" height=(inner) viewBox="0 0 1000 100" preserveAspectRatio="none" {
                path.reference d=(layout.area(bins, |bin| bin.reference)) {}
                path.window d=(layout.line(bins, |bin| bin.window)) {}
            }
            line.axis x1="0" x2="100%" y1=(inner + 18) y2=(inner + 18) {}
            text x=(format!("{:.1}%", end.0)) y=(inner + 33) { @if bins.cut.0 { "…" } (figure(low)) }
            text.end x=(format!("{:.1}%", end.1)) y=(inner + 33) { (figure(high)) @if bins.cut.1 { "…" } }
            @if bins.below.is_some() { text x="0" y=(inner + 33) { "<" } }
            @if bins.above.is_some() { text.end x="100%" y=(inner + 33) { "≥" } }
            @if bins.axis != Axis::Steps {
                text.middle x=(format!("{:.1}%", f64::midpoint(end.0, end.1))) y=(inner + 33) { (figure(f64::midpoint(low, high))) }
            }
            @if bins.axis == Axis::Steps { text.middle x="50%" y=(inner + 33) { "bins, not to scale" } }
        }
    }
}

fn description(comparison: &Comparison, bins: &Bins) -> String {
    let mut text = format!(
        "Step histogram. The mean is {} in the reference and {} in the window.",
        figure(comparison.means.0),
        figure(comparison.means.1)
    );
    let fullest = bins.all().max_by(|a, b| a.window.total_cmp(&b.window));
    if let Some(bin) = fullest {
        let _ = write!(
            text,
            " The window's fullest bin, {}, holds {} of its rows; of the reference's rows {}.",
            range(bin),
            percent(bin.window),
            percent(bin.reference)
        );
    }
    text
}

/// A bin's range in words.
pub(super) fn range(bin: &Bin) -> String {
    match (bin.from, bin.to) {
        (None, Some(to)) => format!("under {}", figure(to)),
        (Some(from), None) => format!("{} and over", figure(from)),
        (Some(from), Some(to)) => format!("{} to {}", figure(from), figure(to)),
        (None, None) => "all".into(),
    }
}

fn figures(name: &str, bins: &Bins) -> Markup {
    html! {
        div.frame role="region" aria-label=(format!("Figures of {name}")) tabindex="0" { table {
            thead { tr { th scope="col" { "Value" } th.number scope="col" { "Reference" } th.number scope="col" { "Window" } } }
            tbody { @for bin in bins.all() { tr {
                th scope="row" { (range(bin)) } td.number { (percent(bin.reference)) } td.number { (percent(bin.window)) }
            } } }
        } }
    }
}

/// Where bins lie in the stretched coordinates.
struct Layout {
    from: f64,
    to: f64,
    tallest: f64,
}

impl Layout {
    fn of(bins: &Bins) -> Self {
        let open = |bin: &Option<Bin>| if bin.is_some() { OPEN + GAP } else { 0.0 };
        Self {
            from: open(&bins.below),
            to: WIDE - open(&bins.above),
            tallest: bins.tallest(),
        }
    }

    /// Left, right and top of an inner bin.
    fn place(&self, bins: &Bins, bin: &Bin, share: f64) -> (f64, f64, f64) {
        let along = |part: f64| self.from + part * (self.to - self.from);
        (
            along(bin.left),
            along(bin.right),
            self.top(bins.height(bin, share)),
        )
    }

    fn top(&self, height: f64) -> f64 {
        HIGH - HIGH * (height / self.tallest).clamp(0.0, 1.0)
    }

    /// The stairs over all bins; open ones are stairs of their own.
    fn line(&self, bins: &Bins, share: impl Fn(&Bin) -> f64) -> String {
        let mut path = String::new();
        let mut stairs = |steps: &[(f64, f64, f64)]| {
            if let Some(first) = steps.first() {
                let _ = write!(path, "M{:.1} {HIGH}", first.0);
                for (_, right, top) in steps {
                    let _ = write!(path, "V{top:.1}H{right:.1}");
                }
                let _ = write!(path, "V{HIGH}");
            }
        };
        if let Some(bin) = &bins.below {
            stairs(&[(0.0, OPEN, self.top(bins.height(bin, share(bin))))]);
        }
        let inner: Vec<_> = bins
            .inner
            .iter()
            .map(|bin| self.place(bins, bin, share(bin)))
            .collect();
        stairs(&inner);
        if let Some(bin) = &bins.above {
            stairs(&[(WIDE - OPEN, WIDE, self.top(bins.height(bin, share(bin))))]);
        }
        path
    }

    /// The same, closed.
    fn area(&self, bins: &Bins, share: impl Fn(&Bin) -> f64) -> String {
        self.line(bins, share)
            .replace('M', "ZM")
            .replacen('Z', "", 1)
            + "Z"
    }
}

/// Rows as bars and the alert rate as dots over its target, window by window.
pub(super) fn timeline(report: &DriftReport) -> Markup {
    let windows = &report.windows;
    let width = (windows.len() * 56).max(224);
    let slot = 100.0 / windows.len().max(1) as f64;
    let bar = (slot * 0.6).min(3200.0 / width as f64);
    let most = windows.iter().map(|w| w.rows).max().unwrap_or(1).max(1) as f64;
    let target = report.alert_rate.map(|rate| rate.target);
    let rates = windows.iter().filter_map(|w| w.alert_rate);
    let highest = rates.chain(target.map(|t| t * 2.0)).fold(1e-12, f64::max);
    let level = |rate: f64| 144.0 - 32.0 * (rate / highest).clamp(0.0, 1.0);
    let drifted = windows.iter().filter(|w| w.score_drifted).count();
    let x = |at: usize| slot * (at as f64 + 0.5);
    html! {
        figure.windows {
            svg role="img" aria-labelledby="windows-t windows-d" width=(width) height="168" {
                title id="windows-t" { "Rows and alert rate of each window" }
                desc id="windows-d" { (windows.len()) " windows, of which the scores of " (drifted) " drifted. The table has the figures." }
                @for (at, window) in windows.iter().enumerate() {
                    @let high = 72.0 * window.rows as f64 / most;
                    rect class=(if window.score_drifted { "drifted" } else { "calm" }) x=(pct(x(at) - bar / 2.0)) width=(pct(bar))
                        y=(format!("{:.1}", 92.0 - high)) height=(format!("{high:.1}")) {}
                    @if window.score_drifted { text.mark x=(pct(x(at))) y=(format!("{:.1}", 87.0 - high)) { "▲" } }
                }
                line.axis x1="0" x2="100%" y1="92" y2="92" {}
                @if let Some(target) = target { line.target x1="0" x2="100%" y1=(level(target)) y2=(level(target)) {} }
                @for (at, pair) in windows.windows(2).enumerate() {
                    @if let [Some(a), Some(b)] = [pair.first().and_then(|w| w.alert_rate), pair.last().and_then(|w| w.alert_rate)] {
                        line.rate x1=(pct(x(at))) x2=(pct(x(at + 1))) y1=(level(a)) y2=(level(b)) {}
                    }
                }
                @for (at, window) in windows.iter().enumerate() {
                    @if let Some(rate) = window.alert_rate { circle.rate cx=(pct(x(at))) cy=(level(rate)) r="3.5" {} }
                }
                (ends(windows.first().map(|w| words::moment(&w.window)), windows.last().map(|w| words::moment(&w.window))))
            }
            figcaption {
                "Bars: rows, up to " (count(most as u64)) "; ▲ where the scores drifted. Dots: alert rate"
                @if let Some(target) = target { ", dashed line: its target, " (percent(target)) } "."
            }
        }
    }
}

fn pct(value: f64) -> String {
    format!("{value:.2}%")
}

/// The dates of the first and the last window.
fn ends(first: Option<String>, last: Option<String>) -> Markup {
    let day = |moment: &str| moment.get(..10).unwrap_or_default().to_owned();
    html! {
        @if let Some(first) = &first { text x="0" y="163" { (day(first)) } }
        @if last != first { @if let Some(last) = &last { text.end x="100%" y="163" { (day(last)) } } }
    }
}

/// The alert rate against its target, on a logarithmic scale.
pub(super) fn gauge(rate: AlertRate, factors: (f64, f64)) -> Markup {
    let ratio = rate.window / rate.target;
    let (low, high) = ((factors.0 / 2.0).min(0.1), (factors.1 * 2.0).max(10.0));
    let at = |factor: f64| {
        let part = (factor.clamp(low, high) / low).ln() / (high / low).ln();
        if part.is_finite() { part * 100.0 } else { 0.0 }
    };
    let marker = at(if ratio.is_finite() { ratio } else { low });
    let side = match marker {
        m if m < 20.0 => "start",
        m if m > 80.0 => "end",
        _ => "middle",
    };
    let judged = if rate.within { "within" } else { "outside" };
    html! {
        figure.plot id="alerts" {
            figcaption {
                strong.name { "Alert rate" }
                span.key {
                    @if rate.within { span.no { "● within its limits" } } @else { b.yes { "▲ outside its limits" } }
                    span { (percent(rate.window)) " of rows alert; the target is " (percent(rate.target)) " (" (times(ratio)) ")" }
                }
            }
            svg.gauge role="img" aria-labelledby="alerts-t alerts-d" width="100%" height="92" {
                title id="alerts-t" { "Alert rate against its target" }
                desc id="alerts-d" { (percent(rate.window)) " of rows alert, " (times(ratio)) " the target of " (percent(rate.target)) ": "
                    (judged) " " (times(factors.0)) " to " (times(factors.1)) "." }
                line.axis x1="0" x2="100%" y1="44" y2="44" {}
                rect.band x=(pct(at(factors.0))) width=(pct(at(factors.1) - at(factors.0))) y="36" height="16" {}
                line.target x1=(pct(at(1.0))) x2=(pct(at(1.0))) y1="32" y2="56" {}
                svg x=(pct(marker)) y="44" overflow="visible" { path class=(if rate.within { "within" } else { "outside" }) d="M0-9 9 0 0 9-9 0Z" {} }
                text class=(side) x=(pct(marker)) y="22" { (percent(rate.window)) }
                text.middle x=(pct(at(factors.0))) y="72" { (times(factors.0)) }
                text.middle x=(pct(at(1.0))) y="72" { "target" }
                text.middle x=(pct(at(factors.1))) y="72" { (times(factors.1)) }
            }
            p.note { "Logarithmic; the band is what the policy allows." }
        }
    }
}
