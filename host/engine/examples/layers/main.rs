//! Owns the bench of our own layers: the same component called through bare wasmtime and through the engine, with every
//! safety on, in the same run. Then what loading costs, and what 200 loaded detectors hold resident.
//!
//! `cargo run --release -p hodoscope-engine --example layers -- [detector.wasm] [--json] [--copies 200]`
//! Without a component: a forest of 100 trees over 10 features.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod forest;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hodoscope_engine::{Batch, Compiler, Deadline, Detector, Engine, EngineConfig};
use wasmtime::component::{Component, ComponentType, Lift, Linker, Lower, TypedFunc};
use wasmtime::{Config, Store};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Time for each measurement; the least of its calls counts.
const BUDGET: Duration = Duration::from_millis(300);
const ROWS: [usize; 4] = [1, 32, 1024, 65_536];

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
struct WitBatch<'a> {
    columns: u32,
    values: &'a [f64],
}

#[derive(ComponentType, Lift)]
#[component(record)]
#[expect(dead_code, reason = "only its type is needed")]
struct Location {
    row: Option<u32>,
    column: Option<u32>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
#[expect(dead_code, reason = "only its type is needed")]
enum Refusal {
    #[component(name = "wrong-shape")]
    WrongShape(String),
    #[component(name = "unsupported")]
    Unsupported(String),
    #[component(name = "bad-value")]
    BadValue((Location, String)),
    #[component(name = "internal")]
    Internal(String),
}

#[derive(ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "only its type is needed")]
enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

type Score<'a> = TypedFunc<(WitBatch<'a>,), (Result<Vec<f64>, Refusal>,)>;

/// The component in wasmtime as it comes out of the box: no limits, no checks, one call per batch.
struct Bare {
    store: Store<()>,
    score: wasmtime::component::Func,
}

impl Bare {
    fn new(bytes: &[u8], epochs: bool) -> Outcome<Self> {
        let engine = wasmtime::Engine::new(Config::new().epoch_interruption(epochs))?;
        let component = Component::from_binary(&engine, bytes)?;
        let mut linker = Linker::new(&engine);
        linker
            .instance("hodoscope:detector/log@0.1.0")?
            .func_wrap("write", |_, (_, _): (Level, String)| Ok(()))?;
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = linker.instantiate(&mut store, &component)?;
        let scoring = instance
            .get_export_index(&mut store, None, "hodoscope:detector/scoring@0.1.0")
            .ok_or("no scoring")?;
        let score = instance.get_export_index(&mut store, Some(&scoring), "score");
        let score = instance.get_func(&mut store, score.ok_or("no score")?);
        Ok(Self {
            store,
            score: score.ok_or("no function")?,
        })
    }

    fn score(&mut self, batch: &Batch) -> Outcome<Vec<f64>> {
        let typed: Score<'_> = self.score.typed(&self.store)?;
        let columns = batch.columns;
        let values = &batch.values;
        let (answer,) = typed.call(&mut self.store, (WitBatch { columns, values },))?;
        answer.map_err(|_| "refused".into())
    }
}

/// Seconds of CPU time of this thread, where the system tells; it leaves out what other processes take.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = stat.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// Seconds of a call of `run`. Of short calls the least counts, timed ten at a time because reading the clock costs as
/// much as a row; calls long enough to be interrupted are measured by CPU time, on average.
fn seconds(mut run: impl FnMut()) -> f64 {
    run();
    let start = Instant::now();
    run();
    let short = start.elapsed() < Duration::from_millis(1);
    let calls = if short { 10 } else { 1 };
    let begin = Instant::now();
    let cpu = cpu_seconds();
    let mut count = 0;
    let mut least = f64::INFINITY;
    while begin.elapsed() < BUDGET {
        let start = Instant::now();
        for _ in 0..calls {
            run();
        }
        least = least.min(start.elapsed().as_secs_f64() / f64::from(calls));
        count += calls;
    }
    match cpu.and_then(|before| Some(cpu_seconds()? - before)) {
        Some(spent) if !short => spent / f64::from(count),
        _ => least,
    }
}

/// Repeatable rows.
fn batch(columns: usize, rows: usize) -> Batch {
    let mut sequence = forest::Sequence(7);
    let values = (0..columns * rows).map(|_| sequence.number()).collect();
    Batch::new(u32::try_from(columns).unwrap_or(u32::MAX), values)
}

struct Options {
    component: Option<PathBuf>,
    json: bool,
    copies: u32,
}

fn options() -> Outcome<Options> {
    let mut options = Options {
        component: None,
        json: false,
        copies: 200,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => options.json = true,
            "--copies" => options.copies = args.next().ok_or("--copies wants a number")?.parse()?,
            path => options.component = Some(path.into()),
        }
    }
    Ok(options)
}

/// An engine that trusts the component's code, as a host trusts its kernels.
fn engine(bytes: &[u8], cache: Option<PathBuf>) -> Outcome<Engine> {
    let plain = Engine::new(EngineConfig::default())?;
    Ok(Engine::new(EngineConfig {
        trusted_kernels: plain.inspect(bytes)?.code,
        compiler: Compiler::InProcess,
        cache_dir: cache,
        ..EngineConfig::default()
    })?)
}

/// A copy with the same code and another digest.
fn copy(bytes: &[u8], number: u32) -> Vec<u8> {
    use wasm_encoder::{ComponentSection as _, CustomSection};
    let mut copy = bytes.to_vec();
    let data = number.to_le_bytes();
    let section = CustomSection {
        name: "copy".into(),
        data: data.as_slice().into(),
    };
    section.append_to_component(&mut copy);
    copy
}

/// Bytes resident in this process, without what is shared with files.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Prints a figure, as text or as one JSON object per line.
fn print(json: bool, name: &str, value: f64, unit: &str) {
    if json {
        println!(
            "{}",
            serde_json::json!({ "name": name, "value": value, "unit": unit })
        );
    } else {
        println!("{name:<44} {value:>14.3} {unit}");
    }
}

fn calls(bytes: &[u8], detector: &Detector, json: bool) -> Outcome<()> {
    let mut bare = Bare::new(bytes, false)?;
    let mut epochs = Bare::new(bytes, true)?;
    let columns = detector.description().features.len();
    for rows in ROWS {
        let batch = batch(columns, rows);
        let far = || Deadline::after(Duration::from_secs(60));
        let same = bare.score(&batch)? == detector.score(&batch, far())?;
        if !same {
            return Err("bare wasmtime and the engine disagree".into());
        }
        // Alternating, so that what disturbs one disturbs the others.
        let mut least = [f64::INFINITY; 3];
        for _ in 0..3 {
            let measured = [
                seconds(|| drop(black_box(bare.score(&batch)))),
                seconds(|| drop(black_box(epochs.score(&batch)))),
                seconds(|| drop(black_box(detector.score(&batch, far())))),
            ];
            least
                .iter_mut()
                .zip(measured)
                .for_each(|(least, now)| *least = least.min(now));
        }
        let [bare, epochs, engine] = least;
        let figure =
            |name: &str, value, unit| print(json, &format!("{rows} rows: {name}"), value, unit);
        figure("bare wasmtime", bare * 1e6, "µs per call");
        figure("bare wasmtime with epochs", epochs * 1e6, "µs per call");
        figure("engine", engine * 1e6, "µs per call");
        figure(
            "engine adds to bare with epochs",
            (engine - epochs) * 1e9,
            "ns per call",
        );
        figure("engine", rows as f64 / engine / 1e6, "million rows/s");
    }
    Ok(())
}

fn loads(bytes: &[u8], options: &Options) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let cache = dir.path().join("code");
    let engine = engine(bytes, Some(cache))?;
    let timed = |number: u32| -> Outcome<(f64, Detector)> {
        let copy = copy(bytes, number);
        let start = Instant::now();
        let detector = engine.load(&copy)?;
        Ok((start.elapsed().as_secs_f64() * 1e3, detector))
    };
    let mut cold = f64::INFINITY;
    for number in 0..options.copies.min(10) {
        cold = cold.min(timed(number)?.0);
    }
    print(options.json, "load, cold", cold, "ms");
    let mut cached = f64::INFINITY;
    for number in 0..options.copies.min(10) {
        cached = cached.min(timed(number)?.0);
    }
    print(
        options.json,
        "load, compiled code in the cache",
        cached,
        "ms",
    );
    let before = resident_bytes();
    let mut held = Vec::new();
    for number in 0..options.copies {
        let (_, detector) = timed(number)?;
        let columns = detector.description().features.len();
        detector.score(
            &batch(columns, 100),
            Deadline::after(Duration::from_secs(5)),
        )?;
        held.push(detector);
    }
    let each = (resident_bytes().saturating_sub(before)) as f64 / f64::from(options.copies.max(1));
    print(
        options.json,
        &format!("resident, each of {} detectors", held.len()),
        each / 1e6,
        "MB",
    );
    Ok(())
}

fn main() -> Outcome<()> {
    let options = options()?;
    let bytes = match &options.component {
        Some(path) => std::fs::read(path)?,
        None => forest::component(10)?,
    };
    let detector = engine(&bytes, None)?.load(&bytes)?;
    calls(&bytes, &detector, options.json)?;
    loads(&bytes, &options)
}
