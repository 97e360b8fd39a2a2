//! The report as text: for a terminal of 100 columns, and as small plots for the body of a pull request. No colour, no
//! control characters, whatever the names of the features are.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::bins::{Axis, Bin, Bins, bins};
use crate::words::{self, Next, chance, count, figure, percent, times, visible};
use crate::{Comparison, DriftReport, FeatureDrift};

/// Columns of a terminal.
const TERMINAL: usize = 100;
/// Columns of a code block in a pull request, on a narrow screen.
const BLOCK: usize = 72;
/// Columns of a plot.
const PLOT: usize = 36;
/// Features that a terminal shows at least.
const SHOWN_LEAST: usize = 5;
/// Drifted features that a terminal shows at most; the page has all.
const SHOWN_MOST: usize = 20;
/// A smaller share leaves no trace.
const SHARE_SHOWN: f64 = 0.002;
/// Eighths of a line.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The report for a terminal, at most 100 columns wide.
pub fn text(report: &DriftReport) -> String {
    told(report, &words::next(report))
}

/// The same where something was done about it already: `next` says what, and what a person does now.
pub fn text_after(report: &DriftReport, next: &str) -> String {
    told(report, &Next::told(next))
}

fn told(report: &DriftReport, next: &Next) -> String {
    let mut out = String::new();
    head(&mut out, report, next);
    problems(&mut out, report);
    windows(&mut out, report);
    if let Some(score) = &report.score {
        out.push_str("\nScores\n");
        out.push_str(&plot("  ", score, TERMINAL));
    }
    if let Some(rate) = report.alert_rate {
        let (least, most) = report.policy.alert_rate_factors;
        let judged = if rate.within { "within" } else { "OUTSIDE" };
        let _ = writeln!(
            out,
            "\nAlert rate  {}, target {} ({}): {judged} {} to {}",
            percent(rate.window),
            percent(rate.target),
            times(rate.window / rate.target),
            times(least),
            times(most)
        );
    }
    features(&mut out, report);
    out
}

/// Small plots of the scores and of the `top` most drifted features, at most 72 columns wide, to stand inside a code block:
/// no line can end it.
pub fn plots(report: &DriftReport, top: usize) -> String {
    let mut parts = Vec::new();
    if let Some(score) = &report.score {
        parts.push(entry("scores", score));
    }
    let drifted = report
        .features
        .iter()
        .filter(|feature| feature.comparison.drifted);
    let left = drifted.clone().count().saturating_sub(top);
    for FeatureDrift { name, comparison } in drifted.take(top) {
        parts.push(entry(&visible(name), comparison));
    }
    if left > 0 {
        parts.push(format!("and {left} more\n"));
    }
    // A fence is three of these, and needs no line of its own in every dialect.
    parts.join("\n").replace('`', "\\u{60}")
}

fn entry(name: &str, comparison: &Comparison) -> String {
    let times = format!("{} its limit", times(words::strength(comparison)));
    let mark = if comparison.drifted { "▲" } else { "●" };
    let room = BLOCK - times.width() - 4;
    // What `plots` writes of a backtick is longer than the backtick.
    let name = cut(&name.replace('`', "\\u{60}"), room);
    let gap = BLOCK - 2 - name.width() - times.width();
    format!(
        "{mark} {name}{}{times}\n{}",
        " ".repeat(gap),
        plot("  ", comparison, BLOCK)
    )
}

fn head(out: &mut String, report: &DriftReport, next: &Next) {
    let when = report
        .windows
        .last()
        .map(|last| format!(", window of {} UTC", words::moment(&last.window)));
    let _ = writeln!(
        out,
        "{}: {}{}",
        report.release,
        words::label(report.verdict).to_uppercase(),
        when.unwrap_or_default()
    );
    let _ = writeln!(out, "{}\n", report.digest);
    wrapped(out, "", &format!("{}.", words::headline(report)));
    for reason in words::reasons(report) {
        wrapped(out, "  - ", &reason);
    }
    wrapped(out, "Next: ", &next.sentence);
    if let Some(command) = &next.command {
        let _ = writeln!(out, "      {command}");
    }
}

fn problems(out: &mut String, report: &DriftReport) {
    if report.problems.is_empty() {
        return;
    }
    out.push_str("\nBroken input\n");
    for problem in &report.problems {
        let _ = writeln!(
            out,
            "  ! {}: {}",
            cut(&visible(&problem.feature), 60),
            words::quality(problem.kind)
        );
        wrapped(out, "    ", &visible(&problem.detail));
    }
}

fn windows(out: &mut String, report: &DriftReport) {
    if report.windows.is_empty() {
        return;
    }
    out.push_str(
        "\nWindows (UTC)                rows       sampled  alert rate  features  scores\n",
    );
    for window in &report.windows {
        let rate = window.alert_rate.map_or_else(|| "n/a".into(), percent);
        let _ = writeln!(
            out,
            "  {} {:>15} {:>13} {:>11} {:>9}  {}",
            words::moment(&window.window),
            count(window.rows),
            count(window.sampled_rows),
            rate,
            percent(window.features_drifted),
            words::scores(report, window)
        );
    }
}

fn features(out: &mut String, report: &DriftReport) {
    if report.features.is_empty() {
        return;
    }
    let drifted = report
        .features
        .iter()
        .filter(|feature| feature.comparison.drifted)
        .count();
    let _ = writeln!(
        out,
        "\nFeatures: {drifted} of {} drifted",
        report.features.len()
    );
    let _ = writeln!(
        out,
        "  {:<22} ÷ limit   PSI    KS  W₁/σ    JS  missing  adj. p  mean",
        ""
    );
    let shown = drifted
        .clamp(SHOWN_LEAST, SHOWN_MOST)
        .min(report.features.len());
    for FeatureDrift { name, comparison } in report.features.iter().take(shown) {
        let mark = if comparison.drifted { "▲" } else { "●" };
        let name = cut(&visible(name), 22);
        let _ = write!(
            out,
            "{mark} {name}{} {:>7}",
            " ".repeat(22_usize.saturating_sub(name.width())),
            times(words::strength(comparison))
        );
        for measure in words::measures(comparison) {
            let room = if measure.points { 8 } else { 5 };
            let _ = write!(out, " {:>room$}", measure.value());
        }
        let _ = writeln!(
            out,
            " {:>7}  {} → {}",
            chance(comparison.p_adjusted).replace("< ", "<"),
            figure(comparison.means.0),
            figure(comparison.means.1)
        );
    }
    if shown < report.features.len() {
        let _ = writeln!(
            out,
            "  and {} more; --html FILE has all, with plots",
            report.features.len() - shown
        );
    }
}

/// A comparison's distances and its two rows of blocks on one scale.
fn plot(indent: &str, comparison: &Comparison, columns: usize) -> String {
    let mut line = String::from(indent);
    let mut out = String::new();
    for measure in words::measures(comparison)
        .iter()
        .filter(|measure| !measure.points || measure.value() != "0")
    {
        let over = if measure.reached() { "≥" } else { "<" };
        let part = format!(
            "{} {} {over} {}",
            measure.short,
            measure.value(),
            measure.limit()
        );
        if line.width() + part.width() > columns {
            let _ = writeln!(out, "{}", line.trim_end());
            line = String::from(indent);
        }
        line = line + &part + "  ";
    }
    let _ = writeln!(out, "{}", line.trim_end());
    let Some(bins) = bins(comparison) else {
        return out;
    };
    let _ = writeln!(
        out,
        "{indent}reference  {}  mean {}",
        blocks(&bins, |bin| bin.reference),
        figure(comparison.means.0)
    );
    let _ = writeln!(
        out,
        "{indent}window     {}  mean {}",
        blocks(&bins, |bin| bin.window),
        figure(comparison.means.1)
    );
    let _ = writeln!(
        out,
        "{}",
        cut(&format!("{indent}           {}", scale(&bins)), columns)
    );
    out
}

/// One row of blocks; what lies outside the reference's range stands apart.
fn blocks(bins: &Bins, share: fn(&Bin) -> f64) -> String {
    let tallest = bins.tallest();
    let draw = |bin: &Bin| {
        let eighths = (bins.height(bin, share(bin)) / tallest * 8.0).clamp(0.0, 8.0);
        let least = if share(bin) >= SHARE_SHOWN { 1.0 } else { 0.0 };
        BLOCKS
            .get(eighths.round().max(least) as usize)
            .copied()
            .unwrap_or(' ')
    };
    let open = |bin: &Option<Bin>| bin.as_ref().map(|bin| draw(bin).to_string().repeat(2));
    let inner: String = (0..PLOT)
        .filter_map(|column| bins.at((column as f64 + 0.5) / PLOT as f64).map(draw))
        .collect();
    let below = open(&bins.below).map(|b| b + "┆").unwrap_or_default();
    let above = open(&bins.above)
        .map(|a| format!("┆{a}"))
        .unwrap_or_default();
    format!("{below}{inner}{above}")
}

/// The values under the ends of the blocks.
fn scale(bins: &Bins) -> String {
    let lead = if bins.below.is_some() { "   " } else { "" };
    let low = format!(
        "{}{}",
        if bins.cut.0 { "…" } else { "" },
        figure(bins.ends.0)
    );
    let high = format!(
        "{}{}",
        figure(bins.ends.1),
        if bins.cut.1 { "…" } else { "" }
    );
    let gap = PLOT.saturating_sub(low.width() + high.width()).max(1);
    let note = if bins.axis == Axis::Steps {
        "  (not to scale)"
    } else {
        ""
    };
    format!("{lead}{low}{}{high}{note}", " ".repeat(gap))
}

/// Lines of at most 100 columns, broken at spaces, or inside a word that is longer; the next lines stand under the first.
fn wrapped(out: &mut String, lead: &str, text: &str) {
    let room = TERMINAL - lead.width();
    let mut line = String::new();
    let mut lines = Vec::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        for letter in word.chars() {
            if line.width() + letter.width().unwrap_or(0) > room {
                lines.push(std::mem::take(&mut line));
            }
            line.push(letter);
        }
    }
    lines.push(line);
    for (at, line) in lines.iter().enumerate() {
        let lead = if at == 0 {
            lead.to_owned()
        } else {
            " ".repeat(lead.width())
        };
        let _ = writeln!(out, "{}", format!("{lead}{line}").trim_end());
    }
}

/// At most so many columns; an ellipsis stands for the rest.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    for letter in text.chars() {
        if out.width() + letter.width().unwrap_or(0) + 1 > columns {
            break;
        }
        out.push(letter);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests;
