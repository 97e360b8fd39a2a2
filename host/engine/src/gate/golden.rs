//! Owns the golden rows: the scores that a release promises are computed anew at each load, and must be the same to the
//! last bit. A component without them is served, marked `unproven`.

use super::{Rule, Subject, faulted};
use crate::Report;
use crate::chunks::{chunk_rows, score_chunk};
use crate::guest::Guest;
use crate::refusal::{Refusal, RefusalKind};

const RULE: Rule = Rule {
    kind: RefusalKind::Golden,
    check: "golden_rows",
    supported: "the scores that the release carries, bit for bit",
    fix: "train or build the release again; if it was made elsewhere, its code depends on the machine",
};

/// Scores the golden rows and compares.
pub(super) fn check(
    subject: &Subject<'_>,
    guest: &mut Guest,
    report: &mut Report,
) -> Result<(), Refusal> {
    let Some(golden) = &subject.inspection.sections.golden else {
        RULE.skipped(
            report,
            "the component carries no golden rows; it is served as `unproven`",
        );
        return Ok(());
    };
    let columns = subject.columns as usize;
    if let Some(row) = golden.rows.iter().position(|row| row.len() != columns) {
        let found =
            format!("golden row {row} has another number of values than there are features");
        return Err(RULE.broken(report, found));
    }
    let rows_per_chunk = chunk_rows(subject.columns);
    let chunks = golden.rows.chunks(rows_per_chunk);
    for (chunk, (rows, promised)) in chunks.zip(golden.scores.chunks(rows_per_chunk)).enumerate() {
        let values: Vec<f64> = rows
            .iter()
            .flatten()
            .map(|value| value.unwrap_or(f64::NAN))
            .collect();
        let first = chunk * rows_per_chunk;
        let scores = score_chunk(guest, subject.columns, &values, first, subject.deadline());
        let scores = scores.map_err(|fault| {
            let found = faulted("the golden rows have no scores", &fault);
            RULE.broken(report, found)
        })?;
        let mut pairs = scores.iter().zip(promised).enumerate();
        if let Some((row, (score, promised))) = pairs.find(|(_, (a, b))| a.to_bits() != b.to_bits())
        {
            let row = first + row;
            let found = format!("golden row {row} scores {score:?}, not {promised:?}");
            return Err(RULE.broken(report, found));
        }
    }
    let detail = format!("{} rows score as promised, bit for bit", golden.rows.len());
    RULE.passed(report, detail);
    Ok(())
}
