//! Processes that serve: started on the measured core with a home of their own, known to be ready, ended by their id.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::measure::pinned;

/// How long a server may take to become ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How often readiness is asked for.
const POLL: Duration = Duration::from_millis(20);

/// A server process; ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    /// Where it serves, `http://127.0.0.1:port`.
    pub(crate) url: String,
}

impl Server {
    /// Starts `command`, which serves on `port` of the loopback, and waits until `ready` answers 200.
    pub(crate) fn start(
        mut command: Command,
        port: u16,
        ready: &str,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let url = format!("http://127.0.0.1:{port}");
        command
            .stdin(Stdio::null())
            .stdout(File::create(log)?)
            .stderr(File::options().append(true).open(log)?);
        let process = command
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let mut server = Self { process, url };
        let asked = format!("{}{ready}", server.url);
        let start = Instant::now();
        loop {
            let ready = ureq::get(&asked).call().is_ok();
            // Also of one that is ready: another process may have answered.
            if let Some(status) = server.process.try_wait()? {
                bail!("{command:?} ended with {status}: see {}", log.display());
            }
            if ready {
                return Ok(server);
            }
            ensure!(
                start.elapsed() < READY_LIMIT,
                "{asked} never answered: see {}",
                log.display()
            );
            pause(POLL);
        }
    }

    /// The process that uses the CPU.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5)
            && matches!(self.process.try_wait(), Ok(None))
        {
            pause(POLL);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ports of the loopback on which nobody listens.
pub(crate) fn free_ports<const COUNT: usize>() -> anyhow::Result<[u16; COUNT]> {
    let mut ports = [0; COUNT];
    // Held until all are known, so that no two are the same.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Waits a moment between two looks at another process.
pub(crate) fn pause(time: Duration) {
    std::thread::park_timeout(time);
}

/// A home of Hodoscope for one group: store, channel and cache in a folder of its own.
#[derive(Debug)]
pub(crate) struct Home {
    hodoscope: PathBuf,
    folder: PathBuf,
    data: u16,
    admin: u16,
}

impl Home {
    /// An empty home under `folder`, which is made anew.
    pub(crate) fn new(hodoscope: &Path, folder: PathBuf) -> anyhow::Result<Self> {
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let [data, admin] = free_ports()?;
        Ok(Self {
            hodoscope: hodoscope.to_owned(),
            folder,
            data,
            admin,
        })
    }

    /// Runs a command of ours to its end on all cores.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(&self.hodoscope)
            .args(arguments)
            .arg("--home")
            .arg(&self.folder)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "hodoscope {}: {}",
            arguments.join(" "),
            said.trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Pushes a component as `detector@version`.
    pub(crate) fn push(
        &self,
        component: &Path,
        detector: &str,
        version: &str,
    ) -> anyhow::Result<()> {
        let component = component.to_str().context("a path that is not UTF-8")?;
        self.run(&["push", component, "--name", detector, "--version", version])
            .map(drop)
    }

    /// Makes `detector@version` the active one of the local channel.
    pub(crate) fn promote(&self, detector: &str, version: &str) -> anyhow::Result<()> {
        self.run(&[
            "promote",
            &format!("{detector}@{version}"),
            "--channel",
            "local",
        ])
        .map(drop)
    }

    /// Writes the local channel as one document.
    pub(crate) fn channel(&self, document: &serde_json::Value) -> anyhow::Result<()> {
        let folder = self.folder.join("channels/local");
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(
            folder.join("channel.json"),
            document.to_string(),
        )?)
    }

    /// Serves the local channel on `cores`.
    pub(crate) fn serve(&self, cores: &str) -> anyhow::Result<Server> {
        self.serve_with(cores, &[])
    }

    /// The same with more arguments.
    pub(crate) fn serve_with(&self, cores: &str, arguments: &[&str]) -> anyhow::Result<Server> {
        let mut command = pinned(cores, &self.hodoscope);
        command.args([
            "serve",
            "--data-address",
            &format!("127.0.0.1:{}", self.data),
            "--admin-address",
            &format!("127.0.0.1:{}", self.admin),
            // What is counted as failed shall not be a machine that stands still for a second.
            "--set",
            "deadline_ms=30000",
        ]);
        command.args(arguments).arg("--home").arg(&self.folder);
        let log = self.folder.join("serve.log");
        Server::start(command, self.data, "/v2/health/ready", &log)
    }

    /// The admin listener, `http://127.0.0.1:port`.
    pub(crate) fn admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin)
    }

    /// The folder of this home.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}
