//! The gates: what is measured of a candidate before it is proposed. Each file measures one thing; every limit is a number
//! of the policy; what follows is [`hodoscope_release::evidence::decide`]'s. `docs/gates.md` lists them with their sources.

mod anchor;
mod backtest;
mod chance;
mod conformance;
mod cost;
mod expectations;
mod first;
mod injected;
mod random;
mod shadow;
mod shape;
mod volume;

use std::path::Path;

use hodoscope_engine::{Detector, Limits};
use hodoscope_isolation_forest::Forest;
use hodoscope_release::evidence::{Class, Gate, GatePolicy};
use hodoscope_release::window::ShadowCounts;

use crate::evidence::Frame;
use crate::retrain::Halves;

pub use first::first;

/// The column of an owner's rows that says what must come of them: `flag` or `pass`.
pub const EXPECT_COLUMN: &str = "hodoscope.expect";

/// What the gates look at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What is proposed; it has passed the engine's gate.
    pub candidate: &'a Detector,
    /// What it would replace.
    pub champion: Option<&'a Detector>,
    /// The release that a person last approved with open eyes, as a rule the detector's first; distances are measured from
    /// it, so that many small steps do not add up unseen. The champion itself, if there is no other.
    pub anchor: Option<&'a Detector>,
    /// Rows that no tree of the candidate saw, as they came.
    pub held_out: &'a Frame,
    /// What is known of the held-out rows: 0 normal, NaN unknown, everything else an anomaly.
    pub labels: Option<&'a [f64]>,
    /// Rows that the threshold was not set on either; none: the held-out rows stand in.
    pub unseen: Option<&'a Frame>,
    /// A table of rows that the owner wants flagged or passed ([`EXPECT_COLUMN`]); it need not exist.
    pub expectations: Option<&'a Path>,
    /// How forests of the two halves of the data get on; retraining measures it.
    pub halves: Option<Halves>,
    /// Forests that differ from the candidate by chance only; retraining grows them. Empty: every difference counts
    /// in full, also what chance alone makes.
    pub sisters: &'a [Forest],
    /// What a shadow run counted.
    pub shadow: Option<&'a ShadowCounts>,
    /// The host's limits.
    pub limits: &'a Limits,
    /// The gates' limits.
    pub policy: &'a GatePolicy,
}

/// The gate for what a shadow of a candidate counted after the candidate was measured.
pub fn shadow(counts: &ShadowCounts, policy: &GatePolicy) -> Gate {
    shadow::judge(counts, policy)
}

/// The share of rows that alerts where nobody said how many shall.
const TARGET_RATE: f64 = 0.01;

impl Inputs<'_> {
    /// The share of rows that shall alert: the champion's, since a candidate does not choose its own; else the candidate's.
    fn target(&self) -> Option<f64> {
        crate::retrain::target_rate(self.champion.unwrap_or(self.candidate))
    }

    /// The share at which detectors are compared, whatever their thresholds.
    fn compared_at(&self) -> f64 {
        self.target().unwrap_or(TARGET_RATE).clamp(0.001, 0.2)
    }
}

/// Measures every gate, in the order of `docs/gates.md`. Call it within the rayon pool whose threads it may use.
pub fn run_gates(inputs: &Inputs<'_>) -> Vec<Gate> {
    type Measure = fn(&Inputs<'_>) -> anyhow::Result<Vec<Gate>>;
    let measures: [(&str, Class, Measure); 10] = [
        ("conformance", Class::Integrity, conformance::measure),
        ("expectations", Class::Integrity, expectations::measure),
        ("shape", Class::Integrity, shape::measure),
        ("injected", Class::Integrity, injected::measure),
        ("backtest", Class::Similarity, backtest::measure),
        ("forgiven", Class::Similarity, shape::measure_forgiven),
        ("halves", Class::Similarity, shape::measure_halves),
        ("anchor", Class::Similarity, anchor::measure),
        ("cost", Class::Integrity, cost::measure),
        ("shadow", Class::Integrity, shadow::measure),
    ];
    let measured = |(name, class, measure): (&str, Class, Measure)| {
        // A detector that fails on ordinary rows is not measured to be good.
        measure(inputs).unwrap_or_else(|error| {
            let reason = format!("it could not be measured: {error:#}");
            vec![Gate::verdict(name, class, false, reason)]
        })
    };
    measures.into_iter().flat_map(measured).collect()
}

/// The score that a share of the rows exceeds; rows of one score stay together below it. The rows must not be empty.
fn cut(scores: &[f64], share: f64) -> f64 {
    let rising = crate::evidence::statistics::sorted(scores);
    let above = (share * rising.len() as f64 + 1e-9) as usize;
    let last_below = rising.len().saturating_sub(above).checked_sub(1);
    last_below
        .and_then(|at| rising.get(at))
        .copied()
        .unwrap_or(f64::NEG_INFINITY)
}

/// The share of scores above a cut.
fn share_above(scores: &[f64], cut: f64) -> f64 {
    let above = scores.iter().filter(|score| **score > cut).count();
    above as f64 / scores.len().max(1) as f64
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
