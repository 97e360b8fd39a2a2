//! Windows of the same distribution as the reference: whatever is found is false.

use std::error::Error;
use std::time::Instant;

use hodoscope_drift::{MergedWindow, Policy, Verdict, judge};

use crate::Set;
use crate::rows::{Known, Random, Rows, Traffic};

/// Windows of a quarter, daily.
const QUARTER: usize = 90;
/// Quarters of each set, size and reference: 1,080 windows, a new split of the rows for each quarter.
const QUARTERS: usize = 12;
/// Rows of a window and of its reference, or half of the set's rows where that is less.
const SIZES: [(usize, usize); 3] = [(500, 1_000), (5_000, 20_000), (100_000, 20_000)];
/// Neighbours in the file that come together where rows are not independent.
const RUNS: [usize; 2] = [20, 100];
/// Fewer quarters say enough there: it is no promise, but a limit.
const RUN_QUARTERS: usize = 4;

#[derive(Default)]
struct Found {
    windows: usize,
    scores: usize,
    features: usize,
    judged_features: usize,
    alerts: usize,
    problems: usize,
    retrains: Vec<usize>,
}

/// One quarter: its own reference, its own traffic, 90 windows in runs of neighbours.
fn quarter(
    rows: &Rows,
    reference: usize,
    (size, run): (usize, usize),
    seed: u64,
    found: &mut Found,
) -> Result<(), Box<dyn Error>> {
    let mut random = Random(seed);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    random.shuffle(&mut order);
    let (known_rows, traffic) = order.split_at(reference.min(rows.len() / 2));
    let known = Known::of(rows, known_rows)?;
    let mut traffic = traffic.to_vec();
    traffic.sort_unstable();
    let traffic = Traffic::new(&known, rows, traffic);
    let policy = Policy::default();
    let mut windows: Vec<MergedWindow> = Vec::new();
    let mut retrains = 0;
    for _ in 0..QUARTER {
        windows.push(traffic.window(&mut random, size, run)?);
        if windows.len() > policy.windows_seen {
            windows.remove(0);
        }
        let report = judge(&known.reference(), &windows, &policy, 1)?;
        found.windows += 1;
        found.scores += usize::from(report.windows.last().is_some_and(|w| w.score_drifted));
        found.alerts += usize::from(report.alert_rate.is_some_and(|rate| !rate.within));
        found.problems += usize::from(report.verdict == Verdict::DataQuality);
        found.judged_features += report.features.len();
        found.features += report
            .features
            .iter()
            .filter(|f| f.comparison.drifted)
            .count();
        retrains += usize::from(report.verdict == Verdict::Drifted);
    }
    found.retrains.push(retrains);
    Ok(())
}

fn print(set: &str, reference: usize, size: usize, found: &Found) {
    let share = |count: usize, of: usize| 100.0 * count as f64 / of.max(1) as f64;
    let total: usize = found.retrains.iter().sum();
    println!(
        "| {set} | {reference} | {size} | {} | {:.2} % | {:.2} % | {:.2} % | {} | {:.2} | {} |",
        found.windows,
        share(found.scores, found.windows),
        share(found.alerts, found.windows),
        share(found.features, found.judged_features),
        found.problems,
        total as f64 / found.retrains.len().max(1) as f64,
        found.retrains.iter().max().copied().unwrap_or(0),
    );
}

/// Independent rows: what the promise of one false retrain a quarter is checked on.
pub(crate) fn table(sets: &[Set]) -> Result<(), Box<dyn Error>> {
    println!(
        "\nA/A, independent rows (windows drawn with replacement from the set's traffic rows)\n"
    );
    println!(
        "| set | reference | n | windows | score | alert rate | features | quality | retrains / 90 | worst quarter |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let (start, mut windows, mut retrains) = (Instant::now(), 0, 0);
    for set in sets {
        let rows = Rows::read(&set.folder.join("rows.f32"), set.width)?;
        for (size, reference) in SIZES {
            let mut found = Found::default();
            for seed in 0..QUARTERS {
                let seed = (seed * 1_000_003 + size + reference) as u64;
                quarter(&rows, reference, (size, 1), seed, &mut found)?;
            }
            windows += found.windows;
            retrains += found.retrains.iter().sum::<usize>();
            print(&set.name, reference.min(rows.len() / 2), size, &found);
        }
    }
    println!(
        "\n{windows} windows, {retrains} false retrains: {:.3} per 90 windows; {:.0} s",
        (retrains * QUARTER) as f64 / windows.max(1) as f64,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Rows in runs of neighbours of the file: the windows hold less than their size says.
pub(crate) fn blocks(sets: &[Set]) -> Result<(), Box<dyn Error>> {
    println!("\nA/A, rows in runs of neighbours, n = 5,000\n");
    println!(
        "| set, run | reference | n | windows | score | alert rate | features | quality | retrains / 90 | worst quarter |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for set in sets {
        let rows = Rows::read(&set.folder.join("rows.f32"), set.width)?;
        for run in RUNS {
            let mut found = Found::default();
            for seed in 0..RUN_QUARTERS {
                quarter(
                    &rows,
                    20_000,
                    (5_000, run),
                    (seed + run * 7_919) as u64,
                    &mut found,
                )?;
            }
            print(
                &format!("{}, {run}", set.name),
                20_000.min(rows.len() / 2),
                5_000,
                &found,
            );
        }
    }
    Ok(())
}
