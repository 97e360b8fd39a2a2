//! The one table: rows with what was measured, what must be reached, and the verdict. Printed for people, kept as JSON
//! for tools. A row that could not be measured stays in it and says why.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

/// What a row is judged by: the ratio, or our own figure where there is no peer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    /// Reported, not judged.
    None,
    /// The judged figure must be at least `must`.
    AtLeast {
        /// What must be reached.
        must: f64,
        /// What would be better still.
        stretch: Option<f64>,
    },
    /// The judged figure must be at most `must`.
    AtMost {
        /// What must be reached.
        must: f64,
        /// What would be better still.
        stretch: Option<f64>,
    },
}

/// How a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// Reached the stretch.
    Stretch,
    /// Reached what must be reached.
    Reached,
    /// Did not.
    Missed,
    /// Has no target.
    Shown,
    /// The load generator was the limit: the figure says nothing about the server.
    LoadBound,
    /// Something it needs is not here.
    Skipped,
    /// It should have been measured and was not.
    Failed,
}

/// One row.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The key, for instance `score.shuttle.sklearn`; reasons and tools use it.
    pub(crate) key: String,
    /// For people.
    pub(crate) what: String,
    /// Our figure with its unit.
    pub(crate) ours: String,
    /// The peer's figure with its unit and name.
    pub(crate) peer: String,
    /// Ours against the peer; above 1 means that we are better, unless the row says otherwise.
    pub(crate) ratio: Option<f64>,
    /// The figure that is judged.
    pub(crate) judged: f64,
    /// What it is judged by.
    pub(crate) target: Target,
    /// How it ended.
    pub(crate) verdict: Verdict,
    /// What else a reader should know; for a missed row the reason.
    pub(crate) note: String,
}

/// The rows in the order in which they were measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Table {
    rows: Vec<Row>,
    #[serde(skip)]
    reasons: BTreeMap<String, String>,
}

impl Table {
    /// An empty table that explains missed rows with `reasons`, by key.
    pub(crate) fn new(reasons: BTreeMap<String, String>) -> Self {
        Self {
            rows: Vec::new(),
            reasons,
        }
    }

    /// Adds a row judged by its ratio to a peer.
    pub(crate) fn against(
        &mut self,
        key: &str,
        what: &str,
        ours: String,
        peer: String,
        ratio: f64,
        target: Target,
    ) {
        self.push(key, what, (ours, peer), Some(ratio), ratio, target);
    }

    /// Adds a row judged by our own figure.
    pub(crate) fn alone(
        &mut self,
        key: &str,
        what: &str,
        ours: String,
        judged: f64,
        target: Target,
    ) {
        self.push(key, what, (ours, String::new()), None, judged, target);
    }

    /// Adds a row judged by our own figure, with a peer's figure beside it.
    pub(crate) fn beside(
        &mut self,
        key: &str,
        what: &str,
        figures: (String, String),
        ratio: f64,
        judged: f64,
        target: Target,
    ) {
        self.push(key, what, figures, Some(ratio), judged, target);
    }

    /// Adds a row that could not be measured because something is not here.
    pub(crate) fn skip(&mut self, key: &str, what: &str, reason: &str) {
        self.push(
            key,
            what,
            (String::new(), String::new()),
            None,
            f64::NAN,
            Target::None,
        );
        self.settle(Verdict::Skipped, reason);
    }

    /// Adds a row that should have been measured.
    pub(crate) fn fail(&mut self, key: &str, what: &str, reason: &str) {
        self.push(
            key,
            what,
            (String::new(), String::new()),
            None,
            f64::NAN,
            Target::None,
        );
        self.settle(Verdict::Failed, reason);
    }

    /// Notes something about the row added last.
    pub(crate) fn note(&mut self, note: &str) {
        if let Some(row) = self.rows.last_mut() {
            row.note = if row.note.is_empty() {
                note.to_owned()
            } else {
                format!("{note}; {}", row.note)
            };
        }
    }

    /// Marks the row added last as saying nothing about the server.
    pub(crate) fn load_bound(&mut self, note: &str) {
        self.settle(Verdict::LoadBound, note);
    }

    /// How many rows ended with `verdict`.
    pub(crate) fn count(&self, verdict: Verdict) -> usize {
        self.rows
            .iter()
            .filter(|row| row.verdict == verdict)
            .count()
    }

    fn settle(&mut self, verdict: Verdict, note: &str) {
        if let Some(row) = self.rows.last_mut() {
            row.verdict = verdict;
        }
        self.note(note);
    }

    fn push(
        &mut self,
        key: &str,
        what: &str,
        figures: (String, String),
        ratio: Option<f64>,
        judged: f64,
        target: Target,
    ) {
        let verdict = judge(judged, target);
        let reason = self.reasons.get(key).filter(|_| verdict == Verdict::Missed);
        let note = reason.cloned().unwrap_or_default();
        let (ours, peer) = figures;
        let row = Row {
            key: key.into(),
            what: what.into(),
            ours,
            peer,
            ratio,
            judged,
            target,
            verdict,
            note,
        };
        self.rows.push(row);
        if let Some(row) = self.rows.last() {
            crate::say(&format!(
                "{} = {} {}",
                row.key,
                row.ours,
                ratio.map(|r| format!("({r:.2} x)")).unwrap_or_default()
            ));
        }
    }

    /// The table as text, with a last line that counts verdicts.
    pub(crate) fn text(&self) -> String {
        let heads = [
            "What", "ours", "peer", "ratio", "must", "stretch", "verdict", "note",
        ]
        .map(str::to_owned);
        let mut cells = vec![heads];
        cells.extend(self.rows.iter().map(Row::cells));
        let mut text = String::new();
        for (index, line) in cells.iter().enumerate() {
            let padded: Vec<String> = line
                .iter()
                .enumerate()
                .map(|(column, cell)| {
                    let width = cells
                        .iter()
                        .filter_map(|line| line.get(column))
                        .map(|cell| cell.chars().count())
                        .max();
                    format!(
                        "{cell:<0$}",
                        if column + 1 == line.len() {
                            0
                        } else {
                            width.unwrap_or(0)
                        }
                    )
                })
                .collect();
            let _ = writeln!(text, "| {} |", padded.join(" | "));
            if index == 0 {
                let rules: Vec<String> = padded
                    .iter()
                    .map(|cell| "-".repeat(cell.chars().count()))
                    .collect();
                let _ = writeln!(text, "|-{}-|", rules.join("-|-"));
            }
        }
        let counts = [
            ("stretch", Verdict::Stretch),
            ("reached", Verdict::Reached),
            ("MISSED", Verdict::Missed),
            ("shown", Verdict::Shown),
            ("load-generator-bound", Verdict::LoadBound),
            ("SKIP", Verdict::Skipped),
            ("FAILED", Verdict::Failed),
        ];
        let counts: Vec<String> = counts
            .iter()
            .map(|(word, verdict)| format!("{} {word}", self.count(*verdict)))
            .collect();
        let _ = writeln!(text, "{} rows: {}", self.rows.len(), counts.join(", "));
        text
    }
}

impl Row {
    fn cells(&self) -> [String; 8] {
        let (sign, must, stretch) = match self.target {
            Target::None => ("", None, None),
            Target::AtLeast { must, stretch } => ("≥ ", Some(must), stretch),
            Target::AtMost { must, stretch } => ("≤ ", Some(must), stretch),
        };
        let bound = |figure: Option<f64>| {
            figure
                .map(|figure| format!("{sign}{}", short(figure)))
                .unwrap_or_default()
        };
        let verdict = match self.verdict {
            Verdict::Stretch => "stretch",
            Verdict::Reached => "reached",
            Verdict::Missed => "MISSED",
            Verdict::Shown => "",
            Verdict::LoadBound => "load-generator-bound",
            Verdict::Skipped => "SKIP",
            Verdict::Failed => "FAILED",
        };
        let ratio = self
            .ratio
            .map(|ratio| format!("{} x", short(ratio)))
            .unwrap_or_default();
        [
            self.what.clone(),
            self.ours.clone(),
            self.peer.clone(),
            ratio,
            bound(must),
            bound(stretch),
            verdict.into(),
            self.note.clone(),
        ]
    }
}

fn judge(judged: f64, target: Target) -> Verdict {
    let (reached, stretched) = match target {
        Target::None => return Verdict::Shown,
        Target::AtLeast { must, stretch } => (
            judged >= must,
            stretch.is_some_and(|stretch| judged >= stretch),
        ),
        Target::AtMost { must, stretch } => (
            judged <= must,
            stretch.is_some_and(|stretch| judged <= stretch),
        ),
    };
    match (reached, stretched) {
        (true, true) => Verdict::Stretch,
        (true, false) => Verdict::Reached,
        (false, _) => Verdict::Missed,
    }
}

/// Three significant digits, with k, M, G for large figures.
pub(crate) fn short(figure: f64) -> String {
    let size = figure.abs();
    let (scaled, unit) = match size {
        _ if !figure.is_finite() => return "–".into(),
        _ if size >= 1e9 => (figure / 1e9, "G"),
        _ if size >= 1e6 => (figure / 1e6, "M"),
        _ if size >= 1e4 => (figure / 1e3, "k"),
        _ => (figure, ""),
    };
    let size = scaled.abs();
    match size {
        _ if size == 0.0 => "0".into(),
        _ if size < 1e-3 => format!("{scaled:.1e}"),
        _ if size >= 100.0 => format!("{scaled:.0}{unit}"),
        _ if size >= 10.0 => trimmed(format!("{scaled:.1}"), unit),
        _ if size >= 0.1 => trimmed(format!("{scaled:.2}"), unit),
        _ => trimmed(format!("{scaled:.3}"), unit),
    }
}

fn trimmed(digits: String, unit: &str) -> String {
    let digits = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        &digits
    };
    format!("{digits}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_by_the_side_of_the_target() {
        let least = Target::AtLeast {
            must: 10.0,
            stretch: Some(20.0),
        };
        assert_eq!(
            [9.0, 10.0, 20.0].map(|x| judge(x, least)),
            [Verdict::Missed, Verdict::Reached, Verdict::Stretch]
        );
        let most = Target::AtMost {
            must: 5.0,
            stretch: None,
        };
        assert_eq!(
            [5.1, 5.0, f64::NAN].map(|x| judge(x, most)),
            [Verdict::Missed, Verdict::Reached, Verdict::Missed]
        );
    }

    #[test]
    fn writes_figures_with_three_digits() {
        assert_eq!(
            [0.0, 0.0123, 7.456, 123.4, 49_097.0, 1.5e6].map(short),
            ["0", "0.012", "7.46", "123", "49.1k", "1.5M"]
        );
    }

    #[test]
    fn shows_the_reason_only_of_a_missed_row() {
        let mut table = Table::new(BTreeMap::from([("a".into(), "because".into())]));
        table.alone(
            "a",
            "first",
            "3".into(),
            3.0,
            Target::AtLeast {
                must: 4.0,
                stretch: None,
            },
        );
        table.alone(
            "a",
            "second",
            "5".into(),
            5.0,
            Target::AtLeast {
                must: 4.0,
                stretch: None,
            },
        );
        let text = table.text();
        assert_eq!(text.matches("because").count(), 1);
        assert!(text.ends_with("2 rows: 0 stretch, 1 reached, 1 MISSED, 0 shown, 0 load-generator-bound, 0 SKIP, 0 FAILED\n"));
    }
}
