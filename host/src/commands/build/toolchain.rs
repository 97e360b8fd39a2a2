//! The compilers of other people that `hodoscope build` starts: cargo, componentize-py, componentize-qjs. Their messages
//! go to the terminal; a missing one is named together with the command that installs it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// The target that imports nothing.
pub(in crate::commands) const TARGET: &str = "wasm32-unknown-unknown";
/// The Python compiler, as pip names it: the version that the tests ran.
pub(in crate::commands) const PYTHON_TOOL: &str = "componentize-py==0.25.1";
/// The JavaScript compiler, as npm names it: the version that the tests ran.
pub(in crate::commands) const JAVASCRIPT_TOOL: &str = "componentize-qjs@0.4.5";

/// Small code, and no names in it: for the guest alone, so that its build dependencies stay as they are.
const SMALL: &str = "-Copt-level=s -Cstrip=symbols";

/// Compiles a crate; gives the core module.
pub(super) fn rust(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let output = Command::new("cargo")
        .args(["build", "--release", "--target", TARGET])
        .args([
            "--message-format",
            "json-render-diagnostics",
            "--manifest-path",
        ])
        .arg(folder.join("Cargo.toml"))
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", SMALL)
        .stderr(Stdio::inherit())
        .output()
        .context("failed to run cargo; install Rust with rustup")?;
    if !output.status.success() {
        bail!("cargo failed; if the target is missing: `rustup target add {TARGET}`");
    }
    let messages = String::from_utf8(output.stdout).context("cargo's messages are no text")?;
    let module = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(message.get("filenames")?.as_array()?.clone()))
        .flatten()
        .filter_map(|file| Some(PathBuf::from(file.as_str()?)))
        .rfind(|file| {
            file.extension()
                .is_some_and(|extension| extension == "wasm")
        })
        .context(
            "cargo made no .wasm file; set `crate-type = [\"cdylib\"]` in the [lib] section",
        )?;
    read(&module)
}

/// Compiles `app.py`; gives a component.
pub(super) fn python(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let mut command = Command::new("componentize-py");
    command.args([
        "-d",
        "wit",
        "-w",
        "detector",
        "componentize",
        "--stub-wasi",
        "app",
        "-o",
    ]);
    component(folder, command, &format!("pip install {PYTHON_TOOL}"))
}

/// Compiles `detector.js`; gives a component. A tool in the folder's `node_modules` wins over one on the path.
pub(super) fn javascript(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let own = folder
        .canonicalize()?
        .join("node_modules/.bin/componentize-qjs");
    let mut command = if own.is_file() {
        Command::new(own)
    } else {
        Command::new("componentize-qjs")
    };
    command.args([
        "--wit",
        "wit",
        "--js",
        "detector.js",
        "-n",
        "detector",
        "--stub-wasi",
        "--sync",
        "-o",
    ]);
    component(folder, command, &format!("npm install {JAVASCRIPT_TOOL}"))
}

/// Runs `command`, whose last argument is yet to come: where the component goes.
fn component(folder: &Path, mut command: Command, install: &str) -> anyhow::Result<Vec<u8>> {
    let scratch = tempfile::tempdir().context("failed to make a temporary folder")?;
    let out = scratch.path().join("component.wasm");
    let tool = command.get_program().to_string_lossy().into_owned();
    let status = command
        .arg(&out)
        .current_dir(folder)
        .stdout(Stdio::null())
        .status();
    match status {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("`{tool}` is not installed; run `{install}`")
        }
        Err(error) => Err(error).with_context(|| format!("failed to run `{tool}`")),
        Ok(status) if !status.success() => {
            bail!(
                "`{tool}` failed in `{}` ({status}); its message stands above",
                folder.display()
            )
        }
        Ok(_) => read(&out),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))
}
