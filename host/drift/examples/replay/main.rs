//! Replays windows of real rows against references of real rows and prints what `judge` makes of them: how often it calls
//! for a retrain without drift, what it finds of known changes, and how long it takes. `verify/drift/bench` prepares the
//! rows and runs it; `docs/drift.md` shows the tables.
//!
//! `replay <folder of sets> [aa | power | blocks | time]…`

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a tool whose output is its work, on files that its own script wrote"
)]

mod no_drift;
mod power;
mod rows;
mod time;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What `set.json` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) width: usize,
    pub(crate) rows: usize,
    pub(crate) scenarios: Vec<Scenario>,
    #[serde(skip)]
    pub(crate) folder: PathBuf,
}

/// A change of the traffic.
#[derive(Debug, Deserialize)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) touched: Vec<usize>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name the folder of the sets")?;
    let mut tables: Vec<String> = arguments.collect();
    if tables.is_empty() {
        tables = ["aa", "blocks", "power", "time"].map(String::from).into();
    }
    let sets = sets(Path::new(&folder))?;
    for table in tables {
        match table.as_str() {
            "aa" => no_drift::table(&sets)?,
            "blocks" => no_drift::blocks(&sets)?,
            "power" => power::table(&sets)?,
            "time" => time::table()?,
            other => {
                return Err(
                    format!("no table `{other}`; there are aa, blocks, power, time").into(),
                );
            }
        }
    }
    Ok(())
}

fn sets(folder: &Path) -> Result<Vec<Set>, Box<dyn Error>> {
    let mut folders: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    folders.sort();
    folders
        .into_iter()
        .map(|folder| {
            let mut set: Set = serde_json::from_slice(&fs::read(folder.join("set.json"))?)?;
            set.folder = folder;
            Ok(set)
        })
        .collect()
}
