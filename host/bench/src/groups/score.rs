//! Rows per second through the component with every safety on, on one thread, beside scikit-learn, tl2cgen and ONNX
//! Runtime on the same trees and the same rows; and that all answer the same scores.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use hodoscope_engine::{Batch, Deadline, Detector};

use crate::Bench;
use crate::components::{component, engine, rows};
use crate::measure::{CORE, Measurement, interleave, pin, time};
use crate::peers::Scorers;
use crate::sets::Set;
use crate::table::{Table, Target, short};

/// A set with the ratios that must be reached: to scikit-learn (and its stretch) and to tl2cgen.
struct Case {
    set: &'static str,
    sklearn: Target,
    tl2cgen: Target,
}

const CASES: [Case; 5] = [
    Case {
        set: "shuttle",
        sklearn: at_least(15.0, Some(20.0)),
        tl2cgen: at_least(10.0, None),
    },
    Case {
        set: "generated30",
        sklearn: at_least(11.0, Some(16.0)),
        tl2cgen: at_least(10.0, None),
    },
    Case {
        set: "musk",
        sklearn: at_least(7.0, Some(12.0)),
        tl2cgen: at_least(4.0, None),
    },
    Case {
        set: "cover",
        sklearn: Target::None,
        tl2cgen: Target::None,
    },
    Case {
        set: "donors",
        sklearn: Target::None,
        tl2cgen: Target::None,
    },
];
/// The peers, with the names people know.
const PEERS: [(&str, &str); 3] = [
    ("sklearn", "scikit-learn"),
    ("tl2cgen", "tl2cgen -O3"),
    ("onnx-fused", "ONNX Runtime, fused"),
];
/// The batch beside the whole file.
const BATCH_ROWS: usize = 1_024;
/// How far scores may lie apart, so that equal work is compared.
const SCORE_ERROR_LIMIT: f64 = 1e-6;

const fn at_least(must: f64, stretch: Option<f64>) -> Target {
    Target::AtLeast { must, stretch }
}

/// Measures whole files, batches, and single rows.
pub(crate) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let engine = engine(bench, None)?;
    pin(CORE)?;
    let mut peers = bench
        .python
        .as_deref()
        .map(|python| Scorers::start(python, &bench.folder, CORE))
        .transpose()?;
    for case in &CASES {
        let set = rows(bench, case.set)?;
        let bytes = std::fs::read(component(bench, &set)?)?;
        let detector = engine.load(&bytes)?;
        ensure!(
            detector.trusted(),
            "the component of {} is not trusted",
            set.name
        );
        equal(bench, table, &detector, &set, peers.as_mut())?;
        whole(bench, table, &detector, &set, case, peers.as_mut())?;
        batch(bench, table, &detector, &set, peers.as_mut())?;
        if matches!(case.set, "shuttle" | "generated30") {
            single(bench, table, &detector, &set, case, peers.as_mut())?;
        }
        if let Some(peers) = &mut peers {
            peers.ask("forget", serde_json::json!({}), "forgotten")?;
        }
    }
    pin("0,1")
}

/// One call of ours over all rows of `set`.
pub(crate) fn call(detector: &Detector, batch: &Batch) -> anyhow::Result<Vec<f64>> {
    detector
        .score(batch, Deadline::after(Duration::from_secs(60)))
        .map_err(|fault| anyhow::anyhow!("{fault}"))
}

/// The rows of `set` as a batch.
pub(crate) fn batch_of(set: &Set) -> anyhow::Result<Batch> {
    Ok(Batch::new(u32::try_from(set.columns)?, set.values.clone()))
}

fn equal(
    bench: &Bench,
    table: &mut Table,
    detector: &Detector,
    set: &Set,
    peers: Option<&mut Scorers>,
) -> anyhow::Result<()> {
    let scores = call(detector, &batch_of(set)?)?;
    ensure!(
        scores.len() == set.rows(),
        "{} scores for {} rows",
        scores.len(),
        set.rows()
    );
    let Some(peers) = peers else { return Ok(()) };
    let worst = difference(&bench.folder.join(format!("{}.scores", set.name)), &scores)?;
    let mut theirs = Vec::new();
    for (peer, name) in PEERS.iter().skip(1) {
        let apart = peers.ask(
            "differ",
            serde_json::json!({"peer": peer, "set": set.name}),
            "difference",
        )?;
        theirs.push(format!("{name} {apart:.1e}"));
    }
    let what = format!(
        "{}: greatest difference from scikit-learn's scores, all rows",
        set.name
    );
    let key = format!("score.{}.equal", set.name);
    table.alone(
        &key,
        &what,
        format!("{worst:.1e}"),
        worst,
        Target::AtMost {
            must: SCORE_ERROR_LIMIT,
            stretch: None,
        },
    );
    table.note(&theirs.join(", "));
    Ok(())
}

fn difference(file: &Path, scores: &[f64]) -> anyhow::Result<f64> {
    let bytes = std::fs::read(file)?;
    let expected = bytes
        .as_chunks()
        .0
        .iter()
        .map(|eight| f64::from_le_bytes(*eight));
    ensure!(
        expected.len() == scores.len(),
        "{} has another count of scores",
        file.display()
    );
    Ok(expected
        .zip(scores)
        .map(|(expected, score)| (expected - score).abs())
        .fold(0.0, f64::max))
}

fn whole(
    bench: &Bench,
    table: &mut Table,
    detector: &Detector,
    set: &Set,
    case: &Case,
    peers: Option<&mut Scorers>,
) -> anyhow::Result<()> {
    let figures = compare(bench, detector, set, 0, peers)?;
    let ours = figures.first().copied().context("nothing was measured")?;
    let text = |seconds: f64| format!("{} rows/s", short(set.rows() as f64 / seconds));
    let what = format!(
        "score a whole file, {} {} × {}",
        set.name,
        short(set.rows() as f64),
        set.columns
    );
    if figures.len() == 1 {
        table.alone(
            &format!("score.{}", set.name),
            &what,
            text(ours),
            set.rows() as f64 / ours,
            Target::None,
        );
    }
    for ((peer, name), seconds) in PEERS.iter().zip(figures.iter().skip(1)) {
        let target = match *peer {
            "sklearn" => case.sklearn,
            "tl2cgen" => case.tl2cgen,
            _ => Target::None,
        };
        let theirs = format!("{name} {}", text(*seconds));
        table.against(
            &format!("score.{}.{peer}", set.name),
            &what,
            text(ours),
            theirs,
            seconds / ours,
            target,
        );
    }
    Ok(())
}

fn batch(
    bench: &Bench,
    table: &mut Table,
    detector: &Detector,
    set: &Set,
    peers: Option<&mut Scorers>,
) -> anyhow::Result<()> {
    let set = set.head(BATCH_ROWS);
    let figures = compare(bench, detector, &set, BATCH_ROWS, peers)?;
    beside(
        table,
        &format!("score.{}.1024", set.name),
        &format!("score 1,024 rows, {}", set.name),
        &figures,
        BATCH_ROWS,
        Target::None,
    );
    Ok(())
}

fn single(
    bench: &Bench,
    table: &mut Table,
    detector: &Detector,
    set: &Set,
    case: &Case,
    peers: Option<&mut Scorers>,
) -> anyhow::Result<()> {
    let set = set.head(1);
    let figures = compare(bench, detector, &set, 1, peers)?;
    let what = format!(
        "one row through the component call, {}, {} features",
        set.name, set.columns
    );
    let target = match case.set {
        "shuttle" => at_least(1e6, Some(1.5e6)),
        _ => Target::None,
    };
    beside(
        table,
        &format!("call.{}", set.name),
        &what,
        &figures,
        1,
        target,
    );
    Ok(())
}

/// A row judged by our own rows per second, with every peer's beside it.
fn beside(table: &mut Table, key: &str, what: &str, figures: &[f64], rows: usize, target: Target) {
    let per_second = |seconds: &f64| rows as f64 / seconds;
    let Some((ours, theirs)) = figures.split_first() else {
        return;
    };
    let text = format!("{} rows/s", short(per_second(ours)));
    match theirs.iter().copied().reduce(f64::min) {
        None => table.alone(key, what, text, per_second(ours), target),
        Some(best) => {
            let named: Vec<String> = PEERS
                .iter()
                .zip(theirs)
                .map(|((_, name), s)| format!("{name} {}", short(per_second(s))))
                .collect();
            table.beside(
                key,
                what,
                (text, named.join(", ")),
                best / ours,
                per_second(ours),
                target,
            );
            table.note("ratio to the fastest peer");
        }
    }
}

/// Seconds for one scoring of `set`: ours, then each peer's; `rows` is how the peers know it (0: the whole set).
fn compare(
    bench: &Bench,
    detector: &Detector,
    set: &Set,
    rows: usize,
    peers: Option<&mut Scorers>,
) -> anyhow::Result<Vec<f64>> {
    let batch = batch_of(set)?;
    let seconds = bench.size(0.2, 0.01);
    let peers = peers.map(RefCell::new);
    let mut measurements: Vec<Measurement<'_>> = vec![Box::new(|| {
        time(seconds, || call(detector, &batch).map(drop))
    })];
    if let Some(peers) = &peers {
        for (peer, _) in PEERS {
            let name = set.name.clone();
            let once = peers.borrow_mut().score(peer, &name, rows, 1)?;
            let repeat = (seconds / once).clamp(1.0, 10_000.0) as usize;
            measurements.push(Box::new(move || {
                peers.borrow_mut().score(peer, &name, rows, repeat)
            }));
        }
    }
    interleave(bench.size(5, 1), &mut measurements)
}
