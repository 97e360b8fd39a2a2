//! The executable as a person runs it: in a folder of its own, without the caller's settings.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder in which commands are run.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The same as it is now, in another place.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        let mut command = Command::new("cp");
        command.arg("-a").arg(self.path(".")).arg(copy.0.path());
        assert!(command.status().unwrap().success());
        copy
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hodoscope"));
        command
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env_clear()
            .stdin(Stdio::null());
        command
    }

    fn output(&self, line: &str) -> Output {
        self.command(line)
            .args(["--output", "json"])
            .output()
            .unwrap()
    }

    /// Runs a command that must succeed; gives its JSON answer.
    pub(crate) fn run(&self, line: &str) -> Value {
        let output = self.output(line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{line}: {errors}{}",
            String::from_utf8_lossy(&output.stdout)
        );
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Runs a command that must be refused; gives what it says.
    pub(crate) fn refused(&self, line: &str) -> String {
        let output = self.output(line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Generates rows of the pumps and trains `name`.wasm on them.
    pub(crate) fn pump(&self, name: &str, rows: u32, seed: u32) {
        self.run(&format!(
            "simulate --generate {rows} --out {name}.csv --seed {seed}"
        ));
        self.run(&format!(
            "train {name}.csv --name pump --label label --trees 20 --out {name}.wasm"
        ));
    }
}

/// `hodoscope serve` on ports of the system's choice; it ends with the test. On a busy machine a request may wait for longer
/// than the second that it has by default.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) admin: String,
}

impl Server {
    pub(crate) fn start(folder: &Folder) -> Self {
        Self::with(folder, &[])
    }

    /// The same with an environment.
    pub(crate) fn with(folder: &Folder, environment: &[(&str, &str)]) -> Self {
        let mut child = folder
            .command("serve --data-address 127.0.0.1:0 --admin-address 127.0.0.1:0")
            .env("NO_COLOR", "1")
            .env("HODOSCOPE_DEADLINE_MS", "30000")
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = |line: std::io::Result<String>, words: &str| {
            line.ok().filter(|line| line.contains(words))
        };
        let line = lines
            .by_ref()
            .find_map(|line| said(line, "scoring on http://"))
            .unwrap();
        let address =
            |line: String, words: &str| line.split(words).nth(1).unwrap().trim().to_owned();
        let url = address(line, "scoring on ");
        let line = lines
            .by_ref()
            .find_map(|line| said(line, "uploads on http://"))
            .unwrap();
        let admin = address(line, "uploads on ");
        lines.find_map(|line| said(line, "serving pump@")).unwrap();
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url, admin }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(&mut self) -> std::process::ExitStatus {
        let id = i32::try_from(self.child.id()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One column of a CSV file without quotes.
pub(crate) fn column(path: &Path, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let place = lines
        .next()
        .unwrap()
        .split(',')
        .position(|column| column == name);
    let place = place.unwrap_or_else(|| panic!("no column {name} in {}", path.display()));
    lines
        .map(|line| line.split(',').nth(place).unwrap().to_owned())
        .collect()
}
