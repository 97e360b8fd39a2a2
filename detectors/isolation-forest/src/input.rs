//! Tables on disk as the trainer reads them: CSV (plain, gzip, standard input) and Parquet, one file or many, in chunks of
//! columns of f32. Owns the agreement of columns between files and every message about a bad cell; bounded by one
//! chunk of [`CHUNK_BYTES`]. It knows no store: an object is handed over as a local file with the name people know.

mod csv;
mod locate;
mod parquet;
mod schema;

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

pub use locate::locate;
pub use schema::Selection;

use schema::Plan;

/// How many bytes of values one chunk may hold.
pub(crate) const CHUNK_BYTES: usize = 16 << 20;
/// Upper bound of rows in a chunk.
pub(crate) const CHUNK_ROWS: usize = 65_536;

/// One file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What messages call it: the path, or the object it was fetched from.
    pub name: String,
}

/// Why a table cannot be read. Each names the file and the column where there is one, and the fix.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Nothing to read.
    #[error(
        "{0}: no table found; name a .csv, .csv.gz or .parquet file, a folder of them, or a pattern in quotes"
    )]
    Nothing(String),
    /// The pattern is none.
    #[error("{0}: not a pattern: {1}")]
    Pattern(String, String),
    /// The operating system refused.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What it said.
        source: std::io::Error,
    },
    /// The bytes are no table.
    #[error("{file}: neither CSV nor Parquet: {found}")]
    Format {
        /// The file.
        file: String,
        /// What was found.
        found: String,
    },
    /// A CSV without names.
    #[error("{0}: the first line holds numbers, not names; a header line is required")]
    Header(String),
    /// Two columns of one name.
    #[error("{file}: two columns are named `{column}`; rename one")]
    Duplicate {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// A column that was asked for is not there.
    #[error("{file}: no column `{column}`; the columns are {known}")]
    Unknown {
        /// The file.
        file: String,
        /// What was asked for.
        column: String,
        /// What there is.
        known: String,
    },
    /// Files disagree.
    #[error(
        "{file}: column `{column}` is {problem} {first}; all files need the same columns (or name them with --columns)"
    )]
    Disagree {
        /// The file that differs.
        file: String,
        /// The column.
        column: String,
        /// How it differs.
        problem: &'static str,
        /// The file it is compared with.
        first: String,
    },
    /// A column of text, times or nested values.
    #[error(
        "{file}: column `{column}` holds {found}, not numbers; leave it out with --exclude {column}"
    )]
    NotNumeric {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// What it holds.
        found: String,
    },
    /// One cell is no number.
    #[error(
        "{file}, line {line}, column `{column}`: \"{found}\" is not a number; correct it, empty the cell (missing), or use --exclude {column}"
    )]
    Cell {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column.
        column: String,
        /// The cell.
        found: String,
    },
    /// One label is neither 0 nor 1.
    #[error("{file}: label column `{column}` holds {found}; a label is 0 (normal) or 1 (anomaly)")]
    Label {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// What was found.
        found: String,
    },
    /// A line with too many or too few cells.
    #[error("{file}, line {line}: {found} cells, but the header has {expected}")]
    Width {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// Cells found.
        found: usize,
        /// Cells expected.
        expected: usize,
    },
    /// The Parquet file is damaged or uses what is not supported.
    #[error("{file}: {problem}")]
    Parquet {
        /// The file.
        file: String,
        /// What the reader said.
        problem: String,
    },
    /// Nothing left to learn from.
    #[error("{0}: no feature columns are left; check --columns and --exclude")]
    NoFeatures(String),
    /// A header and nothing else.
    #[error("{0}: no rows")]
    NoRows(String),
    /// Standard input cannot be read twice.
    #[error("standard input can be read only once; save it to a file for --exact-threshold")]
    ReadOnce,
}

/// Rows as columns.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// How many rows.
    pub(crate) rows: usize,
    /// One vector of `rows` values per feature; NaN is missing, infinities are clamped to the range of f32.
    pub(crate) columns: Vec<Vec<f32>>,
    /// One value per row if the table has a label: 0, 1 or NaN (unknown).
    pub(crate) labels: Vec<f32>,
}

enum Source {
    Csv(InputFile),
    Parquet(InputFile),
    Stream(Option<csv::CsvStream>),
}

/// A table of one or more files.
pub struct Table {
    sources: Vec<(Source, Plan)>,
    features: Vec<String>,
    labelled: bool,
    rows: Option<u64>,
    bytes: u64,
    name: String,
}

/// How far a reading is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Position {
    /// Rows given out.
    pub(crate) rows: u64,
}

impl Table {
    /// Opens files and settles which columns are features. Reads headers and footers only.
    pub fn open(files: &[InputFile], selection: &Selection) -> Result<Self, InputError> {
        let mut opened = Vec::with_capacity(files.len());
        let mut rows = Some(0u64);
        let mut bytes = 0;
        for file in files {
            bytes += std::fs::metadata(&file.path).map(|m| m.len()).unwrap_or(0);
            if is_parquet(file)? {
                let (header, count) = parquet::header(file)?;
                rows = rows.map(|sum| sum + count);
                opened.push((Source::Parquet(file.clone()), file.name.clone(), header));
            } else {
                let stream = csv::CsvStream::open(&file.name, open(file)?)?;
                rows = None;
                opened.push((
                    Source::Csv(file.clone()),
                    file.name.clone(),
                    stream.header(),
                ));
            }
        }
        Self::assemble(opened, selection, rows, bytes)
    }

    /// Reads CSV (plain or gzip) from a stream such as standard input, once.
    pub fn stream(
        name: &str,
        reader: Box<dyn Read + Send>,
        selection: &Selection,
    ) -> Result<Self, InputError> {
        let stream = csv::CsvStream::open(name, reader)?;
        let header = stream.header();
        let opened = vec![(Source::Stream(Some(stream)), name.to_owned(), header)];
        Self::assemble(opened, selection, None, 0)
    }

    fn assemble(
        opened: Vec<(Source, String, schema::Header)>,
        selection: &Selection,
        rows: Option<u64>,
        bytes: u64,
    ) -> Result<Self, InputError> {
        let Some((_, name, first)) = opened.first() else {
            return Err(InputError::Nothing("the input".to_owned()));
        };
        let name = name.clone();
        let features = schema::features(&name, first, selection)?;
        let mut sources = Vec::with_capacity(opened.len());
        for (source, file, header) in opened {
            let plan = Plan::new(&file, &header, &features, selection, &name)?;
            sources.push((source, plan));
        }
        Ok(Self {
            sources,
            features,
            labelled: selection.label.is_some(),
            rows,
            bytes,
            name,
        })
    }

    /// The names of the features, in their order.
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// Whether a label column is read.
    pub fn labelled(&self) -> bool {
        self.labelled
    }

    /// How many rows there are, where the files say so (Parquet).
    pub fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// How many bytes the files have; 0 for a stream.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What messages call the table: its first file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it can be read again.
    pub fn rereadable(&self) -> bool {
        !self
            .sources
            .iter()
            .any(|(source, _)| matches!(source, Source::Stream(_)))
    }

    /// Reads everything in order, chunk by chunk; gives the number of rows.
    pub(crate) fn read(
        &mut self,
        mut each: impl FnMut(&Chunk, Position) -> Result<(), InputError>,
    ) -> Result<u64, InputError> {
        let rows_per_chunk = chunk_rows(self.features.len());
        let mut position = Position::default();
        let mut give = |chunk: &Chunk| -> Result<(), InputError> {
            each(chunk, position)?;
            position.rows += chunk.rows as u64;
            Ok(())
        };
        for (source, plan) in &mut self.sources {
            match source {
                Source::Parquet(file) => parquet::read(file, plan, rows_per_chunk, &mut give)?,
                Source::Csv(file) => {
                    csv::CsvStream::open(&file.name, open(file)?)?.read(plan, &mut give)?
                }
                Source::Stream(stream) => stream
                    .take()
                    .ok_or(InputError::ReadOnce)?
                    .read(plan, &mut give)?,
            }
        }
        Ok(position.rows)
    }
}

/// Rows per chunk for a width, so that a chunk stays within [`CHUNK_BYTES`].
fn chunk_rows(width: usize) -> usize {
    (CHUNK_BYTES / (4 * width.max(1))).clamp(1_024, CHUNK_ROWS)
}

fn open(file: &InputFile) -> Result<Box<dyn Read + Send>, InputError> {
    match File::open(&file.path) {
        Ok(opened) => Ok(Box::new(opened)),
        Err(source) => Err(InputError::Io {
            file: file.name.clone(),
            source,
        }),
    }
}

fn is_parquet(file: &InputFile) -> Result<bool, InputError> {
    let mut magic = Vec::with_capacity(4);
    open(file)?
        .take(4)
        .read_to_end(&mut magic)
        .map_err(|source| InputError::Io {
            file: file.name.clone(),
            source,
        })?;
    Ok(magic == b"PAR1")
}

/// What scoring sees of a value: f32, infinities and what overflows clamped to the largest finite value (they take the
/// same way through every tree, whose thresholds are finite), NaN kept as "missing".
pub(crate) fn demote(value: f64) -> f32 {
    (value as f32).clamp(f32::MIN, f32::MAX)
}
