//! What capturing costs: the same requests to a server that captures nothing, to one that captures as it does by default,
//! and to one whose window has no limit of kept rows; the three take turns on one core, and each round is a pair.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::Bench;
use crate::components::{rows, train};
use crate::load::{self, Load, Request};
use crate::measure::{CORE, median};
use crate::server::{Home, Server};
use crate::sets::Set;
use crate::table::{Table, Target};

/// Connections that wrk keeps busy.
const CONNECTIONS: u32 = 32;
/// The set whose rows are sent.
const SET: &str = "generated30";
/// Rows that the forest is trained on.
const TRAINING_ROWS: usize = 20_000;
/// Rows of the larger requests.
const BATCH_ROWS: usize = 100;

/// One kind of request.
struct Case {
    key: &'static str,
    what: &'static str,
    /// The path after the server's address.
    path: String,
    body: PathBuf,
    json_length: Option<usize>,
    /// The least share of the throughput without capture.
    must: f64,
}

/// The servers that take turns: without capture, with it, and with every chosen row kept.
struct Servers([Server; 3]);

/// Measures every row.
pub(crate) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    if !load::available() {
        table.skip(
            "capture",
            "requests with capture",
            "no wrk here (Debian: apt-get install wrk)",
        );
        return Ok(());
    }
    let folder = bench.folder.join("capture");
    std::fs::create_dir_all(&folder)?;
    let set = rows(bench, SET)?;
    // Trained and not imported, so that it has the edges on which inputs are counted.
    let (data, component) = (folder.join("rows.csv"), folder.join("trained.wasm"));
    std::fs::write(&data, set.head(TRAINING_ROWS).csv())?;
    train(bench, &data, SET, 0, &component)?;
    let serve = |place: u8, settings: &[&str]| -> anyhow::Result<Server> {
        let home = folder.join(format!("home{place}"));
        let home = Home::new(&bench.hodoscope(), home)?;
        home.push(&component, SET, "1.0.0")?;
        home.promote(SET, "1.0.0")?;
        home.serve_with(CORE, settings)
    };
    let unlimited = ["--capture", "--set", "capture_rows_per_window=1000000000"];
    let servers = Servers([
        serve(0, &[])?,
        serve(1, &["--capture"])?,
        serve(2, &unlimited)?,
    ]);
    for case in cases(&folder, &set)? {
        measure(bench, table, &servers, &case)?;
    }
    Ok(())
}

fn cases(folder: &Path, set: &Set) -> anyhow::Result<[Case; 3]> {
    let (one, many) = (set.head(1), set.head(BATCH_ROWS));
    let (binary, header) = many.binary_tensor("FP32");
    let write = |name: &str, bytes: &[u8]| -> anyhow::Result<PathBuf> {
        let path = folder.join(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    };
    let score = format!("/v1/detectors/{SET}/score");
    Ok([
        Case {
            key: "capture.one",
            what: "capture, 1 × 30, JSON",
            path: score.clone(),
            body: write("one.json", one.json_rows().as_bytes())?,
            json_length: None,
            must: 0.97,
        },
        Case {
            key: "capture.many",
            what: "capture, 100 × 30, JSON",
            path: score,
            body: write("many.json", many.json_rows().as_bytes())?,
            json_length: None,
            must: 0.95,
        },
        Case {
            key: "capture.many.fp32",
            what: "capture, 100 × 30, OIP binary FP32",
            path: format!("/v2/models/{SET}/infer"),
            body: write("many.fp32", &binary)?,
            json_length: Some(header),
            must: 0.95,
        },
    ])
}

fn measure(bench: &Bench, table: &mut Table, servers: &Servers, case: &Case) -> anyhow::Result<()> {
    let seconds = bench.size(4, 1);
    let mut loads: [Vec<Load>; 3] = Default::default();
    for round in 0..bench.size(7, 1) {
        for (server, loads) in servers.0.iter().zip(&mut loads) {
            let request = Request {
                url: format!("{}{}", server.url, case.path),
                body: case.body.clone(),
                content_type: match case.json_length {
                    Some(_) => "application/octet-stream",
                    None => "application/json",
                },
                json_length: case.json_length,
            };
            if round == 0 {
                ensure!(
                    !load::once(&request)?.is_empty(),
                    "{}: an empty answer",
                    case.key
                );
            }
            loads.push(load::run(&request, CONNECTIONS, seconds, server.id())?);
        }
    }
    let [without, with, all] = &loads;
    let least = Target::AtLeast {
        must: case.must,
        stretch: None,
    };
    row(table, case.key, case.what, (without, with), least)?;
    let (key, what) = (
        format!("{}.unlimited", case.key),
        format!("{}, every chosen row kept", case.what),
    );
    row(table, &key, &what, (without, all), Target::None)
}

/// A row judged by the median of the rounds' ratios: a slow minute hits both of a round.
fn row(
    table: &mut Table,
    key: &str,
    what: &str,
    (without, with): (&Vec<Load>, &Vec<Load>),
    target: Target,
) -> anyhow::Result<()> {
    let ratio = |figure: fn(&Load) -> f64| {
        let pairs = without.iter().zip(with);
        let mut ratios: Vec<f64> = pairs
            .map(|(without, with)| figure(with) / figure(without))
            .collect();
        (median(&mut ratios), ratios)
    };
    let (per_second, rounds) = ratio(|load| load.per_second);
    let (cpu, _) = ratio(|load| load.server_us);
    let (first, last) = (rounds.first(), rounds.last());
    let (without, with) = (load::middle(without.clone())?, load::middle(with.clone())?);
    table.against(
        key,
        what,
        with.text(""),
        without.text("without"),
        per_second,
        target,
    );
    table.note(&format!(
        "CPU per request {cpu:.3} of that without; rounds {:.3} to {:.3}",
        first.copied().unwrap_or(f64::NAN),
        last.copied().unwrap_or(f64::NAN)
    ));
    if with.failed > 0 {
        table.fail(key, what, &format!("{} requests failed", with.failed));
    }
    if !with.counts() || !without.counts() {
        table.load_bound(&format!(
            "servers only {:.0} and {:.0} % busy",
            with.server_busy * 100.0,
            without.server_busy * 100.0
        ));
    }
    Ok(())
}
