//! Growing a forest from rows in memory, with and without the exact threshold, on one thread beside scikit-learn; and
//! the whole way from a Parquet file to a component file on two cores.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, ensure};
use hodoscope_isolation_forest::{TrainOptions, fit_rows, score_rows};
use serde_json::json;

use crate::Bench;
use crate::components::rows;
use crate::measure::{CORE, Measurement, interleave, median, pin, pinned};
use crate::peers::Scorers;
use crate::sets::Set;
use crate::table::{Table, Target};

/// The set.
const SET: &str = "donors";
/// The share of rows that shall alert.
const CONTAMINATION: f64 = 0.01;

/// Measures the rows.
pub(crate) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let set = rows(bench, SET)?;
    pin(CORE)?;
    let mut peers = bench
        .python
        .as_deref()
        .map(|python| Scorers::start(python, &bench.folder, CORE))
        .transpose()?;
    let singles: Vec<f32> = set.values.iter().map(|value| *value as f32).collect();
    // The pool's one thread starts on this core.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let seconds = |exact: bool| pool.install(|| fit(&singles, &set, exact));
    let rounds = bench.size(7, 1);
    for (exact, must, stretch) in [(false, 40.0, 50.0), (true, 12.0, 18.0)] {
        let (key, what) = match exact {
            false => ("fit", format!("fit, {} rows, 1 thread", set.rows())),
            true => (
                "fit.exact",
                format!("fit and exact threshold, {} rows, 1 thread", set.rows()),
            ),
        };
        let peers = peers.as_mut().map(RefCell::new);
        let mut measurements: Vec<Measurement<'_>> = vec![Box::new(|| seconds(exact))];
        if let Some(peers) = &peers {
            let contamination = if exact {
                json!(CONTAMINATION)
            } else {
                json!("auto")
            };
            measurements.push(Box::new(move || {
                peers.borrow_mut().ask(
                    "fit",
                    json!({"set": SET, "contamination": contamination}),
                    "seconds",
                )
            }));
        }
        let figures = interleave(rounds, &mut measurements)?;
        let text = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
        match figures.as_slice() {
            [ours, theirs] => {
                let target = Target::AtLeast {
                    must,
                    stretch: Some(stretch),
                };
                table.against(
                    key,
                    &what,
                    text(*ours),
                    format!("scikit-learn {}", text(*theirs)),
                    theirs / ours,
                    target,
                );
            }
            [ours] => table.alone(key, &what, text(*ours), *ours, Target::None),
            _ => anyhow::bail!("nothing was measured"),
        }
    }
    pin("0,1")?;
    whole_way(bench, table, &set)
}

/// Seconds to grow the trees, and to find the threshold over all rows.
fn fit(rows: &[f32], set: &Set, exact: bool) -> anyhow::Result<f64> {
    let names = set.names();
    let start = Instant::now();
    let mut forest = fit_rows(rows, &names, &TrainOptions::default())?;
    if exact {
        let mut scores = score_rows(&forest, rows);
        let rank = ((1.0 - CONTAMINATION) * scores.len() as f64) as usize;
        ensure!(rank < scores.len(), "no rows");
        let (_, threshold, _) = scores.select_nth_unstable_by(rank, f64::total_cmp);
        forest.threshold = Some(*threshold);
    }
    std::hint::black_box(&forest);
    Ok(start.elapsed().as_secs_f64())
}

fn whole_way(bench: &Bench, table: &mut Table, set: &Set) -> anyhow::Result<()> {
    let input = match (&bench.data, bench.smoke) {
        (Some(data), false) => data.join("adbench/donors.parquet"),
        _ => {
            let file = bench.folder.join("train.csv");
            std::fs::write(&file, set.csv())?;
            file
        }
    };
    let out = bench.folder.join("trained.wasm");
    let label = !bench.smoke;
    let mut seconds = (0..bench.size(7, 1))
        .map(|_| train(bench, &input, &out, label))
        .collect::<anyhow::Result<Vec<f64>>>()?;
    let middle = median(&mut seconds);
    let what = format!(
        "train to a component file, {} rows in {}, 2 cores",
        set.rows(),
        extension(&input)?
    );
    let target = if bench.smoke {
        Target::None
    } else {
        Target::AtMost {
            must: 0.5,
            stretch: Some(0.3),
        }
    };
    table.alone("train", &what, format!("{middle:.3} s"), middle, target);
    Ok(())
}

fn extension(path: &Path) -> anyhow::Result<String> {
    Ok(path
        .extension()
        .and_then(|extension| extension.to_str())
        .context("a file without extension")?
        .to_owned())
}

/// Seconds of wall time of the whole process.
fn train(bench: &Bench, input: &Path, out: &PathBuf, label: bool) -> anyhow::Result<f64> {
    let mut command = pinned("0,1", &bench.hodoscope());
    command
        .arg("train")
        .arg(input)
        .args(["--name", SET, "--out"])
        .arg(out);
    command.args(if label {
        vec!["--label", "label"]
    } else {
        Vec::new()
    });
    command
        .arg("--home")
        .arg(bench.folder.join("home"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    ensure!(command.status()?.success(), "{command:?} failed");
    Ok(start.elapsed().as_secs_f64())
}
