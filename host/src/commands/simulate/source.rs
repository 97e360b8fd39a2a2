//! Where rows come from: the pump generator, rows like those a release was trained on, or a file. A batch is made ready
//! before it is due: its body is JSON of the friendly route, each row with the names of its features.

use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;

use super::likeness::Likeness;
use super::tally::Truth;
use super::telemetry::Telemetry;
use crate::rows::{Selection, Table};

/// A row and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) values: Vec<f64>,
    pub(super) truth: Truth,
}

/// Rows that are sent together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) body: Bytes,
    pub(super) rows: Vec<Row>,
}

/// Makes rows.
#[derive(Debug)]
pub(super) enum Rows {
    Telemetry(Box<Telemetry>),
    Likeness(Box<Likeness>),
    File(Replay),
}

/// A file that was read into memory, so that the reading never delays a request.
#[derive(Debug)]
pub(super) struct Replay {
    columns: Vec<Vec<f64>>,
    labels: Option<Vec<f64>>,
    next: usize,
    repeat: bool,
}

/// Makes batches.
#[derive(Debug)]
pub(super) struct Source {
    rows: Rows,
    /// Each name as JSON, with its colon.
    keys: Vec<String>,
    batch: usize,
}

impl Source {
    pub(super) fn new(rows: Rows, features: &[String], batch: usize) -> anyhow::Result<Self> {
        let keys = features
            .iter()
            .map(|name| serde_json::to_string(name).map(|name| format!("{name}:")))
            .collect::<Result<_, _>>()
            .context("failed to write a feature's name as JSON")?;
        Ok(Self { rows, keys, batch })
    }

    /// The next batch, shorter at the end of a file; `None` behind it.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        let mut rows = Vec::with_capacity(self.batch);
        while rows.len() < self.batch {
            match self.rows.next() {
                Some(row) => rows.push(row),
                None => break,
            }
        }
        if rows.is_empty() {
            return None;
        }
        Some(Batch {
            body: Bytes::from(body(&self.keys, &rows)),
            rows,
        })
    }
}

impl Iterator for Rows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        match self {
            Self::Telemetry(telemetry) => telemetry.next().map(|row| Row {
                values: row.values,
                truth: row.fault.map_or(Truth::Normal, Truth::Fault),
            }),
            Self::Likeness(likeness) => likeness.next(),
            Self::File(replay) => replay.next(),
        }
    }
}

impl Replay {
    /// Reads a file. `features` are its columns in the order of sending; at most `limit` rows are read.
    pub(super) fn open(
        path: &Path,
        features: &[String],
        label: Option<&String>,
        limit: u64,
        repeat: bool,
    ) -> anyhow::Result<Self> {
        let selection = Selection {
            features: features.to_vec(),
            keep: label.cloned().into_iter().collect(),
        };
        let mut blocks = Table::open(path)?.blocks(&selection)?;
        let mut columns = vec![Vec::new(); features.len()];
        let mut labels = label.map(|_| Vec::new());
        let mut rows: u64 = 0;
        while let Some(block) = blocks.next_block()?.filter(|_| rows < limit) {
            for piece in block.pieces {
                rows += piece.rows as u64;
                for (column, more) in columns.iter_mut().zip(piece.features) {
                    column.extend(more);
                }
                if let (Some(labels), Some(more)) = (&mut labels, piece.kept.first()) {
                    labels.extend(more.numbers(piece.rows));
                }
            }
        }
        if rows == 0 {
            bail!("{} has no rows", path.display());
        }
        Ok(Self {
            columns,
            labels,
            next: 0,
            repeat,
        })
    }
}

impl Iterator for Replay {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let rows = self.columns.first().map_or(0, Vec::len);
        if self.next >= rows && self.repeat {
            self.next = 0;
        }
        let values = self
            .columns
            .iter()
            .map(|column| column.get(self.next).copied())
            .collect::<Option<_>>()?;
        let label = self
            .labels
            .as_ref()
            .and_then(|labels| labels.get(self.next));
        self.next += 1;
        let truth = match label {
            Some(label) if *label == 0.0 => Truth::Normal,
            Some(label) if *label > 0.0 => Truth::Anomaly,
            _ => Truth::Unknown,
        };
        Some(Row { values, truth })
    }
}

/// `{"rows":[{"a":1,"b":null}]}`
fn body(keys: &[String], rows: &[Row]) -> Vec<u8> {
    use std::io::Write as _;
    let mut text = Vec::with_capacity(rows.len() * keys.len() * 20 + 16);
    text.extend_from_slice(b"{\"rows\":[");
    for (index, row) in rows.iter().enumerate() {
        text.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        for (column, (key, value)) in keys.iter().zip(&row.values).enumerate() {
            if column > 0 {
                text.push(b',');
            }
            text.extend_from_slice(key.as_bytes());
            // Writing into a vector cannot fail.
            let _ = if value.is_finite() {
                write!(text, "{value}")
            } else {
                write!(text, "null")
            };
        }
        text.push(b'}');
    }
    text.extend_from_slice(b"]}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_each_value_and_writes_missing_as_null() {
        let row = |values: &[f64]| Row {
            values: values.to_vec(),
            truth: Truth::Normal,
        };
        let keys = vec!["\"a\":".to_owned(), "\"b\":".to_owned()];
        let text = body(&keys, &[row(&[1.0, f64::NAN]), row(&[0.25, -3e21])]);
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"rows": [{"a": 1, "b": null}, {"a": 0.25, "b": -3e21}]})
        );
    }

    #[test]
    fn a_file_is_replayed_with_its_labels_once_or_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, "b,label,a\n1,0,2\n3,1,4\n5,,6\n").unwrap();
        let features = ["a".to_owned(), "b".to_owned()];
        let replay = |repeat| {
            Replay::open(
                &path,
                &features,
                Some(&"label".to_owned()),
                u64::MAX,
                repeat,
            )
            .unwrap()
        };
        let mut source = Source::new(Rows::File(replay(false)), &features, 2).unwrap();
        let first = source.next_batch().unwrap();
        assert_eq!(
            &first.body[..],
            b"{\"rows\":[{\"a\":2,\"b\":1},{\"a\":4,\"b\":3}]}"
        );
        assert_eq!(first.rows[1].truth, Truth::Anomaly);
        let second = source.next_batch().unwrap();
        assert_eq!(
            (second.rows.len(), second.rows[0].truth),
            (1, Truth::Unknown)
        );
        assert!(source.next_batch().is_none());
        assert_eq!(replay(true).take(7).count(), 7);
    }
}
