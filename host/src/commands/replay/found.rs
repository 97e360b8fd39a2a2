//! The rows of a request in a file, scored again by the release that the file names, and compared bit for bit.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use hodoscope_engine::{Batch, Deadline, Detector};
use hodoscope_release::Digest;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde::Serialize;

use super::super::Context;
use super::find::Found;
use crate::capture::table;
use crate::gate;
use crate::releases::open_store;
use crate::rows::{Selection, Table, Values};

/// How long scoring may take: nobody waits for it but a person.
const DEADLINE: Duration = Duration::from_secs(60);

/// What `--output json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Replayed {
    request_id: String,
    release: String,
    digest: Digest,
    /// The captured file.
    file: String,
    /// Whether every row got the same score, bit for bit.
    pub(super) equal: bool,
    rows: Vec<ReplayedRow>,
}

#[derive(Debug, Serialize)]
struct ReplayedRow {
    row: i32,
    time_ms: i64,
    captured: f64,
    replayed: f64,
    equal: bool,
}

/// A captured row of the request.
#[derive(Debug)]
struct Captured {
    row: i32,
    time_ms: i64,
    score: f64,
    values: Vec<f64>,
}

/// Which release the rows of a file were scored by.
#[derive(Debug)]
struct Origin {
    release: String,
    digest: Digest,
}

/// Scores the rows again.
pub(super) async fn replay(
    found: Found,
    request: &str,
    context: &Context,
) -> anyhow::Result<Replayed> {
    let origin = origin(&found)?;
    let limit_bytes = context.config.engine.component_limit_bytes as u64;
    let store = open_store(&context.config).await?;
    let component = store
        .blob(&origin.digest, limit_bytes)
        .await
        .with_context(|| {
            format!(
                "failed to fetch {}, which scored the request",
                origin.release
            )
        })?;
    let engine = gate::engine(&context.config)?;
    let detector = engine.load(&component).map_err(|refusal| {
        anyhow!(
            "the gate refuses {} ({})",
            origin.release,
            refusal.kind().as_str()
        )
    })?;
    let captured = rows(&found, request, &detector)?;
    let values = captured.iter().flat_map(|row| row.values.iter().copied());
    let columns = u32::try_from(detector.description().features.len())?;
    let batch = Batch::new(columns, values.collect());
    let scores = detector.score(&batch, Deadline::after(DEADLINE))?;
    let rows: Vec<ReplayedRow> = captured
        .iter()
        .zip(scores)
        .map(|(row, replayed)| ReplayedRow {
            row: row.row,
            time_ms: row.time_ms,
            captured: row.score,
            replayed,
            equal: row.score.to_bits() == replayed.to_bits(),
        })
        .collect();
    Ok(Replayed {
        request_id: request.to_owned(),
        release: origin.release,
        digest: origin.digest,
        file: found.key.to_string(),
        equal: rows.iter().all(|row| row.equal),
        rows,
    })
}

fn origin(found: &Found) -> anyhow::Result<Origin> {
    let file = SerializedFileReader::new(found.bytes.clone())?;
    let pairs = file.metadata().file_metadata().key_value_metadata();
    let pair = |key: &str| {
        let pair = pairs.into_iter().flatten().find(|pair| pair.key == key);
        let value = pair.and_then(|pair| pair.value.clone());
        value.ok_or_else(|| anyhow!("{} does not say its `{key}`", found.key))
    };
    Ok(Origin {
        release: format!("{}@{}", pair(table::DETECTOR)?, pair(table::VERSION)?),
        digest: pair(table::DIGEST)?.parse()?,
    })
}

/// The rows of the request, in the detector's order of columns.
fn rows(found: &Found, request: &str, detector: &Detector) -> anyhow::Result<Vec<Captured>> {
    let file = tempfile::Builder::new().suffix(".parquet").tempfile()?;
    std::fs::write(file.path(), &found.bytes)?;
    let features = detector.description().features.iter();
    let keep = [table::REQUEST, table::ROW, table::TIME, table::SCORE];
    let selection = Selection {
        features: features.map(|feature| feature.name.clone()).collect(),
        keep: keep.map(str::to_owned).to_vec(),
    };
    let mut blocks = Table::open(file.path())?.blocks(&selection)?;
    let mut rows = Vec::new();
    while let Some(block) = blocks.next_block()? {
        for piece in block.pieces {
            let kept: Vec<&Values> = piece.kept.iter().map(|cells| &cells.values).collect();
            let [
                Values::Bytes(ids),
                Values::Int32(numbers),
                Values::Int64(times),
                Values::Double(scores),
            ] = kept[..]
            else {
                bail!("{} has columns of other types", found.key);
            };
            let own = ids.iter().zip(numbers).zip(times).zip(scores).enumerate();
            for (index, (((id, row), time_ms), score)) in own {
                if id.data() == request.as_bytes() {
                    let value = |column: &Vec<f64>| column.get(index).copied().unwrap_or(f64::NAN);
                    rows.push(Captured {
                        row: *row,
                        time_ms: *time_ms,
                        score: *score,
                        values: piece.features.iter().map(value).collect(),
                    });
                }
            }
        }
    }
    rows.sort_by_key(|row| (row.time_ms, row.row));
    Ok(rows)
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "request {} by {} ({})",
            self.request_id, self.release, self.digest
        )?;
        writeln!(f, "captured in {}", self.file)?;
        for row in &self.rows {
            let verdict = if row.equal { "equal" } else { "DIFFERENT" };
            writeln!(
                f,
                "row {:<6} {:<22} again {:<22} {verdict}",
                row.row, row.captured, row.replayed
            )?;
        }
        let different = self.rows.iter().filter(|row| !row.equal).count();
        match different {
            0 => write!(
                f,
                "all {} captured rows got the same score, bit for bit",
                self.rows.len()
            ),
            _ => write!(
                f,
                "{different} of {} captured rows got another score",
                self.rows.len()
            ),
        }
    }
}
