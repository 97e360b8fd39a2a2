//! A small table as Parquet in memory: for what is put into a store whole. Statistics and a dictionary for every column,
//! compressed, with pairs of text that say whence it comes.

use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use super::cells::Cells;
use super::writer::put_group;

/// Writes one row group; `cells` in the order of `columns`.
pub fn parquet_bytes(
    columns: &[TypePtr],
    cells: Vec<Cells>,
    pairs: &[(&str, String)],
) -> Result<Vec<u8>, ParquetError> {
    let schema = Type::group_type_builder("schema")
        .with_fields(columns.to_vec())
        .build()?;
    let pairs = pairs
        .iter()
        .map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone()));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_enabled(true)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(pairs.collect()))
        .set_created_by(concat!("hodoscope ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    put_group(&mut writer, cells)?;
    writer.into_inner()
}
