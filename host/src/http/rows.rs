//! From a body to a batch: rows in any of the formats we read, with their values put into the detector's order. All
//! formats give the same values and the same problems; a value that is absent on purpose (`null`, an empty field) is NaN.

pub(crate) mod binary;
pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod ndjson;

use hodoscope_engine::Batch;

use super::problem::{Code, Problem};
use crate::columns::Columns;

/// How many names a message lists before it stops.
const LISTED: usize = 20;

impl Columns {
    /// The detector's position of each of `given`; every column must be there once, in any order.
    pub(crate) fn order<'n>(
        &self,
        given: impl IntoIterator<Item = &'n str>,
    ) -> Result<Vec<usize>, Problem> {
        let mut seen = vec![false; self.len()];
        let mut order = Vec::with_capacity(self.len());
        for name in given {
            let index = self.find(name).ok_or_else(|| self.unknown(name, None))?;
            match seen.get_mut(index) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(duplicate(name, None)),
            }
            order.push(index);
        }
        match order.len() == self.len() {
            true => Ok(order),
            false => Err(self.missing(&seen, None)),
        }
    }

    /// The problem of a name that is none of these.
    pub(crate) fn unknown(&self, name: &str, row: Option<usize>) -> Problem {
        let name: String = name.chars().take(100).collect();
        let known = list(self.names());
        let error = format!(
            "unknown feature `{name}`{}; the detector knows {known}",
            at(row)
        );
        Problem::new(Code::UnknownFeature, error)
            .with("feature", name)
            .with("row", row)
    }

    /// The problem of the names that were not seen.
    pub(crate) fn missing(&self, seen: &[bool], row: Option<usize>) -> Problem {
        let absent = || self.names().zip(seen).filter(|(_, seen)| !**seen);
        let names = list(absent().map(|(name, _)| name));
        let error = format!(
            "missing feature {names}{}; send each feature, with null where the value is missing",
            at(row)
        );
        let absent: Vec<&str> = absent().map(|(name, _)| name).collect();
        Problem::new(Code::MissingFeature, error)
            .with("features", absent)
            .with("row", row)
    }

    /// The problem of a row with `found` values.
    pub(crate) fn wrong_width(&self, found: usize, row: Option<usize>) -> Problem {
        let error = format!(
            "{} has {found} values; the detector takes {}: {}",
            row.map_or_else(|| "a row".to_owned(), |row| format!("row {row}")),
            self.len(),
            list(self.names())
        );
        Problem::new(Code::WrongWidth, error)
            .with("expected", self.len())
            .with("found", found)
            .with("row", row)
    }

    /// The problem of a value that is no number.
    pub(crate) fn not_a_number(&self, found: &str, row: usize, column: usize) -> Problem {
        let found: String = found.chars().take(40).collect();
        let name = self.name(column).unwrap_or("?");
        let error =
            format!("`{name}` in row {row} is {found}; send a number, or null if it is missing");
        Problem::new(Code::NotANumber, error)
            .with("feature", name)
            .with("row", row)
            .with("column", column)
    }

    /// Ends a batch: it must have a row.
    pub(crate) fn batch(&self, values: Vec<f64>) -> Result<Batch, Problem> {
        if values.is_empty() {
            return Err(Problem::new(
                Code::EmptyBatch,
                "the batch has no rows; send at least one",
            ));
        }
        Ok(Batch::new(
            u32::try_from(self.len()).unwrap_or(u32::MAX),
            values,
        ))
    }
}

/// The problem of a name that stands twice.
pub(crate) fn duplicate(name: &str, row: Option<usize>) -> Problem {
    let name: String = name.chars().take(100).collect();
    let error = format!("feature `{name}` stands twice{}; send it once", at(row));
    Problem::new(Code::DuplicateFeature, error)
        .with("feature", name)
        .with("row", row)
}

/// Moves values from the order of `given` columns into the detector's, row by row.
pub(crate) fn permute(values: &mut [f64], order: &[usize]) {
    if order.iter().enumerate().all(|(i, to)| i == *to) {
        return;
    }
    let mut old = vec![0.0; order.len()];
    for row in values.chunks_exact_mut(order.len().max(1)) {
        old.copy_from_slice(row);
        for (value, to) in old.iter().zip(order) {
            if let Some(slot) = row.get_mut(*to) {
                *slot = *value;
            }
        }
    }
}

fn at(row: Option<usize>) -> String {
    row.map_or_else(String::new, |row| format!(" in row {row}"))
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut text = String::new();
    for (i, name) in names.enumerate() {
        if i == LISTED {
            text.push_str(", …");
            break;
        }
        if i > 0 {
            text.push_str(", ");
        }
        text.push('`');
        text.extend(name.chars().take(100));
        text.push('`');
    }
    text
}
