//! The server of the demo: a child process that ends with the demo, whatever happens.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

use super::shell::Shell;
use crate::commands::simulate::{Address, Connection};

/// The ports people know; others are taken if these are in use.
const PORTS: [u16; 2] = [8080, 8081];
/// A host that is not ready by then has a reason, which its log tells.
const PATIENCE: Duration = Duration::from_secs(120);
const CALL: Duration = Duration::from_secs(30);
/// What of the traffic lies in the store, was dropped, and still waits.
const KEPT: &str = "hodoscope_capture_rows_total";
const DROPPED: &str = "hodoscope_capture_dropped_rows_total";
const WAITING: &str = "hodoscope_capture_backlog_files";

/// A running host.
pub(super) struct Host {
    child: Child,
    data: SocketAddr,
    admin: SocketAddr,
    /// Rows that were sent to it.
    sent: f64,
}

impl Host {
    /// Writes the settings, starts `hodoscope serve`, and waits until it answers for `detector`.
    pub(super) async fn start(shell: &Shell, detector: &str) -> anyhow::Result<Self> {
        let [data, admin] = free_ports()?;
        let settings = format!("data_address = \"{data}\"\nadmin_address = \"{admin}\"\n");
        shell.settings(&settings)?;
        shell.show("serve");
        let log = std::fs::File::create(shell.folder().join("host.log"))?;
        let child = shell
            .command("serve")
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .spawn()
            .context("failed to start `hodoscope serve`")?;
        let mut host = Self {
            child,
            data,
            admin,
            sent: 0.0,
        };
        let path = format!("/v1/detectors/{detector}");
        host.wait_until(&path, "it serves the detector", |answer| {
            answer.get("digest").is_some_and(Value::is_string)
        })
        .await?;
        Ok(host)
    }

    /// Asks until the answer is as wanted.
    pub(super) async fn wait_until(
        &mut self,
        path: &str,
        wanted: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let mut every = tokio::time::interval(Duration::from_millis(10));
        let mut last = "no answer".to_owned();
        while started.elapsed() < PATIENCE {
            every.tick().await;
            if let Some(status) = self.child.try_wait()? {
                bail!("the host ended ({status}); host.log in the demo's folder tells why");
            }
            match self.call(Method::GET, path, "").await {
                Ok(answer) if holds(&answer) => return Ok(started.elapsed()),
                Ok(answer) => last = answer.to_string(),
                Err(error) => last = format!("{error:#}"),
            }
        }
        bail!("the host did not come so far that {wanted}; last: {last}")
    }

    /// One request of the data port, with a JSON answer.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> anyhow::Result<Value> {
        let body = ask(&self.url(), method, path, body).await?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Notes that rows were sent, which [`Self::captured`] then awaits.
    pub(super) fn sent(&mut self, rows: f64) {
        self.sent += rows;
    }

    /// Waits until every row that was sent is captured and put into the store, however busy the machine is.
    pub(super) async fn captured(&self) -> anyhow::Result<()> {
        let admin = format!("http://{}", self.admin);
        let started = Instant::now();
        let mut every = tokio::time::interval(Duration::from_millis(50));
        loop {
            every.tick().await;
            let metrics = ask(&admin, Method::GET, "/metrics", "").await?;
            let metrics = String::from_utf8_lossy(&metrics);
            let rows = sum(&metrics, KEPT) + sum(&metrics, DROPPED);
            let waiting = sum(&metrics, WAITING);
            if rows >= self.sent && waiting == 0.0 {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                bail!(
                    "{rows} of {} rows are captured, and {waiting} files wait",
                    self.sent
                );
            }
        }
    }

    /// The data port.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.data)
    }

    /// What to try while it runs.
    pub(super) fn next_commands(&self, shell: &Shell) -> String {
        format!(
            "\nThe host runs on {url} until you press Ctrl-C. Try in another terminal:\n\
             \n    cd {folder}\
             \n    {program} status\
             \n    {program} simulate --detector pump --rate 5000 --drift-at 10\
             \n    {program} drift --detector pump --retrain --propose\
             \n    {program} promote pump@1.1.0 && {program} forge merge pump\
             \n    curl {url}/v1/detectors/pump\
             \n    curl http://{admin}/metrics\n",
            url = self.url(),
            admin = self.admin,
            folder = shell.folder().display(),
            program = shell.program().display(),
        )
    }

    /// Waits for the host to end by itself.
    pub(super) fn wait(&mut self) -> anyhow::Result<()> {
        self.child.wait()?;
        Ok(())
    }

    /// Ends it as a supervisor would, and waits until it has drained.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .context("failed to signal the host")?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the host ended with {status} after SIGTERM");
        }
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Both fail if it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn ask(url: &str, method: Method, path: &str, body: &str) -> anyhow::Result<Bytes> {
    let address: Address = url.parse().map_err(anyhow::Error::msg)?;
    let mut connection = Connection::new(address, CALL);
    let body = Bytes::from(body.to_owned());
    let answer = connection.call(method, path, body).await;
    let (status, body) =
        answer.map_err(|no_answer| anyhow::anyhow!("no answer: {}", no_answer.kind()))?;
    if !status.is_success() {
        bail!(
            "{path} answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
    }
    Ok(body)
}

/// The sum of a metric over its labels, in Prometheus' text form.
fn sum(metrics: &str, name: &str) -> f64 {
    let samples = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with(['{', ' ']));
    samples
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

fn free_ports() -> anyhow::Result<[SocketAddr; 2]> {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let known: Vec<TcpListener> = PORTS
        .into_iter()
        .filter_map(|port| bind(port).ok())
        .collect();
    let listeners = if known.len() == PORTS.len() {
        known
    } else {
        vec![bind(0)?, bind(0)?]
    };
    let addresses = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<Vec<_>, _>>()?;
    addresses
        .try_into()
        .map_err(|_| anyhow::anyhow!("no two free ports"))
}
