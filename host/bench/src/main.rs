//! `make bench`: measures every row of the table of targets, ours and the peers' in turn in one run on one machine,
//! prints one table and writes `target/bench.json`. `host/bench/run` builds what is measured and installs the peers.

mod components;
mod groups;
mod load;
mod measure;
mod peers;
mod server;
mod sets;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;

use crate::table::{Table, Verdict};

/// What may be said on the command line.
#[derive(Debug, Parser)]
struct Args {
    /// Only these groups, by comma
    #[arg(long, value_delimiter = ',')]
    groups: Vec<String>,
    /// Name the groups and end
    #[arg(long)]
    list: bool,
    /// Tiny sizes, no peers; fails if a row cannot be produced
    #[arg(long)]
    smoke: bool,
    /// The Python with the peers; without it their rows are skipped
    #[arg(long)]
    python: Option<PathBuf>,
    /// The folder with the data sets
    #[arg(long)]
    data: Option<PathBuf>,
    /// The image's executable, whose HTTP rows are set against the normal build's; without it they are skipped
    #[arg(long)]
    image: Option<PathBuf>,
}

/// What every group may use.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Tiny sizes, no peers.
    pub(crate) smoke: bool,
    /// The Python with the peers.
    pub(crate) python: Option<PathBuf>,
    /// The folder with the data sets.
    pub(crate) data: Option<PathBuf>,
    /// The image's executable.
    pub(crate) image: Option<PathBuf>,
    /// Where prepared data and other files of a run lie.
    pub(crate) folder: PathBuf,
    /// Where the executables lie.
    pub(crate) binaries: PathBuf,
}

impl Bench {
    /// The executable under test.
    pub(crate) fn hodoscope(&self) -> PathBuf {
        self.binaries.join("hodoscope")
    }

    /// `full`, or `tiny` in a smoke run.
    pub(crate) fn size<T>(&self, full: T, tiny: T) -> T {
        if self.smoke { tiny } else { full }
    }
}

/// Says on standard error how far the run is.
#[expect(
    clippy::print_stderr,
    reason = "the bench is a program for people; progress goes to standard error"
)]
pub(crate) fn say(text: &str) {
    eprintln!("bench: {text}");
}

#[expect(clippy::print_stdout, reason = "the table is this program's output")]
fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if args.list {
        for (name, about, _) in groups::ALL {
            println!("{name:<10} {about}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    for name in &args.groups {
        let known = groups::ALL.iter().any(|(group, ..)| group == name);
        anyhow::ensure!(known, "no group '{name}': host/bench/run --list names them");
    }
    let folder = PathBuf::from(if args.smoke {
        "target/bench-smoke"
    } else {
        "target/bench"
    });
    std::fs::create_dir_all(&folder)?;
    let binaries = std::env::current_exe()?
        .parent()
        .context("no folder of executables")?
        .to_owned();
    let bench = Bench {
        smoke: args.smoke,
        python: args.python,
        data: args.data,
        image: args.image,
        folder,
        binaries,
    };
    let mut table = Table::new(reasons()?);
    for (name, about, run) in groups::ALL {
        if !args.groups.is_empty() && !args.groups.iter().any(|group| group == name) {
            continue;
        }
        say(&format!("{name}: {about}"));
        let start = Instant::now();
        if let Err(error) = run(&bench, &mut table) {
            table.fail(name, about, &format!("{error:#}"));
        }
        say(&format!("{name}: {:.0} s", start.elapsed().as_secs_f64()));
    }
    println!("{}", table.text());
    write_json(&table, Path::new("target/bench.json"))?;
    let failed = table.count(Verdict::Failed)
        + if bench.smoke {
            table.count(Verdict::Skipped)
        } else {
            0
        };
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Why a row may miss its target, by its key.
fn reasons() -> anyhow::Result<BTreeMap<String, String>> {
    let path = "host/bench/reasons.toml";
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read {path} (run from the checkout's root)"))?;
    toml::from_str(&text).with_context(|| format!("{path} is not `key = \"reason\"` lines"))
}

fn write_json(table: &Table, path: &Path) -> anyhow::Result<()> {
    let machine = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let machine = machine
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default();
    let document = serde_json::json!({
        "machine": machine.trim_matches(|c: char| c == ':' || c.is_whitespace()),
        "table": table,
    });
    std::fs::write(path, serde_json::to_vec_pretty(&document)?)
        .with_context(|| format!("write {}", path.display()))
}
