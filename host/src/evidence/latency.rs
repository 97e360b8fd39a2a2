//! How long calls take, for two detectors in turn, so that whatever disturbs the machine disturbs both. Calls are made in
//! rounds; a figure is that of the calmest round, because everything that disturbs a round makes it longer.

use std::time::{Duration, Instant};

use hodoscope_engine::{Batch, Deadline, Detector};
use hodoscope_release::evidence::{CallLatency, Latency};

use super::frame::Frame;
use super::statistics::{quantile, sorted};

/// Rounds of calls.
const ROUNDS: usize = 7;
/// Calls with one row in each round.
const SINGLES: usize = 400;
/// Calls with [`MANY`] rows in each round.
const LARGE: usize = 200;
/// Rows of a large call.
const MANY: usize = 100;
/// Slow detectors are called less often: a round ends after this.
const ROUND_BUDGET: Duration = Duration::from_millis(400);
/// Fewer calls than this have no 99th percentile worth naming, even if slow.
const LEAST: usize = 10;
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// Latencies of both with one row and with a hundred; `None` without rows. Without a hundred rows they are repeated.
pub fn latencies(
    current: &Detector,
    candidate: &Detector,
    rows: &Frame,
) -> anyhow::Result<Option<(Latency, Latency)>> {
    if rows.rows() == 0 {
        return Ok(None);
    }
    let one = pair(current, candidate, rows, 1, SINGLES)?;
    let many = pair(current, candidate, rows, MANY, LARGE)?;
    let latency = |one_row, hundred_rows| Latency {
        one_row,
        hundred_rows,
    };
    Ok(Some((latency(one.0, many.0), latency(one.1, many.1))))
}

/// A median within this multiple is no slower.
const SAME_MEDIAN: f64 = 1.1;

/// How much slower the candidate is, the worse of the two sizes: the ratio of p99, or of the median where that is no
/// slower (a longer tail alone is the machine's).
pub fn latency_ratio(current: &Latency, candidate: &Latency) -> f64 {
    let ratio = |current: CallLatency, candidate: CallLatency| {
        let median = candidate.p50_us / current.p50_us.max(f64::MIN_POSITIVE);
        if median <= SAME_MEDIAN {
            median
        } else {
            candidate.p99_us / current.p99_us.max(f64::MIN_POSITIVE)
        }
    };
    ratio(current.one_row, candidate.one_row)
        .max(ratio(current.hundred_rows, candidate.hundred_rows))
}

/// Calls of one size.
fn pair(
    current: &Detector,
    candidate: &Detector,
    rows: &Frame,
    size: usize,
    calls: usize,
) -> anyhow::Result<(CallLatency, CallLatency)> {
    let sides = [
        batches(current, rows, size, calls)?,
        batches(candidate, rows, size, calls)?,
    ];
    let mut rounds: [Vec<(f64, f64)>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        for at in 0..calls {
            // Whoever goes second finds warmer caches of the host: they take turns.
            for side in if at % 2 == 0 { [0, 1] } else { [1, 0] } {
                let detector = if side == 0 { current } else { candidate };
                let batch = sides.get(side).and_then(|batches| batches.get(at));
                if let (Some(batch), Some(times)) = (batch, times.get_mut(side)) {
                    times.push(microseconds(detector, batch)?);
                }
            }
            if at >= LEAST && started.elapsed() > ROUND_BUDGET {
                break;
            }
        }
        for (rounds, times) in rounds.iter_mut().zip(&times) {
            let rising = sorted(times);
            rounds.extend(quantile(&rising, 0.5).zip(quantile(&rising, 0.99)));
        }
    }
    let figure = |rounds: &[(f64, f64)]| {
        let least =
            |of: fn(&(f64, f64)) -> f64| rounds.iter().map(of).fold(f64::INFINITY, f64::min);
        CallLatency {
            p50_us: least(|round| round.0),
            p99_us: least(|round| round.1),
        }
    };
    let [one, other] = &rounds;
    Ok((figure(one), figure(other)))
}

fn batches(
    detector: &Detector,
    rows: &Frame,
    size: usize,
    calls: usize,
) -> anyhow::Result<Vec<Batch>> {
    let start = |call: usize| call * size % rows.rows().max(1);
    (0..calls)
        .map(|call| {
            let places: Vec<usize> = (0..size)
                .map(|row| (start(call) + row) % rows.rows().max(1))
                .collect();
            rows.pick(&places).batch(detector, 0..size)
        })
        .collect()
}

fn microseconds(detector: &Detector, batch: &Batch) -> anyhow::Result<f64> {
    let started = Instant::now();
    detector.score(batch, Deadline::after(CALL_DEADLINE))?;
    Ok(started.elapsed().as_secs_f64() * 1e6)
}
