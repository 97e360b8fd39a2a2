//! Rows as newline-delimited JSON: one object or array per line, empty lines ignored.

use hodoscope_engine::Batch;

use super::json::Reader;
use crate::columns::Columns;
use crate::http::problem::Problem;

/// Reads a whole body.
pub(crate) fn parse(body: &[u8], columns: &Columns) -> Result<Batch, Problem> {
    let mut values = Vec::new();
    let mut reader = Reader::new(&[], columns);
    for line in body.split(|byte| *byte == b'\n') {
        if !line.trim_ascii().is_empty() {
            reader.turn_to(line);
            reader.one_row(&mut values)?;
            reader.end()?;
        }
    }
    columns.batch(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_row_from_each_line_and_names_the_row_that_is_wrong() {
        let columns = Columns::new(["a".to_owned(), "b".to_owned()]);
        let body = b"{\"a\":1,\"b\":2}\r\n\n{\"b\":4,\"a\":3}";
        assert_eq!(parse(body, &columns).unwrap().values, [1.0, 2.0, 3.0, 4.0]);
        let problem = parse(b"[1,2]\n[1]\n", &columns).unwrap_err();
        assert_eq!(problem.code.as_str(), "wrong_width");
        assert_eq!(problem.members["row"], 1);
        assert_eq!(
            parse(b"[1,2] 3", &columns).unwrap_err().code.as_str(),
            "malformed"
        );
        assert_eq!(
            parse(b"\n", &columns).unwrap_err().code.as_str(),
            "empty_batch"
        );
    }
}
