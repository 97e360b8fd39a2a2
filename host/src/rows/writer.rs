//! Tables written block by block: Parquet, CSV and NDJSON. A file appears under its name only when it is whole: until
//! then it lies beside it as `<name>.part`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{
    BoolType, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use super::cells::{Cells, Values};

/// A row group holds so many bytes or rows, whichever comes first.
const GROUP_BYTES: usize = 64 << 20;
const GROUP_ROWS: usize = 1 << 20;

/// Writes a table.
pub struct Writer {
    out: Out,
    finished: Finished,
}

/// How a file comes to its name.
#[derive(Debug)]
enum Finished {
    Stream,
    Rename(Part),
}

/// A file that is not whole yet; it is removed if nobody gives it its name.
#[derive(Debug)]
struct Part {
    part: PathBuf,
    path: PathBuf,
}

impl Part {
    fn rename(&self) -> std::io::Result<()> {
        std::fs::rename(&self.part, &self.path)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After a rename there is nothing to remove, which is what is wanted.
        let _ = std::fs::remove_file(&self.part);
    }
}

enum Out {
    Parquet(Box<ParquetOut>),
    Csv(TextOut),
    Json(TextOut),
}

struct ParquetOut {
    writer: SerializedFileWriter<BufWriter<File>>,
    waiting: Vec<Cells>,
    rows: usize,
}

struct TextOut {
    out: Box<dyn Write + Send>,
    names: Vec<String>,
    line: Vec<u8>,
}

/// Why a table cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system said no.
    #[error("failed to write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The encoder said no.
    #[error("failed to write {path} as Parquet: {source}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: ParquetError,
    },
    /// The format cannot be told.
    #[error(
        "cannot tell the format of {path}; name it .parquet, .csv or .ndjson, or give `-` for CSV on standard output"
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Starts a table with these columns. The extension tells the format; `-` is CSV on standard output.
    pub fn create(path: &Path, columns: &[TypePtr]) -> Result<Self, WriteError> {
        let name = path.to_string_lossy().to_lowercase();
        let names = columns
            .iter()
            .map(|column| column.name().to_owned())
            .collect();
        if name == "-" {
            let out = Box::new(BufWriter::new(std::io::stdout()));
            let out = Out::Csv(TextOut::with_header(out, names).map_err(writing(path))?);
            return Ok(Self {
                out,
                finished: Finished::Stream,
            });
        }
        let part = Part {
            part: PathBuf::from(format!("{}.part", path.display())),
            path: path.to_path_buf(),
        };
        let create = || {
            File::create(&part.part)
                .map(|file| BufWriter::with_capacity(1 << 20, file))
                .map_err(writing(path))
        };
        let out = if name.ends_with(".parquet") || name.ends_with(".pq") {
            Out::Parquet(Box::new(
                ParquetOut::new(create()?, columns).map_err(encoding(path))?,
            ))
        } else if name.ends_with(".csv") {
            Out::Csv(TextOut::with_header(Box::new(create()?), names).map_err(writing(path))?)
        } else if name.ends_with(".ndjson") || name.ends_with(".jsonl") {
            Out::Json(TextOut {
                out: Box::new(create()?),
                names,
                line: Vec::new(),
            })
        } else {
            return Err(WriteError::UnknownFormat {
                path: path.to_path_buf(),
            });
        };
        Ok(Self {
            out,
            finished: Finished::Rename(part),
        })
    }

    /// Writes `rows` rows; `columns` in the order of `create`.
    pub fn write(&mut self, rows: usize, columns: Vec<Cells>) -> Result<(), WriteError> {
        let path = self.finished.path();
        match &mut self.out {
            Out::Parquet(out) => out.write(rows, columns).map_err(encoding(&path)),
            Out::Csv(out) => out.write_csv(rows, &columns).map_err(writing(&path)),
            Out::Json(out) => out.write_json(rows, &columns).map_err(writing(&path)),
        }
    }

    /// Writes what waits, and gives the file its name.
    pub fn finish(self) -> Result<(), WriteError> {
        let path = self.finished.path();
        match self.out {
            Out::Parquet(out) => out.finish().map_err(encoding(&path))?,
            Out::Csv(mut out) | Out::Json(mut out) => out.out.flush().map_err(writing(&path))?,
        }
        match &self.finished {
            Finished::Stream => Ok(()),
            Finished::Rename(part) => part.rename().map_err(writing(&part.path)),
        }
    }
}

impl Finished {
    fn path(&self) -> PathBuf {
        match self {
            Self::Stream => PathBuf::from("standard output"),
            Self::Rename(part) => part.path.clone(),
        }
    }
}

impl ParquetOut {
    fn new(file: BufWriter<File>, columns: &[TypePtr]) -> Result<Self, ParquetError> {
        let schema = Type::group_type_builder("schema")
            .with_fields(columns.to_vec())
            .build()?;
        // Scores hardly repeat, so a dictionary only costs time; text and flags repeat.
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::UNCOMPRESSED)
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_data_page_row_count_limit(GROUP_ROWS)
            .set_write_batch_size(64 << 10)
            .set_created_by(concat!("hodoscope ", env!("CARGO_PKG_VERSION")).to_owned());
        for column in columns.iter().filter(|column| is_text(column)) {
            let path = parquet::schema::types::ColumnPath::from(column.name());
            properties = properties
                .set_column_dictionary_enabled(path.clone(), true)
                .set_column_compression(path, Compression::SNAPPY);
        }
        let writer =
            SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build()))?;
        Ok(Self {
            writer,
            waiting: Vec::new(),
            rows: 0,
        })
    }

    fn write(&mut self, rows: usize, columns: Vec<Cells>) -> Result<(), ParquetError> {
        self.rows += rows;
        if self.waiting.is_empty() {
            self.waiting = columns;
        } else {
            let fit = self
                .waiting
                .iter_mut()
                .zip(columns)
                .all(|(waiting, more)| waiting.append(more));
            if !fit {
                return Err(ParquetError::General(
                    "a column changed its type".to_owned(),
                ));
            }
        }
        let bytes: usize = self.waiting.iter().map(Cells::size_bytes).sum();
        if self.rows >= GROUP_ROWS || bytes >= GROUP_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        put_group(&mut self.writer, std::mem::take(&mut self.waiting))?;
        self.rows = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<(), ParquetError> {
        if self.rows > 0 {
            self.flush()?;
        }
        self.writer.close()?;
        Ok(())
    }
}

/// Writes a row group.
pub(super) fn put_group<W: Write + Send>(
    writer: &mut SerializedFileWriter<W>,
    cells: Vec<Cells>,
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for cells in cells {
        let Some(mut column) = group.next_column()? else {
            break;
        };
        let levels = cells.levels.as_deref();
        match &cells.values {
            Values::Boolean(values) => put::<BoolType>(&mut column, values, levels)?,
            Values::Int32(values) => put::<Int32Type>(&mut column, values, levels)?,
            Values::Int64(values) => put::<Int64Type>(&mut column, values, levels)?,
            Values::Float(values) => put::<FloatType>(&mut column, values, levels)?,
            Values::Double(values) => put::<DoubleType>(&mut column, values, levels)?,
            Values::Bytes(values) => put::<ByteArrayType>(&mut column, values, levels)?,
        }
        column.close()?;
    }
    group.close()?;
    Ok(())
}

fn put<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    column
        .typed::<T>()
        .write_batch(values, levels, None)
        .map(|_| ())
}

fn is_text(column: &TypePtr) -> bool {
    column.get_physical_type() == parquet::basic::Type::BYTE_ARRAY
}

impl TextOut {
    fn with_header(mut out: Box<dyn Write + Send>, names: Vec<String>) -> std::io::Result<Self> {
        let mut line = Vec::new();
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                line.push(b',');
            }
            put_csv_text(&mut line, name.as_bytes());
        }
        line.push(b'\n');
        out.write_all(&line)?;
        Ok(Self { out, names, line })
    }

    fn write_csv(&mut self, rows: usize, columns: &[Cells]) -> std::io::Result<()> {
        let places: Vec<Vec<Option<usize>>> =
            columns.iter().map(|column| column.indices(rows)).collect();
        for row in 0..rows {
            self.line.clear();
            for (index, (column, places)) in columns.iter().zip(&places).enumerate() {
                if index > 0 {
                    self.line.push(b',');
                }
                if let Some(place) = places.get(row).copied().flatten() {
                    put_csv(&mut self.line, &column.values, place)?;
                }
            }
            self.line.push(b'\n');
            self.out.write_all(&self.line)?;
        }
        Ok(())
    }

    fn write_json(&mut self, rows: usize, columns: &[Cells]) -> std::io::Result<()> {
        let places: Vec<Vec<Option<usize>>> =
            columns.iter().map(|column| column.indices(rows)).collect();
        for row in 0..rows {
            self.line.clear();
            for (index, ((name, column), places)) in
                self.names.iter().zip(columns).zip(&places).enumerate()
            {
                self.line.push(if index == 0 { b'{' } else { b',' });
                serde_json::to_writer(&mut self.line, name)?;
                self.line.push(b':');
                match places.get(row).copied().flatten() {
                    Some(place) => put_json(&mut self.line, &column.values, place)?,
                    None => self.line.extend_from_slice(b"null"),
                }
            }
            self.line.extend_from_slice(b"}\n");
            self.out.write_all(&self.line)?;
        }
        Ok(())
    }
}

fn put_csv(line: &mut Vec<u8>, values: &Values, place: usize) -> std::io::Result<()> {
    match values {
        Values::Boolean(values) => put_shown(line, values.get(place)),
        Values::Int32(values) => put_shown(line, values.get(place)),
        Values::Int64(values) => put_shown(line, values.get(place)),
        Values::Float(values) => put_shown(line, values.get(place)),
        Values::Double(values) => put_shown(line, values.get(place)),
        Values::Bytes(values) => {
            put_csv_text(
                line,
                values
                    .get(place)
                    .map(|bytes| bytes.data())
                    .unwrap_or_default(),
            );
            Ok(())
        }
    }
}

fn put_shown(line: &mut Vec<u8>, value: Option<&impl std::fmt::Display>) -> std::io::Result<()> {
    value.map_or(Ok(()), |value| write!(line, "{value}"))
}

/// Quotes a text if it needs it (RFC 4180).
fn put_csv_text(line: &mut Vec<u8>, text: &[u8]) {
    if !text
        .iter()
        .any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'))
    {
        line.extend_from_slice(text);
        return;
    }
    line.push(b'"');
    for byte in text {
        if *byte == b'"' {
            line.push(b'"');
        }
        line.push(*byte);
    }
    line.push(b'"');
}

fn put_json(line: &mut Vec<u8>, values: &Values, place: usize) -> std::io::Result<()> {
    match values {
        Values::Boolean(values) => serde_json::to_writer(line, &values.get(place))?,
        Values::Int32(values) => serde_json::to_writer(line, &values.get(place))?,
        Values::Int64(values) => serde_json::to_writer(line, &values.get(place))?,
        Values::Float(values) => serde_json::to_writer(line, &values.get(place))?,
        Values::Double(values) => serde_json::to_writer(line, &values.get(place))?,
        Values::Bytes(values) => {
            serde_json::to_writer(
                line,
                &values.get(place).map(|b| String::from_utf8_lossy(b.data())),
            )?;
        }
    }
    Ok(())
}

fn writing(path: &Path) -> impl Fn(std::io::Error) -> WriteError {
    move |source| WriteError::Write {
        path: path.to_path_buf(),
        source,
    }
}

fn encoding(path: &Path) -> impl Fn(ParquetError) -> WriteError {
    move |source| WriteError::Parquet {
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use parquet::basic::Type as Physical;

    use super::super::{Selection, Table, column_type};
    use super::*;

    fn columns() -> (Vec<TypePtr>, Vec<Cells>) {
        let types = vec![
            column_type("id", Physical::BYTE_ARRAY, true).unwrap(),
            column_type("n", Physical::INT64, true).unwrap(),
            column_type("score", Physical::DOUBLE, false).unwrap(),
            column_type("anomaly", Physical::BOOLEAN, false).unwrap(),
        ];
        let cells = vec![
            Cells {
                values: Values::Bytes(vec!["a,\"b\"".into(), "c\nd".into()]),
                levels: Some(vec![1, 1, 0]),
            },
            Cells {
                values: Values::Int64(vec![1 << 60]),
                levels: Some(vec![0, 1, 0]),
            },
            Cells::full(Values::Double(vec![0.1, 0.25, 1.0 / 3.0])),
            Cells::full(Values::Boolean(vec![false, false, true])),
        ];
        (types, cells)
    }

    fn check(name: &str) -> (PathBuf, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let (types, cells) = columns();
        let mut writer = Writer::create(&path, &types).unwrap();
        writer.write(3, cells.clone()).unwrap();
        writer.write(3, cells).unwrap();
        assert!(!path.exists(), "the file appeared before it was whole");
        writer.finish().unwrap();
        let selection = Selection {
            features: vec!["score".into(), "anomaly".into()],
            keep: vec!["id".into(), "n".into()],
        };
        let mut blocks = Table::open(&path).unwrap().blocks(&selection).unwrap();
        let block = blocks.next_block().unwrap().unwrap();
        assert_eq!(block.rows(), 6);
        let piece = &block.pieces[0];
        assert_eq!(piece.features[0][..4], [0.1, 0.25, 1.0 / 3.0, 0.1]);
        assert_eq!(piece.features[1], vec![0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        assert_eq!(piece.kept[1].numbers(6)[1], (1_u64 << 60) as f64);
        assert!(blocks.next_block().unwrap().is_none());
        (path, folder)
    }

    #[test]
    fn parquet_comes_back_with_types_and_gaps() {
        let (path, _folder) = check("a.parquet");
        let table = Table::open(&path).unwrap();
        assert_eq!(table.rows(), Some(6));
        assert_eq!(table.columns(), ["id", "n", "score", "anomaly"]);
        let selection = Selection {
            features: vec![],
            keep: vec!["id".into()],
        };
        let mut blocks = table.blocks(&selection).unwrap();
        let kept = &blocks.next_block().unwrap().unwrap().pieces[0].kept[0];
        assert_eq!(kept.levels, Some(vec![1, 1, 0, 1, 1, 0]));
    }

    #[test]
    fn csv_comes_back_with_quotes_and_line_ends_in_fields() {
        let (path, _folder) = check("a.csv");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with("id,n,score,anomaly\n\"a,\"\"b\"\"\",,0.1,false\n\"c\nd\",1152921504606846976,0.25,false\n"), "{text}");
    }

    #[test]
    fn ndjson_comes_back_with_nulls() {
        let (path, _folder) = check("a.ndjson");
        let text = std::fs::read_to_string(path).unwrap();
        let first = text.lines().next().unwrap();
        assert_eq!(
            first,
            r#"{"id":"a,\"b\"","n":null,"score":0.1,"anomaly":false}"#
        );
    }

    #[test]
    fn refuses_a_name_without_a_format() {
        let refused = Writer::create(Path::new("scores.xlsx"), &columns().0).unwrap_err();
        assert!(matches!(refused, WriteError::UnknownFormat { .. }));
    }
}
