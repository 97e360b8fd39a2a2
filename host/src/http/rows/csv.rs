//! Rows as CSV: a header with the features' names in any order, then one row per line. An empty field or `nan` is a
//! missing value.

use hodoscope_engine::Batch;

use super::permute;
use crate::columns::Columns;
use crate::http::problem::{Code, Problem};

/// Reads a whole body.
pub(crate) fn parse(body: &[u8], columns: &Columns) -> Result<Batch, Problem> {
    let mut reader = ::csv::ReaderBuilder::new()
        .flexible(true)
        .trim(::csv::Trim::All)
        .from_reader(body);
    let header = reader.headers().map_err(malformed)?.clone();
    let order = columns.order(header.iter())?;
    let mut values = Vec::with_capacity(body.len() / 8);
    let mut record = ::csv::ByteRecord::new();
    let mut row = 0;
    while reader.read_byte_record(&mut record).map_err(malformed)? {
        if record.len() != columns.len() {
            return Err(columns.wrong_width(record.len(), Some(row)));
        }
        for (field, column) in record.iter().zip(&order) {
            let value = field_value(field).ok_or_else(|| {
                let found = format!("`{}`", String::from_utf8_lossy(field));
                columns.not_a_number(&found, row, *column)
            })?;
            values.push(value);
        }
        row += 1;
    }
    permute(&mut values, &order);
    columns.batch(values)
}

fn field_value(field: &[u8]) -> Option<f64> {
    match field {
        b"" => Some(f64::NAN),
        _ => fast_float2::parse(field).ok(),
    }
}

fn malformed(error: ::csv::Error) -> Problem {
    Problem::new(Code::Malformed, format!("malformed CSV: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_columns_in_any_order_and_empty_fields_as_missing() {
        let columns = Columns::new(["a".to_owned(), "b".to_owned()]);
        let batch = parse(b"b,a\r\n2,1\r\n, 3 \r\n", &columns).unwrap();
        assert_eq!(batch.values[..3], [1.0, 2.0, 3.0]);
        assert!(batch.values[3].is_nan());
    }

    #[test]
    fn names_what_is_wrong() {
        let columns = Columns::new(["a".to_owned(), "b".to_owned()]);
        for (body, code) in [
            ("", "missing_feature"),
            ("a,b\n", "empty_batch"),
            ("a\n1\n", "missing_feature"),
            ("a,c\n1,2\n", "unknown_feature"),
            ("a,a\n1,2\n", "duplicate_feature"),
            ("a,b\n1\n", "wrong_width"),
            ("a,b\n1,x\n", "not_a_number"),
            ("a,\u{0}\n1,x\n", "unknown_feature"),
        ] {
            let problem = parse(body.as_bytes(), &columns).unwrap_err();
            assert_eq!(problem.code.as_str(), code, "{body}");
        }
        assert_eq!(
            parse(b"a,\xff\n1,2\n", &columns).unwrap_err().code.as_str(),
            "malformed"
        );
    }
}
