//! Evidence: what was measured of a candidate before anybody is asked to take it, and what follows from it. It is kept by
//! digest beside the release, and is the body of the pull request. Measuring is the host's; this is words and [`decide`].

mod comparison;
mod decide;
mod policy;

use std::collections::BTreeMap;
use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::window::WindowName;
use crate::{DetectorName, Digest, IndexEntry};

pub use comparison::{
    Agreement, AttributionShift, CallLatency, Comparison, FeatureShare, Latency, Quantiles, Side,
};
pub use decide::{Decision, LABEL_FIRST, LABEL_NEEDS_HUMAN, decide};
pub use policy::GatePolicy;

/// The schema number of [`Evidence`].
pub const SCHEMA: u32 = 1;
/// The name under which evidence is a document of a release.
pub const DOCUMENT: &str = "evidence";

/// What was measured of a candidate, and what follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What is proposed.
    pub candidate: Subject,
    /// What it would replace; none for a detector's first release.
    pub champion: Option<Subject>,
    /// Why there is a candidate.
    pub kind: Kind,
    /// Both on the same rows; none without a champion.
    pub comparison: Option<Comparison>,
    /// Every gate, in the order in which they were measured.
    pub gates: Vec<Gate>,
    /// The drift that led to it; none if a person asked.
    pub drift: Option<Drift>,
    /// The rows that it was made from and measured on.
    pub data: Data,
    /// How it was made; none for a component that carries no training section.
    pub provenance: Option<Provenance>,
    /// The limits that the gates had.
    pub policy: GatePolicy,
    /// What follows from the gates.
    pub decision: Decision,
}

/// A release that evidence speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The detector.
    pub detector: DetectorName,
    /// The version.
    pub version: Version,
    /// The component's digest.
    pub digest: Digest,
    /// The component's length in bytes.
    pub size_bytes: u64,
}

impl From<&IndexEntry> for Subject {
    fn from(entry: &IndexEntry) -> Self {
        Self {
            detector: entry.detector.clone(),
            version: entry.version.clone(),
            digest: entry.digest,
            size_bytes: entry.size_bytes,
        }
    }
}

/// Why there is a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The detector has no release yet.
    First,
    /// The same features and options, learned from newer rows.
    Refresh,
    /// The same trees with another threshold.
    Retune,
    /// Other features, other options or other code.
    Replacement,
}

/// What a failed gate means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The candidate is broken: it is refused.
    Integrity,
    /// The candidate differs from the champion, as it also would if the world had changed: a person decides.
    Similarity,
}

/// How a gate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Measured, and within its limit.
    Pass,
    /// Outside its limit, or not measurable although it has to be.
    Fail,
    /// There is nothing to measure; the reason says why.
    NotApplicable,
}

/// On which side of the limit the good values lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Not below it.
    AtLeast,
    /// Not above it.
    AtMost,
}

/// Where a gate ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Which side is good.
    pub bound: Bound,
    /// The last good value.
    pub value: f64,
    /// The value of a candidate that is just like the champion, or without fault: from here to `value` is the gate's room.
    pub neutral: f64,
}

/// One gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// A fixed word, for instance `anchor` or `injected.spike`.
    pub name: String,
    /// What a failure means.
    pub class: Class,
    /// How it ended.
    pub outcome: Outcome,
    /// What was measured.
    pub measured: Option<f64>,
    /// Where it ends.
    pub limit: Option<Limit>,
    /// Passed, but with less than [`GatePolicy::near_share`] of its room left.
    pub near_limit: bool,
    /// One sentence for people.
    pub reason: String,
}

/// The drift report in brief.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The verdict's fixed word, for instance `drifted`.
    pub verdict: String,
    /// The document with the whole report, if it was kept.
    pub report: Option<Digest>,
    /// Why, in words, the most important first.
    pub reasons: Vec<String>,
    /// The most drifted features.
    pub features: Vec<DriftedFeature>,
}

/// One feature that drifted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftedFeature {
    /// Its name.
    pub name: String,
    /// Wasserstein's first distance over the reference's standard deviation.
    pub effect: f64,
    /// The chance of such a distance without drift, corrected for the number of features.
    pub p_adjusted: f64,
}

/// The rows that a candidate was made from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// The windows they come from, oldest first; empty for rows of a file.
    pub windows: Vec<WindowName>,
    /// How many files.
    pub files: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Rows that the trees could see.
    pub rows_used: u64,
    /// Other rows, as they came: threshold, profile and gates were made on them.
    pub rows_held_out: u64,
    /// Rows that the trees were not shown, and why.
    pub excluded: Vec<Excluded>,
    /// sha256 over the names and the values of the rows: the same rows give the same digest in whatever order and files.
    pub digest: Option<Digest>,
    /// What could not be guarded against, and why.
    pub notes: Vec<String>,
}

/// Rows that were left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// A fixed word: `duplicate`, `highest_scores`, `other_columns`, `beyond_limit`.
    pub reason: String,
    /// How many.
    pub rows: u64,
}

/// How a candidate was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The trainer and its version.
    pub trainer: String,
    /// The options that shaped it.
    pub options: BTreeMap<String, serde_json::Value>,
    /// Where the random choices started.
    pub seed: Option<u64>,
    /// sha256 over the values of the rows.
    pub data_digest: Option<Digest>,
    /// The release whose options it took over.
    pub parent: Option<Digest>,
}

impl Limit {
    /// Good up to `value`; `neutral` lies below it.
    pub const fn at_most(value: f64, neutral: f64) -> Self {
        Self {
            bound: Bound::AtMost,
            value,
            neutral,
        }
    }

    /// Good from `value` on; `neutral` lies above it.
    pub const fn at_least(value: f64, neutral: f64) -> Self {
        Self {
            bound: Bound::AtLeast,
            value,
            neutral,
        }
    }

    /// Whether a value is good. NaN never is.
    pub fn holds(&self, measured: f64) -> bool {
        match self.bound {
            Bound::AtMost => measured <= self.value,
            Bound::AtLeast => measured >= self.value,
        }
    }

    /// The share of the gate's room that a value leaves: 1 at `neutral` and beyond, 0 at the limit. A gate without
    /// room (nothing at all is allowed) always leaves all of it.
    pub fn room_left(&self, measured: f64) -> f64 {
        let room = (self.value - self.neutral).abs();
        if room > 0.0 {
            let left = match self.bound {
                Bound::AtMost => self.value - measured,
                Bound::AtLeast => measured - self.value,
            };
            (left / room).clamp(0.0, 1.0)
        } else {
            1.0
        }
    }
}

impl fmt::Display for Limit {
    /// `≤ 0.1`, `≥ 0.8`; at most four digits behind the point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.bound {
            Bound::AtLeast => '≥',
            Bound::AtMost => '≤',
        };
        write!(f, "{sign} {}", (self.value * 1e4).round() / 1e4)
    }
}

impl Gate {
    /// A gate that was measured. A value that is not finite fails.
    pub fn measured(
        name: impl Into<String>,
        class: Class,
        measured: f64,
        limit: Limit,
        policy: &GatePolicy,
        reason: impl Into<String>,
    ) -> Self {
        let holds = measured.is_finite() && limit.holds(measured);
        Self {
            name: name.into(),
            class,
            outcome: if holds { Outcome::Pass } else { Outcome::Fail },
            measured: measured.is_finite().then_some(measured),
            near_limit: holds && limit.room_left(measured) < policy.near_share,
            limit: Some(limit),
            reason: reason.into(),
        }
    }

    /// A gate that holds or does not, without a number.
    pub fn verdict(
        name: impl Into<String>,
        class: Class,
        holds: bool,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            class,
            outcome: if holds { Outcome::Pass } else { Outcome::Fail },
            measured: None,
            limit: None,
            near_limit: false,
            reason: reason.into(),
        }
    }

    /// A gate with nothing to measure.
    pub fn not_applicable(
        name: impl Into<String>,
        class: Class,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            class,
            outcome: Outcome::NotApplicable,
            measured: None,
            limit: None,
            near_limit: false,
            reason: reason.into(),
        }
    }
}

impl Outcome {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::NotApplicable => "n/a",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_near_its_limit_when_a_tenth_of_its_room_is_left() {
        let policy = GatePolicy::default();
        let near = |measured, limit| {
            let gate = Gate::measured("g", Class::Similarity, measured, limit, &policy, "");
            (gate.outcome, gate.near_limit)
        };
        let at_most = Limit::at_most(0.1, 0.0);
        assert_eq!(near(0.05, at_most), (Outcome::Pass, false));
        assert_eq!(near(0.095, at_most), (Outcome::Pass, true));
        assert_eq!(near(0.11, at_most), (Outcome::Fail, false));
        let at_least = Limit::at_least(0.8, 1.0);
        assert_eq!(near(0.85, at_least), (Outcome::Pass, false));
        assert_eq!(near(0.81, at_least), (Outcome::Pass, true));
        assert_eq!(near(0.79, at_least), (Outcome::Fail, false));
        assert_eq!(near(f64::NAN, at_least), (Outcome::Fail, false));
        assert_eq!(near(0.0, Limit::at_most(0.0, 0.0)), (Outcome::Pass, false));
    }

    #[test]
    fn limits_read_as_people_write_them() {
        assert_eq!(Limit::at_most(0.1, 0.0).to_string(), "≤ 0.1");
        assert_eq!(Limit::at_least(0.95, 1.0).to_string(), "≥ 0.95");
    }

    #[test]
    fn evidence_is_read_back_as_it_was_written() {
        let subject = Subject {
            detector: "pump".parse().unwrap(),
            version: Version::new(1, 5, 0),
            digest: Digest::of(b"candidate"),
            size_bytes: 9,
        };
        let policy = GatePolicy::default();
        let gates = vec![
            Gate::verdict("conformance", Class::Integrity, true, "every check holds"),
            Gate::not_applicable("anchor", Class::Similarity, "no anchor yet"),
        ];
        let evidence = Evidence {
            schema: SCHEMA,
            candidate: subject,
            champion: None,
            kind: Kind::First,
            comparison: None,
            decision: decide(&gates, true),
            gates,
            drift: None,
            data: Data::default(),
            provenance: None,
            policy,
        };
        let text = serde_json::to_string(&evidence).unwrap();
        assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
        assert!(
            text.contains(r#""decision":{"outcome":"propose","draft":false"#),
            "{text}"
        );
    }
}
