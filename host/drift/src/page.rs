//! The report as a page: one file that opens from a mail at three in the morning, without a network, a script or a
//! font of its own. Everything from outside is text, and a policy in the page forbids the browser to treat it otherwise.

mod plots;
mod tables;
mod top;

use hodoscope_release::Digest;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::words::Next;
use crate::{DriftReport, words};

const STYLE: &str = include_str!("page/style.css");

/// A table of the caller's, shown between the verdict and the statistics: for instance the gates of a proposal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// A sentence under the heading; empty for none.
    pub note: String,
    /// The headers of the columns.
    pub columns: Vec<String>,
    /// The rows; the first cell of each names it.
    pub rows: Vec<Vec<Cell>>,
}

/// What a cell of a [`Section`] holds. All of it is shown as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A name, a digest or a command.
    Code(String),
    /// A number, already written.
    Figure(String),
    /// An outcome that is as it should be.
    Pass(String),
    /// An outcome that is not.
    Fail(String),
    /// An outcome that says nothing, for instance `n/a`.
    Neutral(String),
}

/// The report as one HTML file without any reference to the outside, with `extra` after the verdict.
pub fn page(report: &DriftReport, extra: &[Section]) -> String {
    written(report, &words::next(report), extra)
}

/// The same where something was done about it already: `next` says what, and what a person does now.
pub fn page_after(report: &DriftReport, next: &str, extra: &[Section]) -> String {
    written(report, &Next::told(next), extra)
}

fn written(report: &DriftReport, next: &Next, extra: &[Section]) -> String {
    let title = format!(
        "{}: {}",
        words::release(report),
        words::label(report.verdict).to_lowercase()
    );
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta name="robots" content="noindex";
                meta name="generator" content="Hodoscope";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body class=(report.verdict.kind()) {
                (top::header(report, next))
                main {
                    (top::facts(report))
                    (contents(report, extra))
                    @if !report.problems.is_empty() { (top::problems(report)) }
                    @for (at, section) in extra.iter().enumerate() { (tables::section(at, section)) }
                    @if !report.windows.is_empty() { (tables::windows(report)) }
                    @if report.score.is_some() || report.alert_rate.is_some() { (scores(report)) }
                    @if !report.features.is_empty() { (tables::features(report)) }
                    (tables::policy(report))
                }
                footer {
                    p { "Written by Hodoscope (report schema " (report.schema) "). All times are UTC. This file is whole: it loads nothing." }
                }
            }
        }
    }
    .into_string()
}

/// A name from outside: safe to show, of either direction, and broken over lines at its separators rather than anywhere.
fn named(name: &str) -> Markup {
    let name = words::short(name);
    html! { code { bdi { @for part in name.split_inclusive(['_', '.', '/', '-', ':', ' ']) { (part) wbr; } } } }
}

/// What the browser may do: show this style. No script, no request, no form.
fn policy() -> String {
    let hash = base64(Digest::of(STYLE.as_bytes()).as_bytes());
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
}

/// Links to the parts of the page, in their order.
fn contents(report: &DriftReport, extra: &[Section]) -> Markup {
    let mut links: Vec<(String, String)> = Vec::new();
    let mut link = |shown: bool, id: &str, title: &str| {
        if shown {
            links.push((format!("#{id}"), title.to_owned()));
        }
    };
    link(!report.problems.is_empty(), "problems", "Broken input");
    for (at, section) in extra.iter().enumerate() {
        link(
            true,
            &tables::section_id(at),
            &words::visible(&section.title),
        );
    }
    link(!report.windows.is_empty(), "windows", "Windows");
    link(
        report.score.is_some() || report.alert_rate.is_some(),
        "scores",
        "Scores",
    );
    link(!report.features.is_empty(), "features", "Features");
    link(true, "limits", "Limits");
    html! {
        nav aria-label="On this page" {
            ul { @for (target, title) in links { li { a href=(target) { (title) } } } }
        }
    }
}

/// The scores against their reference, and how often they alert.
fn scores(report: &DriftReport) -> Markup {
    html! {
        section id="scores" aria-labelledby="scores-title" {
            h2 id="scores-title" { "Scores and alerts" }
            p.lead { "The scores decide; the features below explain." }
            div.pair {
                @if let Some(score) = &report.score { (plots::histogram("score", "Score", score, plots::Size::Large)) }
                @if let Some(rate) = report.alert_rate { (plots::gauge(rate, report.policy.alert_rate_factors)) }
            }
        }
    }
}

/// RFC 4648's base64 with padding, as a content security policy writes a hash.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let packed = group
            .iter()
            .chain([&0; 2])
            .take(3)
            .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        for at in 0..4 {
            let letter = LETTERS.get(packed >> (18 - 6 * at) & 63);
            out.push(if at > group.len() {
                '='
            } else {
                letter.map_or('=', |l| char::from(*l))
            });
        }
    }
    out
}

#[cfg(test)]
mod tests;
