//! What follows from the gates: a pure function and its table of cases.

use serde::{Deserialize, Serialize};

use super::{Class, Gate, Outcome};

/// The label of a pull request that a person has to look at before it may be merged.
pub const LABEL_NEEDS_HUMAN: &str = "needs-human";
/// The label of a detector's first release.
pub const LABEL_FIRST: &str = "first";

/// What follows from the gates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Decision {
    /// The candidate is broken; nothing is proposed.
    Refuse {
        /// The failed gates, each in one sentence.
        reasons: Vec<String>,
    },
    /// The candidate is proposed.
    Propose {
        /// Whether a person must look before it may be merged.
        draft: bool,
        /// The labels of the pull request.
        labels: Vec<String>,
        /// Why a person must look; empty unless `draft`.
        reasons: Vec<String>,
    },
}

impl Decision {
    /// Whether the candidate is refused.
    pub const fn refuses(&self) -> bool {
        matches!(self, Self::Refuse { .. })
    }

    /// The same for a release that is in the store already: it cannot be refused any more, but a person must look.
    pub fn for_a_person(self, first: bool) -> Self {
        match self {
            Self::Refuse { reasons } => Self::proposed(first, reasons),
            proposed => proposed,
        }
    }

    fn proposed(first: bool, reasons: Vec<String>) -> Self {
        let draft = !reasons.is_empty();
        let labels = [(first, LABEL_FIRST), (draft, LABEL_NEEDS_HUMAN)];
        let labels = labels.into_iter().filter(|(wanted, _)| *wanted);
        Self::Propose {
            draft,
            labels: labels.map(|(_, label)| label.to_owned()).collect(),
            reasons,
        }
    }
}

/// Decides. A failed integrity gate refuses, and so does evidence in which no integrity gate was measured: what was not
/// looked at has not passed. A failed similarity gate, or any gate near its limit, makes a draft for a person; so does a
/// candidate with a champion (`first` is false) of which no similarity gate could be measured.
pub fn decide(gates: &[Gate], first: bool) -> Decision {
    let failed = |class: Class| {
        gates
            .iter()
            .filter(move |gate| gate.class == class && gate.outcome == Outcome::Fail)
    };
    let passed = |class: Class| {
        gates
            .iter()
            .any(|gate| gate.class == class && gate.outcome == Outcome::Pass)
    };
    let mut reasons: Vec<String> = failed(Class::Integrity).map(sentence).collect();
    if reasons.is_empty() && !passed(Class::Integrity) {
        reasons.push("no integrity gate was measured".to_owned());
    }
    if !reasons.is_empty() {
        return Decision::Refuse { reasons };
    }
    let mut reasons: Vec<String> = failed(Class::Similarity).map(sentence).collect();
    if !first && reasons.is_empty() && !passed(Class::Similarity) {
        reasons.push("nothing could be compared with the champion".to_owned());
    }
    let near = gates.iter().filter(|gate| gate.near_limit);
    reasons.extend(near.map(|gate| format!("{} (near its limit)", sentence(gate))));
    Decision::proposed(first, reasons)
}

fn sentence(gate: &Gate) -> String {
    format!("{}: {}", gate.name, gate.reason)
}

#[cfg(test)]
mod tests {
    use super::super::{GatePolicy, Limit};
    use super::*;
    use Class::{Integrity, Similarity};

    /// A gate with the limit `≤ 0.1` that measured this; `None`: not applicable.
    fn gate(class: Class, measured: Option<f64>) -> Gate {
        let name = match class {
            Integrity => "cost",
            Similarity => "anchor",
        };
        match measured {
            Some(measured) => Gate::measured(
                name,
                class,
                measured,
                Limit::at_most(0.1, 0.0),
                &GatePolicy::default(),
                format!("{measured}"),
            ),
            None => Gate::not_applicable(name, class, "nothing to measure"),
        }
    }

    /// What is expected: refused, or proposed with these labels.
    #[derive(Debug, PartialEq)]
    enum Expected {
        Refused,
        Labels(&'static [&'static str]),
    }

    #[test]
    fn the_table_of_cases_decides_as_written() {
        use Expected::{Labels, Refused};
        let (good, near, bad) = (Some(0.01), Some(0.095), Some(0.2));
        let human: &[&str] = &[LABEL_NEEDS_HUMAN];
        let both: &[&str] = &[LABEL_FIRST, LABEL_NEEDS_HUMAN];
        // Integrity, similarity, first release; what follows.
        let cases = [
            (good, good, false, Labels(&[])),
            (good, good, true, Labels(&[LABEL_FIRST])),
            (good, None, true, Labels(&[LABEL_FIRST])),
            (good, None, false, Labels(human)),
            (good, near, false, Labels(human)),
            (good, bad, false, Labels(human)),
            (good, bad, true, Labels(both)),
            (near, good, false, Labels(human)),
            (near, None, true, Labels(both)),
            (bad, good, false, Refused),
            (bad, bad, true, Refused),
            (None, good, false, Refused),
            (None, None, true, Refused),
        ];
        for (integrity, similarity, first, expected) in cases {
            let gates = [gate(Integrity, integrity), gate(Similarity, similarity)];
            let case = format!("{integrity:?} {similarity:?} {first}");
            match (decide(&gates, first), expected) {
                (Decision::Refuse { reasons }, Refused) => {
                    assert_eq!(reasons.len(), 1, "{case}");
                }
                (
                    Decision::Propose {
                        draft,
                        labels,
                        reasons,
                    },
                    Labels(expected),
                ) => {
                    assert_eq!(labels, expected, "{case}");
                    assert_eq!(draft, expected.contains(&LABEL_NEEDS_HUMAN), "{case}");
                    assert_eq!(draft, !reasons.is_empty(), "{case}");
                }
                (found, expected) => panic!("{case}: {found:?} for {expected:?}"),
            }
        }
        assert!(decide(&[], true).refuses());
    }

    #[test]
    fn every_failed_gate_is_named_with_its_reason() {
        let gates = [
            gate(Integrity, Some(0.2)),
            gate(Integrity, Some(0.3)),
            gate(Similarity, Some(0.4)),
        ];
        let Decision::Refuse { reasons } = decide(&gates, false) else {
            panic!("proposed")
        };
        assert_eq!(reasons, ["cost: 0.2", "cost: 0.3"]);
    }
}
