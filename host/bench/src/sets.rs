//! The rows that are measured on, and the bodies in which they travel. Rows come from the files that
//! `peers/prepare.py` wrote; a smoke run makes a few of its own.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

/// Rows of one set, row-major.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    /// For instance `shuttle`.
    pub(crate) name: String,
    /// How wide a row is.
    pub(crate) columns: usize,
    /// All values; each is exact as an f32.
    pub(crate) values: Vec<f64>,
}

/// A line of `sets.json`.
#[derive(Debug, Deserialize)]
struct Note {
    name: String,
    rows: usize,
    columns: usize,
}

impl Set {
    /// Reads a set from `folder`.
    pub(crate) fn read(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let notes = std::fs::read(folder.join("sets.json"))
            .context("no sets.json: run host/bench/run, not the binary")?;
        let notes: Vec<Note> = serde_json::from_slice(&notes)?;
        let note = notes
            .into_iter()
            .find(|note| note.name == name)
            .with_context(|| format!("no set {name}"))?;
        let bytes = std::fs::read(folder.join(format!("{name}.f32")))?;
        let values: Vec<f64> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|four| f64::from(f32::from_le_bytes(*four)))
            .collect();
        ensure!(
            values.len() == note.rows * note.columns,
            "{name}.f32 is cut short"
        );
        Ok(Self {
            name: note.name,
            columns: note.columns,
            values,
        })
    }

    /// Rows of roughly Gaussian numbers, always the same for the same seed.
    pub(crate) fn generate(name: &str, rows: usize, columns: usize, seed: u64) -> Self {
        let mut state = seed;
        let values = (0..rows * columns).map(|_| {
            let sum: f64 = (0..12).map(|_| uniform(&mut state)).sum();
            f64::from((sum - 6.0) as f32)
        });
        Self {
            name: name.to_owned(),
            columns,
            values: values.collect(),
        }
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    /// The first rows.
    pub(crate) fn head(&self, rows: usize) -> Self {
        let values = self
            .values
            .iter()
            .take(rows * self.columns)
            .copied()
            .collect();
        Self {
            name: self.name.clone(),
            columns: self.columns,
            values,
        }
    }

    /// The names that a trainer gives to columns.
    pub(crate) fn names(&self) -> Vec<String> {
        (0..self.columns)
            .map(|column| format!("f{column}"))
            .collect()
    }

    /// A header and a line per row.
    pub(crate) fn csv(&self) -> String {
        let mut text = self.names().join(",") + "\n";
        for row in self.values.chunks(self.columns) {
            let cells: Vec<String> = row.iter().map(f64::to_string).collect();
            let _ = writeln!(text, "{}", cells.join(","));
        }
        text
    }

    /// `{"rows":[[…],…]}`, six digits after the point as sensors send them: what the echo and FastAPI read.
    pub(crate) fn json_rows(&self) -> String {
        let rows = self
            .values
            .chunks(self.columns)
            .map(|row| format!("[{}]", numbers(row)));
        format!("{{\"rows\":[{}]}}", rows.collect::<Vec<_>>().join(","))
    }

    /// `{"rows":[{"f0":…},…]}`: what the friendly route reads.
    pub(crate) fn json_named(&self) -> String {
        let names = self.names();
        let rows = self.values.chunks(self.columns).map(|row| {
            let pairs: Vec<String> = names
                .iter()
                .zip(row)
                .map(|(name, value)| format!("\"{name}\":{value:.6}"))
                .collect();
            format!("{{{}}}", pairs.join(","))
        });
        format!("{{\"rows\":[{}]}}", rows.collect::<Vec<_>>().join(","))
    }

    /// The Open Inference Protocol's JSON with one FP64 tensor.
    pub(crate) fn json_tensor(&self) -> String {
        let shape = format!("[{},{}]", self.rows(), self.columns);
        let data = numbers(&self.values);
        format!(
            "{{\"inputs\":[{{\"name\":\"rows\",\"shape\":{shape},\"datatype\":\"FP64\",\"data\":[{data}]}}]}}"
        )
    }

    /// The same as a binary tensor of `datatype` (FP32 or FP64) behind a JSON header; answers the header's length, too.
    pub(crate) fn binary_tensor(&self, datatype: &str) -> (Vec<u8>, usize) {
        let data: Vec<u8> = match datatype {
            "FP32" => self
                .values
                .iter()
                .flat_map(|value| (*value as f32).to_le_bytes())
                .collect(),
            _ => self
                .values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        };
        let header = serde_json::json!({
            "inputs": [{
                "name": "rows", "shape": [self.rows(), self.columns], "datatype": datatype,
                "parameters": {"binary_data_size": data.len()},
            }],
            "parameters": {"binary_data_output": true},
        })
        .to_string();
        let length = header.len();
        ([header.into_bytes(), data].concat(), length)
    }
}

fn numbers(values: &[f64]) -> String {
    let mut text = String::with_capacity(values.len() * 10);
    for (index, value) in values.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{value:.6}");
    }
    text
}

/// xorshift64* (Vigna 2016), a uniform number in 0..1.
fn uniform(state: &mut u64) -> f64 {
    *state = (*state).max(1);
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
}
