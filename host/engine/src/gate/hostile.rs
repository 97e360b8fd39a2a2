//! Owns what a hostile or careless caller would send: values at the edges of f64, batches of the wrong shape, batches
//! without rows, batches as large as they get. Each must get finite scores within 0..1, or a typed refusal.

use std::time::Instant;

use super::probes::{self, Probe};
use super::{Rule, Subject, faulted};
use crate::batch::{Answer, Batch};
use crate::chunks;
use crate::guest::Guest;
use crate::refusal::{Refusal, RefusalKind};
use crate::{Fault, Report};

const ANSWERS: &str = "finite scores within 0..1, as many as rows, or a typed refusal";
const VALUES: Rule = Rule {
    kind: RefusalKind::Conformance,
    check: "hostile_values",
    supported: ANSWERS,
    fix: "score or refuse (`bad-value`) NaN, infinities and extreme values instead of failing on them",
};
const SHAPES: Rule = Rule {
    kind: RefusalKind::Conformance,
    check: "wrong_shapes",
    supported: ANSWERS,
    fix: "compare `columns` and the length of `values` with the features, and refuse with `wrong-shape`",
};
const LARGE: Rule = Rule {
    kind: RefusalKind::Conformance,
    check: "large_batch",
    supported: ANSWERS,
    fix: "free what a call allocated (post-return), and allow for a chunk of 256 KiB of values",
};
/// Rows of the largest batch that is tried.
const LARGE_ROWS: usize = 50_000;
/// Seconds that the largest batch may be predicted to take: far from the deadline, because the machine may be busy.
const LARGE_SECONDS: f64 = 0.05;

/// A row that the detector scores, and its score when it comes alone.
pub(super) struct Accepted {
    pub(super) name: String,
    pub(super) values: Vec<f64>,
    pub(super) score: f64,
}

/// What became of the probes.
pub(super) struct Tried {
    /// Those that got a score.
    pub(super) accepted: Vec<Accepted>,
    /// Those that were refused.
    pub(super) refused: Vec<Probe>,
}

/// Sends each probe alone.
pub(super) fn check_values(
    subject: &Subject<'_>,
    guest: &mut Guest,
    report: &mut Report,
) -> Result<Tried, Refusal> {
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for probe in probes::all(subject) {
        match chunks::score_chunk(guest, subject.columns, &probe.values, 0, subject.deadline()) {
            Ok(scores) => accepted.extend(scores.first().map(|score| Accepted {
                name: probe.name,
                score: *score,
                values: probe.values,
            })),
            Err(Fault::Refused(_)) => refused.push(probe),
            Err(fault) => {
                let found = faulted(&format!("no score for {}", probe.name), &fault);
                return Err(VALUES.broken(report, found));
            }
        }
    }
    let counts = (accepted.len(), refused.len());
    VALUES.passed(
        report,
        format!("{} rows scored, {} refused", counts.0, counts.1),
    );
    Ok(Tried { accepted, refused })
}

/// Sends batches whose shape is wrong. The host lets none of them through to a guest, but other hosts may.
pub(super) fn check_shapes(
    subject: &Subject<'_>,
    guest: &mut Guest,
    report: &mut Report,
) -> Result<(), Refusal> {
    let columns = subject.columns;
    let width = columns as usize;
    let shapes: [(&str, u32, usize); 5] = [
        ("no rows", columns, 0),
        ("no columns", 0, 0),
        ("a column too many", columns.saturating_add(1), width + 1),
        ("a column too few", columns.saturating_sub(1), width - 1),
        ("a value too many", columns, width + 1),
    ];
    for (name, columns, length) in shapes {
        let values = vec![0.5; length];
        let found = match guest.score(columns, &values, subject.deadline()) {
            Ok(Ok(scores)) if scores.iter().all(|s| (0.0..=1.0).contains(s)) => continue,
            Ok(Ok(_)) => format!("a score out of range for a batch with {name}").into(),
            Ok(Err(refusal)) => match refusal.into_fault(0) {
                Fault::Refused(_) => continue,
                fault => faulted(&format!("no answer to a batch with {name}"), &fault),
            },
            Err(fault) => faulted(&format!("no answer to a batch with {name}"), &fault),
        };
        return Err(SHAPES.broken(report, found));
    }
    SHAPES.passed(report, format!("{} shapes answered", shapes.len()));
    Ok(())
}

/// Sends a batch of many chunks; the scores must be those that the rows got alone.
pub(super) fn check_large(
    subject: &Subject<'_>,
    guest: &mut Guest,
    accepted: &[Accepted],
    report: &mut Report,
) -> Result<(), Refusal> {
    if accepted.is_empty() {
        LARGE.skipped(report, "no row was accepted");
        return Ok(());
    }
    let rows = affordable_rows(subject, guest, accepted);
    let values: Vec<f64> = accepted
        .iter()
        .cycle()
        .take(rows)
        .flat_map(|row| row.values.iter().copied())
        .collect();
    let batch = Batch::new(subject.columns, values);
    let answer = chunks::call(guest, &batch, false, subject.deadline());
    let scores = match &answer {
        Ok(Answer::Scores(scores)) => scores.as_slice(),
        Ok(Answer::Explanation(_)) => &[],
        Err(fault) => {
            let found = faulted(&format!("no scores for a batch of {rows} rows"), fault);
            return Err(LARGE.broken(report, found));
        }
    };
    let mut pairs = scores.iter().zip(accepted.iter().cycle());
    if let Some((score, row)) = pairs.find(|(score, row)| score.to_bits() != row.score.to_bits()) {
        let found = format!(
            "{} scores {:?} alone and {score:?} in a batch of {rows} rows",
            row.name, row.score
        );
        return Err(LARGE.broken(report, found));
    }
    LARGE.passed(report, format!("{rows} rows in one batch"));
    Ok(())
}

/// As many rows as a slow detector can score in reasonable time, at most [`LARGE_ROWS`].
fn affordable_rows(subject: &Subject<'_>, guest: &mut Guest, accepted: &[Accepted]) -> usize {
    let values: Vec<f64> = accepted
        .iter()
        .flat_map(|row| &row.values)
        .copied()
        .collect();
    let start = Instant::now();
    // Whether it answers is not asked here: the large batch itself will tell.
    let _ = guest.score(subject.columns, &values, subject.deadline());
    let row_seconds = start.elapsed().as_secs_f64() / accepted.len().max(1) as f64;
    let by_time = LARGE_SECONDS / row_seconds.max(1e-9);
    // 64 MiB of values are enough to show a leak, however wide a row is.
    let by_size = (8 << 20) / (subject.columns.max(1) as usize);
    (by_time as usize)
        .min(by_size)
        .min(LARGE_ROWS)
        .max(accepted.len())
}
