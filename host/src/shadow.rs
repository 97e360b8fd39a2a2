//! Shadows: copies of calls wait in a bounded queue that drops and counts, one worker scores them through the engine's
//! pool, and the answers are compared and counted. A shadow can slow down or fail nothing but itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hodoscope_engine::{Batch, Call, Deadline};
use hodoscope_release::window::ShadowCounts;
use hodoscope_release::{Digest, Version};
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::roster::{Served, Shadowing};
use crate::telemetry::ShadowMeters;

/// How long a shadow may take for one copy: generous, since nobody waits.
const DEADLINE: Duration = Duration::from_secs(5);

/// Where copies of calls are put.
#[derive(Debug, Clone)]
pub struct Queue(mpsc::Sender<Copy>);

/// What scores them.
#[derive(Debug)]
pub struct Worker(mpsc::Receiver<Copy>);

/// A call that was answered, for the shadow to answer, too.
#[derive(Debug)]
struct Copy {
    batch: Batch,
    scores: Vec<f64>,
    threshold: Option<f64>,
    shadowing: Shadowing,
}

/// What a comparison has counted. Sums are kept in 1e-12 steps, so that they can be added without a lock.
#[derive(Debug, Default)]
pub struct Tally {
    rows: AtomicU64,
    flips: AtomicU64,
    faults: AtomicU64,
    dropped: AtomicU64,
    difference_sum: AtomicU64,
    difference_max: AtomicU64,
    /// The largest difference since the counts were last taken, and the counts that were taken so far: rows, flips,
    /// faults, dropped copies, the sum of differences.
    recent_max: AtomicU64,
    taken: Mutex<[u64; 5]>,
}

const STEP: f64 = 1e-12;

/// A queue for `capacity` copies and its worker.
pub fn queue(capacity: usize) -> (Queue, Worker) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Queue(sender), Worker(receiver))
}

impl Queue {
    /// Offers a copy of an answered call. Never waits: without room the copy is dropped and counted.
    pub fn offer(&self, shadowing: &Shadowing, answered: &Served, batch: Batch, scores: &[f64]) {
        let meters = shadowing.served.meters.shadow();
        let batch = reorder(batch, answered, &shadowing.served);
        let sent = batch.ok_or(()).and_then(|batch| {
            let copy = Copy {
                batch,
                scores: scores.to_vec(),
                threshold: answered.threshold,
                shadowing: shadowing.clone(),
            };
            self.0.try_send(copy).map_err(|_| ())
        });
        if sent.is_err() {
            shadowing.tally.dropped.fetch_add(1, Ordering::Relaxed);
            meters.dropped.inc();
        }
    }
}

/// The same rows in the shadow's order. `None` if it takes a column that the caller did not send.
fn reorder(batch: Batch, from: &Served, to: &Served) -> Option<Batch> {
    if from.columns.names().eq(to.columns.names()) {
        return Some(batch);
    }
    let order: Option<Vec<usize>> = to
        .columns
        .names()
        .map(|name| from.columns.find(name))
        .collect();
    let order = order?;
    let rows = batch.values.chunks_exact(from.columns.len().max(1));
    let values = rows.flat_map(|row| {
        order
            .iter()
            .map(|i| row.get(*i).copied().unwrap_or(f64::NAN))
    });
    Some(Batch::new(
        u32::try_from(order.len()).ok()?,
        values.collect(),
    ))
}

impl Worker {
    /// Scores copies for ever, one after the other.
    pub async fn run(&mut self) {
        while let Some(copy) = self.0.recv().await {
            copy.compare().await;
        }
    }

    /// Scores the copies that wait now.
    pub async fn drain(&mut self) {
        while let Ok(copy) = self.0.try_recv() {
            copy.compare().await;
        }
    }
}

impl Copy {
    async fn compare(self) {
        let (reply, answer) = oneshot::channel();
        let call = Call {
            batch: self.batch,
            explain: false,
            deadline: Deadline::after(DEADLINE),
        };
        let detector = &self.shadowing.served.detector;
        let meters = self.shadowing.served.meters.shadow();
        let submitted = detector.submit(call, Box::new(move |answer| drop(reply.send(answer))));
        let answer = match submitted {
            Ok(()) => answer.await.ok(),
            Err(fault) => Some(Err(fault)),
        };
        match answer {
            Some(Ok(answer)) => {
                let limits = (self.threshold, self.shadowing.served.threshold);
                let tally = &self.shadowing.tally;
                tally.compare(&self.scores, answer.scores(), limits, meters);
            }
            other => {
                debug!(release = %self.shadowing.served.release, ?other, "a shadow did not answer");
                self.shadowing.tally.faults.fetch_add(1, Ordering::Relaxed);
                meters.faults.inc();
            }
        }
    }
}

impl Tally {
    fn compare(
        &self,
        answered: &[f64],
        shadowed: &[f64],
        (answered_limit, shadowed_limit): (Option<f64>, Option<f64>),
        meters: &ShadowMeters,
    ) {
        let alarm = |score: f64, limit: Option<f64>| limit.is_some_and(|limit| score >= limit);
        let mut flips = 0;
        let differences = meters.difference.local();
        for (a, b) in answered.iter().zip(shadowed) {
            let difference = (a - b).abs();
            differences.observe(difference);
            let steps = (difference / STEP) as u64;
            self.difference_sum.fetch_add(steps, Ordering::Relaxed);
            self.difference_max.fetch_max(steps, Ordering::Relaxed);
            self.recent_max.fetch_max(steps, Ordering::Relaxed);
            flips += u64::from(alarm(*a, answered_limit) != alarm(*b, shadowed_limit));
        }
        differences.flush();
        let rows = answered.len().min(shadowed.len()) as u64;
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.flips.fetch_add(flips, Ordering::Relaxed);
        meters.rows.inc_by(rows);
        meters.flips.inc_by(flips);
    }

    /// What was counted since the last time, for the part of a window that is being closed; `None` if nothing was.
    pub fn take(&self, version: &Version, digest: &Digest) -> Option<ShadowCounts> {
        let counted = [
            &self.rows,
            &self.flips,
            &self.faults,
            &self.dropped,
            &self.difference_sum,
        ];
        let now = counted.map(|number| number.load(Ordering::Relaxed));
        let mut taken = self.taken.lock().unwrap_or_else(|e| e.into_inner());
        let before = std::mem::replace(&mut *taken, now);
        let recent_max = self.recent_max.swap(0, Ordering::Relaxed);
        let [rows, flips, faults, dropped, sum] =
            std::array::from_fn(|i| now.get(i).zip(before.get(i)).map_or(0, |(a, b)| a - b));
        (rows + faults + dropped > 0).then(|| ShadowCounts {
            version: version.to_string(),
            digest: digest.to_string(),
            rows,
            flips,
            faults,
            dropped,
            difference_sum: sum as f64 * STEP,
            difference_max: recent_max as f64 * STEP,
        })
    }

    /// The comparison as JSON.
    pub fn view(&self) -> serde_json::Value {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let rows = count(&self.rows);
        let mean = count(&self.difference_sum) as f64 * STEP / rows.max(1) as f64;
        serde_json::json!({
            "rows": rows,
            "flips": count(&self.flips),
            "faults": count(&self.faults),
            "dropped": count(&self.dropped),
            "mean_difference": mean,
            "max_difference": count(&self.difference_max) as f64 * STEP,
        })
    }
}
