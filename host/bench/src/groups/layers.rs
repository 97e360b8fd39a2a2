//! What our own layers cost: bare wasmtime on the same component, the engine's call, the host over loopback; one row, 32
//! and 1,024 of 30 features.

use std::cell::RefCell;

use anyhow::{Context, ensure};
use wasmtime::component::{Component, ComponentType, Lift, Linker, Lower, TypedFunc};
use wasmtime::{Config, Engine, Store};

use super::score::{batch_of, call};
use crate::Bench;
use crate::components::{component, engine, rows};
use crate::load::{self, Request};
use crate::measure::{CORE, Measurement, interleave, pin, time};
use crate::server::Home;
use crate::sets::Set;
use crate::table::{Table, Target, short};

/// The set whose forest and rows are used.
const SET: &str = "generated30";

#[derive(ComponentType, Lower)]
#[component(record)]
struct Batch<'a> {
    columns: u32,
    values: &'a [f64],
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Location {
    row: Option<u32>,
    column: Option<u32>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
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

type Score<'a> = TypedFunc<(Batch<'a>,), (Result<Vec<f64>, Refusal>,)>;

/// Measures the rows.
pub(crate) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let set = rows(bench, SET)?;
    let file = component(bench, &set)?;
    let bytes = std::fs::read(&file)?;
    let home = Home::new(&bench.hodoscope(), bench.folder.join("layers"))?;
    home.push(&file, SET, "1.0.0")?;
    home.promote(SET, "1.0.0")?;
    let server = home.serve(CORE)?;
    pin(CORE)?;
    let detector = engine(bench, None)?.load(&bytes)?;
    let wasm = Engine::new(&Config::new())?;
    for count in [1, 32, 1_024] {
        let set = set.head(count);
        let batch = batch_of(&set)?;
        let seconds = bench.size(0.2, 0.005);
        let (mut store, function) = bare(&wasm, &bytes)?;
        let store = RefCell::new(&mut store);
        let mut measurements: [Measurement<'_>; 2] = [
            Box::new(|| time(seconds, || score_bare(*store.borrow_mut(), &function, &set))),
            Box::new(|| time(seconds, || call(&detector, &batch).map(drop))),
        ];
        let figures = interleave(bench.size(7, 1), &mut measurements)?;
        let &[wasm, ours] = figures.as_slice() else {
            anyhow::bail!("nothing was measured")
        };
        let text = |seconds: f64| {
            format!(
                "{} µs, {} rows/s",
                short(seconds * 1e6),
                short(count as f64 / seconds)
            )
        };
        let what =
            format!("our layers, {count} × 30: engine, vs bare wasmtime without epochs and limits");
        table.against(
            &format!("layers.engine.{count}"),
            &what,
            text(ours),
            text(wasm),
            ours / wasm,
            Target::None,
        );
        over_loopback(bench, table, &server.url, server.id(), &set, ours)?;
    }
    pin("0,1")
}

fn over_loopback(
    bench: &Bench,
    table: &mut Table,
    url: &str,
    server: u32,
    set: &Set,
    engine: f64,
) -> anyhow::Result<()> {
    let count = set.rows();
    let key = format!("layers.host.{count}");
    let what = format!(
        "our layers, {count} × 30: host over loopback (binary FP64), CPU per request, vs the engine's call"
    );
    if !load::available() {
        table.skip(&key, &what, "no wrk here (Debian: apt-get install wrk)");
        return Ok(());
    }
    let (bytes, length) = set.binary_tensor("FP64");
    let body = bench.folder.join(format!("layers.{count}"));
    std::fs::write(&body, bytes)?;
    let request = Request {
        url: format!("{url}/v2/models/{SET}/infer"),
        body,
        content_type: "application/octet-stream",
        json_length: Some(length),
    };
    load::once(&request)?;
    let load = load::run(&request, 8, bench.size(4, 1), server)?;
    let (ours, theirs) = (
        format!("{} µs", short(load.server_us)),
        format!("{} µs", short(engine * 1e6)),
    );
    table.against(
        &key,
        &what,
        ours,
        theirs,
        load.server_us / (engine * 1e6),
        Target::None,
    );
    Ok(())
}

/// An instance of the component in a wasmtime without any of our safeties.
fn bare<'a>(engine: &Engine, bytes: &[u8]) -> anyhow::Result<(Store<()>, Score<'a>)> {
    let component = Component::new(engine, bytes)?;
    let mut store = Store::new(engine, ());
    let instance = Linker::new(engine).instantiate(&mut store, &component)?;
    let interface = instance.get_export_index(&mut store, None, "hodoscope:detector/scoring@0.1.0");
    let interface = interface.context("no interface `scoring`")?;
    let score = instance
        .get_export_index(&mut store, Some(&interface), "score")
        .context("no function `score`")?;
    let function = instance.get_typed_func(&mut store, score)?;
    Ok((store, function))
}

fn score_bare<'a>(store: &mut Store<()>, function: &Score<'a>, set: &'a Set) -> anyhow::Result<()> {
    let batch = Batch {
        columns: u32::try_from(set.columns)?,
        values: &set.values,
    };
    let (answer,) = function.call(store, (batch,))?;
    let scores =
        answer.map_err(|refusal| anyhow::anyhow!("the guest refused: {}", text(refusal)))?;
    ensure!(
        scores.len() == set.rows(),
        "{} scores for {} rows",
        scores.len(),
        set.rows()
    );
    Ok(())
}

fn text(refusal: Refusal) -> String {
    match refusal {
        Refusal::WrongShape(text) | Refusal::Unsupported(text) | Refusal::Internal(text) => text,
        Refusal::BadValue((location, text)) => format!(
            "row {:?}, column {:?}: {text}",
            location.row, location.column
        ),
    }
}
