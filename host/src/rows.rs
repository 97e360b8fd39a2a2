//! Tables of rows, read block by block in bounded memory: Parquet, CSV (also `.gz` and standard input) and NDJSON.
//! Only the columns that were asked for are decoded; features become f64 with NaN for missing, kept columns keep their
//! type. Row order is the file's order. Decoding runs on the caller's rayon pool.

mod cells;
mod encode;
mod json;
mod lookup;
mod parquet;
mod positioned;
mod text;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::basic::{LogicalType, Repetition, Type as Physical};
use ::parquet::errors::ParquetError;
use ::parquet::schema::types::{Type, TypePtr};

pub use cells::{Cells, Values};
pub use encode::parquet_bytes;
pub use lookup::{Pieces, holds_text, text_range};
pub use writer::{WriteError, Writer};

/// A table that was opened and whose column names are known.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Parquet(parquet::Source),
    Text(text::Source),
}

/// Which columns a reader wants, by name.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Numbers to score, in the order in which the detector wants them.
    pub features: Vec<String>,
    /// Columns to hand through with their own type.
    pub keep: Vec<String>,
}

/// Some rows in file order.
#[derive(Debug, Default)]
pub struct Block {
    /// Runs of rows, in order.
    pub pieces: Vec<Piece>,
}

/// A run of rows that was decoded at once.
#[derive(Debug)]
pub struct Piece {
    /// How many rows.
    pub rows: usize,
    /// One vector per feature, NaN = missing.
    pub features: Vec<Vec<f64>>,
    /// One column per kept name.
    pub kept: Vec<Cells>,
}

/// The blocks of a table, in order.
#[derive(Debug)]
pub struct Blocks {
    path: PathBuf,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Parquet(parquet::Reader),
    Text(text::Reader),
}

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The file system said no.
    #[error("failed to read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are no Parquet, or broken.
    #[error("failed to read {path} as Parquet: {source}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        source: ParquetError,
    },
    /// A name that is not in the table.
    #[error("{path} has no column `{name}`; it has {found}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The name that was asked for.
        name: String,
        /// The names that are there, for a message.
        found: String,
    },
    /// Two columns of one name.
    #[error("{path} has two columns called `{name}`; rename one of them")]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A column whose type does not fit.
    #[error("column `{name}` of {path} holds {found}, but a detector's feature must be a number")]
    NotNumeric {
        /// The file.
        path: PathBuf,
        /// The column.
        name: String,
        /// What it holds.
        found: String,
    },
    /// A column that cannot be copied.
    #[error("column `{name}` of {path} is {found} and cannot be kept; leave it out of --keep")]
    NotKept {
        /// The file.
        path: PathBuf,
        /// The column.
        name: String,
        /// What it is.
        found: String,
    },
    /// A row that is not what the header promised.
    #[error("{path}, row {row}: {reason}")]
    BadRow {
        /// The file.
        path: PathBuf,
        /// The row, counted from 1 without the header.
        row: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing to read.
    #[error("{path} is empty; it needs a header or at least one row")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The format cannot be told.
    #[error(
        "cannot tell the format of {path}; name it .parquet, .csv, .csv.gz, .ndjson or .jsonl, or give `-` for CSV on standard input"
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
}

impl Table {
    /// Opens `path` and reads its column names. The extension tells the format; `-` is CSV on standard input.
    pub fn open(path: &Path) -> Result<Self, RowsError> {
        let name = path.to_string_lossy().to_lowercase();
        let source = if name.ends_with(".parquet") || name.ends_with(".pq") {
            Source::Parquet(parquet::Source::open(path)?)
        } else {
            Source::Text(text::Source::open(path, &name)?)
        };
        let table = Self {
            path: path.to_path_buf(),
            source,
        };
        table.refuse_duplicates()?;
        Ok(table)
    }

    /// The column names, in file order.
    pub fn columns(&self) -> &[String] {
        match &self.source {
            Source::Parquet(source) => source.columns(),
            Source::Text(source) => source.columns(),
        }
    }

    /// How many rows there are, if the file says so.
    pub fn rows(&self) -> Option<u64> {
        match &self.source {
            Source::Parquet(source) => Some(source.rows()),
            Source::Text(_) => None,
        }
    }

    /// The length of the file in bytes; `None` for standard input.
    pub fn bytes(&self) -> Option<u64> {
        match &self.source {
            Source::Parquet(_) => None,
            Source::Text(source) => source.bytes(),
        }
    }

    /// Starts reading the selected columns.
    pub fn blocks(self, selection: &Selection) -> Result<Blocks, RowsError> {
        for name in selection.features.iter().chain(&selection.keep) {
            if !self.columns().contains(name) {
                return Err(RowsError::MissingColumn {
                    path: self.path,
                    name: name.clone(),
                    found: listed(match &self.source {
                        Source::Parquet(source) => source.columns(),
                        Source::Text(source) => source.columns(),
                    }),
                });
            }
        }
        let reader = match self.source {
            Source::Parquet(source) => Reader::Parquet(source.select(&self.path, selection)?),
            Source::Text(source) => Reader::Text(source.select(selection)),
        };
        Ok(Blocks {
            path: self.path,
            reader,
        })
    }

    fn refuse_duplicates(&self) -> Result<(), RowsError> {
        let mut seen = std::collections::HashSet::new();
        match self.columns().iter().find(|name| !seen.insert(*name)) {
            Some(name) => Err(RowsError::DuplicateColumn {
                path: self.path.clone(),
                name: name.clone(),
            }),
            None => Ok(()),
        }
    }
}

impl Blocks {
    /// The next rows, or `None` at the end.
    pub fn next_block(&mut self) -> Result<Option<Block>, RowsError> {
        match &mut self.reader {
            Reader::Parquet(reader) => reader.next_block(&self.path),
            Reader::Text(reader) => reader.next_block(&self.path),
        }
    }

    /// Bytes of the file consumed so far; 0 where the number of rows is known instead.
    pub fn bytes_read(&self) -> u64 {
        match &self.reader {
            Reader::Parquet(_) => 0,
            Reader::Text(reader) => reader.bytes_read(),
        }
    }

    /// The Parquet types of the kept columns, for a writer that copies them.
    pub fn kept_types(&self) -> Result<Vec<TypePtr>, RowsError> {
        match &self.reader {
            Reader::Parquet(reader) => reader.kept_types().map_err(|source| RowsError::Parquet {
                path: self.path.clone(),
                source,
            }),
            Reader::Text(reader) => Ok(reader.kept_types()),
        }
    }
}

impl Block {
    /// How many rows the block has.
    pub fn rows(&self) -> usize {
        self.pieces.iter().map(|piece| piece.rows).sum()
    }
}

/// The type of a column at the top level; bytes are text.
pub fn column_type(
    name: &str,
    physical: Physical,
    optional: bool,
) -> Result<TypePtr, ParquetError> {
    let text = physical == Physical::BYTE_ARRAY;
    Type::primitive_type_builder(name, physical)
        .with_repetition(if optional {
            Repetition::OPTIONAL
        } else {
            Repetition::REQUIRED
        })
        .with_logical_type(text.then_some(LogicalType::String))
        .build()
        .map(Arc::new)
}

/// Names for a message: all of them, or the first forty and how many more.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 40;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
