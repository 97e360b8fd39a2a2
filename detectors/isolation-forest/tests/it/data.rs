//! Tables for tests: generated rows written as CSV or Parquet, and the real sets where they lie.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Repetition, Type as Physical};
use parquet::data_type::{DoubleType, Int32Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use crate::forests::Random;

/// Rows around the origin; the last `anomalies` lie far out and are labelled 1.
pub(crate) struct Rows {
    pub(crate) rows: Vec<Vec<f64>>,
    pub(crate) labels: Vec<i32>,
}

pub(crate) fn cloud(seed: u64, rows: usize, width: usize, anomalies: usize) -> Rows {
    let mut random = Random(seed);
    let mut made = Rows {
        rows: Vec::new(),
        labels: Vec::new(),
    };
    for row in 0..rows {
        let far = row >= rows - anomalies;
        let shift = if far { 6.0 } else { 0.0 };
        made.rows
            .push((0..width).map(|_| random.normal() + shift).collect());
        made.labels.push(i32::from(far));
    }
    made
}

impl Rows {
    pub(crate) fn csv(&self) -> String {
        let width = self.rows.first().map_or(0, Vec::len);
        let mut text: String = (0..width).map(|column| format!("f{column},")).collect();
        text.push_str("label\n");
        for (row, label) in self.rows.iter().zip(&self.labels) {
            for value in row {
                let cell = if value.is_nan() {
                    String::new()
                } else {
                    value.to_string()
                };
                let _ = write!(text, "{cell},");
            }
            let _ = writeln!(text, "{label}");
        }
        text
    }

    /// Nullable doubles and an integer label, in row groups of this many rows.
    pub(crate) fn parquet(&self, path: &Path, group: usize) {
        let width = self.rows.first().map_or(0, Vec::len);
        let field = |name: String, physical| {
            let built = Type::primitive_type_builder(&name, physical)
                .with_repetition(Repetition::OPTIONAL)
                .build();
            Arc::new(built.unwrap())
        };
        let mut fields: Vec<_> = (0..width)
            .map(|column| field(format!("f{column}"), Physical::DOUBLE))
            .collect();
        fields.push(field("label".to_owned(), Physical::INT32));
        let schema = Type::group_type_builder("schema")
            .with_fields(fields)
            .build()
            .unwrap();
        let file = std::fs::File::create(path).unwrap();
        let properties = Arc::new(WriterProperties::builder().build());
        let mut writer = SerializedFileWriter::new(file, Arc::new(schema), properties).unwrap();
        for (rows, labels) in self.rows.chunks(group).zip(self.labels.chunks(group)) {
            let mut out = writer.next_row_group().unwrap();
            for index in 0..width {
                let mut column = out.next_column().unwrap().unwrap();
                let levels: Vec<i16> = rows
                    .iter()
                    .map(|row| i16::from(!row[index].is_nan()))
                    .collect();
                let values: Vec<f64> = rows
                    .iter()
                    .map(|row| row[index])
                    .filter(|value| !value.is_nan())
                    .collect();
                column
                    .typed::<DoubleType>()
                    .write_batch(&values, Some(&levels), None)
                    .unwrap();
                column.close().unwrap();
            }
            let mut column = out.next_column().unwrap().unwrap();
            column
                .typed::<Int32Type>()
                .write_batch(labels, Some(&vec![1; labels.len()]), None)
                .unwrap();
            column.close().unwrap();
            out.close().unwrap();
        }
        writer.close().unwrap();
    }
}

/// The real sets; `None`, with a line that says so, where they are absent and skipping is allowed.
pub(crate) fn real(test: &str, file: &str) -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests find their data by an environment variable"
    )]
    let given = std::env::var_os("HODOSCOPE_DATA").map(PathBuf::from);
    #[expect(
        clippy::disallowed_methods,
        reason = "CI turns skips into failures by an environment variable"
    )]
    let strict = std::env::var_os("HODOSCOPE_NO_SKIP").is_some_and(|value| value == "1");
    // Beside the workspace; worktrees lie one folder deeper.
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside =
        ["../../../shared/data", "../../../../shared/data"].map(|path| crate_folder.join(path));
    let mut path = given.into_iter().chain(beside).map(|root| root.join(file));
    let found = path.find(|path| path.exists());
    if found.is_none() {
        assert!(
            !strict,
            "{test}: {file} is absent and HODOSCOPE_NO_SKIP is set"
        );
        println!("SKIP {test}: {file} is absent");
    }
    found
}
