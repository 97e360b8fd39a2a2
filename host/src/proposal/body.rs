//! The body of a promotion, made from its evidence: what failed first and in sight, what passed folded away.

use std::fmt::Write as _;

use hodoscope_release::evidence::{Comparison, Decision, Evidence, Gate, Outcome};

use super::prose::{code, prose};
use super::{Trial, Words};

/// The body of a promotion's pull request.
pub(super) fn body(
    evidence: &Evidence,
    words: &Words<'_>,
    trial: Option<&Trial>,
    undo: &str,
) -> String {
    let mut text = String::new();
    head(&mut text, evidence, words, trial);
    if let Some(comparison) = &evidence.comparison {
        compare(&mut text, comparison);
    }
    gates(&mut text, &evidence.gates);
    drift(&mut text, evidence, words.plots);
    origin(&mut text, evidence, words);
    let _ = write!(text, "\nTo go back after merging:\n\n```\n{undo}\n```\n");
    text
}

fn head(text: &mut String, evidence: &Evidence, words: &Words<'_>, trial: Option<&Trial>) {
    let candidate = &evidence.candidate;
    let _ = match (&evidence.champion, trial) {
        (_, Some(trial)) => writeln!(
            text,
            "**{} {}** {} in **{}**",
            candidate.detector, candidate.version, trial.what, words.channel
        ),
        (Some(champion), None) => writeln!(
            text,
            "**{} {} → {}** in **{}**",
            candidate.detector, champion.version, candidate.version, words.channel
        ),
        (None, None) => writeln!(
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
