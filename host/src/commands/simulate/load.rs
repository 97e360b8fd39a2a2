//! Sends a source's batches over some connections at the pace of a schedule, and records what comes of each.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::client::{Address, Connection};
use super::pace::Pacer;
use super::record::Recording;
use super::source::{Batch, Source};
use super::tally::{Answered, Outcome, Tally, Verdict};

/// What the connections of one stream share.
pub(super) struct Stream {
    pub(super) address: Address,
    pub(super) path: String,
    pub(super) deadline: Duration,
    pub(super) pacer: Pacer,
    pub(super) source: Mutex<Source>,
    pub(super) tally: Mutex<Tally>,
    pub(super) recording: Option<Mutex<Recording>>,
    pub(super) swapping: AtomicBool,
    /// Batches that may still be sent.
    pub(super) budget: AtomicU64,
    /// The newest answer.
    pub(super) seen: watch::Sender<Seen>,
}

/// Which bytes answered, and when the request was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) digest: String,
    pub(super) sent: Instant,
}

/// The parts of an answer that are looked at.
#[derive(Debug, Deserialize)]
struct Answer {
    release: String,
    digest: String,
    scores: Vec<f64>,
    /// Absent where the detector has no threshold.
    #[serde(default)]
    anomalies: Option<Vec<bool>>,
}

#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
}

impl Stream {
    /// Sends over `connections` connections until the pacer stops or the source ends.
    pub(super) async fn run(self: &Arc<Self>, connections: usize) {
        let mut workers = JoinSet::new();
        for _ in 0..connections {
            let stream = Arc::clone(self);
            workers.spawn(async move { stream.work().await });
        }
        while workers.join_next().await.is_some() {}
    }

    async fn work(&self) {
        let mut connection = Connection::new(self.address.clone(), self.deadline);
        while let Some(batch) = self.next_batch() {
            let Some(due) = self.pacer.turn().await else {
                return;
            };
            let during_swaps = self.swapping.load(Ordering::Relaxed);
            let sent = Instant::now();
            let call = connection
                .call(Method::POST, &self.path, batch.body.clone())
                .await;
            let latency = due.elapsed();
            let answer = match call {
                Ok((status, body)) => self.read(status, &body, &batch, sent),
                Err(no_answer) => Err(no_answer.kind().to_owned()),
            };
            let second = due
                .saturating_duration_since(self.pacer.started())
                .as_secs();
            let outcome = Outcome {
                second: usize::try_from(second).unwrap_or(usize::MAX),
                latency,
                during_swaps,
                rows: batch.rows.len() as u64,
                answer,
            };
            lock(&self.tally).record(outcome);
            if let Some(recording) = &self.recording {
                lock(recording).push(batch.rows);
            }
        }
    }

    fn next_batch(&self) -> Option<Batch> {
        let take = |left: u64| left.checked_sub(1);
        self.budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .ok()?;
        lock(&self.source).next_batch()
    }

    fn read(
        &self,
        status: StatusCode,
        body: &[u8],
        batch: &Batch,
        sent: Instant,
    ) -> Result<Answered, String> {
        if status != StatusCode::OK {
            let code = serde_json::from_slice::<Problem>(body)
                .map(|problem| problem.code)
                .unwrap_or_default();
            return Err(format!("{} {code}", status.as_u16()).trim_end().to_owned());
        }
        let answer: Answer =
            serde_json::from_slice(body).map_err(|_| "unreadable_answer".to_owned())?;
        let flags = answer
            .anomalies
            .unwrap_or_else(|| vec![false; answer.scores.len()]);
        if answer.scores.len() != batch.rows.len() || flags.len() != batch.rows.len() {
            return Err("wrong_number_of_scores".to_owned());
        }
        self.seen.send_if_modified(|seen| {
            let newer = sent >= seen.sent;
            if newer {
                *seen = Seen {
                    digest: answer.digest,
                    sent,
                };
            }
            newer
        });
        let verdict = |(anomaly, row): (bool, &super::source::Row)| Verdict {
            anomaly,
            truth: row.truth,
        };
        let verdicts = flags.into_iter().zip(&batch.rows).map(verdict).collect();
        Ok(Answered {
            release: answer.release,
            verdicts,
        })
    }
}

/// Locks; counts stay usable whatever happened to another holder.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
