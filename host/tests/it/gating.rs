//! The gates on candidates of known worth: honest ones, broken ones, and the first of its kind.

use hodoscope::gates::{Inputs, run_gates};
use std::path::Path;

use hodoscope_engine::{Detector, Limits};
use hodoscope_isolation_forest::TrainOptions;
use hodoscope_release::evidence::{Decision, Gate, GatePolicy, Outcome, decide};
use hodoscope_release::window::ShadowCounts;

use crate::clouds::{Lab, Run, attack, cloud};

fn outcome(gates: &[Gate], name: &str) -> Outcome {
    let gate = gates.iter().find(|gate| gate.name == name);
    gate.unwrap_or_else(|| panic!("no gate {name}: {gates:#?}"))
        .outcome
}

pub(crate) fn lines(gates: &[Gate]) -> String {
    let line = |gate: &Gate| {
        let measured = gate.measured.map_or("-".to_owned(), |m| format!("{m:.4}"));
        let limit = gate.limit.map_or("-".to_owned(), |limit| limit.to_string());
        let near = if gate.near_limit { " near" } else { "" };
        let word = gate.outcome.word();
        format!(
            "  {word:<5}{near:<6}{:<24}{measured:>12} {limit:>12}  {}",
            gate.name, gate.reason
        )
    };
    gates.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_honest_refresh_of_an_unchanged_world_is_proposed_without_a_person() {
    let lab = Lab::new();
    let policy = GatePolicy::default();
    let mut drafts = Vec::new();
    let rounds = 20;
    for round in 0..rounds {
        let champion = lab.champion(&cloud(100 + round, 20_000, 0.0), &TrainOptions::default());
        let retrained = lab.retrain(&champion, &cloud(200 + round, 20_000, 0.0));
        let candidate = lab.load(&retrained.component);
        let window = cloud(300 + round, 5_000, 0.0);
        let gates = lab.gates(&Run {
            candidate: &candidate,
            champion: &champion,
            anchor: None,
            retrained: &retrained,
            unseen: Some(&window),
            expectations: None,
            policy: &policy,
        });
        if round == 0 {
            println!("{}", lines(&gates));
        }
        match decide(&gates, false) {
            Decision::Refuse { reasons } => panic!("{reasons:?}"),
            Decision::Propose {
                draft: true,
                reasons,
                ..
            } => drafts.push(reasons),
            Decision::Propose { .. } => {}
        }
    }
    println!(
        "honest refreshes: {} of {rounds} ask for a person: {drafts:#?}",
        drafts.len()
    );
    assert!(drafts.len() * 5 <= rounds as usize, "{drafts:#?}");
}

#[test]
fn the_first_release_is_measured_as_far_as_it_can_be() {
    let lab = Lab::new();
    let first = lab.champion(&cloud(1, 20_000, 0.0), &TrainOptions::default());
    let (rows, limits, policy) = (
        cloud(2, 5_000, 0.0),
        Limits::default(),
        GatePolicy::default(),
    );
    let gates = run_gates(&Inputs {
        candidate: &first,
        champion: None,
        anchor: None,
        held_out: &rows,
        labels: None,
        unseen: None,
        expectations: None,
        halves: None,
        sisters: &[],
        shadow: None,
        limits: &limits,
        policy: &policy,
    });
    for name in [
        "rank",
        "anchor",
        "injected.spike",
        "excess_mass",
        "cost.latency",
        "halves",
    ] {
        assert_eq!(outcome(&gates, name), Outcome::NotApplicable, "{name}");
    }
    for name in [
        "conformance",
        "repeats",
        "single_score",
        "alert_rate.cap",
        "cost.size",
    ] {
        assert_eq!(outcome(&gates, name), Outcome::Pass, "{name}");
    }
    let Decision::Propose { draft, labels, .. } = decide(&gates, true) else {
        panic!("{}", lines(&gates))
    };
    assert_eq!((draft, labels), (false, vec!["first".to_owned()]));
}

#[test]
fn a_broken_candidate_is_refused_and_the_reason_names_the_gate() {
    let lab = Lab::new();
    let policy = GatePolicy::default();
    let champion = lab.champion(&cloud(1, 20_000, 0.0), &TrainOptions::default());
    let retrained = lab.retrain(&champion, &cloud(2, 20_000, 0.0));
    let candidate = lab.load(&retrained.component);
    let run = |candidate: &Detector, expectations: Option<&Path>| {
        lab.gates(&Run {
            candidate,
            champion: &champion,
            anchor: None,
            retrained: &retrained,
            unseen: None,
            expectations,
            policy: &policy,
        })
    };
    // Trees that learned one row only give every row the same score.
    let same = cloud(3, 1, 0.0);
    let blind = lab.champion(&same.pick(&[0; 2_000]), &TrainOptions::default());
    let gates = run(&blind, None);
    assert_eq!(
        outcome(&gates, "single_score"),
        Outcome::Fail,
        "{}",
        lines(&gates)
    );
    assert_eq!(outcome(&gates, "injected"), Outcome::Fail);
    assert!(decide(&gates, false).refuses());
    // A threshold far too low: half of all rows alert.
    let moved = hodoscope_isolation_forest::retune(
        &retrained.component,
        hodoscope_isolation_forest::Target::AlertRate(0.4),
    );
    let gates = run(&lab.load(&moved.unwrap().component), None);
    assert_eq!(outcome(&gates, "alert_rate.high"), Outcome::Fail);
    assert_eq!(outcome(&gates, "alert_rate.cap"), Outcome::Fail);
    assert_eq!(outcome(&gates, "anchor"), Outcome::Fail);
    // The owner's rows.
    let far = cloud(4, 1, 12.0);
    let near = cloud(5, 1, 0.0);
    let line = |row: &[f64], word: &str| {
        let cells: Vec<String> = row.iter().map(f64::to_string).collect();
        format!("{},{word}\n", cells.join(","))
    };
    let header = "f0,f1,f2,f3,f4,f5,f6,f7,hodoscope.expect\n".to_owned();
    let path = lab.path("pump.csv");
    let good = header.clone() + &line(far.row(0), "flag") + &line(near.row(0), "pass");
    std::fs::write(&path, good).unwrap();
    let gates = run(&candidate, Some(&path));
    assert_eq!(
        outcome(&gates, "must_flag"),
        Outcome::Pass,
        "{}",
        lines(&gates)
    );
    assert_eq!(outcome(&gates, "must_pass"), Outcome::Pass);
    let bad = header.clone() + &line(near.row(0), "flag") + &line(far.row(0), "pass");
    std::fs::write(&path, bad).unwrap();
    let Decision::Refuse { reasons } = decide(&run(&candidate, Some(&path)), false) else {
        panic!("proposed")
    };
    assert!(
        reasons[0].starts_with("must_flag: 1 of the owner's 1 rows"),
        "{reasons:?}"
    );
    assert!(reasons[1].starts_with("must_pass:"), "{reasons:?}");
    std::fs::write(&path, header + &line(far.row(0), "maybe")).unwrap();
    let Decision::Refuse { reasons } = decide(&run(&candidate, Some(&path)), false) else {
        panic!("proposed")
    };
    assert!(reasons[0].contains("write flag or pass"), "{reasons:?}");
}

#[test]
fn labels_decide_where_there_are_enough_and_a_shadows_faults_always_do() {
    let lab = Lab::new();
    let champion = lab.champion(&cloud(1, 20_000, 0.0), &TrainOptions::default());
    let (clean, bad) = (cloud(2, 4_000, 0.0), attack(3, 80, 4.0));
    let rows = crate::clouds::mixed(&clean, &bad);
    let worse = TrainOptions {
        trees: 1,
        sample_size: Some(8),
        ..TrainOptions::default()
    };
    let worse = lab.champion(&cloud(4, 20_000, 0.0), &worse);
    let known: std::collections::HashSet<u64> = (0..bad.rows())
        .map(|row| bad.row(row)[1].to_bits())
        .collect();
    let labels: Vec<f64> = (0..rows.rows())
        .map(|row| f64::from(u8::from(known.contains(&rows.row(row)[1].to_bits()))))
        .collect();
    let (limits, policy) = (Limits::default(), GatePolicy::default());
    let counts = |candidate: &Detector, rows, faults| ShadowCounts {
        version: "1.1.0".to_owned(),
        digest: candidate.digest().to_string(),
        rows,
        faults,
        ..ShadowCounts::default()
    };
    let run = |candidate, shadow: Option<&ShadowCounts>| {
        run_gates(&Inputs {
            candidate,
            champion: Some(&champion),
            anchor: None,
            held_out: &rows,
            labels: Some(&labels),
            unseen: Some(&clean),
            expectations: None,
            halves: None,
            sisters: &[],
            shadow,
            limits: &limits,
            policy: &policy,
        })
    };
    let gates = run(&worse, None);
    assert_eq!(
        outcome(&gates, "average_precision"),
        Outcome::Fail,
        "{}",
        lines(&gates)
    );
    assert_eq!(outcome(&gates, "excess_mass"), Outcome::NotApplicable);
    assert_eq!(outcome(&gates, "shadow"), Outcome::NotApplicable);
    for (rows, faults, expected) in [
        (20_000, 0, Outcome::Pass),
        (20_000, 1, Outcome::Fail),
        (5, 0, Outcome::NotApplicable),
        (5, 1, Outcome::Fail),
    ] {
        let gates = run(&champion, Some(&counts(&champion, rows, faults)));
        assert_eq!(outcome(&gates, "shadow"), expected, "{rows} {faults}");
    }
    let gates = run(&champion, Some(&counts(&worse, 20_000, 0)));
    assert_eq!(outcome(&gates, "shadow"), Outcome::NotApplicable);
    assert_eq!(outcome(&gates, "average_precision"), Outcome::Pass);
}
