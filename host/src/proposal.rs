//! The words of a pull request: a title and a body on which a person can decide in a minute, made from evidence. Names of
//! features and reasons are other people's text: they are shown as they are and can neither format, link nor mention.

use std::fmt::Write as _;

use anyhow::Context as _;
use hodoscope_drift::DriftReport;
use hodoscope_release::evidence::{
    self, Comparison, Decision, Evidence, Gate, LABEL_NEEDS_HUMAN, Outcome,
};
use hodoscope_release::{ChannelName, DetectorChannel, DetectorName, IndexEntry, Pin};

use crate::commands::Context;
use crate::releases;

/// The name of the document with the [`DriftReport`] as JSON.
pub const REPORT: &str = "drift";
/// The name of the document with the same as a page.
pub const PAGE: &str = "report";
/// How many features are plotted.
const PLOTS: usize = 3;

/// What the body tells beside the evidence.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// The environment whose file changes.
    pub channel: &'a ChannelName,
    /// What it wants of the detector now.
    pub before: Option<&'a DetectorChannel>,
    /// Text plots of the most drifted features; empty for none.
    pub plots: &'a str,
    /// Where the page with all plots lies, and how it is read.
    pub report: Option<&'a str>,
    /// Why, in a person's words.
    pub why: Option<&'a str>,
}

/// What a pull request says of a release.
#[derive(Debug)]
pub struct Told {
    /// The text.
    pub body: String,
    /// The labels.
    pub labels: Vec<String>,
    /// Whether a person must look at it before it may be merged.
    pub draft: bool,
}

/// The text of a promotion asked for by a person: the evidence that lies beside the release in the store. Evidence that was
/// measured against another release than the one that answers now is shown as such, and a person must look.
pub fn told(
    context: &Context,
    entry: &IndexEntry,
    before: Option<&DetectorChannel>,
    why: Option<&str>,
) -> anyhow::Result<Told> {
    let documents = context.block_on(async {
        let store = releases::open_store(&context.config).await?;
        let mut found = Vec::new();
        for name in [evidence::DOCUMENT, REPORT, PAGE] {
            let bytes = match entry.documents.get(name) {
                Some(digest) => Some(store.document(digest).await?),
                None => None,
            };
            found.push(bytes);
        }
        anyhow::Ok(found)
    })??;
    let mut documents = documents.into_iter();
    let mut next = || documents.next().flatten();
    let (evidence, report, page) = (next(), next(), next());
    let plots = report.and_then(|report| serde_json::from_slice::<DriftReport>(&report).ok());
    let plots = plots
        .map(|report| hodoscope_drift::plots(&report, PLOTS))
        .unwrap_or_default();
    let detector = &entry.detector;
    let place = page.map(|_| place(context, detector, entry));
    let words = Words {
        channel: &context.config.channel,
        before,
        plots: &plots,
        report: place.as_deref(),
        why,
    };
    let Some(evidence) = evidence else {
        return Ok(unmeasured(entry, &words));
    };
    let evidence: Evidence = serde_json::from_slice(&evidence).with_context(|| {
        format!(
            "the evidence of {detector} {} does not parse",
            entry.version
        )
    })?;
    let mut told = Told {
        body: body(&evidence, &words),
        labels: Vec::new(),
        draft: false,
    };
    if let Decision::Propose { draft, labels, .. } = &evidence.decision {
        (told.labels, told.draft) = (labels.clone(), *draft);
    }
    let measured = evidence.champion.as_ref().map(|champion| champion.digest);
    let answers = before.map(|before| before.active.digest);
    if measured != answers && answers != Some(entry.digest) {
        told.body = format!(
            "**The evidence was measured against another release than the one that answers now.**\n\n{}",
            told.body
        );
        told.need_a_person();
    }
    Ok(told)
}

/// The title: within GitHub's 256 characters, since names are short.
pub fn title(verb: &str, detector: &DetectorName, pin: &Pin, channel: &ChannelName) -> String {
    format!("{verb} {detector} {} in {channel}", pin.version)
}

/// The body of a promotion's pull request.
pub fn body(evidence: &Evidence, words: &Words<'_>) -> String {
    let mut text = String::new();
    head(&mut text, evidence, words);
    if let Some(comparison) = &evidence.comparison {
        compare(&mut text, comparison);
    }
    gates(&mut text, &evidence.gates);
    drift(&mut text, evidence, words.plots);
    origin(&mut text, evidence, words);
    back(&mut text, evidence, words);
    text
}

/// The body of a rollback's or a retirement's pull request.
pub fn plain(detector: &DetectorName, words: &Words<'_>, what: &str, undo: &str) -> String {
    let mut text = format!("{what}\n");
    if let Some(why) = words.why {
        let _ = write!(text, "\nWhy: {}\n", prose(why));
    }
    let _ = write!(
        text,
        "\nMerging this is the deployment. To take it back afterwards:\n\n```\n{undo}\n```\n"
    );
    if let Some(before) = words.before {
        let _ = write!(
            text,
            "\nUntil then `{}` answers for `{detector}`.\n",
            before.active.version
        );
    }
    text
}

/// Where the page of a release's drift lies, and how it is read.
pub fn place(context: &Context, detector: &DetectorName, entry: &IndexEntry) -> String {
    let digest = entry
        .documents
        .get(PAGE)
        .map(|digest| digest.hex())
        .unwrap_or_default();
    format!(
        "`{}/docs/sha256/{digest}`, or `hodoscope inspect {detector}@{} --document {PAGE} > report.html`",
        context.config.store.location, entry.version
    )
}

/// The text about a release without evidence.
fn unmeasured(entry: &IndexEntry, words: &Words<'_>) -> Told {
    let (detector, version) = (&entry.detector, &entry.version);
    let what = format!(
        "**{detector} {version}** (`{}`, {} KiB) in **{}**, asked for by hand.\n\n**No evidence lies beside this release**: \
         nobody measured it against the one that answers now.",
        entry.digest,
        entry.size_bytes.div_ceil(1024),
        words.channel
    );
    let undo = match words.before {
        Some(_) => format!("hodoscope rollback {detector} --channel {}", words.channel),
        None => format!("hodoscope retire {detector} --channel {}", words.channel),
    };
    let mut told = Told {
        body: plain(detector, words, &what, &undo),
        labels: Vec::new(),
        draft: false,
    };
    told.need_a_person();
    told
}

impl Told {
    fn need_a_person(&mut self) {
        self.draft = true;
        if !self.labels.iter().any(|label| label == LABEL_NEEDS_HUMAN) {
            self.labels.push(LABEL_NEEDS_HUMAN.to_owned());
        }
    }
}

fn head(text: &mut String, evidence: &Evidence, words: &Words<'_>) {
    let candidate = &evidence.candidate;
    let _ = match &evidence.champion {
        Some(champion) => writeln!(
            text,
            "**{} {} → {}** in **{}**",
            candidate.detector, champion.version, candidate.version, words.channel
        ),
        None => writeln!(
            text,
            "**{} {}**, its first release, in **{}**",
            candidate.detector, candidate.version, words.channel
        ),
    };
    if let Some(why) = words.why {
        let _ = write!(text, "\n{}\n", prose(why));
    }
    for reason in evidence
        .drift
        .iter()
        .flat_map(|drift| &drift.reasons)
        .take(4)
    {
        let _ = write!(text, "\n- {}", prose(reason));
    }
    match &evidence.decision {
        Decision::Propose { draft: false, .. } => {
            text.push_str("\n\nEvery gate holds. Merging this is the deployment.\n");
        }
        Decision::Propose { reasons, .. } | Decision::Refuse { reasons } => {
            text.push_str("\n\n**A person must look at this before it is merged:**\n");
            for reason in reasons {
                let _ = write!(text, "\n- {}", prose(reason));
            }
            text.push('\n');
        }
    }
}

fn compare(text: &mut String, comparison: &Comparison) {
    let (a, b) = (&comparison.current, &comparison.candidate);
    let _ = write!(
        text,
        "\n| On {} rows | current | candidate |\n|---|---|---|\n",
        comparison.rows
    );
    let mut row = |name: &str, a: Option<String>, b: Option<String>| {
        if a.is_some() || b.is_some() {
            let shown = |cell: Option<String>| cell.unwrap_or_else(|| "–".to_owned());
            let _ = writeln!(text, "| {name} | {} | {} |", shown(a), shown(b));
        }
    };
    row(
        "alert rate",
        a.alert_rate.map(percent),
        b.alert_rate.map(percent),
    );
    row(
        "threshold",
        a.threshold.map(number),
        b.threshold.map(number),
    );
    row(
        "median score",
        a.quantiles.p50.map(number),
        b.quantiles.p50.map(number),
    );
    row(
        "99 % score",
        a.quantiles.p99.map(number),
        b.quantiles.p99.map(number),
    );
    row("ROC-AUC", a.roc_auc.map(number), b.roc_auc.map(number));
    row(
        "average precision",
        a.average_precision.map(number),
        b.average_precision.map(number),
    );
    row(
        "anomalies found",
        a.recall.map(percent),
        b.recall.map(percent),
    );
    row(
        "false alarms",
        a.false_alarm_rate.map(percent),
        b.false_alarm_rate.map(percent),
    );
    let one = |side: &hodoscope_release::evidence::Side| {
        let call = side.latency?.one_row;
        Some(format!("{:.1} / {:.1} µs", call.p50_us, call.p99_us))
    };
    row("one row, p50 / p99", one(a), one(b));
    let size = |bytes: u64| Some(format!("{} KiB", bytes.div_ceil(1024)));
    row("size", size(a.size_bytes), size(b.size_bytes));
    let mut facts = Vec::new();
    facts.extend(
        comparison
            .flip_rate
            .map(|rate| format!("{} of the verdicts flip", percent(rate))),
    );
    facts.extend(
        comparison
            .rank_correlation
            .map(|rho| format!("rank correlation {}", number(rho))),
    );
    facts.extend(comparison.top.last().map(|top| {
        format!(
            "{} of the {} highest rows are the same",
            percent(top.agreement),
            top.rows
        )
    }));
    facts.extend(comparison.attribution.as_ref().map(|shift| {
        format!(
            "the reasons for scores moved by {}",
            percent(shift.total_variation)
        )
    }));
    if !facts.is_empty() {
        let _ = write!(text, "\n{}.\n", facts.join(" · "));
    }
}

/// What failed, and what is near its limit, first and in sight; what passed is folded away.
fn gates(text: &mut String, gates: &[Gate]) {
    let count = |outcome| gates.iter().filter(|gate| gate.outcome == outcome).count();
    let near = |gate: &&Gate| gate.near_limit || gate.outcome == Outcome::Fail;
    let _ = write!(
        text,
        "\n**Gates:** {} pass, {} fail, {} n/a\n",
        count(Outcome::Pass),
        count(Outcome::Fail),
        count(Outcome::NotApplicable)
    );
    let table = |text: &mut String, rows: &[&Gate]| {
        text.push_str("\n| Gate | Outcome | Measured | Limit | |\n|---|---|---|---|---|\n");
        for gate in rows {
            let outcome = match gate.near_limit {
                true => "pass, near its limit",
                false => gate.outcome.word(),
            };
            let measured = gate.measured.map_or_else(|| "–".to_owned(), number);
            let limit = gate
                .limit
                .map_or_else(|| "–".to_owned(), |limit| limit.to_string());
            let (name, reason) = (code(&gate.name), prose(&gate.reason));
            let _ = writeln!(
                text,
                "| {name} | {outcome} | {measured} | {limit} | {reason} |"
            );
        }
    };
    let (first, rest): (Vec<&Gate>, Vec<&Gate>) = gates.iter().partition(near);
    if !first.is_empty() {
        table(text, &first);
    }
    if !rest.is_empty() {
        text.push_str("\n<details><summary>the other gates</summary>\n");
        table(text, &rest);
        text.push_str("\n</details>\n");
    }
}

fn drift(text: &mut String, evidence: &Evidence, plots: &str) {
    let Some(drift) = evidence
        .drift
        .as_ref()
        .filter(|drift| !drift.features.is_empty())
    else {
        return;
    };
    text.push_str("\n| Drifted feature | effect (W₁/σ) | adjusted p |\n|---|---|---|\n");
    for feature in drift.features.iter().take(10) {
        let (name, effect, p) = (
            code(&feature.name),
            feature.effect,
            chance(feature.p_adjusted),
        );
        let _ = writeln!(text, "| {name} | {effect:.2} | {p} |");
    }
    if !plots.is_empty() {
        let _ = write!(
            text,
            "\n```text\n{}\n```\n",
            plots.replace("```", "'''").trim_end()
        );
    }
}

fn origin(text: &mut String, evidence: &Evidence, words: &Words<'_>) {
    let candidate = &evidence.candidate;
    let _ = write!(
        text,
        "\nDigest `{}`, {} KiB",
        candidate.digest,
        candidate.size_bytes.div_ceil(1024)
    );
    if let Some(provenance) = &evidence.provenance {
        let _ = write!(text, ", made by {}", code(&provenance.trainer));
        if let Some(seed) = provenance.seed {
            let _ = write!(text, ", seed {seed}");
        }
    }
    let data = &evidence.data;
    if data.rows > 0 {
        let _ = write!(text, ", from {} rows", data.rows_used);
        for excluded in &data.excluded {
            let _ = write!(
                text,
                ", without {} ({})",
                excluded.rows,
                code(&excluded.reason)
            );
        }
        if let (Some(first), Some(last)) = (data.windows.first(), data.windows.last()) {
            let _ = write!(text, ", windows {first} to {last}");
        }
        if let Some(digest) = &data.digest {
            let _ = write!(text, ", data `{digest}`");
        }
    }
    text.push_str(".\n");
    if let Some(report) = words.report {
        let _ = write!(text, "\nThe whole report with plots: {report}\n");
    }
}

fn back(text: &mut String, evidence: &Evidence, words: &Words<'_>) {
    let (detector, channel) = (&evidence.candidate.detector, words.channel);
    let undo = match &evidence.champion {
        Some(_) => format!("hodoscope rollback {detector} --channel {channel}"),
        None => format!("hodoscope retire {detector} --channel {channel}"),
    };
    let _ = write!(text, "\nTo go back after merging:\n\n```\n{undo}\n```\n");
}

fn number(value: f64) -> String {
    match value.abs() < 1e3 {
        true => format!("{value:.4}"),
        false => format!("{value:.0}"),
    }
}

fn chance(p: f64) -> String {
    match p < 1e-4 {
        true => "<0.0001".to_owned(),
        false => format!("{p:.4}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// Text as code: in it nothing links, mentions or formats.
fn code(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|letter| match letter {
            '`' => '\'',
            '\n' | '\r' => ' ',
            letter => letter,
        })
        .collect();
    format!("`{}`", clean.replace('|', "\\|"))
}

/// Text as text: marks of Markdown and HTML lose their meaning, and nobody is mentioned.
fn prose(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '\n' | '\r' => safe.push(' '),
            '@' => safe.push_str("@\u{200b}"),
            '#' => safe.push_str("#\u{200b}"),
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' => {
                safe.push('\\');
                safe.push(letter);
            }
            letter => safe.push(letter),
        }
    }
    // A bare address would become a link.
    safe.replace("://", ":\u{200b}//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_can_neither_mention_nor_format_nor_link() {
        let hostile = "@team [x](http://evil) <img src=x> |a|\n# b `c` #12 GH-1";
        let safe = prose(hostile);
        for mark in [
            "@team", "[x](", "<img", " |a", "\n", " `c", "http://", " #1",
        ] {
            assert!(!safe.contains(mark), "{mark}: {safe}");
        }
        assert_eq!(code("a`b|c\n@team"), "`a'b\\|c @team`");
    }
}
