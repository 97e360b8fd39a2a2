//! A hundred swaps of one detector between two releases while wrk keeps the server full: failed requests, and the p99
//! beside the one without swaps.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::Bench;
use crate::components::{component, rows, train};
use crate::load::{self, Request};
use crate::measure::{CORE, LOAD_CORE, median, percentile, pin};
use crate::server::{Home, pause};
use crate::table::{Table, Target};

/// The detector.
const SET: &str = "generated30";
/// Connections that wrk keeps busy.
const CONNECTIONS: u32 = 32;
/// How long one swap may take.
const SWAP_LIMIT: Duration = Duration::from_secs(60);
/// Longer than all swaps together; wrk is stopped after the last one.
const LOAD_SECONDS: u32 = 600;

/// Measures the rows.
pub(crate) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    if !load::available() {
        table.skip(
            "swap",
            "swaps under full load",
            "no wrk here (Debian: apt-get install wrk)",
        );
        return Ok(());
    }
    let folder = bench.folder.join("swap");
    let home = Home::new(&bench.hodoscope(), folder)?;
    let set = rows(bench, SET)?;
    home.push(&component(bench, &set)?, SET, "1.0.0")?;
    let second = home.folder().join("second.wasm");
    let sample = home.folder().join("sample.csv");
    std::fs::write(&sample, set.head(2_000).csv())?;
    train(bench, &sample, SET, 7, &second)?;
    home.push(&second, SET, "2.0.0")?;
    home.promote(SET, "1.0.0")?;
    let server = home.serve(CORE)?;
    let body = home.folder().join("one.json");
    std::fs::write(&body, set.head(1).json_rows())?;
    let request = Request {
        url: format!("{}/v1/detectors/{SET}/score", server.url),
        body,
        content_type: "application/json",
        json_length: None,
    };
    load::once(&request)?;
    // Promoting is somebody else's work: it shall not take the server's core.
    pin(LOAD_CORE)?;
    let calm = load::run(&request, CONNECTIONS, bench.size(10, 1), server.id())?;
    let mut running = load::start(&request, CONNECTIONS, LOAD_SECONDS, server.id())?;
    let swaps = bench.size(100, 4);
    let mut seconds = Vec::new();
    for swap in 0..swaps {
        let version = if swap % 2 == 0 { "2.0.0" } else { "1.0.0" };
        ensure!(running.sends()?, "wrk ended too early");
        seconds.push(swap_to(&home, version)?);
    }
    let stormy = running.stop()?;
    pin("0,1")?;
    let what = format!("{swaps} swaps under full load");
    let failed = stormy.failed as f64;
    let none = Target::AtMost {
        must: 0.0,
        stretch: None,
    };
    let sent = format!("{failed} of {:.0}", stormy.per_second * stormy.seconds);
    table.alone(
        "swap.failed",
        &format!("{what}: failed requests"),
        sent,
        failed,
        none,
    );
    let (ours, peer) = (stormy.text("during"), calm.text("without"));
    let target = Target::AtMost {
        must: 2.0,
        stretch: None,
    };
    table.against(
        "swap.p99",
        &format!("{what}: p99"),
        ours,
        peer,
        stormy.p99_ms / calm.p99_ms,
        target,
    );
    let slowest = percentile(&mut seconds, 1.0) * 1e3;
    let text = format!(
        "{:.0} ms, slowest {slowest:.0} ms",
        median(&mut seconds) * 1e3
    );
    table.alone(
        "swap.time",
        &format!("{what}: from the promotion to the new release serving"),
        text,
        slowest,
        Target::None,
    );
    Ok(())
}

/// Promotes `version` and waits until it serves; answers the seconds from the end of the promotion on.
fn swap_to(home: &Home, version: &str) -> anyhow::Result<f64> {
    home.promote(SET, version)?;
    let start = Instant::now();
    let url = format!("{}/roster", home.admin());
    loop {
        let roster: Value = ureq::get(&url)
            .call()?
            .body_mut()
            .read_json()
            .context("the roster is not JSON")?;
        if runs(&roster, version) {
            return Ok(start.elapsed().as_secs_f64());
        }
        ensure!(
            start.elapsed() < SWAP_LIMIT,
            "{version} never served: {roster}"
        );
        pause(Duration::from_millis(5));
    }
}

/// Whether the roster says that `version` is running.
fn runs(roster: &Value, version: &str) -> bool {
    let release = format!("{SET}@{version}");
    let detectors = roster
        .get("detectors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut running = detectors.filter_map(|detector| detector.get("running"));
    running.any(|running| {
        running.to_string().contains(&release)
            || running.get("version").is_some_and(|v| v == version)
    })
}
