//! A host with two hundred detectors beside one with a single detector: memory for each, and whether the first one's
//! latency stays.

use std::collections::BTreeMap;

use hodoscope_isolation_forest::{Sections, TrainOptions, emit, fit_rows};
use serde_json::json;

use crate::Bench;
use crate::load::{self, Load, Request};
use crate::measure::{CORE, resident_bytes};
use crate::server::{Home, Server};
use crate::sets::Set;
use crate::table::{Table, Target};

/// Features of every detector.
const COLUMNS: usize = 10;
/// Rows that each forest is grown on.
const ROWS: usize = 2_000;

/// Measures the rows.
pub(crate) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let count = bench.size(200, 4);
    let folder = bench.folder.join("many");
    let few = Home::new(&bench.hodoscope(), folder.join("few"))?;
    let many = Home::new(&bench.hodoscope(), folder.join("many"))?;
    fill(&few, 1)?;
    fill(&many, count)?;
    let (few, many) = (few.serve(CORE)?, many.serve(CORE)?);
    let set = Set::generate("one", 1, COLUMNS, 9);
    let body = folder.join("one.json");
    std::fs::write(&body, set.json_rows())?;
    let request = |server: &Server, detector: usize| Request {
        url: format!("{}/v1/detectors/d{detector}/score", server.url),
        body: body.clone(),
        content_type: "application/json",
        json_length: None,
    };
    for detector in 0..count {
        load::once(&request(&many, detector))?;
    }
    load::once(&request(&few, 0))?;
    let grown = resident_bytes(many.id())? - resident_bytes(few.id())?;
    let each = grown / (count as f64 - 1.0) / 1e6;
    let target = Target::AtMost {
        must: 2.0,
        stretch: Some(0.5),
    };
    let text = format!(
        "{each:.2} MB (host with one: {:.0} MB)",
        resident_bytes(few.id())? / 1e6
    );
    table.alone(
        "many.memory",
        &format!("{count} detectors loaded: resident memory of each"),
        text,
        each,
        target,
    );
    if !load::available() {
        table.skip(
            "many.latency",
            "one detector's latency among many",
            "no wrk here (Debian: apt-get install wrk)",
        );
        return Ok(());
    }
    latency(
        bench,
        table,
        count,
        [
            (&request(&many, 0), many.id()),
            (&request(&few, 0), few.id()),
        ],
    )
}

fn latency(
    bench: &Bench,
    table: &mut Table,
    count: usize,
    sides: [(&Request, u32); 2],
) -> anyhow::Result<()> {
    let (mut among, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..bench.size(5, 1) {
        let [many, few] = sides;
        alone.push(load::run(few.0, 1, bench.size(2, 1), few.1)?);
        among.push(load::run(many.0, 1, bench.size(2, 1), many.1)?);
    }
    let (among, alone): (Load, Load) = (load::middle(among)?, load::middle(alone)?);
    let text = |load: &Load| {
        format!(
            "p50 {:.1} µs, {:.1} µs CPU",
            load.p50_ms * 1e3,
            load.server_us
        )
    };
    // Within the noise of a loaded machine: what one run differs from the next.
    let target = Target::AtMost {
        must: 1.1,
        stretch: None,
    };
    let what = format!("one detector's latency among {count}, 1 × {COLUMNS} JSON, 1 connection");
    table.against(
        "many.latency",
        &what,
        text(&among),
        format!("alone {}", text(&alone)),
        among.p50_ms / alone.p50_ms,
        target,
    );
    Ok(())
}

/// Puts `count` detectors into the home's store and channel.
fn fill(home: &Home, count: usize) -> anyhow::Result<()> {
    let rows = Set::generate("many", ROWS, COLUMNS, 3);
    let singles: Vec<f32> = rows.values.iter().map(|value| *value as f32).collect();
    let mut detectors = BTreeMap::new();
    for seed in 0..count {
        let options = TrainOptions {
            seed: seed as u64,
            ..TrainOptions::default()
        };
        let mut forest = fit_rows(&singles, &rows.names(), &options)?;
        forest.threshold = Some(0.6);
        let golden_rows = rows
            .head(64)
            .values
            .chunks(COLUMNS)
            .map(<[f64]>::to_vec)
            .collect();
        let sections = Sections {
            golden_rows,
            calibration: None,
            profile: None,
            training: None,
        };
        let bytes = emit(&forest, &sections)?;
        let file = home.folder().join("component.wasm");
        std::fs::write(&file, &bytes)?;
        let name = format!("d{seed}");
        home.push(&file, &name, "1.0.0")?;
        let digest = hodoscope_release::Digest::of(&bytes).to_string();
        detectors.insert(
            name,
            json!({"active": {"version": "1.0.0", "digest": digest}}),
        );
    }
    home.channel(&json!({"detectors": detectors}))
}
