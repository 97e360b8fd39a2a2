//! Owns the promise that a row's score depends on the row alone: not on its neighbours, their order, how rows are split
//! into calls, or what the instance was asked before. The host splits, reuses and reorders on the strength of it.

use super::hostile::{Accepted, Tried};
use super::probes::Probe;
use super::{Found, Rule, Subject, faulted};
use crate::chunks::score_chunk;
use crate::guest::Guest;
use crate::refusal::{Refusal, RefusalKind};
use crate::{Fault, Report};

const RULE: Rule = Rule {
    kind: RefusalKind::Conformance,
    check: "order_and_split",
    supported: "scores that depend on each row alone, whatever the order and the split of rows",
    fix: "keep no state between rows or calls; a statistic over the batch belongs into training",
};

/// Refused rows that are tried again in company.
const REFUSED: usize = 16;

/// Scores the accepted rows together, backwards, in pieces, and by a new instance.
pub(super) fn check(
    subject: &Subject<'_>,
    guest: &mut Guest,
    tried: &Tried,
    report: &mut Report,
) -> Result<(), Refusal> {
    let accepted = tried.accepted.as_slice();
    if accepted.is_empty() {
        RULE.skipped(report, "no row was accepted");
        return Ok(());
    }
    let forwards: Vec<&Accepted> = accepted.iter().collect();
    let backwards: Vec<&Accepted> = accepted.iter().rev().collect();
    let third = accepted.len().div_ceil(3);
    let trials: [(&str, &[&Accepted], usize); 5] = [
        ("in one batch", &forwards, accepted.len()),
        ("in reverse order", &backwards, accepted.len()),
        ("in batches of 7", &forwards, 7),
        ("in three batches, backwards", &backwards, third),
        ("alone, once more", &forwards, 1),
    ];
    for (how, rows, size) in trials {
        compare(subject, guest, rows, size, how).map_err(|found| RULE.broken(report, found))?;
    }
    for probe in tried.refused.iter().take(REFUSED) {
        refuses_in_company(subject, guest, accepted, probe)
            .map_err(|found| RULE.broken(report, found))?;
    }
    let fresh = subject.blueprint.instantiate(subject.deadline());
    let compared = fresh
        .map_err(|fault| faulted("no second instance could be made", &fault))
        .and_then(|mut guest| {
            let how = "by a new instance";
            compare(subject, &mut guest, &forwards, accepted.len(), how)
        });
    compared.map_err(|found| RULE.broken(report, found))?;
    let count = accepted.len();
    RULE.passed(
        report,
        format!("{count} rows score the same in every order and split"),
    );
    Ok(())
}

/// Sends a row that is refused alone behind one that is scored: the batch must be refused, too.
fn refuses_in_company(
    subject: &Subject<'_>,
    guest: &mut Guest,
    accepted: &[Accepted],
    probe: &Probe,
) -> Result<(), Found> {
    let company = accepted.iter().take(1).flat_map(|row| &row.values);
    let values: Vec<f64> = company.chain(&probe.values).copied().collect();
    match score_chunk(guest, subject.columns, &values, 0, subject.deadline()) {
        Err(Fault::Refused(_)) => Ok(()),
        Ok(_) => Err(format!(
            "a row is refused alone and scored behind another in a batch: {}",
            probe.name
        )
        .into()),
        Err(fault) => Err(faulted("no answer to a row that is refused alone", &fault)),
    }
}

/// Scores `rows` in batches of `size`; each must score as it did alone.
fn compare(
    subject: &Subject<'_>,
    guest: &mut Guest,
    rows: &[&Accepted],
    size: usize,
    how: &str,
) -> Result<(), Found> {
    for rows in rows.chunks(size.max(1)) {
        let values: Vec<f64> = rows.iter().flat_map(|row| &row.values).copied().collect();
        let scores = match score_chunk(guest, subject.columns, &values, 0, subject.deadline()) {
            Ok(scores) => scores,
            Err(Fault::Refused(refusal)) => {
                let found = format!("rows that are scored alone are refused {how}: {refusal}");
                return Err(found.into());
            }
            Err(fault) => return Err(faulted(&format!("no scores {how}"), &fault)),
        };
        let mut pairs = scores.iter().zip(rows);
        if let Some((score, row)) = pairs.find(|(s, row)| s.to_bits() != row.score.to_bits()) {
            let found = format!(
                "{} scores {:?} alone and {score:?} {how}",
                row.name, row.score
            );
            return Err(found.into());
        }
    }
    Ok(())
}
