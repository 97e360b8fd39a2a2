//! The top of the page: the verdict with its reason and what to do, the facts, and broken input when there is any.

use maud::{Markup, html};

use super::named;
use crate::words::{self, Next, count, percent, visible};
use crate::{DriftReport, Problem, Verdict};

/// Broken features that are listed before the rest is folded away.
const PROBLEMS_SHOWN: usize = 20;

/// The verdict.
pub(super) fn header(report: &DriftReport, next: &Next) -> Markup {
    let reasons = words::reasons(report);
    html! {
        header {
            p.kicker { (sign(report.verdict)) " " span.label { (words::label(report.verdict)) }
                @if let Some(last) = report.windows.last() {
                    span.when { "Window of " time { (words::moment(&last.window)) } " UTC" }
                }
            }
            h1 { (words::headline(report)) "." }
            div.why {
                @if let Some((first, rest)) = reasons.split_first() {
                    p.reason { strong { "Why: " } bdi { (first) } }
                    @if !rest.is_empty() { ul.reasons { @for reason in rest { li { bdi { (reason) } } } } }
                }
            }
            div.next {
                p { strong { "Next: " } (next.sentence) }
                @if let Some(command) = &next.command { pre tabindex="0" aria-label="Command" { code { @for (at, word) in command.split(' ').enumerate() { @if at > 0 { " " } span { (word) } } } } }
            }
        }
    }
}

/// A shape for each verdict, so that colour is never alone.
fn sign(verdict: Verdict) -> Markup {
    html! {
        svg.sign viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false" {
            @match verdict {
                Verdict::Drifted => { path d="M10 2 19 18H1Z"; }
                Verdict::Watching => { circle.hollow cx="10" cy="10" r="7.5"; path d="M10 2.5a7.5 7.5 0 0 1 0 15Z"; }
                Verdict::Stable => { circle cx="10" cy="10" r="8.5"; }
                Verdict::DataQuality => { path d="M10 .5 19.5 10 10 19.5 .5 10Z"; }
                Verdict::InsufficientData | Verdict::NoReference => { circle.hollow cx="10" cy="10" r="7.5"; }
            }
        }
    }
}

/// Release, digest and the figures of the judged window.
pub(super) fn facts(report: &DriftReport) -> Markup {
    let drifted = report
        .features
        .iter()
        .filter(|feature| feature.comparison.drifted)
        .count();
    html! {
        section.facts aria-label="Facts" {
            dl {
                div { dt { "Release" } dd { code { (report.release) } } }
                @if let Some(last) = report.windows.last() {
                    div { dt { "Rows scored" } dd { (count(last.rows)) } }
                    div { dt { "Rows sampled" } dd { (count(last.sampled_rows)) } }
                }
                @if let Some(rate) = report.alert_rate {
                    div { dt { "Alert rate" } dd { (percent(rate.window)) " " small { "target " (percent(rate.target)) } } }
                }
                @if !report.features.is_empty() {
                    div { dt { "Features drifted" } dd { (drifted) " " small { "of " (report.features.len()) } } }
                }
                div.wide { dt { "Digest" } dd { code { (report.digest) } } }
            }
        }
    }
}

/// Broken input; it comes before everything else.
pub(super) fn problems(report: &DriftReport) -> Markup {
    let (near, far) = report
        .problems
        .split_at(report.problems.len().min(PROBLEMS_SHOWN));
    html! {
        section.problems id="problems" aria-labelledby="problems-title" {
            h2 id="problems-title" { "Broken input" }
            p.lead { "A pipeline fault, not a change of the world: mend the source. Nothing is retrained on it." }
            (listed(near))
            @if !far.is_empty() { details { summary { (far.len()) " more broken features" } (listed(far)) } }
        }
    }
}

fn listed(problems: &[Problem]) -> Markup {
    html! {
        ul {
            @for problem in problems {
                li { (named(&problem.feature)) " " span.kind { (words::quality(problem.kind)) }
                    p { bdi { (visible(&problem.detail)) } } }
            }
        }
    }
}
