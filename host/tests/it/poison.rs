//! Attacks on retraining: rows that an attacker sends so that the next release takes them for normal. Each case has an
//! outcome, and the misses are published with the hits (docs/gates.md).

use hodoscope::evidence::Frame;
use hodoscope::retrain::RetrainPolicy;
use hodoscope_engine::Detector;
use hodoscope_isolation_forest::TrainOptions;
use hodoscope_release::evidence::{Decision, Gate, GatePolicy, Outcome, decide};

use crate::clouds::{Lab, Run, alert_rate, attack, cloud, mixed};

/// What became of an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The candidate was refused.
    Blocked,
    /// The pull request is a draft for a person.
    Labelled,
    /// It would have been merged, but flags the attack as well as the champion does.
    Harmless,
    /// It would have been merged, and flags the attack less.
    Missed,
}

/// How much of the attack a candidate must still flag, as a share of what the champion does.
const STILL: f64 = 0.9;

fn fate(decision: &Decision, before: f64, after: f64) -> Fate {
    match decision {
        Decision::Refuse { .. } => Fate::Blocked,
        Decision::Propose { draft: true, .. } => Fate::Labelled,
        Decision::Propose { .. } if after >= STILL * before => Fate::Harmless,
        Decision::Propose { .. } => Fate::Missed,
    }
}

fn tripped(gates: &[Gate]) -> String {
    let named = gates
        .iter()
        .filter(|g| g.outcome == Outcome::Fail || g.near_limit);
    let names: Vec<&str> = named.map(|gate| gate.name.as_str()).collect();
    if names.is_empty() {
        "-".to_owned()
    } else {
        names.join(", ")
    }
}

fn measured(gates: &[Gate], name: &str) -> f64 {
    let gate = gates.iter().find(|gate| gate.name == name);
    gate.and_then(|gate| gate.measured).unwrap_or(f64::NAN)
}

/// One retraining on poisoned rows, gated.
struct Attempt<'a> {
    lab: &'a Lab,
    champion: &'a Detector,
    anchor: &'a Detector,
    rows: &'a Frame,
    expectations: Option<&'a std::path::Path>,
    policy: &'a RetrainPolicy,
}

impl Attempt<'_> {
    fn run(&self) -> (Detector, Vec<Gate>) {
        let retrained = self.lab.retrain_with(self.champion, self.rows, self.policy);
        let candidate = self.lab.load(&retrained.component);
        let gates = self.lab.gates(&Run {
            candidate: &candidate,
            champion: self.champion,
            anchor: Some(self.anchor),
            retrained: &retrained,
            unseen: None,
            expectations: self.expectations,
            policy: &GatePolicy::default(),
        });
        (candidate, gates)
    }
}

#[test]
fn a_slow_walk_over_twenty_retrains_trips_the_anchor_before_its_end() {
    const RETRAINS: usize = 20;
    let lab = Lab::new();
    println!("| step σ | retrain | anchor flips | rank | tripped |\n|---|---|---|---|---|");
    for step in [0.1, 0.15, 0.3] {
        let anchor = lab.champion(&cloud(1, 20_000, 0.0), &TrainOptions::default());
        let mut champion = anchor.clone();
        let mut stopped = None;
        for retrain in 1..=RETRAINS {
            let rows = cloud(1_000 + retrain as u64, 10_000, step * retrain as f64);
            let (candidate, gates) = Attempt {
                lab: &lab,
                champion: &champion,
                anchor: &anchor,
                rows: &rows,
                expectations: None,
                policy: &RetrainPolicy::default(),
            }
            .run();
            println!(
                "| {step} | {retrain} | {:.4} | {:.3} | {} |",
                measured(&gates, "anchor"),
                measured(&gates, "rank"),
                tripped(&gates)
            );
            let anchored = gates.iter().find(|gate| gate.name == "anchor").unwrap();
            if anchored.outcome == Outcome::Fail {
                stopped = Some(retrain);
                break;
            }
            // The worst case: whatever else asked for a person, the person said yes.
            champion = candidate;
        }
        println!("step {step}: the anchor trips at retrain {stopped:?} of {RETRAINS}");
        assert!(
            stopped.is_some(),
            "a walk in steps of {step} was never seen"
        );
    }
}

#[test]
fn injected_clusters_are_blocked_labelled_or_named_as_missed() {
    let lab = Lab::new();
    let anchor = lab.champion(&cloud(1, 20_000, 0.0), &TrainOptions::default());
    let fresh = attack(99, 2_000, 5.0);
    let before = alert_rate(&anchor, &fresh);
    let known = lab.path("pump.csv");
    let sample = attack(7, 5, 5.0);
    let mut text = sample.names().join(",") + ",hodoscope.expect\n";
    for row in 0..sample.rows() {
        let cells: Vec<String> = sample.row(row).iter().map(f64::to_string).collect();
        text += &format!("{},flag\n", cells.join(","));
    }
    std::fs::write(&known, text).unwrap();
    let guarded = RetrainPolicy::default();
    let open = RetrainPolicy {
        drop_highest: 0.0,
        drop_copies_up_to: 0.0,
        ..RetrainPolicy::default()
    };
    println!(
        "| poison | guards | owner's rows | attack flagged before | after | outcome | tripped |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut fates = Vec::new();
    for share in [0.01, 0.015, 0.02, 0.05, 0.10] {
        for (guards, policy) in [("on", &guarded), ("off", &open)] {
            for owner in [false, true] {
                let rows = mixed(
                    &cloud(2, 20_000, 0.0),
                    &attack(3, (20_000.0 * share) as usize, 5.0),
                );
                let (candidate, gates) = Attempt {
                    lab: &lab,
                    champion: &anchor,
                    anchor: &anchor,
                    rows: &rows,
                    expectations: owner.then_some(known.as_path()),
                    policy,
                }
                .run();
                let after = alert_rate(&candidate, &fresh);
                let fate = fate(&decide(&gates, false), before, after);
                println!(
                    "| {} % | {guards} | {} | {before:.3} | {after:.3} | {fate:?} | {} |",
                    share * 100.0,
                    if owner { "yes" } else { "no" },
                    tripped(&gates)
                );
                fates.push((share, guards, owner, fate));
            }
        }
    }
    // With rows of the attack among the owner's, unlearning it is never merged; without, a person is asked.
    for (share, guards, owner, fate) in &fates {
        assert_ne!(*fate, Fate::Missed, "{share} {guards} {owner}");
        if *owner && *share >= 0.015 {
            assert_eq!(*fate, Fate::Blocked, "{share} {guards}");
        }
    }
}

#[test]
fn a_cluster_that_grows_by_half_a_percent_per_retrain_does_not_pass_unseen() {
    let lab = Lab::new();
    let anchor = lab.champion(&cloud(1, 20_000, 0.0), &TrainOptions::default());
    let mut champion = anchor.clone();
    println!(
        "| distance | retrain | poison | attack flagged | outcome | tripped |\n|---|---|---|---|---|---|"
    );
    let mut last = Vec::new();
    for distance in [3.5, 5.0] {
        let fresh = attack(99, 2_000, distance);
        let before = alert_rate(&anchor, &fresh);
        for retrain in 1..=5_u64 {
            let share = 0.005 * retrain as f64;
            let clean = cloud(2_000 + retrain, 20_000, 0.0);
            let rows = mixed(
                &clean,
                &attack(3_000 + retrain, (20_000.0 * share) as usize, distance),
            );
            let (candidate, gates) = Attempt {
                lab: &lab,
                champion: &champion,
                anchor: &anchor,
                rows: &rows,
                expectations: None,
                policy: &RetrainPolicy::default(),
            }
            .run();
            let after = alert_rate(&candidate, &fresh);
            let fate = fate(&decide(&gates, false), before, after);
            let percent = share * 100.0;
            println!(
                "| {distance} | {retrain} | {percent:.1} % | {after:.3} | {fate:?} | {} |",
                tripped(&gates)
            );
            if matches!(fate, Fate::Blocked | Fate::Labelled) {
                last.push(fate);
                break;
            }
            champion = candidate;
        }
        champion = anchor.clone();
    }
    assert_eq!(last.len(), 2, "a growing cluster was never seen");
}
