//! Runs this executable in the demo's folder, as a person would from a shell there, and reads what it prints for
//! programs.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// A folder with this file was made by a demo, and may be emptied by the next.
const MARKER: &str = "made-by-hodoscope-demo";

/// The folder, and the executable that is run in it.
#[derive(Debug)]
pub(super) struct Shell {
    folder: PathBuf,
    program: PathBuf,
}

impl Shell {
    /// Makes a fresh folder.
    pub(super) fn new(folder: &Path) -> anyhow::Result<Self> {
        if folder.join(MARKER).exists() {
            fs::remove_dir_all(folder)
                .with_context(|| format!("failed to empty {}", folder.display()))?;
        } else if folder.exists() && fs::read_dir(folder)?.next().is_some() {
            bail!(
                "{} is not empty and no demo made it; give another --folder",
                folder.display()
            );
        }
        fs::create_dir_all(folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
        fs::write(folder.join(MARKER), "")?;
        let folder = folder.canonicalize()?;
        let program = std::env::current_exe().context("failed to find this executable")?;
        Ok(Self { folder, program })
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// This executable, which need not be on the caller's path.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Prints a paragraph of the story.
    pub(super) fn say(&self, text: &str) {
        // A reader that has gone away does not stop the story.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// Prints a step's heading.
    pub(super) fn step(&self, number: usize, text: &str) {
        self.say(&format!("\n{number:>2}. {text}"));
    }

    /// Runs a command, shown as a person would type it; gives its JSON answer. Settings of the caller's environment do
    /// not reach it.
    pub(super) fn run(&self, line: &str) -> anyhow::Result<Value> {
        self.show(line);
        let output = self
            .command(line)
            .args(["--output", "json"])
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("failed to start `hodoscope {line}`"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!(
                "`hodoscope {line}` failed ({}): {}",
                output.status,
                text.trim()
            );
        }
        serde_json::from_str(&text)
            .with_context(|| format!("`hodoscope {line}` printed no JSON: {text}"))
    }

    /// Runs a command that must fail; gives what it says.
    pub(super) fn fails(&self, line: &str) -> anyhow::Result<String> {
        self.show(line);
        let output = self
            .command(line)
            .output()
            .with_context(|| format!("failed to start `hodoscope {line}`"))?;
        if output.status.success() {
            bail!("`hodoscope {line}` was to fail, and did not");
        }
        let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        self.say(&format!("    {told}"));
        Ok(told)
    }

    /// Adds lines to the settings file.
    pub(super) fn settings(&self, lines: &str) -> anyhow::Result<()> {
        let path = self.folder.join("hodoscope.toml");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path);
        let file = file.as_mut().map_err(|error| anyhow::anyhow!("{error}"));
        file.and_then(|file| Ok(file.write_all(lines.as_bytes())?))
            .with_context(|| format!("failed to write {}", path.display()))
    }

    /// Brings a file of a repository's base branch to its place, whole or not at all, as Argo CD and the kubelet do.
    pub(super) fn deliver(&self, repository: &str, file: &str, place: &str) -> anyhow::Result<()> {
        self.say(&format!(
            "    $ git --git-dir {repository} show main:{file} > {place}"
        ));
        let output = Command::new("git")
            .args(["--git-dir", repository, "show", &format!("main:{file}")])
            .current_dir(&self.folder)
            .output()
            .context("failed to start git")?;
        if !output.status.success() {
            bail!(
                "git did not show {file}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let place = self.folder.join(place);
        let beside = self.folder.join(".delivered");
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&beside, &output.stdout)?;
        fs::rename(&beside, &place).with_context(|| format!("failed to write {}", place.display()))
    }

    /// Prints a command as a person would type it.
    pub(super) fn show(&self, line: &str) {
        self.say(&format!("    $ hodoscope {line}"));
    }

    /// The command, not yet started.
    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(line.split_whitespace())
            .current_dir(&self.folder)
            .env_clear()
            .stdin(Stdio::null());
        command
    }
}

/// A number of an answer.
pub(super) fn number(answer: &Value, pointer: &str) -> anyhow::Result<f64> {
    let found = answer.pointer(pointer);
    found
        .and_then(Value::as_f64)
        .with_context(|| format!("no number at {pointer} of {answer}"))
}

/// A text of an answer.
pub(super) fn text<'a>(answer: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    let found = answer.pointer(pointer);
    found
        .and_then(Value::as_str)
        .with_context(|| format!("no text at {pointer} of {answer}"))
}
