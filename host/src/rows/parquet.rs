//! Parquet by the low-level column API. Columns of a block are decoded in parallel, each by a reader of its own that
//! keeps its place within the row group; memory is one page per column plus the block.

use std::fs::File;
use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescPtr, Type, TypePtr};
use rayon::prelude::*;

use super::cells::{Cells, Values};
use super::positioned::Positioned;
use super::{Block, Piece, RowsError, Selection};

/// Decoded bytes of a block, about: large enough to keep all cores busy between two meetings, small enough for the
/// caches of a server and for three blocks in flight.
const BLOCK_BYTES: usize = 8 << 20;
const BLOCK_ROWS: std::ops::RangeInclusive<usize> = 8 << 10..=256 << 10;

/// An opened file.
pub(super) struct Source {
    file: SerializedFileReader<Positioned>,
    columns: Vec<String>,
}

/// How the integers of a feature column are meant.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sign {
    Signed,
    Unsigned,
}

struct Column {
    index: usize,
    descriptor: ColumnDescPtr,
    sign: Sign,
    reader: Option<ColumnReader>,
}

/// Reads the selected columns block by block.
pub(super) struct Reader {
    file: SerializedFileReader<Positioned>,
    features: Vec<Column>,
    kept: Vec<Column>,
    next_group: usize,
    rows_left: usize,
    block_rows: usize,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("next_group", &self.next_group)
            .finish_non_exhaustive()
    }
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, RowsError> {
        let read = |source| RowsError::Read {
            path: path.to_path_buf(),
            source,
        };
        let positioned = Positioned::new(File::open(path).map_err(read)?).map_err(read)?;
        let file = SerializedFileReader::new(positioned).map_err(broken(path))?;
        let columns = file
            .metadata()
            .file_metadata()
            .schema_descr()
            .columns()
            .iter()
            .map(|column| column.path().parts().join("."))
            .collect();
        Ok(Self { file, columns })
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn rows(&self) -> u64 {
        u64::try_from(self.file.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    pub(super) fn select(self, path: &Path, selection: &Selection) -> Result<Reader, RowsError> {
        let schema = self.file.metadata().file_metadata().schema_descr_ptr();
        let column = |name: &String| {
            let index = self
                .columns
                .iter()
                .position(|c| c == name)
                .unwrap_or(usize::MAX);
            let descriptor = schema.columns().get(index).cloned();
            descriptor
                .map(|descriptor| (index, descriptor))
                .ok_or_else(|| RowsError::MissingColumn {
                    path: path.to_path_buf(),
                    name: name.clone(),
                    found: super::listed(&self.columns),
                })
        };
        let features = selection
            .features
            .iter()
            .map(|name| {
                let (index, descriptor) = column(name)?;
                let sign = numeric(&descriptor).map_err(|found| RowsError::NotNumeric {
                    path: path.to_path_buf(),
                    name: name.clone(),
                    found,
                })?;
                Ok(Column {
                    index,
                    descriptor,
                    sign,
                    reader: None,
                })
            })
            .collect::<Result<Vec<_>, RowsError>>()?;
        let kept = selection
            .keep
            .iter()
            .map(|name| {
                let (index, descriptor) = column(name)?;
                copyable(&descriptor).map_err(|found| RowsError::NotKept {
                    path: path.to_path_buf(),
                    name: name.clone(),
                    found,
                })?;
                Ok(Column {
                    index,
                    descriptor,
                    sign: Sign::Signed,
                    reader: None,
                })
            })
            .collect::<Result<Vec<_>, RowsError>>()?;
        let row_bytes = 8 * (features.len() + kept.len()).max(1);
        Ok(Reader {
            file: self.file,
            features,
            kept,
            next_group: 0,
            rows_left: 0,
            block_rows: (BLOCK_BYTES / row_bytes).clamp(*BLOCK_ROWS.start(), *BLOCK_ROWS.end()),
        })
    }
}

impl Reader {
    pub(super) fn next_block(&mut self, path: &Path) -> Result<Option<Block>, RowsError> {
        let mut block = Block::default();
        let mut wanted = self.block_rows;
        while wanted > 0 && self.open_group().map_err(broken(path))? {
            let rows = wanted.min(self.rows_left);
            block.pieces.push(self.piece(rows).map_err(broken(path))?);
            self.rows_left -= rows;
            wanted -= rows;
        }
        Ok(Some(block).filter(|block| !block.pieces.is_empty()))
    }

    pub(super) fn kept_types(&self) -> Result<Vec<TypePtr>, ParquetError> {
        self.kept
            .iter()
            .map(|column| flattened(&column.descriptor))
            .collect()
    }

    /// Opens row groups until one has rows left; false at the end of the file.
    fn open_group(&mut self) -> Result<bool, ParquetError> {
        while self.rows_left == 0 {
            if self.next_group >= self.file.num_row_groups() {
                return Ok(false);
            }
            let group = self.file.get_row_group(self.next_group)?;
            for column in self.features.iter_mut().chain(&mut self.kept) {
                column.reader = Some(group.get_column_reader(column.index)?);
            }
            let rows = group.metadata().num_rows();
            self.rows_left = usize::try_from(rows)
                .map_err(|_| ParquetError::General(format!("a row group claims {rows} rows")))?;
            self.next_group += 1;
        }
        Ok(true)
    }

    fn piece(&mut self, rows: usize) -> Result<Piece, ParquetError> {
        let (features, kept) = rayon::join(
            || {
                self.features
                    .par_iter_mut()
                    .map(|column| column.numbers(rows))
                    .collect::<Result<_, _>>()
            },
            || {
                self.kept
                    .par_iter_mut()
                    .map(|column| column.cells(rows))
                    .collect::<Result<_, _>>()
            },
        );
        Ok(Piece {
            rows,
            features: features?,
            kept: kept?,
        })
    }
}

impl Column {
    /// Decodes `rows` numbers, NaN where there is none.
    fn numbers(&mut self, rows: usize) -> Result<Vec<f64>, ParquetError> {
        let level = self.descriptor.max_def_level();
        let unsigned = self.sign == Sign::Unsigned;
        match self.reader.as_mut() {
            Some(ColumnReader::DoubleColumnReader(reader)) => numbers(reader, rows, level, |v| v),
            Some(ColumnReader::FloatColumnReader(reader)) => {
                numbers(reader, rows, level, f64::from)
            }
            Some(ColumnReader::Int32ColumnReader(reader)) if unsigned => {
                numbers(reader, rows, level, |v| f64::from(v.cast_unsigned()))
            }
            Some(ColumnReader::Int32ColumnReader(reader)) => {
                numbers(reader, rows, level, f64::from)
            }
            Some(ColumnReader::Int64ColumnReader(reader)) if unsigned => {
                numbers(reader, rows, level, |v| v.cast_unsigned() as f64)
            }
            Some(ColumnReader::Int64ColumnReader(reader)) => {
                numbers(reader, rows, level, |v| v as f64)
            }
            Some(ColumnReader::BoolColumnReader(reader)) => {
                numbers(reader, rows, level, |v| f64::from(u8::from(v)))
            }
            _ => Err(not_opened()),
        }
    }

    /// Decodes `rows` values with the type they have.
    fn cells(&mut self, rows: usize) -> Result<Cells, ParquetError> {
        let level = self.descriptor.max_def_level();
        let (values, levels) = match self.reader.as_mut() {
            Some(ColumnReader::BoolColumnReader(reader)) => {
                typed(reader, rows, level, Values::Boolean)
            }
            Some(ColumnReader::Int32ColumnReader(reader)) => {
                typed(reader, rows, level, Values::Int32)
            }
            Some(ColumnReader::Int64ColumnReader(reader)) => {
                typed(reader, rows, level, Values::Int64)
            }
            Some(ColumnReader::FloatColumnReader(reader)) => {
                typed(reader, rows, level, Values::Float)
            }
            Some(ColumnReader::DoubleColumnReader(reader)) => {
                typed(reader, rows, level, Values::Double)
            }
            Some(ColumnReader::ByteArrayColumnReader(reader)) => {
                typed(reader, rows, level, Values::Bytes)
            }
            _ => Err(not_opened()),
        }?;
        let levels = levels.map(|levels| {
            let there = |found: i16| i16::from(found == level);
            levels.into_iter().map(there).collect()
        });
        Ok(Cells { values, levels })
    }
}

type Decoded<T> = (Vec<T>, Option<Vec<i16>>);

/// Reads exactly `rows` records of a flat column: the values that are there, and the levels if some may be absent.
fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    max_level: i16,
) -> Result<Decoded<T::T>, ParquetError> {
    let mut values = Vec::with_capacity(rows);
    let mut levels = (max_level > 0).then(|| Vec::with_capacity(rows));
    let (records, _, _) = reader.read_records(rows, levels.as_mut(), None, &mut values)?;
    if records != rows {
        let text = format!("a column ends {} rows before its row group", rows - records);
        return Err(ParquetError::EOF(text));
    }
    Ok((values, levels))
}

/// The same as numbers, one for each row.
fn numbers<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    max_level: i16,
    number: impl Fn(T::T) -> f64,
) -> Result<Vec<f64>, ParquetError> {
    let (values, levels) = read(reader, rows, max_level)?;
    Ok(spread(values, levels, max_level, number))
}

/// The same with the type they have.
fn typed<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    max_level: i16,
    of: impl Fn(Vec<T::T>) -> Values,
) -> Result<(Values, Option<Vec<i16>>), ParquetError> {
    let (values, levels) = read(reader, rows, max_level)?;
    Ok((of(values), levels))
}

/// Puts each value on its row and NaN on the others.
fn spread<T>(
    values: Vec<T>,
    levels: Option<Vec<i16>>,
    max_level: i16,
    number: impl Fn(T) -> f64,
) -> Vec<f64> {
    match levels {
        Some(levels) if values.len() < levels.len() => {
            let mut values = values.into_iter();
            let value = |level| (level == max_level).then(|| values.next()).flatten();
            levels
                .into_iter()
                .map(value)
                .map(|v| v.map_or(f64::NAN, &number))
                .collect()
        }
        _ => values.into_iter().map(number).collect(),
    }
}

/// Accepts plain numbers and truth values; the error says what the column holds instead.
fn numeric(column: &ColumnDescPtr) -> Result<Sign, String> {
    flat(column)?;
    let unsigned = match column.logical_type_ref() {
        Some(LogicalType::Integer(integer)) => !integer.is_signed,
        Some(LogicalType::Timestamp(stamp)) => {
            return Err(format!("timestamps ({})", unit(&stamp.unit)));
        }
        Some(other) => return Err(format!("{other:?} values")),
        None => match column.converted_type() {
            ConvertedType::NONE
            | ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32
            | ConvertedType::INT_64 => false,
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64 => true,
            other => return Err(format!("{other} values")),
        },
    };
    match column.physical_type() {
        Physical::BOOLEAN
        | Physical::INT32
        | Physical::INT64
        | Physical::FLOAT
        | Physical::DOUBLE => Ok(if unsigned {
            Sign::Unsigned
        } else {
            Sign::Signed
        }),
        Physical::BYTE_ARRAY => Err("text or bytes".to_owned()),
        other => Err(format!("{other} values")),
    }
}

fn copyable(column: &ColumnDescPtr) -> Result<(), String> {
    flat(column)?;
    match column.physical_type() {
        Physical::INT96 | Physical::FIXED_LEN_BYTE_ARRAY => {
            Err(format!("of type {}", column.physical_type()))
        }
        _ => Ok(()),
    }
}

fn flat(column: &ColumnDescPtr) -> Result<(), String> {
    if column.max_rep_level() > 0 {
        return Err("a list".to_owned());
    }
    Ok(())
}

/// The type of a column once it stands at the top level, with what it means kept.
fn flattened(column: &ColumnDescPtr) -> Result<TypePtr, ParquetError> {
    let decimal = matches!(column.logical_type_ref(), Some(LogicalType::Decimal { .. }))
        || column.converted_type() == ConvertedType::DECIMAL;
    let repetition = if column.max_def_level() > 0 {
        Repetition::OPTIONAL
    } else {
        Repetition::REQUIRED
    };
    let name = column.path().parts().join(".");
    let mut builder = Type::primitive_type_builder(&name, column.physical_type())
        .with_repetition(repetition)
        .with_converted_type(column.converted_type())
        .with_logical_type(column.logical_type_ref().cloned());
    if decimal {
        builder = builder
            .with_precision(column.type_precision())
            .with_scale(column.type_scale());
    }
    builder.build().map(std::sync::Arc::new)
}

fn unit(unit: &TimeUnit) -> &'static str {
    match unit {
        TimeUnit::MILLIS => "milliseconds",
        TimeUnit::MICROS => "microseconds",
        TimeUnit::NANOS => "nanoseconds",
    }
}

fn broken(path: &Path) -> impl Fn(ParquetError) -> RowsError {
    move |source| RowsError::Parquet {
        path: path.to_path_buf(),
        source,
    }
}

fn not_opened() -> ParquetError {
    ParquetError::General("a column was read before its row group was opened".to_owned())
}
