//! Parquet by its low-level column readers, without Arrow: the columns of a row group are decoded side by side, a chunk of
//! rows at a time, so memory is bounded by a chunk and one page per column, however large the row group is.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use rayon::prelude::*;

use super::schema::{Column, Header, Plan, Slot};
use super::{Chunk, InputError, InputFile, demote};

/// How much is read from the disk at a time.
const READ_BYTES: usize = 256 << 10;

/// A file whose readers keep positions of their own: clones of a [`File`] share one, which columns read in parallel would
/// tear apart.
struct Positioned {
    file: Arc<File>,
    length: u64,
}

struct PositionedReader {
    file: Arc<File>,
    at: u64,
}

impl Read for PositionedReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.file.read_at(buffer, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

impl Length for Positioned {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Positioned {
    type T = BufReader<PositionedReader>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let reader = PositionedReader {
            file: Arc::clone(&self.file),
            at: start,
        };
        Ok(BufReader::with_capacity(READ_BYTES, reader))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start
            .checked_add(length as u64)
            .filter(|end| *end <= self.length);
        if end.is_none() {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} lie behind the end"
            )));
        }
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, start)?;
        Ok(buffer.into())
    }
}

fn open(file: &InputFile) -> Result<SerializedFileReader<Positioned>, InputError> {
    let io = |source| InputError::Io {
        file: file.name.clone(),
        source,
    };
    let opened = File::open(&file.path).map_err(io)?;
    let length = opened.metadata().map_err(io)?.len();
    let positioned = Positioned {
        file: Arc::new(opened),
        length,
    };
    SerializedFileReader::new(positioned).map_err(|error| damaged(file, &error))
}

fn damaged(file: &InputFile, error: &dyn std::fmt::Display) -> InputError {
    InputError::Parquet {
        file: file.name.clone(),
        problem: error.to_string(),
    }
}

/// The columns and the number of rows, from the footer.
pub(super) fn header(file: &InputFile) -> Result<(Header, u64), InputError> {
    let reader = open(file)?;
    let metadata = reader.metadata().file_metadata();
    let columns = metadata
        .schema_descr()
        .columns()
        .iter()
        .map(|column| Column {
            name: column.path().string(),
            not_numeric: kind(column).err(),
        });
    Ok((
        columns.collect(),
        u64::try_from(metadata.num_rows()).unwrap_or(0),
    ))
}

/// How a column's physical values become numbers.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Signed,
    Unsigned,
    /// An integer that counts units of this size.
    Decimal(f64),
}

fn kind(column: &ColumnDescriptor) -> Result<Kind, String> {
    if column.max_rep_level() > 0 || column.path().parts().len() > 1 {
        return Err("nested values".to_owned());
    }
    match column.logical_type_ref() {
        Some(LogicalType::Timestamp { .. }) => return Err("timestamps".to_owned()),
        Some(LogicalType::Date) => return Err("dates".to_owned()),
        Some(LogicalType::Time { .. }) => return Err("times".to_owned()),
        Some(LogicalType::String | LogicalType::Enum | LogicalType::Json) => {
            return Err("text".to_owned());
        }
        _ => {}
    }
    match column.physical_type() {
        Physical::BYTE_ARRAY => return Err("text or bytes".to_owned()),
        Physical::FIXED_LEN_BYTE_ARRAY => return Err("fixed-length bytes".to_owned()),
        Physical::INT96 => return Err("timestamps (INT96)".to_owned()),
        _ => {}
    }
    Ok(match column.converted_type() {
        ConvertedType::TIMESTAMP_MICROS | ConvertedType::TIMESTAMP_MILLIS => {
            return Err("timestamps".to_owned());
        }
        ConvertedType::DATE => return Err("dates".to_owned()),
        ConvertedType::TIME_MICROS | ConvertedType::TIME_MILLIS => return Err("times".to_owned()),
        ConvertedType::UINT_8
        | ConvertedType::UINT_16
        | ConvertedType::UINT_32
        | ConvertedType::UINT_64 => Kind::Unsigned,
        ConvertedType::DECIMAL => Kind::Decimal(10f64.powi(column.type_scale().max(0))),
        _ => Kind::Signed,
    })
}

/// One column being read.
struct Reading {
    slot: Slot,
    kind: Kind,
    reader: ColumnReader,
    levels: Vec<i16>,
    nullable: bool,
    values: Vec<f32>,
}

/// Gives out all rows.
pub(super) fn read(
    file: &InputFile,
    plan: &Plan,
    rows_per_chunk: usize,
    give: &mut impl FnMut(&Chunk) -> Result<(), InputError>,
) -> Result<(), InputError> {
    let reader = open(file)?;
    for group in 0..reader.num_row_groups() {
        let group = reader
            .get_row_group(group)
            .map_err(|error| damaged(file, &error))?;
        let mut left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let mut columns = Vec::with_capacity(plan.width + 1);
        for (index, slot) in plan.slots.iter().enumerate() {
            if *slot == Slot::Skip {
                continue;
            }
            let descriptor = group.metadata().column(index).column_descr_ptr();
            columns.push(Reading {
                slot: *slot,
                kind: kind(&descriptor).map_err(|found| damaged(file, &found))?,
                reader: group
                    .get_column_reader(index)
                    .map_err(|error| damaged(file, &error))?,
                levels: Vec::new(),
                nullable: descriptor.max_def_level() > 0,
                values: Vec::new(),
            });
        }
        while left > 0 {
            let rows = left.min(rows_per_chunk);
            let read = columns.par_iter_mut().map(|column| column.read(rows));
            read.collect::<Result<(), ParquetError>>()
                .map_err(|error| damaged(file, &error))?;
            give(&gather(file, plan, &mut columns, rows)?)?;
            left -= rows;
        }
    }
    Ok(())
}

fn gather(
    file: &InputFile,
    plan: &Plan,
    columns: &mut [Reading],
    rows: usize,
) -> Result<Chunk, InputError> {
    let mut chunk = Chunk {
        rows,
        columns: vec![Vec::new(); plan.width],
        ..Chunk::default()
    };
    for column in columns {
        let values = std::mem::take(&mut column.values);
        match column.slot {
            Slot::Feature(index) => {
                if let Some(place) = chunk.columns.get_mut(index) {
                    *place = values;
                }
            }
            Slot::Label => {
                let odd = values
                    .iter()
                    .find(|value| !(**value == 0.0 || **value == 1.0 || value.is_nan()));
                if let Some(odd) = odd {
                    let label = plan.slots.iter().position(|slot| *slot == Slot::Label);
                    return Err(InputError::Label {
                        file: file.name.clone(),
                        column: plan.name(label.unwrap_or_default()).to_owned(),
                        found: odd.to_string(),
                    });
                }
                chunk.labels = values;
            }
            Slot::Skip => {}
        }
    }
    Ok(chunk)
}

impl Reading {
    /// Reads the next `rows` values; NaN where there is none.
    fn read(&mut self, rows: usize) -> Result<(), ParquetError> {
        let Self {
            kind,
            reader,
            levels,
            nullable,
            values,
            ..
        } = self;
        let levels = nullable.then_some(levels);
        let kind = *kind;
        let scale = if let Kind::Decimal(scale) = kind {
            scale
        } else {
            1.0
        };
        let unsigned = kind == Kind::Unsigned;
        match reader {
            ColumnReader::BoolColumnReader(reader) => {
                column(reader, rows, levels, values, |value: bool| {
                    f64::from(u8::from(value))
                })
            }
            ColumnReader::Int32ColumnReader(reader) if unsigned => {
                column(reader, rows, levels, values, |value: i32| {
                    f64::from(value.cast_unsigned())
                })
            }
            ColumnReader::Int32ColumnReader(reader) => {
                column(reader, rows, levels, values, |value: i32| {
                    f64::from(value) / scale
                })
            }
            ColumnReader::Int64ColumnReader(reader) if unsigned => {
                column(reader, rows, levels, values, |value: i64| {
                    value.cast_unsigned() as f64
                })
            }
            ColumnReader::Int64ColumnReader(reader) => {
                column(reader, rows, levels, values, |value: i64| {
                    value as f64 / scale
                })
            }
            ColumnReader::FloatColumnReader(reader) => {
                column(reader, rows, levels, values, |value: f32| f64::from(value))
            }
            ColumnReader::DoubleColumnReader(reader) => {
                column(reader, rows, levels, values, |value: f64| value)
            }
            _ => Err(ParquetError::NYI("a column that is not numeric".to_owned())),
        }
    }
}

fn column<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    levels: Option<&mut Vec<i16>>,
    out: &mut Vec<f32>,
    convert: impl Fn(T::T) -> f64,
) -> Result<(), ParquetError>
where
    T::T: Clone,
{
    let mut values: Vec<T::T> = Vec::with_capacity(rows);
    let mut levels = levels;
    if let Some(levels) = levels.as_deref_mut() {
        levels.clear();
    }
    let (records, present, _) =
        reader.read_records(rows, levels.as_deref_mut(), None, &mut values)?;
    if records != rows {
        return Err(ParquetError::EOF(format!(
            "{records} rows where the footer promises {rows}"
        )));
    }
    out.clear();
    out.reserve(rows);
    let mut numbers = values.into_iter().map(|value| demote(convert(value)));
    match levels {
        Some(levels) if present < rows => {
            out.extend(levels.iter().map(|level| {
                if *level > 0 {
                    numbers.next().unwrap_or(f32::NAN)
                } else {
                    f32::NAN
                }
            }));
        }
        _ => out.extend(numbers),
    }
    Ok(())
}
