//! Sampled rows as a Parquet table: the features under their own names (a missing value is a null), then what is known of
//! the row under names that start with `hodoscope.`. One file holds one release, which its pairs name.

use bytes::Bytes;
use parquet::basic::Type as Physical;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::schema::types::TypePtr;

use super::tap::{Gathered, Tap};
use crate::rows::{Cells, Values, column_type, parquet_bytes};

/// What our own columns start with.
pub const OWN: &str = "hodoscope.";
/// The request's id, as in the answer's `x-request-id`.
pub const REQUEST: &str = "hodoscope.request_id";
/// The row's number in its request, counted from 0.
pub const ROW: &str = "hodoscope.row";
/// When it was scored, in milliseconds since 1970.
pub const TIME: &str = "hodoscope.time_ms";
/// Its score.
pub const SCORE: &str = "hodoscope.score";
/// Whether it was called an anomaly; null without a threshold.
pub const ALERT: &str = "hodoscope.alert";
/// The threshold; null without one.
pub const THRESHOLD: &str = "hodoscope.threshold";
/// Null: for whoever learns later what the row was, 1 for an anomaly and 0 for none.
pub const LABEL: &str = "hodoscope.label";

/// The pair that names the detector.
pub const DETECTOR: &str = "hodoscope.detector";
/// The pair that names the version.
pub const VERSION: &str = "hodoscope.version";
/// The pair that names the digest.
pub const DIGEST: &str = "hodoscope.digest";

/// Whether a release's rows can be kept: a feature must not have one of our own names.
pub(super) fn fits(names: &[String]) -> bool {
    names.iter().all(|name| !name.starts_with(OWN))
}

/// The rows as a file.
pub(super) fn encode(tap: &Tap, gathered: &Gathered) -> Result<Bytes, ParquetError> {
    let mut columns: Vec<TypePtr> = Vec::with_capacity(tap.about.names.len() + 7);
    for name in &tap.about.names {
        columns.push(column_type(name, Physical::DOUBLE, true)?);
    }
    for (name, physical, optional) in [
        (REQUEST, Physical::BYTE_ARRAY, false),
        (ROW, Physical::INT32, false),
        (TIME, Physical::INT64, false),
        (SCORE, Physical::DOUBLE, false),
        (ALERT, Physical::BOOLEAN, true),
        (THRESHOLD, Physical::DOUBLE, true),
        (LABEL, Physical::INT32, true),
    ] {
        columns.push(column_type(name, physical, optional)?);
    }
    let pairs = [
        ("hodoscope.schema", "1".to_owned()),
        (DETECTOR, tap.release.detector.to_string()),
        (VERSION, tap.release.version.to_string()),
        (DIGEST, tap.about.digest.to_string()),
    ];
    let mut cells = features(tap.about.names.len(), &gathered.values);
    cells.extend(own(tap.about.threshold, gathered));
    parquet_bytes(&columns, cells, &pairs).map(Bytes::from)
}

fn features(width: usize, values: &[f64]) -> Vec<Cells> {
    let column = |index: usize| {
        let column = values.iter().skip(index).step_by(width.max(1));
        let levels = column.clone().map(|value| i16::from(!value.is_nan()));
        let present = column.clone().copied().filter(|value| !value.is_nan());
        Cells {
            values: Values::Double(present.collect()),
            levels: Some(levels.collect()),
        }
    };
    (0..width).map(column).collect()
}

fn own(threshold: Option<f64>, gathered: &Gathered) -> [Cells; 7] {
    let rows = &gathered.sampled;
    let level = i16::from(threshold.is_some());
    let optional = |values, level| Cells {
        values,
        levels: Some(vec![level; rows.len()]),
    };
    let alerts = threshold.map(|limit| rows.iter().map(|row| row.score >= limit).collect());
    let thresholds = threshold.map(|limit| vec![limit; rows.len()]);
    let id = |bytes: &[u8]| ByteArray::from(bytes.to_vec());
    [
        Cells::full(Values::Bytes(
            rows.iter().map(|row| id(row.request.as_bytes())).collect(),
        )),
        Cells::full(Values::Int32(
            rows.iter().map(|row| row.row.cast_signed()).collect(),
        )),
        Cells::full(Values::Int64(
            rows.iter().map(|row| row.time_ms.cast_signed()).collect(),
        )),
        Cells::full(Values::Double(rows.iter().map(|row| row.score).collect())),
        optional(Values::Boolean(alerts.unwrap_or_default()), level),
        optional(Values::Double(thresholds.unwrap_or_default()), level),
        optional(Values::Int32(Vec::new()), 0),
    ]
}
