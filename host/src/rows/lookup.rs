//! Whether a Parquet file holds a text in a column, told from pieces of the file: its end, which says what lies where and
//! between which texts a column's texts lie, and that one column. Nothing else has to be fetched.

use std::ops::Range;

use bytes::{Buf as _, Bytes};
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, FileReader as _, Length, SerializedFileReader};

/// The parts of a file that are here.
#[derive(Debug, Clone)]
pub struct Pieces {
    length: u64,
    pieces: Vec<(u64, Bytes)>,
}

impl Pieces {
    /// A file of this length of which the last bytes are here.
    pub fn ending_in(length: u64, end: Bytes) -> Self {
        let start = length.saturating_sub(end.len() as u64);
        Self {
            length,
            pieces: vec![(start, end)],
        }
    }

    /// Adds the bytes that start here.
    pub fn add(&mut self, start: u64, bytes: Bytes) {
        self.pieces.push((start, bytes));
    }

    fn from(&self, start: u64) -> Result<Bytes> {
        let found = self.pieces.iter().find_map(|(at, bytes)| {
            let skip = usize::try_from(start.checked_sub(*at)?).ok()?;
            (skip < bytes.len()).then(|| bytes.slice(skip..))
        });
        found.ok_or_else(|| missing(start))
    }
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Pieces {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.from(start).map(|bytes| bytes.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.from(start)?;
        match bytes.len() >= length {
            true => Ok(bytes.slice(..length)),
            false => Err(missing(start + bytes.len() as u64)),
        }
    }
}

fn missing(at: u64) -> ParquetError {
    ParquetError::EOF(format!("the bytes from {at} on were not fetched"))
}

/// Where the column lies in the file, if its statistics allow that it holds the text; `None` if they do not. The end of
/// the file must be here.
pub fn text_range(pieces: &Pieces, column: &str, text: &str) -> Result<Option<Range<u64>>> {
    let file = SerializedFileReader::new(pieces.clone())?;
    let groups = groups_with(file.metadata(), column, text)?;
    let ranges = groups.into_iter().filter_map(|(group, index)| {
        let chunk = file
            .metadata()
            .row_groups()
            .get(group)?
            .columns()
            .get(index)?;
        let (start, length) = chunk.byte_range();
        Some((start, start + length))
    });
    Ok(ranges
        .reduce(|(start, end), (other, last)| (start.min(other), end.max(last)))
        .map(|(start, end)| start..end))
}

/// Whether the column holds the text. The end of the file and the column must be here.
pub fn holds_text(pieces: &Pieces, column: &str, text: &str) -> Result<bool> {
    let file = SerializedFileReader::new(pieces.clone())?;
    for (group, index) in groups_with(file.metadata(), column, text)? {
        let group = file.get_row_group(group)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let ColumnReader::ByteArrayColumnReader(mut reader) = group.get_column_reader(index)?
        else {
            return Err(ParquetError::General(format!("`{column}` is no text")));
        };
        let (mut values, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
        reader.read_records(rows, Some(&mut levels), None, &mut values)?;
        if values.iter().any(|value| value.data() == text.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The row groups whose statistics allow that the column holds the text, and the column's place.
fn groups_with(file: &ParquetMetaData, column: &str, text: &str) -> Result<Vec<(usize, usize)>> {
    let columns = file.file_metadata().schema_descr().columns();
    let place = columns.iter().position(|found| found.name() == column);
    let place = place.ok_or_else(|| ParquetError::General(format!("there is no `{column}`")))?;
    let fits = |group: usize| {
        let chunk = file.row_groups().get(group)?.columns().get(place)?;
        let statistics = chunk.statistics()?;
        let (low, high) = (statistics.min_bytes_opt()?, statistics.max_bytes_opt()?);
        Some(low <= text.as_bytes() && text.as_bytes() <= high)
    };
    // Without statistics the column has to be read.
    let groups = (0..file.num_row_groups()).filter(|group| fits(*group).unwrap_or(true));
    Ok(groups.map(|group| (group, place)).collect())
}

#[cfg(test)]
mod tests {
    use parquet::basic::Type as Physical;

    use super::super::{Cells, Values, column_type, parquet_bytes};
    use super::*;

    fn file(ids: &[&str]) -> Bytes {
        let columns = [
            column_type("values", Physical::DOUBLE, false).unwrap(),
            column_type("id", Physical::BYTE_ARRAY, false).unwrap(),
        ];
        let values = (0..ids.len()).map(|i| i as f64 * 1.7).collect();
        let ids = ids.iter().map(|id| ByteArray::from(*id)).collect();
        let cells = vec![
            Cells::full(Values::Double(values)),
            Cells::full(Values::Bytes(ids)),
        ];
        parquet_bytes(&columns, cells, &[]).unwrap().into()
    }

    #[test]
    fn a_text_is_found_by_the_end_of_the_file_and_its_column_alone() {
        let ids: Vec<String> = (100..5100).map(|i| format!("id-{i}")).collect();
        let names: Vec<&str> = ids.iter().map(String::as_str).collect();
        let bytes = file(&names);
        let end = bytes.slice(bytes.len() - 2000..);
        let mut pieces = Pieces::ending_in(bytes.len() as u64, end);
        assert_eq!(text_range(&pieces, "id", "zz").unwrap(), None);
        assert!(
            !holds_text(&pieces, "id", "zz").unwrap(),
            "told by the statistics"
        );
        let range = text_range(&pieces, "id", "id-4321").unwrap().unwrap();
        assert!(
            holds_text(&pieces, "id", "id-4321").is_err(),
            "not fetched yet"
        );
        let (start, stop) = (range.start as usize, range.end as usize);
        assert!(stop - start < bytes.len() / 2);
        pieces.add(range.start, bytes.slice(start..stop));
        assert!(holds_text(&pieces, "id", "id-4321").unwrap());
        assert!(!holds_text(&pieces, "id", "id-43210").unwrap());
        assert!(text_range(&pieces, "none", "id").is_err());
    }

    #[test]
    fn what_is_no_parquet_is_an_error() {
        for bytes in [&b""[..], b"PAR1", b"no parquet at all", &[0; 300]] {
            let pieces = Pieces::ending_in(bytes.len() as u64, Bytes::from_static(bytes));
            assert!(text_range(&pieces, "id", "x").is_err());
        }
    }
}
