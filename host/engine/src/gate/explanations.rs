//! Owns the promise of detectors that explain: the scores are those of `score`, bit for bit, and the attributions of a
//! row add up to the base-2 logarithm of its score.

use super::hostile::Accepted;
use super::{Found, Rule, Subject, faulted};
use crate::chunks::{chunk_rows, explain_chunk};
use crate::guest::Guest;
use crate::refusal::{Refusal, RefusalKind};
use crate::{Explanation, Report};

const RULE: Rule = Rule {
    kind: RefusalKind::Conformance,
    check: "explanations",
    supported: "log2(score) = baseline + sum(attributions) within 1e-6, with the scores that `score` gives",
    fix: "mend `explain`, or build for the world `detector`, which does not export it",
};
/// How far the sum may be from the logarithm, in bits.
const TOLERANCE: f64 = 1e-6;

/// Explains the accepted rows together and alone, and checks the sum rule.
pub(super) fn check(
    subject: &Subject<'_>,
    guest: &mut Guest,
    accepted: &[Accepted],
    report: &mut Report,
) -> Result<(), Refusal> {
    if !subject.inspection.explains {
        RULE.skipped(report, "the component does not export `explaining`");
        return Ok(());
    }
    let mut largest = 0.0_f64;
    let mut known: Option<f64> = None;
    for rows in accepted.chunks(chunk_rows(subject.columns)) {
        let together = explain(subject, guest, rows).map_err(|found| RULE.broken(report, found))?;
        let first = rows.get(..1).unwrap_or_default();
        let alone = explain(subject, guest, first).map_err(|found| RULE.broken(report, found))?;
        let baseline = *known.get_or_insert(together.baseline);
        let same = [together.baseline, alone.baseline]
            .iter()
            .all(|b| b.to_bits() == baseline.to_bits());
        let width = subject.columns as usize;
        let head = together.attributions.get(..width).unwrap_or_default();
        if !same || !bits(head).eq(bits(&alone.attributions)) {
            let found = "an explanation that differs between a row alone and in a batch".to_owned();
            return Err(RULE.broken(report, found));
        }
        for (row, parts) in rows.iter().zip(together.attributions.chunks(width.max(1))) {
            let sum = baseline + parts.iter().sum::<f64>();
            let distance = (row.score.log2() - sum).abs();
            if distance.is_nan() || distance > TOLERANCE {
                let found = format!(
                    "attributions of {} that add up to {sum:?}, while log2(score) is {:?}",
                    row.name,
                    row.score.log2()
                );
                return Err(RULE.broken(report, found));
            }
            largest = largest.max(distance);
        }
    }
    let count = accepted.len();
    RULE.passed(
        report,
        format!("{count} rows explained, sums within {largest:.1e} bits"),
    );
    Ok(())
}

fn bits(values: &[f64]) -> impl Iterator<Item = u64> {
    values.iter().map(|value| value.to_bits())
}

/// Explains `rows` in one call; the scores must be those they got from `score`.
fn explain(
    subject: &Subject<'_>,
    guest: &mut Guest,
    rows: &[Accepted],
) -> Result<Explanation, Found> {
    let values: Vec<f64> = rows.iter().flat_map(|row| &row.values).copied().collect();
    let explained = explain_chunk(guest, subject.columns, &values, 0, subject.deadline());
    let explained =
        explained.map_err(|fault| faulted("no explanation of rows that have scores", &fault))?;
    let mut pairs = explained.scores.iter().zip(rows);
    match pairs.find(|(score, row)| score.to_bits() != row.score.to_bits()) {
        Some((score, row)) => Err(format!(
            "{} scores {:?} and is explained with {score:?}",
            row.name, row.score
        )
        .into()),
        None => Ok(explained),
    }
}
