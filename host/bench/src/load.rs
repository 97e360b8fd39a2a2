//! HTTP load by wrk on a core of its own against a server on another, with the CPU time of both: a figure counts only
//! while the server was the limit.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::measure::{LOAD_CORE, children_cpu_seconds, cpu_seconds, median, pinned};

/// Below this share of its core a server was not the limit.
const BUSY_LIMIT: f64 = 0.95;

/// What is sent, over and over.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `http://127.0.0.1:port/path`.
    pub(crate) url: String,
    /// The file with the body.
    pub(crate) body: PathBuf,
    /// Its content type.
    pub(crate) content_type: &'static str,
    /// For binary tensors: how long the JSON before them is.
    pub(crate) json_length: Option<usize>,
}

/// What wrk's script prints.
#[derive(Debug, Deserialize)]
struct Printed {
    requests: f64,
    seconds: f64,
    p50_ms: f64,
    p99_ms: f64,
    refused: u64,
    broken: u64,
}

/// What one run of wrk saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Answered requests per second.
    pub(crate) per_second: f64,
    /// Half of the requests were faster.
    pub(crate) p50_ms: f64,
    /// 99 of 100 requests were faster.
    pub(crate) p99_ms: f64,
    /// Requests with an answer that was not 2xx or 3xx, or with none.
    pub(crate) failed: u64,
    /// How long wrk sent.
    pub(crate) seconds: f64,
    /// The share of its core that the server used.
    pub(crate) server_busy: f64,
    /// The share of its core that wrk used.
    pub(crate) client_busy: f64,
    /// CPU time of the server per request.
    pub(crate) server_us: f64,
}

impl Load {
    /// Whether the server was the limit.
    pub(crate) fn counts(&self) -> bool {
        self.server_busy >= BUSY_LIMIT
    }

    /// For the table.
    pub(crate) fn text(&self, name: &str) -> String {
        let name = if name.is_empty() {
            String::new()
        } else {
            format!("{name} ")
        };
        format!(
            "{name}{}/s, p50 {:.2} p99 {:.2} ms, {:.1} µs CPU, busy {:.0} % (wrk {:.0} %)",
            crate::table::short(self.per_second),
            self.p50_ms,
            self.p99_ms,
            self.server_us,
            self.server_busy * 100.0,
            self.client_busy * 100.0,
        )
    }
}

/// A run of wrk that has been started; it ends with this.
#[derive(Debug)]
pub(crate) struct Running {
    wrk: Child,
    server: u32,
    server_before: f64,
    client_before: f64,
    started: Instant,
}

/// Whether wrk is here.
pub(crate) fn available() -> bool {
    Command::new("wrk")
        .arg("-v")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// Starts wrk with `connections` for `seconds` against the server process `server`.
pub(crate) fn start(
    request: &Request,
    connections: u32,
    seconds: u32,
    server: u32,
) -> anyhow::Result<Running> {
    let client_before = children_cpu_seconds()?;
    let mut command = pinned(LOAD_CORE, Path::new("wrk"));
    command.args([
        "-t1",
        &format!("-c{connections}"),
        &format!("-d{seconds}s"),
        "--timeout",
        "10s",
        "--latency",
    ]);
    command
        .args(["-s", "host/bench/wrk.lua", &request.url, "--"])
        .arg(&request.body)
        .arg(request.content_type);
    command.args(request.json_length.map(|length| length.to_string()));
    let wrk = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start wrk")?;
    Ok(Running {
        wrk,
        server,
        server_before: cpu_seconds(server)?,
        client_before,
        started: Instant::now(),
    })
}

impl Running {
    /// Whether wrk still sends.
    pub(crate) fn sends(&mut self) -> anyhow::Result<bool> {
        Ok(self.wrk.try_wait()?.is_none())
    }

    /// Ends it now, as an interrupt at the keyboard does.
    pub(crate) fn stop(self) -> anyhow::Result<Load> {
        // taskset has become wrk: it replaces itself by what it starts.
        let status = Command::new("kill")
            .args(["-INT", &self.wrk.id().to_string()])
            .status()?;
        ensure!(status.success(), "wrk cannot be stopped");
        self.finish()
    }

    /// Waits for the end.
    pub(crate) fn finish(mut self) -> anyhow::Result<Load> {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        if let Some(pipe) = &mut self.wrk.stdout {
            pipe.read_to_end(&mut output)?;
        }
        if let Some(pipe) = &mut self.wrk.stderr {
            pipe.read_to_end(&mut errors)?;
        }
        self.wrk.wait()?;
        let elapsed = self.started.elapsed().as_secs_f64();
        let server = cpu_seconds(self.server)? - self.server_before;
        let client = children_cpu_seconds()? - self.client_before;
        let text = String::from_utf8_lossy(&output);
        let Some(line) = text.lines().find_map(|line| line.strip_prefix("RESULT ")) else {
            bail!(
                "wrk printed no result: {text}{}",
                String::from_utf8_lossy(&errors)
            );
        };
        let printed: Printed =
            serde_json::from_str(line).with_context(|| format!("wrk printed '{line}'"))?;
        ensure!(printed.requests > 0.0, "no request was answered");
        Ok(Load {
            per_second: printed.requests / printed.seconds,
            p50_ms: printed.p50_ms,
            p99_ms: printed.p99_ms,
            failed: printed.refused + printed.broken,
            seconds: printed.seconds,
            server_busy: server / elapsed,
            client_busy: client / elapsed,
            server_us: server / printed.requests * 1e6,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.wrk.kill();
        let _ = self.wrk.wait();
    }
}

/// One request sent for `seconds` over `connections`, after the answer was seen to be a success.
pub(crate) fn run(
    request: &Request,
    connections: u32,
    seconds: u32,
    server: u32,
) -> anyhow::Result<Load> {
    start(request, connections, seconds, server)?.finish()
}

/// The run in the middle by requests per second, with failures and the p99 of all runs taken into account.
pub(crate) fn middle(mut loads: Vec<Load>) -> anyhow::Result<Load> {
    loads.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    let mut load = *loads.get(loads.len() / 2).context("no load was run")?;
    load.failed = loads.iter().map(|load| load.failed).sum();
    load.p99_ms = median(&mut loads.iter().map(|load| load.p99_ms).collect::<Vec<_>>());
    Ok(load)
}

/// Sends `request` once and answers its body; anything but a 2xx is an error.
pub(crate) fn once(request: &Request) -> anyhow::Result<Vec<u8>> {
    let body = std::fs::read(&request.body)?;
    let mut call = ureq::post(&request.url).content_type(request.content_type);
    if let Some(length) = request.json_length {
        call = call.header("Inference-Header-Content-Length", length.to_string());
    }
    let mut answer = call
        .send(&body[..])
        .with_context(|| format!("POST {}", request.url))?;
    Ok(answer.body_mut().read_to_vec()?)
}
