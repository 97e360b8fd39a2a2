//! The tables of the page: windows, features, a caller's sections, and the limits. A wide table scrolls in a frame of
//! its own, so that the page never does, and the names of its rows stay in sight.

use maud::{Markup, html};

use super::plots::{self, Size};
use super::{Cell, Section, named};
use crate::words::{self, chance, count, figure, percent, times, visible};
use crate::{DriftReport, FeatureDrift};

/// More plots than a person looks at are not drawn.
const PLOTS_LIMIT: usize = 12;
/// Features without drift that are shown before the rest is folded away.
const CALM_SHOWN: usize = 8;
/// Windows whose table is not folded away.
const WINDOWS_SHOWN: usize = 7;

/// A table in a frame that scrolls, reachable by the keyboard.
fn framed(label: &str, table: &Markup) -> Markup {
    html! { div.frame role="region" aria-label=(label) tabindex="0" { (table) } }
}

/// The windows: a timeline, and its table.
pub(super) fn windows(report: &DriftReport) -> Markup {
    let table = framed("Table of windows", &windows_table(report));
    html! {
        section id="windows" aria-labelledby="windows-title" {
            h2 id="windows-title" { "Windows" }
            p.lead { @if report.windows.len() > 1 { "Oldest first; the last one is judged." } @else { "The only one there is." } }
            div.timeline.long[report.windows.len() > WINDOWS_SHOWN] {
                @if report.windows.len() > 1 { (plots::timeline(report)) }
                @if report.windows.len() <= WINDOWS_SHOWN { (table) }
                @else { details { summary { "Table of " (report.windows.len()) " windows" } (table) } }
            }
        }
    }
}

fn windows_table(report: &DriftReport) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Window (UTC)" } th scope="col" { "Scores" }
                th.number scope="col" { "Rows" } th.number scope="col" { "Sampled" }
                th.number scope="col" { "Alert rate" } th.number scope="col" { "Features drifted" }
            } }
            tbody { @for window in &report.windows { tr {
                th.moment scope="row" { (words::moment(&window.window)) }
                td { span class=(if window.score_drifted { "yes" } else { "no" }) { (words::scores(report, window)) } }
                td.number { (count(window.rows)) }
                td.number { (count(window.sampled_rows)) }
                td.number { @if let Some(rate) = window.alert_rate { (percent(rate)) } @else { "n/a" } }
                td.number { (percent(window.features_drifted)) }
            } } }
        }
    }
}

fn mark(drifted: bool) -> Markup {
    html! { @if drifted { span.yes { "▲ drifted" } } @else { span.no { "● calm" } } }
}

/// Features: plots of those that drifted most, then all of them as a table.
pub(super) fn features(report: &DriftReport) -> Markup {
    let drifted: Vec<&FeatureDrift> = report
        .features
        .iter()
        .filter(|f| f.comparison.drifted)
        .collect();
    let calm: Vec<&FeatureDrift> = report
        .features
        .iter()
        .filter(|f| !f.comparison.drifted)
        .collect();
    let (near, far) = calm.split_at(calm.len().min(CALM_SHOWN));
    let shown: Vec<&FeatureDrift> = drifted.iter().chain(near).copied().collect();
    html! {
        section id="features" aria-labelledby="features-title" {
            h2 id="features-title" { "Features" }
            p.lead { (drifted.len()) " of " (report.features.len()) " drifted: surely (adjusted p ≤ "
                (chance(report.policy.significance)) ") and by more than their limit." }
            @if !drifted.is_empty() {
                h3 { @if drifted.len() > PLOTS_LIMIT { "The " (PLOTS_LIMIT) " that drifted most" } @else { "What drifted" } }
                (plots::legend())
                div.multiples { @for (at, feature) in drifted.iter().take(PLOTS_LIMIT).enumerate() {
                    (plots::histogram(&format!("feature-{}", at + 1), &feature.name, &feature.comparison, Size::Small))
                } }
            }
            h3 { "Effects, the largest first" }
            (framed("Table of effects", &features_table(&shown)))
            @if !far.is_empty() {
                details { summary { (far.len()) " more features without drift" } (framed("Table of more effects", &features_table(far))) }
            }
            p.note { "Bold: at or over its limit, which stands beside it, smaller. PSI: population stability index. KS: Kolmogorov–Smirnov distance. "
                "W₁/σ: Wasserstein distance in the reference's standard deviations. JS: Jensen–Shannon distance. "
                "Adjusted p: after Benjamini–Hochberg over all features. Missing: change of the share of missing values, in percentage points." }
        }
    }
}

fn features_table(features: &[&FeatureDrift]) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Feature" } th scope="col" { "Verdict" } th.number scope="col" { "Effect ÷ limit" }
                @for short in ["PSI", "KS", "W₁/σ", "JS", "Missing"] { th.number scope="col" { (short) } }
                th.number scope="col" { "Adjusted p" }
                th.number scope="col" { "Mean, reference → window" }
            } }
            tbody { @for feature in features { (feature_row(feature)) } }
        }
    }
}

fn feature_row(feature: &FeatureDrift) -> Markup {
    let comparison = &feature.comparison;
    html! {
        tr {
            th scope="row" { div.cell { (named(&feature.name)) } }
            td { (mark(comparison.drifted)) }
            td.number { (times(words::strength(comparison))) }
            @for measure in words::measures(comparison) {
                td.number {
                    @if measure.reached() { b { (measure.value()) } } @else { (measure.value()) }
                    small { " / " (measure.limit()) }
                }
            }
            td.number { (chance(comparison.p_adjusted)) }
            td.number { (figure(comparison.means.0)) " → " (figure(comparison.means.1)) }
        }
    }
}

/// The anchor of a caller's section.
pub(super) fn section_id(at: usize) -> String {
    format!("section-{}", at + 1)
}

/// A caller's section.
pub(super) fn section(at: usize, section: &Section) -> Markup {
    let id = section_id(at);
    let title = visible(&section.title);
    let label = |at: usize| {
        section
            .columns
            .get(at)
            .map(|column| visible(column))
            .unwrap_or_default()
    };
    let column = |at: usize| {
        section
            .rows
            .first()
            .and_then(|row| row.get(at))
            .map_or("words", class)
    };
    // On a phone its rows are drawn as cards, which takes a table's meaning from it unless the roles are written.
    let table = html! {
        table.cards role="table" {
            thead role="rowgroup" { tr role="row" { @for (at, name) in section.columns.iter().enumerate() {
                th role="columnheader" scope="col" class=(column(at)) { (visible(name)) }
            } } }
            tbody role="rowgroup" { @for row in &section.rows { tr role="row" {
                @for (at, cell) in row.iter().enumerate() {
                    @if at == 0 { th role="rowheader" scope="row" { div.cell { (inside(cell)) } } }
                    @else { td role="cell" class=(class(cell)) data-label=(label(at)) { (inside(cell)) } }
                }
            } } }
        }
    };
    html! {
        section id=(id) aria-labelledby=(format!("{id}-title")) {
            h2 id=(format!("{id}-title")) { (title) }
            @if !section.note.is_empty() { p.lead { (visible(&section.note)) } }
            (framed(&format!("Table of {title}"), &table))
        }
    }
}

const fn class(cell: &Cell) -> &'static str {
    match cell {
        Cell::Figure(_) => "number",
        _ => "words",
    }
}

fn inside(cell: &Cell) -> Markup {
    html! {
        @match cell {
            Cell::Text(text) | Cell::Figure(text) => bdi { (visible(text)) },
            Cell::Code(text) => (named(text)),
            Cell::Pass(text) => span.pass { "✓ " (visible(text)) },
            Cell::Fail(text) => span.fail { "✕ " (visible(text)) },
            Cell::Neutral(text) => span.no { "– " (visible(text)) },
        }
    }
}

/// The limits that decided.
pub(super) fn policy(report: &DriftReport) -> Markup {
    html! {
        section id="limits" aria-labelledby="limits-title" {
            h2 id="limits-title" { "Limits that decided" }
            dl.limits { @for (name, value) in words::limits(&report.policy) { div { dt { (name) } dd { (value) } } } }
        }
    }
}
