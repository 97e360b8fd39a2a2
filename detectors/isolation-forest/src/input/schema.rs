//! Which columns are features, which one is the label, and where each lies in each file.

use super::InputError;

/// Which columns to read.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The features, in this order; empty: all that are not excluded, in the order of the first file.
    pub columns: Vec<String>,
    /// Columns to leave out.
    pub exclude: Vec<String>,
    /// The column with 0 (normal) and 1 (anomaly), used for metrics only.
    pub label: Option<String>,
}

/// One column as a file declares it.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// What it holds if that is known not to be numbers.
    pub(super) not_numeric: Option<String>,
}

/// The columns of one file.
pub(super) type Header = Vec<Column>;

/// Where a file's column goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// The feature with this index.
    Feature(usize),
    /// The label.
    Label,
    /// Nowhere.
    Skip,
}

/// How one file's columns map to the table's.
#[derive(Debug)]
pub(super) struct Plan {
    /// One per column of the file.
    pub(super) slots: Vec<Slot>,
    /// The names of the file's columns.
    pub(super) names: Vec<String>,
    /// How many features there are.
    pub(super) width: usize,
}

/// The features of a table whose first file has this header.
pub(super) fn features(
    file: &str,
    header: &Header,
    selection: &Selection,
) -> Result<Vec<String>, InputError> {
    if let Some(column) = twice(header.iter().map(|column| column.name.as_str())) {
        return Err(InputError::Duplicate {
            file: file.to_owned(),
            column,
        });
    }
    let asked = selection
        .columns
        .iter()
        .chain(&selection.exclude)
        .chain(&selection.label);
    for name in asked {
        if !header.iter().any(|column| column.name == *name) {
            return Err(unknown(file, name, header));
        }
    }
    let left_out =
        |name: &String| selection.exclude.contains(name) || selection.label.as_ref() == Some(name);
    let features: Vec<String> = if selection.columns.is_empty() {
        let all = header.iter().map(|column| &column.name);
        all.filter(|name| !left_out(name)).cloned().collect()
    } else {
        selection
            .columns
            .iter()
            .filter(|name| !left_out(name))
            .cloned()
            .collect()
    };
    if let Some(column) = twice(features.iter().map(String::as_str)) {
        return Err(InputError::Duplicate {
            file: "--columns".to_owned(),
            column,
        });
    }
    if features.is_empty() {
        return Err(InputError::NoFeatures(file.to_owned()));
    }
    Ok(features)
}

impl Plan {
    /// The plan of a file, whose columns must be those of the table, in any order.
    pub(super) fn new(
        file: &str,
        header: &Header,
        features: &[String],
        selection: &Selection,
        first: &str,
    ) -> Result<Self, InputError> {
        if let Some(column) = twice(header.iter().map(|column| column.name.as_str())) {
            let file = file.to_owned();
            return Err(InputError::Duplicate { file, column });
        }
        let disagree = |column: &str, problem| InputError::Disagree {
            file: file.to_owned(),
            column: column.to_owned(),
            problem,
            first: first.to_owned(),
        };
        let wanted = features.iter().chain(&selection.label);
        for name in wanted {
            if !header.iter().any(|column| column.name == *name) {
                return Err(disagree(name, "missing here and present in"));
            }
        }
        let mut slots = Vec::with_capacity(header.len());
        for column in header {
            let slot = if let Some(index) = features.iter().position(|name| *name == column.name) {
                Slot::Feature(index)
            } else if selection.label.as_ref() == Some(&column.name) {
                Slot::Label
            } else if selection.columns.is_empty() && !selection.exclude.contains(&column.name) {
                return Err(disagree(&column.name, "present here and missing in"));
            } else {
                Slot::Skip
            };
            if let (Slot::Feature(_) | Slot::Label, Some(found)) = (slot, &column.not_numeric) {
                return Err(not_numeric(file, column, found, slot));
            }
            slots.push(slot);
        }
        Ok(Self {
            slots,
            names: header.iter().map(|column| column.name.clone()).collect(),
            width: features.len(),
        })
    }

    /// The name of a file's column.
    pub(super) fn name(&self, column: usize) -> &str {
        self.names.get(column).map_or("?", String::as_str)
    }
}

fn not_numeric(file: &str, column: &Column, found: &str, slot: Slot) -> InputError {
    let (file, column, found) = (file.to_owned(), column.name.clone(), found.to_owned());
    if slot == Slot::Label {
        return InputError::Label {
            file,
            column,
            found,
        };
    }
    InputError::NotNumeric {
        file,
        column,
        found,
    }
}

fn unknown(file: &str, name: &str, header: &Header) -> InputError {
    const SHOWN: usize = 40;
    let mut known: Vec<&str> = header
        .iter()
        .take(SHOWN)
        .map(|column| column.name.as_str())
        .collect();
    if header.len() > SHOWN {
        known.push("…");
    }
    InputError::Unknown {
        file: file.to_owned(),
        column: name.to_owned(),
        known: known.join(", "),
    }
}

/// The first name that appears a second time.
fn twice<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    names
        .into_iter()
        .find(|name| !seen.insert(*name))
        .map(str::to_owned)
}
