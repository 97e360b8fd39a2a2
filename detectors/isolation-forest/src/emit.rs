//! From a forest to a component: the kernel's code, the forest as data in memory, the canonical ABI around it, and the
//! documents of `hodoscope_release::sections` as custom sections. Deterministic: the same forest and documents give
//! the same bytes, and so the same digest.

mod buckets;
mod component;
mod fast;
mod image;
mod lane;
mod layout;
mod quantise;
mod read;
mod stage;

use hodoscope_release::sections::{self, Golden};

pub use read::{ReadError, read_forest};

use crate::forest::{Forest, ForestError, Sections};
use crate::reference;

/// The largest component that `emit` writes: what hosts accept by default.
pub const MAX_COMPONENT_BYTES: usize = 32 << 20;

/// Why a forest does not become a component.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The forest is not one.
    #[error(transparent)]
    Forest(#[from] ForestError),
    /// A golden row does not fit.
    #[error(
        "golden row {row} has {found} values, the forest {expected} features; give one value for each"
    )]
    GoldenRow {
        /// The row, from 0.
        row: usize,
        /// Its width.
        found: usize,
        /// The forest's width.
        expected: usize,
    },
    /// Too many nodes for a component.
    #[error(
        "the component would have {bytes} bytes, the limit is {MAX_COMPONENT_BYTES}; use fewer trees or a smaller sample size"
    )]
    TooLarge {
        /// The size it would have, or at least.
        bytes: usize,
    },
    /// The toolchain refused what was written: a defect of this crate.
    #[error("the component could not be assembled: {0}")]
    Assembly(String),
}

/// Compiles `forest` into a component of the world `explained-detector` that imports nothing.
///
/// Golden scores are computed by [`reference::score`]. Millions of nodes are fine up to [`MAX_COMPONENT_BYTES`].
pub fn emit(forest: &Forest, sections: &Sections) -> Result<Vec<u8>, EmitError> {
    forest.check()?;
    check_golden(forest, &sections.golden_rows)?;
    let image = layout::lay_out(forest)?;
    let mut bytes = component::wrap(&image).map_err(EmitError::Assembly)?;
    append_documents(&mut bytes, forest, sections)?;
    if bytes.len() > MAX_COMPONENT_BYTES {
        return Err(EmitError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes)
}

fn check_golden(forest: &Forest, rows: &[Vec<f64>]) -> Result<(), EmitError> {
    let expected = forest.features.len();
    match rows.iter().position(|row| row.len() != expected) {
        None => Ok(()),
        Some(row) => Err(EmitError::GoldenRow {
            row,
            found: rows.get(row).map_or(0, Vec::len),
            expected,
        }),
    }
}

fn append_documents(
    bytes: &mut Vec<u8>,
    forest: &Forest,
    documents: &Sections,
) -> Result<(), EmitError> {
    if !documents.golden_rows.is_empty() {
        let golden = golden(forest, &documents.golden_rows);
        append(bytes, sections::GOLDEN, &golden)?;
    }
    if let Some(calibration) = &documents.calibration {
        append(bytes, sections::CALIBRATION, calibration)?;
    }
    if let Some(profile) = &documents.profile {
        append(bytes, sections::PROFILE, profile)?;
    }
    if let Some(training) = &documents.training {
        append(bytes, sections::TRAINING, training)?;
    }
    Ok(())
}

/// JSON has no infinities: a golden row that holds one is replaced by the largest finite value of its sign, which every
/// forest sends the same way (thresholds are finite, and f64's largest demotes to an infinite f32).
fn golden(forest: &Forest, rows: &[Vec<f64>]) -> Golden {
    let rows: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| row.iter().map(|x| finite(*x)).collect())
        .collect();
    Golden {
        schema: sections::SCHEMA,
        scores: reference::score(forest, &rows.concat()),
        rows: rows
            .iter()
            .map(|row| row.iter().map(|x| (!x.is_nan()).then_some(*x)).collect())
            .collect(),
    }
}

fn finite(x: f64) -> f64 {
    if x.is_nan() {
        x
    } else {
        x.clamp(f64::MIN, f64::MAX)
    }
}

fn append(
    bytes: &mut Vec<u8>,
    name: &str,
    document: &impl serde::Serialize,
) -> Result<(), EmitError> {
    let json =
        serde_json::to_vec(document).map_err(|error| EmitError::Assembly(error.to_string()))?;
    component::append_custom(bytes, name, &json);
    Ok(())
}
