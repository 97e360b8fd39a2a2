//! Honest refreshes on real data: the rows are shuffled and halved, so that nothing changed but the rows, and the gates are
//! counted that ask for a person all the same.

use std::path::{Path, PathBuf};

use hodoscope::evidence::Frame;
use hodoscope::rows::Table;
use hodoscope_isolation_forest::TrainOptions;
use hodoscope_release::evidence::{Decision, GatePolicy, decide};

use crate::clouds::{Lab, Random, Run};

const SETS: [&str; 10] = [
    "annthyroid",
    "campaign",
    "cardio",
    "cover",
    "donors",
    "http",
    "mammography",
    "pendigits",
    "satimage-2",
    "shuttle",
];
/// Rows of each half.
const ROWS: usize = 20_000;

fn data(set: &str) -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests find their data by an environment variable"
    )]
    let given = std::env::var_os("HODOSCOPE_DATA").map(PathBuf::from);
    #[expect(
        clippy::disallowed_methods,
        reason = "CI turns skips into failures by an environment variable"
    )]
    let strict = std::env::var_os("HODOSCOPE_NO_SKIP").is_some_and(|value| value == "1");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = ["../../shared/data", "../../../shared/data"].map(|path| folder.join(path));
    let file = format!("adbench/{set}.parquet");
    let mut places = given.into_iter().chain(beside).map(|root| root.join(&file));
    let found = places.find(|path| path.exists());
    if found.is_none() {
        assert!(!strict, "{file} is absent and HODOSCOPE_NO_SKIP is set");
    }
    found
}

fn halves(rows: &Frame, seed: u64) -> (Frame, Frame) {
    let mut random = Random(seed);
    let mut order: Vec<usize> = (0..rows.rows()).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, (random.unit() * (at + 1) as f64) as usize);
    }
    let half = (order.len() / 2).min(ROWS);
    (rows.pick(&order[..half]), rows.pick(&order[half..2 * half]))
}

#[test]
fn honest_refreshes_of_real_data_are_rarely_held_up_and_never_refused() {
    const ROUNDS: u64 = 3;
    let lab = Lab::new();
    // Drafts and all, for champions that were trained and for those that were retrained.
    let mut refused = 0;
    let mut counts = [(0, 0); 2];
    println!(
        "| set | rows | round | champion retrained | draft | why |\n|---|---|---|---|---|---|"
    );
    for set in SETS {
        let Some(path) = data(set) else {
            println!("SKIP honest refreshes of {set}: its file is absent");
            continue;
        };
        let names: Vec<String> = Table::open(&path)
            .unwrap()
            .columns()
            .iter()
            .filter(|name| *name != "label")
            .cloned()
            .collect();
        let (rows, _) = Frame::read(&path, &names, None).unwrap();
        for (round, settled) in (0..ROUNDS).flat_map(|round| [(round, false), (round, true)]) {
            let (first, second) = halves(&rows, round + 1);
            let mut champion = lab.champion(&first, &TrainOptions::default());
            if settled {
                champion = lab.load(&lab.retrain(&champion, &first).component);
            }
            let retrained = lab.retrain(&champion, &second);
            let candidate = lab.load(&retrained.component);
            let gates = lab.gates(&Run {
                candidate: &candidate,
                champion: &champion,
                anchor: None,
                retrained: &retrained,
                unseen: None,
                expectations: None,
                policy: &GatePolicy::default(),
            });
            let count = &mut counts[usize::from(settled)];
            count.1 += 1;
            match decide(&gates, false) {
                Decision::Refuse { reasons } => {
                    println!(
                        "| {set} | {} | {round} | {settled} | REFUSED | {} |",
                        second.rows(),
                        reasons.join("; ")
                    );
                    refused += 1;
                }
                Decision::Propose { draft, reasons, .. } => {
                    count.0 += usize::from(draft);
                    println!(
                        "| {set} | {} | {round} | {settled} | {draft} | {} |",
                        second.rows(),
                        reasons.join("; ")
                    );
                }
            }
        }
    }
    let [(first, firsts), (settled, all)] = counts;
    println!(
        "a person is asked: {first} of {firsts} after plain training, {settled} of {all} after retraining"
    );
    assert_eq!(refused, 0);
    assert!(settled * 4 <= all, "{settled} of {all}");
}
