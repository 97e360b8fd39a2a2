//! `hodoscope score` from Parquet to Parquet: five million rows on two cores, on one, and by a careful script with
//! pyarrow and scikit-learn on two.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::ensure;

use crate::Bench;
use crate::components::{component, rows};
use crate::measure::{CORE, Measurement, interleave, pinned};
use crate::peers::Scorers;
use crate::table::{Table, Target, short};

/// The set whose forest scores.
const SET: &str = "donors";
/// Both cores.
const CORES: &str = "0,1";
/// Rows that `peers/prepare.py` writes.
const ROWS: f64 = 5e6;

/// Measures the rows.
pub(crate) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let set = rows(bench, SET)?;
    let detector = component(bench, &set)?;
    let input = bench.folder.join(bench.size("batch.parquet", "donors.csv"));
    let count = if bench.smoke { set.rows() as f64 } else { ROWS };
    let output = bench.folder.join("batch.scores.parquet");
    let mut measurements: [Measurement<'_>; 2] = [
        Box::new(|| score(bench, &input, &detector, &output, CORES)),
        Box::new(|| score(bench, &input, &detector, &output, CORE)),
    ];
    let figures = interleave(bench.size(3, 1), &mut measurements)?;
    let &[both, one] = figures.as_slice() else {
        anyhow::bail!("nothing was measured")
    };
    let text = |seconds: f64| format!("{:.2} s, {} rows/s", seconds, short(count / seconds));
    let what = format!(
        "hodoscope score, {} rows, Parquet to Parquet, 2 cores",
        short(count)
    );
    let target = |must, stretch| Target::AtLeast { must, stretch };
    let judged = if bench.smoke {
        Target::None
    } else {
        target(1.7, None)
    };
    table.against(
        "batch.cores",
        &what,
        text(both),
        format!("1 core {}", text(one)),
        one / both,
        judged,
    );
    let Some(python) = &bench.python else {
        return Ok(());
    };
    let mut peers = Scorers::start(python, &bench.folder, CORES)?;
    let theirs = peers.ask(
        "batch",
        serde_json::json!({"set": SET, "input": input, "output": output, "jobs": 2}),
        "seconds",
    )?;
    let peer = format!("pyarrow + scikit-learn, n_jobs=2 {}", text(theirs));
    table.against(
        "batch.sklearn",
        &what,
        text(both),
        peer,
        theirs / both,
        target(8.0, Some(15.0)),
    );
    Ok(())
}

/// Seconds of wall time of the whole process on `cores`.
fn score(
    bench: &Bench,
    input: &Path,
    detector: &Path,
    output: &Path,
    cores: &str,
) -> anyhow::Result<f64> {
    let mut command = pinned(cores, &bench.hodoscope());
    command
        .arg("score")
        .arg(input)
        .arg("--detector")
        .arg(detector)
        .arg("--out")
        .arg(output)
        .arg("--force");
    command
        .arg("--home")
        .arg(bench.folder.join("home"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    ensure!(status.success(), "{command:?} failed");
    Ok(start.elapsed().as_secs_f64())
}
