//! Owns the conformance report: what the gate checked, how each check ended, and what a row costs. It is what an upload
//! answers with and what `push` prints.

use hodoscope_release::Digest;
use serde::{Deserialize, Serialize};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not hold, and the release is refused.
    Failed,
    /// There was nothing to check, and the detail says why.
    Skipped,
}

/// One check of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A fixed word, for instance `golden_rows`.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// One sentence for people.
    pub detail: String,
}

/// What a call costs, measured at the gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds of a call with one row.
    pub call_seconds: f64,
    /// Seconds that each further row adds.
    pub row_seconds: f64,
}

impl Cost {
    /// Seconds that a call with `rows` rows is expected to take.
    pub fn predict_seconds(&self, rows: usize) -> f64 {
        self.call_seconds + self.row_seconds * rows.saturating_sub(1) as f64
    }
}

/// Whether the compiled code was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompiledFrom {
    /// Compiled now.
    Compiler,
    /// Taken from the cache of compiled code.
    Cache,
}

/// What the gate found out about a component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The component's digest.
    pub digest: Digest,
    /// The contract it implements, for instance `hodoscope:detector@0.1.0`.
    pub contract: String,
    /// Whether its code is a kernel of this host.
    pub trusted: bool,
    /// Whether it carries no golden rows.
    pub unproven: bool,
    /// Whether it can attribute a score to features.
    pub explains: bool,
    /// The checks in the order in which they were made.
    pub checks: Vec<Check>,
    /// What a call costs.
    pub cost: Cost,
    /// Where the compiled code came from.
    pub compiled_from: Option<CompiledFrom>,
    /// Seconds the whole load took.
    pub load_seconds: f64,
}

impl Report {
    /// Whether no check failed.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|c| c.outcome != Outcome::Failed)
    }

    pub(crate) fn record(&mut self, name: &str, outcome: Outcome, detail: impl Into<String>) {
        self.checks.push(Check {
            name: name.to_owned(),
            outcome,
            detail: detail.into(),
        });
    }
}
