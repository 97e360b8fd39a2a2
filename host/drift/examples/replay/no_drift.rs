//! Windows of the same distribution as the reference: whatever is found is false.

use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use hodoscope_drift::{MergedWindow, Policy, Verdict, judge};

use crate::Set;
use crate::rows::{Known, Random, Rows, Traffic};

/// Windows of a quarter, daily.
const QUARTER: usize = 90;
/// Retrains in a quarter of independent rows, on the average of a line's quarters: what `docs/drift.md` promises.
const PROMISED: f64 = 1.0;
/// Quarters of each set, size and reference: 1,080 windows, a new split of the rows for each quarter.
const QUARTERS: usize = 12;
/// Quarters where the reference is a small part of a small set. How it differs from the other part is in all windows of a
/// quarter alike, so that a quarter is quiet or loud as a whole, and only many of them say how often.
const SMALL_QUARTERS: usize = 100;
/// A reference below so many rows is small.
const SMALL: usize = 5_000;
/// Rows of a window and of its reference, or half of the set's rows where that is less.
const SIZES: [(usize, usize); 3] = [(500, 1_000), (5_000, 20_000), (100_000, 20_000)];
/// Neighbours in the file that come together where rows are not independent.
const RUNS: [usize; 2] = [20, 100];
/// Fewer quarters say enough there: it is no promise, but a limit.
const RUN_QUARTERS: usize = 4;

/// Where the rows of a quarter come from.
#[derive(Clone, Copy)]
enum Null {
    /// Reference and traffic are two parts of the set. Windows are drawn from the traffic's rows with replacement, whose own
    /// difference from the set counts as drift: harder than no drift.
    Parts,
    /// Reference and windows are drawn with replacement from all rows of the set: no drift at all.
    Whole,
}

/// One line of the table.
#[derive(Clone, Copy)]
struct Line<'a> {
    set: &'a Set,
    null: Null,
    size: usize,
    reference: usize,
    run: usize,
    quarters: usize,
}

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

impl<'a> Line<'a> {
    /// Draws all quarters.
    fn found(&self, rows: &Rows) -> Result<Found, String> {
        let mut found = Found::default();
        for seed in 0..self.quarters {
            let seed = (seed * 1_000_003 + self.size + self.reference + self.run * 7_919) as u64;
            let quarter = quarter(rows, self, seed, &mut found);
            quarter.map_err(|error| error.to_string())?;
        }
        Ok(found)
    }

    fn rows(&self) -> Result<Rows, String> {
        let rows = Rows::read(&self.set.folder.join("rows.f32"), self.set.width);
        rows.map_err(|error| error.to_string())
    }
}

/// One quarter: its own reference, its own traffic, 90 windows in runs of neighbours.
fn quarter(
    rows: &Rows,
    line: &Line<'_>,
    seed: u64,
    found: &mut Found,
) -> Result<(), Box<dyn Error>> {
    let mut random = Random(seed);
    let (known_rows, mut traffic) = match line.null {
        Null::Parts => {
            let mut order: Vec<usize> = (0..rows.len()).collect();
            random.shuffle(&mut order);
            let traffic = order.split_off(line.reference);
            (order, traffic)
        }
        Null::Whole => {
            let known = (0..line.reference).map(|_| random.below(rows.len()));
            (known.collect(), (0..rows.len()).collect())
        }
    };
    let known = Known::of(rows, &known_rows)?;
    traffic.sort_unstable();
    let traffic = Traffic::new(&known, rows, traffic);
    let policy = Policy::default();
    let mut windows: Vec<MergedWindow> = Vec::new();
    let mut retrains = 0;
    for _ in 0..QUARTER {
        windows.push(traffic.window(&mut random, line.size, line.run)?);
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

/// Prints lines in their order as they are done; each core takes the next one. Gives the most false retrains per quarter of
/// any line.
fn print(lines: &[Line<'_>]) -> Result<f64, Box<dyn Error>> {
    println!(
        "| set | reference rows | n | windows | score | alert rate | features | quality | retrains / 90 | worst quarter |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let (start, next) = (Instant::now(), AtomicUsize::new(0));
    let done: Mutex<Vec<Option<Found>>> = Mutex::new(lines.iter().map(|_| None).collect());
    let work = || -> Result<(), String> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(line) = lines.get(at) else {
                return Ok(());
            };
            let found = line.found(&line.rows()?)?;
            done.lock().map_err(|error| error.to_string())?[at] = Some(found);
        }
    };
    let cores = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut joined = workers.into_iter().map(|worker| worker.join());
        joined.try_for_each(|done| done.unwrap_or_else(|_| Err("a worker panicked".to_owned())))
    })?;
    let done = done.into_inner()?;
    let (mut windows, mut retrains, mut most) = (0, 0, 0.0_f64);
    for (line, found) in lines.iter().zip(done.iter().flatten()) {
        let total: usize = found.retrains.iter().sum();
        windows += found.windows;
        retrains += total;
        most = most.max(total as f64 / found.retrains.len().max(1) as f64);
        print_line(line, found);
    }
    println!(
        "\n{windows} windows, {retrains} false retrains: {:.3} per 90 windows, at most {most:.2} in a line; {:.0} s",
        (retrains * QUARTER) as f64 / windows.max(1) as f64,
        start.elapsed().as_secs_f64()
    );
    Ok(most)
}

/// Fails if a line breaks the promise of `docs/drift.md`.
fn within(most: f64) -> Result<(), Box<dyn Error>> {
    if most > PROMISED {
        return Err(format!(
            "a line has {most:.2} false retrains per {QUARTER} windows; promised is at most {PROMISED}"
        )
        .into());
    }
    Ok(())
}

fn print_line(line: &Line<'_>, found: &Found) {
    let share = |count: usize, of: usize| 100.0 * count as f64 / of.max(1) as f64;
    let total: usize = found.retrains.iter().sum();
    println!(
        "| {} | {} | {} | {} | {:.2} % | {:.2} % | {:.2} % | {} | {:.2} | {} |",
        line.set.name,
        line.reference,
        line.size,
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
    println!("\nA/A, independent rows: reference and traffic are two parts of each set\n");
    let parts = print(&lines(sets, Null::Parts))?;
    println!("\nA/A, independent rows: reference and windows are drawn from one set\n");
    let whole = print(&lines(sets, Null::Whole))?;
    within(parts.max(whole))
}

/// Every set at every size. Of one set only where the reference is small: elsewhere the two are the same.
fn lines(sets: &[Set], null: Null) -> Vec<Line<'_>> {
    let all = sets.iter().flat_map(|set| {
        SIZES.iter().map(move |(size, reference)| {
            let reference = (*reference).min(set.rows / 2);
            Line {
                set,
                null,
                size: *size,
                reference,
                run: 1,
                quarters: match null {
                    Null::Parts if reference < SMALL => SMALL_QUARTERS,
                    Null::Parts | Null::Whole => QUARTERS,
                },
            }
        })
    });
    let wanted = |line: &Line<'_>| matches!(null, Null::Parts) || line.reference < SMALL;
    all.filter(wanted).collect()
}

/// Rows in runs of neighbours of the file: windows hold fewer independent rows than their size says.
pub(crate) fn blocks(sets: &[Set]) -> Result<(), Box<dyn Error>> {
    for run in RUNS {
        println!("\nA/A, rows in runs of {run} neighbours\n");
        let lines: Vec<Line<'_>> = sets
            .iter()
            .map(|set| Line {
                set,
                null: Null::Parts,
                size: 5_000,
                reference: 20_000.min(set.rows / 2),
                run,
                quarters: RUN_QUARTERS,
            })
            .collect();
        print(&lines)?;
    }
    Ok(())
}
