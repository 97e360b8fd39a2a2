//! Rows as bytes: little-endian doubles or floats, row-major, in the detector's order.

use hodoscope_engine::Batch;

use crate::columns::Columns;
use crate::http::problem::{Code, Problem};

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// 8 bytes.
    F64,
    /// 4 bytes.
    F32,
}

impl Width {
    /// The width by its name in `x-hodoscope-values`; doubles if there is none.
    pub(crate) fn named(name: Option<&[u8]>) -> Result<Self, Problem> {
        match name {
            None | Some(b"f64") => Ok(Self::F64),
            Some(b"f32") => Ok(Self::F32),
            Some(_) => Err(Problem::new(
                Code::Malformed,
                "unknown x-hodoscope-values; use f64 (the default) or f32, little-endian",
            )),
        }
    }
}

/// Reads a whole body.
pub(crate) fn parse(body: &[u8], width: Width, columns: &Columns) -> Result<Batch, Problem> {
    let (values, rest) = match width {
        Width::F64 => {
            let (chunks, rest) = body.as_chunks::<8>();
            (
                chunks
                    .iter()
                    .map(|chunk| f64::from_le_bytes(*chunk))
                    .collect::<Vec<_>>(),
                rest,
            )
        }
        Width::F32 => {
            let (chunks, rest) = body.as_chunks::<4>();
            (
                chunks
                    .iter()
                    .map(|chunk| f32::from_le_bytes(*chunk).into())
                    .collect(),
                rest,
            )
        }
    };
    let over = values.len().checked_rem(columns.len()).unwrap_or(0);
    if !rest.is_empty() || over != 0 {
        let error = format!(
            "{} bytes are no whole number of rows; a row has {} values of {} bytes",
            body.len(),
            columns.len(),
            if width == Width::F64 { 8 } else { 4 }
        );
        return Err(Problem::new(Code::WrongWidth, error).with("expected", columns.len()));
    }
    columns.batch(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_doubles_and_floats_and_refuses_parts_of_rows() {
        let columns = Columns::new(["a".to_owned(), "b".to_owned()]);
        let doubles: Vec<u8> = [1.5_f64, -2.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        assert_eq!(
            parse(&doubles, Width::F64, &columns).unwrap().values,
            [1.5, -2.0]
        );
        let floats: Vec<u8> = [1.5_f32, -2.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        assert_eq!(
            parse(&floats, Width::F32, &columns).unwrap().values,
            [1.5, -2.0]
        );
        for (body, code) in [
            (&doubles[..9], "wrong_width"),
            (&doubles[..8], "wrong_width"),
            (&[], "empty_batch"),
        ] {
            let problem = parse(body, Width::F64, &columns).unwrap_err();
            assert_eq!(problem.code.as_str(), code);
        }
        assert!(Width::named(Some(b"f16")).is_err());
    }
}
