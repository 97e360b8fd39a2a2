//! The components that are measured: scikit-learn's forest of a set, imported, so that we and the peers score the same
//! trees; in a smoke run a small forest of our own training.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use hodoscope_engine::{Compiler, Engine, EngineConfig};
use hodoscope_isolation_forest::kernel_digests;

use crate::Bench;
use crate::sets::Set;

/// Rows that a smoke run trains on and scores.
const SMOKE_ROWS: usize = 2_000;

/// The rows of a set: prepared ones, or a few generated ones in a smoke run.
pub(crate) fn rows(bench: &Bench, name: &str) -> anyhow::Result<Set> {
    let columns = match name {
        "shuttle" => 9,
        "generated30" => 30,
        "musk" => 166,
        _ => 10,
    };
    match bench.smoke {
        true => Ok(Set::generate(name, SMOKE_ROWS, columns, 42)),
        false => Set::read(&bench.folder, name),
    }
}

/// The file with the component of a set; made once per run of the group.
pub(crate) fn component(bench: &Bench, set: &Set) -> anyhow::Result<PathBuf> {
    let out = bench.folder.join(format!("{}.wasm", set.name));
    if bench.smoke {
        let rows = bench.folder.join(format!("{}.csv", set.name));
        std::fs::write(&rows, set.csv())?;
        train(bench, &rows, &set.name, 0, &out)?;
    } else {
        let model = bench.folder.join(format!("{}.skl2onnx.onnx", set.name));
        run(
            bench,
            Command::new(bench.hodoscope())
                .arg("import")
                .arg(model)
                .args(["--name", &set.name, "--out"])
                .arg(&out),
        )?;
    }
    Ok(out)
}

/// Trains a component with the command line.
pub(crate) fn train(
    bench: &Bench,
    rows: &Path,
    name: &str,
    seed: u64,
    out: &Path,
) -> anyhow::Result<()> {
    let mut command = Command::new(bench.hodoscope());
    command
        .arg("train")
        .arg(rows)
        .args(["--name", name, "--seed", &seed.to_string(), "--out"])
        .arg(out);
    run(bench, &mut command)
}

/// An engine as the host has it: our kernels are trusted, unknown bytes are compiled in a limited child.
pub(crate) fn engine(bench: &Bench, cache_dir: Option<PathBuf>) -> anyhow::Result<Engine> {
    let compiler = Compiler::Child {
        program: bench.hodoscope(),
        args: vec!["compile".into()],
    };
    let config = EngineConfig {
        cache_dir,
        compiler,
        trusted_kernels: kernel_digests(),
        ..EngineConfig::default()
    };
    Ok(Engine::new(config)?)
}

fn run(bench: &Bench, command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .arg("--home")
        .arg(bench.folder.join("home"))
        .output()
        .with_context(|| format!("run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
