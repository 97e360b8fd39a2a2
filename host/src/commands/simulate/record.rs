//! The last rows that were sent, with their labels, as a table to train on.

use std::collections::VecDeque;
use std::path::Path;

use parquet::basic::Type as Physical;

use super::source::Row;
use super::tally::Truth;
use crate::rows::{Cells, Values, Writer, column_type};

/// The name of the column that tells anomalies (1) from normal rows (0).
pub(super) const LABEL: &str = "label";

/// A ring of rows.
#[derive(Debug)]
pub(super) struct Recording {
    rows: VecDeque<Row>,
    limit: usize,
}

impl Recording {
    /// Keeps the last `limit` rows.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            rows: VecDeque::new(),
            limit,
        }
    }

    pub(super) fn push(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
        let surplus = self.rows.len().saturating_sub(self.limit);
        self.rows.drain(..surplus);
    }

    /// Writes the rows, oldest first.
    pub(super) fn write(self, path: &Path, features: &[String]) -> anyhow::Result<()> {
        write(path, features, self.rows.into_iter())
    }
}

/// Writes rows as a table with a column per feature and the label behind them.
pub(super) fn write(
    path: &Path,
    features: &[String],
    rows: impl Iterator<Item = Row>,
) -> anyhow::Result<()> {
    const BLOCK_ROWS: usize = 10_000;
    let mut types = Vec::with_capacity(features.len() + 1);
    for name in features {
        types.push(column_type(name, Physical::DOUBLE, false)?);
    }
    types.push(column_type(LABEL, Physical::INT32, false)?);
    let mut writer = Writer::create(path, &types)?;
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        let mut columns = vec![Vec::new(); features.len()];
        let mut labels = Vec::new();
        for row in rows.by_ref().take(BLOCK_ROWS) {
            for (column, value) in columns.iter_mut().zip(row.values) {
                column.push(value);
            }
            labels.push(i32::from(matches!(
                row.truth,
                Truth::Anomaly | Truth::Fault(_)
            )));
        }
        let count = labels.len();
        let mut cells: Vec<Cells> = columns
            .into_iter()
            .map(|column| Cells::full(Values::Double(column)))
            .collect();
        cells.push(Cells::full(Values::Int32(labels)));
        writer.write(count, cells)?;
    }
    Ok(writer.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_rows_in_the_order_of_sending() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recent.csv");
        let mut recording = Recording::new(3);
        let row = |value: f64| Row {
            values: vec![value],
            truth: if value > 3.0 {
                Truth::Anomaly
            } else {
                Truth::Normal
            },
        };
        recording.push(vec![row(1.0), row(2.0)]);
        recording.push(vec![row(3.0), row(4.5)]);
        recording.write(&path, &["a".to_owned()]).unwrap();
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            "a,label\n2,0\n3,0\n4.5,1\n"
        );
    }
}
