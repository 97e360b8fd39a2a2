//! Requests over loopback: one row and a hundred rows of 30 features, as JSON and as binary tensors. Our server, a bare
//! axum echo, FastAPI and the image's executable take turns on one core; wrk has the other.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::Bench;
use crate::components::{component, rows};
use crate::load::{self, Load, Request};
use crate::measure::{CORE, pinned};
use crate::server::{Home, Server, free_ports};
use crate::sets::Set;
use crate::table::{Table, Target};

/// Connections that wrk keeps busy.
const CONNECTIONS: u32 = 32;
/// The set whose rows are sent.
const SET: &str = "generated30";
/// Rows of the larger requests.
const BATCH_ROWS: usize = 100;
/// How much higher than the echo's the p99 of one row may be.
const P99_RATIO_LIMIT: f64 = 2.0;
/// How much of the normal build's rate the image's executable must reach, or explain.
const IMAGE_RATIO: f64 = 0.95;

/// The servers that take turns.
struct Servers {
    ours: Server,
    echo: Server,
    fastapi: Option<Server>,
    image: Option<Server>,
}

/// One of our rows: what is sent to us and what the echo gets for it.
struct Case {
    key: &'static str,
    what: &'static str,
    ours: Request,
    echo: Request,
    target: Target,
    /// Whether the p99 and FastAPI are compared, too.
    whole: bool,
}

/// Measures every HTTP row.
pub(crate) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    if !load::available() {
        table.skip(
            "http",
            "requests over loopback",
            "no wrk here (Debian: apt-get install wrk)",
        );
        return Ok(());
    }
    let folder = bench.folder.join("http");
    std::fs::create_dir_all(&folder)?;
    let set = rows(bench, SET)?;
    let component = component(bench, &set)?;
    let serve = |executable: &Path, home: &str| -> anyhow::Result<Server> {
        let home = Home::new(executable, folder.join(home))?;
        home.push(&component, SET, "1.0.0")?;
        home.promote(SET, "1.0.0")?;
        home.serve(CORE)
    };
    let image = bench.image.as_deref();
    let servers = Servers {
        ours: serve(&bench.hodoscope(), "home")?,
        echo: echo(bench, &folder)?,
        fastapi: fastapi(bench, &folder)?,
        image: image
            .map(|executable| serve(executable, "image"))
            .transpose()?,
    };
    for case in cases(&servers, &folder, &set)? {
        measure(bench, table, &servers, &case)?;
    }
    if servers.image.is_none() {
        let (what, why) = (
            "HTTP, the image's executable",
            "it is not built: make image",
        );
        if bench.smoke {
            crate::say(&format!("no rows of {what}: {why}"));
        } else {
            table.skip("http.image", what, why);
        }
    }
    Ok(())
}

/// Bodies are written once; every server reads the same numbers.
fn cases(servers: &Servers, folder: &Path, set: &Set) -> anyhow::Result<Vec<Case>> {
    let ours = format!("{}/v1/detectors/{SET}/score", servers.ours.url);
    let infer = format!("{}/v2/models/{SET}/infer", servers.ours.url);
    let rows = format!("{}/rows", servers.echo.url);
    let named = format!("{}/named", servers.echo.url);
    let (one, many) = (set.head(1), set.head(BATCH_ROWS));
    let json = |url: &str, name: &str, text: String| -> anyhow::Result<Request> {
        Ok(Request {
            url: url.to_owned(),
            body: write(folder, name, text.as_bytes())?,
            content_type: "application/json",
            json_length: None,
        })
    };
    let binary = |datatype: &str| -> anyhow::Result<Request> {
        let (body, length) = many.binary_tensor(datatype);
        let body = write(folder, &format!("many.{datatype}"), &body)?;
        Ok(Request {
            url: infer.clone(),
            body,
            content_type: "application/octet-stream",
            json_length: Some(length),
        })
    };
    let at_least = |must, stretch| Target::AtLeast {
        must,
        stretch: Some(stretch),
    };
    let one_rows = json(&rows, "one.json", one.json_rows())?;
    let many_rows = json(&rows, "many.json", many.json_rows())?;
    let case = |key, what, ours, echo: &Request, target, whole| Case {
        key,
        what,
        ours,
        echo: echo.clone(),
        target,
        whole,
    };
    Ok(vec![
        case(
            "http.one",
            "HTTP, 1 × 30, JSON",
            json(&ours, "one.json", one.json_rows())?,
            &one_rows,
            at_least(0.75, 0.9),
            true,
        ),
        case(
            "http.one.named",
            "HTTP, 1 × 30, JSON with names",
            json(&ours, "one.named.json", one.json_named())?,
            &json(&named, "one.named.json", one.json_named())?,
            Target::None,
            false,
        ),
        case(
            "http.one.tensor",
            "HTTP, 1 × 30, OIP JSON",
            json(&infer, "one.tensor.json", one.json_tensor())?,
            &one_rows,
            Target::None,
            false,
        ),
        case(
            "http.many",
            "HTTP, 100 × 30, JSON",
            json(&ours, "many.json", many.json_rows())?,
            &many_rows,
            at_least(1.0, 1.5),
            true,
        ),
        case(
            "http.many.tensor",
            "HTTP, 100 × 30, OIP JSON",
            json(&infer, "many.tensor.json", many.json_tensor())?,
            &many_rows,
            Target::None,
            false,
        ),
        case(
            "http.many.fp32",
            "HTTP, 100 × 30, OIP binary FP32",
            binary("FP32")?,
            &many_rows,
            at_least(4.0, 6.0),
            false,
        ),
        case(
            "http.many.fp64",
            "HTTP, 100 × 30, OIP binary FP64",
            binary("FP64")?,
            &many_rows,
            Target::None,
            false,
        ),
    ])
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// What one case saw: the run in the middle of each server.
struct Turns {
    ours: Load,
    echo: Load,
    image: Option<Load>,
}

/// The servers take turns, so that a slow minute hits all alike.
fn turns(bench: &Bench, servers: &Servers, case: &Case) -> anyhow::Result<Turns> {
    let image = servers.image.as_ref().map(|server| {
        let url = case.ours.url.replace(&servers.ours.url, &server.url);
        let request = Request {
            url,
            ..case.ours.clone()
        };
        (request, server)
    });
    let mut sides = vec![(&case.echo, &servers.echo), (&case.ours, &servers.ours)];
    sides.extend(image.as_ref().map(|(request, server)| (request, *server)));
    for (request, _) in &sides {
        let answer = load::once(request)?;
        ensure!(!answer.is_empty(), "{}: an empty answer", request.url);
    }
    let seconds = bench.size(4, 1);
    let mut loads = vec![Vec::new(); sides.len()];
    for _ in 0..bench.size(3, 1) {
        for ((request, server), loads) in sides.iter().zip(&mut loads) {
            loads.push(load::run(request, CONNECTIONS, seconds, server.id())?);
        }
    }
    let mut middles = loads.into_iter().map(load::middle);
    let mut next = || middles.next().transpose();
    let (echo, ours) = (next()?, next()?);
    Ok(Turns {
        echo: echo.context("no run of the echo")?,
        ours: ours.context("no run of ours")?,
        image: next()?,
    })
}

fn measure(bench: &Bench, table: &mut Table, servers: &Servers, case: &Case) -> anyhow::Result<()> {
    let Turns { ours, echo, image } = turns(bench, servers, case)?;
    let ratio = ours.per_second / echo.per_second;
    table.against(
        case.key,
        case.what,
        ours.text(""),
        echo.text("echo"),
        ratio,
        case.target,
    );
    table.note(&format!(
        "CPU per request {:.2} of the echo's",
        ours.server_us / echo.server_us
    ));
    settled(table, case.key, case.what, &ours);
    if let Some(image) = image {
        beside_image(table, case, &image, &ours);
    }
    if case.whole {
        p99(table, case, &ours, &echo);
        beside_fastapi(bench, table, servers, case, &ours)?;
    }
    Ok(())
}

/// The image's executable against the normal build, of the same rounds.
fn beside_image(table: &mut Table, case: &Case, image: &Load, normal: &Load) {
    let (key, what) = (
        format!("{}.image", case.key),
        format!("{}: the image's executable", case.what),
    );
    let target = Target::AtLeast {
        must: IMAGE_RATIO,
        stretch: None,
    };
    table.against(
        &key,
        &what,
        image.text(""),
        normal.text("normal build"),
        image.per_second / normal.per_second,
        target,
    );
    table.note(&format!(
        "CPU per request {:.2} of the normal build's",
        image.server_us / normal.server_us
    ));
    settled(table, &key, &what, image);
}

fn p99(table: &mut Table, case: &Case, ours: &Load, echo: &Load) {
    let (key, what) = (format!("{}.p99", case.key), format!("{}: p99", case.what));
    let target = if case.key == "http.one" {
        Target::AtMost {
            must: P99_RATIO_LIMIT,
            stretch: None,
        }
    } else {
        Target::None
    };
    table.against(
        &key,
        &what,
        format!("{:.2} ms", ours.p99_ms),
        format!("echo {:.2} ms", echo.p99_ms),
        ours.p99_ms / echo.p99_ms,
        target,
    );
}

fn beside_fastapi(
    bench: &Bench,
    table: &mut Table,
    servers: &Servers,
    case: &Case,
    ours: &Load,
) -> anyhow::Result<()> {
    let Some(fastapi) = &servers.fastapi else {
        return Ok(());
    };
    let request = Request {
        url: format!("{}/score", fastapi.url),
        ..case.ours.clone()
    };
    load::once(&request)?;
    let theirs = load::run(&request, CONNECTIONS, bench.size(6, 1), fastapi.id())?;
    let target = if case.key == "http.one" {
        Target::AtLeast {
            must: 300.0,
            stretch: None,
        }
    } else {
        Target::None
    };
    let (key, what) = (
        format!("{}.fastapi", case.key),
        format!("{}, beside FastAPI", case.what),
    );
    let ratio = ours.per_second / theirs.per_second;
    table.against(
        &key,
        &what,
        ours.text(""),
        theirs.text("FastAPI + scikit-learn"),
        ratio,
        target,
    );
    Ok(())
}

/// Says of the row added last when its figure is the load generator's, and adds one where requests failed.
fn settled(table: &mut Table, key: &str, what: &str, load: &Load) {
    if !load.counts() {
        let busy = load.server_busy * 100.0;
        table.load_bound(&format!("server only {busy:.0} % busy"));
    }
    if load.failed > 0 {
        table.fail(key, what, &format!("{} requests failed", load.failed));
    }
}

fn echo(bench: &Bench, folder: &Path) -> anyhow::Result<Server> {
    let mut command = pinned(CORE, &bench.binaries.join("hodoscope-bench-echo"));
    let [port] = free_ports()?;
    command.arg(port.to_string());
    Server::start(command, port, "/ready", &folder.join("echo.log"))
}

fn fastapi(bench: &Bench, folder: &Path) -> anyhow::Result<Option<Server>> {
    let Some(python) = &bench.python else {
        return Ok(None);
    };
    let [port] = free_ports()?;
    let mut command = pinned(CORE, python);
    command
        .arg("host/bench/peers/service.py")
        .arg(&bench.folder)
        .arg(SET)
        .arg(port.to_string());
    command.env("OMP_NUM_THREADS", "1");
    let server = Server::start(command, port, "/ready", &folder.join("fastapi.log"));
    server.context("the FastAPI peer").map(Some)
}
