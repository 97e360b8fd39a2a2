//! Rows per second of the kernel through a component on bare wasmtime, epoch checks on, one thread:
//! `cargo run --release -p hodoscope-isolation-forest --example kernel_speed [seconds per figure
//! [folder for the compiled code]]`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for people"
)]
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a tool for people")]
#![expect(dead_code, reason = "modules of the tests")]

#[path = "../tests/it/component.rs"]
mod component;
#[path = "../tests/it/forests.rs"]
mod forests;
#[path = "../tests/it/grower.rs"]
mod grower;

use std::time::{Duration, Instant};

use hodoscope_isolation_forest::{Sections, emit};

use component::{Batch, Detector, engine};
use forests::Random;
use grower::Table;

/// Values in one call at most, as hosts split large batches.
const CHUNK_VALUES: usize = 256 * 1024;

fn main() {
    let seconds: f64 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1.0);
    println!(
        "{:<16} {:>12} {:>12} {:>12} {:>12}",
        "rows/s", "whole", "1024", "100", "1"
    );
    let tables = [
        ("shuttle", grower::data_set("shuttle")),
        ("cover", grower::data_set("cover")),
        ("normal, 30", Some(normal(30, 284_807))),
        ("musk", grower::data_set("musk")),
    ];
    for (name, table) in tables {
        match table {
            Some(table) => measure(name, &table, seconds),
            None => println!("{name:<16} no data"),
        }
    }
}

/// Normal rows made from a seed.
fn normal(columns: usize, rows: usize) -> Table {
    let mut random = Random(30);
    let values = (0..columns * rows).map(|_| random.normal()).collect();
    Table { columns, values }
}

fn measure(name: &str, table: &Table, seconds: f64) {
    let forest = grower::grow(table, 100);
    let start = Instant::now();
    let bytes = emit(&forest, &Sections::default()).unwrap();
    let emitted = start.elapsed();
    if let Some(folder) = std::env::args().nth(2) {
        let compiled = engine().precompile_component(&bytes).unwrap();
        std::fs::write(format!("{folder}/{name}.elf"), compiled).unwrap();
    }
    let start = Instant::now();
    let mut detector = Detector::start(&engine(), &bytes);
    let loaded = start.elapsed();
    let rows = table.values.len() / table.columns;
    let whole = CHUNK_VALUES / table.columns;
    let figures = [whole, 1024, 100, 1].map(|size| {
        let batches = batches(table, size, rows.min(20_000));
        format!("{:.0}", best(&mut detector, &batches, seconds))
    });
    let nodes: usize = forest.trees.iter().map(|tree| tree.nodes.len()).sum();
    let [a, b, c, d] = figures;
    println!(
        "{name:<16} {a:>12} {b:>12} {c:>12} {d:>12}   {nodes} nodes, {} KB, emit {emitted:.1?}, load {loaded:.0?}",
        bytes.len() / 1024
    );
}

fn batches(table: &Table, size: usize, most: usize) -> Vec<Batch> {
    let most = if size == 1 { most.min(2000) } else { most };
    table.values[..most.min(table.values.len() / table.columns) * table.columns]
        .chunks(size * table.columns)
        .map(|values| Batch {
            columns: table.columns as u32,
            values: values.into(),
        })
        .collect()
}

/// The best of several windows of a tenth of a second, each long against the ticks in which processor time is counted.
fn best(detector: &mut Detector, batches: &[Batch], seconds: f64) -> f64 {
    let rows: usize = batches
        .iter()
        .map(|batch| batch.values.len() / batch.columns as usize)
        .sum();
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut best = 0.0f64;
    while Instant::now() < end {
        let start = processor_seconds();
        let mut scored = 0;
        let mut used = 0.0;
        while used < 0.1 {
            for batch in batches {
                detector.score_batch(batch.clone()).unwrap();
            }
            scored += rows;
            used = processor_seconds() - start;
        }
        best = best.max(scored as f64 / used);
    }
    best
}

/// Time that this thread was on a processor, so that other load on the machine counts less.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
    nanoseconds / 1e9
}
