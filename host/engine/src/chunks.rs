//! Owns how a batch of any size crosses into a guest: in chunks that fit its memory and the cache, each answer checked
//! before it is believed.

use std::time::Instant;

use crate::Fault;
use crate::batch::{Answer, Batch, Explanation};
use crate::guest::Guest;

/// Bytes of values per chunk. Larger chunks leave the second-level cache between the copy in and the walk, smaller ones
/// let the cost of a call show; `examples/layers.rs` measures both.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;

/// Rows per chunk at this width.
pub(crate) fn chunk_rows(columns: u32) -> usize {
    (CHUNK_BYTES / 8 / (columns.max(1) as usize)).max(1)
}

/// Scores or explains `batch`, whose shape has been checked, until `deadline`.
pub(crate) fn call(
    guest: &mut Guest,
    batch: &Batch,
    explain: bool,
    deadline: Instant,
) -> Result<Answer, Fault> {
    if explain {
        return self::explain(guest, batch, deadline).map(Answer::Explanation);
    }
    score(guest, batch, deadline).map(Answer::Scores)
}

fn score(guest: &mut Guest, batch: &Batch, deadline: Instant) -> Result<Vec<f64>, Fault> {
    let columns = batch.columns;
    let rows = chunk_rows(columns);
    if batch.rows() <= rows {
        if batch.values.is_empty() {
            return Ok(Vec::new());
        }
        return score_chunk(guest, columns, &batch.values, 0, deadline);
    }
    let mut scores = Vec::with_capacity(batch.rows());
    for values in batch.values.chunks(rows * columns as usize) {
        let first_row = scores.len();
        scores.extend(score_chunk(guest, columns, values, first_row, deadline)?);
    }
    Ok(scores)
}

/// Scores one chunk and checks the answer.
pub(crate) fn score_chunk(
    guest: &mut Guest,
    columns: u32,
    values: &[f64],
    first_row: usize,
    deadline: Instant,
) -> Result<Vec<f64>, Fault> {
    let rows = values.len() / (columns.max(1) as usize);
    let scores = guest
        .score(columns, values, deadline)?
        .map_err(|refusal| refusal.into_fault(first_row))?;
    check_scores(&scores, rows)?;
    Ok(scores)
}

fn explain(guest: &mut Guest, batch: &Batch, deadline: Instant) -> Result<Explanation, Fault> {
    let columns = batch.columns;
    let mut whole = Explanation {
        scores: Vec::with_capacity(batch.rows()),
        baseline: 0.0,
        attributions: Vec::with_capacity(batch.values.len()),
    };
    for values in batch.values.chunks(chunk_rows(columns) * columns as usize) {
        let first_row = whole.scores.len();
        let part = explain_chunk(guest, columns, values, first_row, deadline)?;
        if first_row > 0 && part.baseline.to_bits() != whole.baseline.to_bits() {
            return Err(Fault::BadAnswer(
                "the baseline differs between calls".into(),
            ));
        }
        whole.baseline = part.baseline;
        whole.scores.extend(part.scores);
        whole.attributions.extend(part.attributions);
    }
    Ok(whole)
}

/// Explains one chunk and checks the answer.
pub(crate) fn explain_chunk(
    guest: &mut Guest,
    columns: u32,
    values: &[f64],
    first_row: usize,
    deadline: Instant,
) -> Result<Explanation, Fault> {
    let rows = values.len() / (columns.max(1) as usize);
    let part = guest
        .explain(columns, values, deadline)?
        .map_err(|refusal| refusal.into_fault(first_row))?;
    check_scores(&part.scores, rows)?;
    if part.attributions.len() != values.len() {
        return Err(Fault::BadAnswer(format!(
            "{} attributions for {rows} rows of {columns} values",
            part.attributions.len()
        )));
    }
    if !part.baseline.is_finite() || !part.attributions.iter().all(|a| a.is_finite()) {
        return Err(Fault::BadAnswer("an attribution is not finite".into()));
    }
    Ok(Explanation {
        scores: part.scores,
        baseline: part.baseline,
        attributions: part.attributions,
    })
}

/// As many scores as rows, each finite and within 0..1.
fn check_scores(scores: &[f64], rows: usize) -> Result<(), Fault> {
    if scores.len() != rows {
        return Err(Fault::BadAnswer(format!(
            "{} scores for {rows} rows",
            scores.len()
        )));
    }
    match scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
        Some(score) => Err(Fault::BadAnswer(format!(
            "a score of {score}, which is not within 0..1"
        ))),
        None => Ok(()),
    }
}
