//! A detector's first release: nothing to compare it with, so what is measured of it alone, on the rows that it carries.

use std::path::Path;

use hodoscope_engine::{Detector, Limits};
use hodoscope_release::IndexEntry;
use hodoscope_release::evidence::{Data, Evidence, GatePolicy, Kind, SCHEMA, Subject, decide};

use super::shape::golden;
use super::{Inputs, run_gates};

/// What is left out: it measures time, and the same release shall have the same evidence.
const LOAD: &str = "cost.load";
/// What golden rows cannot tell: they are chosen for their scores.
const RATE: &str = "alert_rate.";

/// The evidence on a first release; none if it carries no golden rows, so that nothing can be measured.
pub fn first(
    entry: &IndexEntry,
    candidate: &Detector,
    expectations: &Path,
    limits: &Limits,
) -> Option<Evidence> {
    let (rows, _) = golden(candidate)?;
    let policy = GatePolicy::default();
    let mut gates = run_gates(&Inputs {
        candidate,
        champion: None,
        anchor: None,
        held_out: &rows,
        labels: None,
        unseen: None,
        expectations: Some(expectations),
        halves: None,
        sisters: &[],
        shadow: None,
        limits,
        policy: &policy,
    });
    gates.retain(|gate| gate.name != LOAD && !gate.name.starts_with(RATE));
    Some(Evidence {
        schema: SCHEMA,
        candidate: Subject::from(entry),
        champion: None,
        kind: Kind::First,
        comparison: None,
        decision: decide(&gates, true).for_a_person(true),
        gates,
        drift: None,
        data: Data::default(),
        provenance: None,
        policy,
    })
}
