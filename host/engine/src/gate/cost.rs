//! Owns measuring what a call costs: whether calls of a trusted detector run inline is decided by it. The least of
//! several measurements counts, because everything that disturbs one makes it longer.

use std::time::{Duration, Instant};

use super::Subject;
use super::hostile::Accepted;
use crate::Cost;
use crate::guest::Guest;

/// Rows of the larger measurement.
const ROWS: usize = 1024;
/// Repetitions, if they fit into [`BUDGET`].
const REPEATS: usize = 20;
/// Time for each of the two measurements.
const BUDGET: Duration = Duration::from_millis(50);
/// Repetitions that are made also beyond [`BUDGET`]: the first one is cold, and on a busy machine one that is interrupted
/// takes all of it.
const LEAST_REPEATS: usize = 5;
/// Time after which a slow detector is not even called as often as that.
const PATIENCE: Duration = Duration::from_millis(500);

/// Measures a call with one row, and one with many.
pub(super) fn measure(subject: &Subject<'_>, guest: &mut Guest, accepted: &[Accepted]) -> Cost {
    let rows = |count: usize| -> Vec<f64> {
        let cycle = accepted.iter().cycle().take(count);
        cycle.flat_map(|row| row.values.iter().copied()).collect()
    };
    if accepted.is_empty() {
        return Cost::default();
    }
    let one = least_seconds(subject, guest, &rows(1));
    // Wide or slow rows are measured by fewer of them.
    let affordable = (BUDGET.as_secs_f64() / one.max(1e-9)) as usize;
    let fitting = crate::chunks::chunk_rows(subject.columns);
    let count = ROWS.min(affordable).min(fitting).max(2);
    let many = least_seconds(subject, guest, &rows(count));
    Cost {
        call_seconds: one,
        row_seconds: (many - one).max(0.0) / (count - 1) as f64,
    }
}

/// The least time of a call as the detector will be served: with a new instance, unless instances are reused.
fn least_seconds(subject: &Subject<'_>, guest: &mut Guest, values: &[f64]) -> f64 {
    let begin = Instant::now();
    let mut least = f64::INFINITY;
    for made in 1..=REPEATS {
        let start = Instant::now();
        let answered = if subject.reuse {
            guest
                .score(subject.columns, values, subject.deadline())
                .is_ok()
        } else {
            let fresh = subject.blueprint.instantiate(subject.deadline());
            fresh.is_ok_and(|mut guest| {
                guest
                    .score(subject.columns, values, subject.deadline())
                    .is_ok()
            })
        };
        if answered {
            least = least.min(start.elapsed().as_secs_f64());
        }
        let spent = begin.elapsed();
        if spent > PATIENCE || spent > BUDGET && made >= LEAST_REPEATS {
            break;
        }
    }
    if least.is_finite() {
        least
    } else {
        BUDGET.as_secs_f64()
    }
}
