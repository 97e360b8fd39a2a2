//! Where a request leaves what is captured of it: per release some shards of counts and copied rows, each under a lock of
//! its own that nobody holds for longer than it takes to add to it. Threads keep to shards of their own and take another
//! one rather than wait. Without a chosen row nothing is allocated.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use axum::http::HeaderValue;
use hodoscope_engine::{Batch, Detector};
use hodoscope_release::sections::Profile;
use hodoscope_release::window::{Counts, uniform_edges};
use hodoscope_release::{Digest, ReleaseName};

use super::edges::ScoreEdges;
use super::sampling::Choice;

/// Where the next thread that captures begins to look for a shard.
static NEXT_PLACE: AtomicUsize = AtomicUsize::new(0);
/// Bytes that copied rows may hold before the collector has taken them.
const WAITING_LIMIT_BYTES: usize = 32 << 20;
/// What a copied row holds beside its values, about.
const ROW_BYTES: usize = 96;

/// What is captured of one release.
#[derive(Debug)]
pub struct Tap {
    pub(super) release: ReleaseName,
    pub(super) about: About,
    edges: ScoreEdges,
    shards: Box<[Shard]>,
    /// Rows copied in this window, and how many may be by now.
    granted: AtomicU64,
    limit: AtomicU64,
    over_limit: AtomicU64,
    over_queue: AtomicU64,
    waiting_bytes: Arc<AtomicUsize>,
}

/// What a tap needs to know of its release.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) digest: Digest,
    pub(super) threshold: Option<f64>,
    /// The features' names in order.
    pub(super) names: Vec<String>,
    pub(super) profile: Option<Profile>,
}

/// Aligned so that no two shards share a cache line, nor the pair that is fetched together.
#[derive(Debug)]
#[repr(align(128))]
struct Shard(Mutex<Gathered>);

/// What was gathered since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) rows: u64,
    pub(super) alerts: u64,
    pub(super) scores: Counts,
    pub(super) sampled: Vec<Sampled>,
    /// Row-major, as many rows as `sampled`.
    pub(super) values: Vec<f64>,
    /// Chosen rows that were not copied, as the window had enough of them.
    pub(super) over_limit: u64,
    /// Chosen rows that were not copied, as too many waited.
    pub(super) over_queue: u64,
}

/// A copied row, beside its values.
#[derive(Debug)]
pub(super) struct Sampled {
    pub(super) request: HeaderValue,
    pub(super) row: u32,
    pub(super) time_ms: u64,
    pub(super) score: f64,
}

/// The chosen rows of a request, copied before the engine took the batch.
#[derive(Debug, Default)]
pub struct Taken {
    rows: Vec<u32>,
    values: Vec<f64>,
    over_limit: u64,
}

impl About {
    pub(super) fn of(detector: &Detector) -> Self {
        let description = detector.description();
        let features = description.features.iter();
        Self {
            digest: detector.digest(),
            threshold: description.threshold,
            names: features.map(|feature| feature.name.clone()).collect(),
            profile: detector.sections().profile.clone(),
        }
    }
}

impl Tap {
    /// A tap that lets this many rows be copied until it is told otherwise.
    pub(super) fn new(
        release: ReleaseName,
        about: About,
        limit: u64,
        waiting_bytes: Arc<AtomicUsize>,
    ) -> Self {
        let edges = match &about.profile {
            Some(profile) => ScoreEdges::new(&profile.scores.edges, profile.scores.range),
            None => ScoreEdges::new(&uniform_edges(), None),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = std::iter::repeat_with(|| Shard(Mutex::new(Gathered::on(&edges))));
        Self {
            shards: shards.take(cores.next_power_of_two()).collect(),
            release,
            about,
            edges,
            granted: AtomicU64::new(0),
            limit: AtomicU64::new(limit),
            over_limit: AtomicU64::new(0),
            over_queue: AtomicU64::new(0),
            waiting_bytes,
        }
    }

    /// Copies the chosen rows of a batch that is about to be scored.
    pub(super) fn take(&self, choice: Choice, batch: &Batch) -> Taken {
        let width = batch.columns as usize;
        let mut taken = Taken::default();
        let full = self.granted.load(Ordering::Relaxed) >= self.limit.load(Ordering::Relaxed);
        for (row, values) in (0..).zip(batch.values.chunks_exact(width.max(1))) {
            if !choice.takes(u64::from(row)) {
                continue;
            }
            if full {
                taken.over_limit += 1;
            } else {
                taken.rows.push(row);
                taken.values.extend_from_slice(values);
            }
        }
        taken
    }

    /// Counts the rows of an answered call and keeps those that were taken. Never waits for more than another thread's
    /// addition, and that only if there are more threads than shards.
    pub(super) fn record(
        &self,
        mut taken: Taken,
        request: &HeaderValue,
        scores: &[f64],
        alerts: u64,
        clock: fn() -> u64,
    ) {
        self.grant(&mut taken, request);
        let Some(mut shard) = self.shard() else {
            return;
        };
        shard.rows += scores.len() as u64;
        shard.alerts += alerts;
        self.edges.add(&mut shard.scores, scores);
        if taken.rows.is_empty() {
            return;
        }
        let time_ms = clock();
        shard.values.append(&mut taken.values);
        shard.sampled.extend(taken.rows.iter().map(|row| Sampled {
            request: request.clone(),
            row: *row,
            time_ms,
            score: scores.get(*row as usize).copied().unwrap_or(f64::NAN),
        }));
    }

    /// Drops taken rows for which the window or the queue has no room.
    fn grant(&self, taken: &mut Taken, request: &HeaderValue) {
        if taken.over_limit > 0 {
            self.over_limit
                .fetch_add(taken.over_limit, Ordering::Relaxed);
        }
        let wanted = taken.rows.len() as u64;
        if wanted == 0 {
            return;
        }
        let width = taken.values.len() / taken.rows.len();
        let bytes = row_bytes(width, request) * taken.rows.len();
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > WAITING_LIMIT_BYTES {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.over_queue.fetch_add(wanted, Ordering::Relaxed);
            *taken = Taken::default();
            return;
        }
        let limit = self.limit.load(Ordering::Relaxed);
        // In one step: the collector starts the count anew at any moment.
        let granted = self
            .granted
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |granted| {
                Some(granted.max(limit.min(granted.saturating_add(wanted))))
            });
        let (Ok(granted) | Err(granted)) = granted;
        let room = limit.saturating_sub(granted).min(wanted);
        if room < wanted {
            self.over_limit.fetch_add(wanted - room, Ordering::Relaxed);
            let rows = usize::try_from(room).unwrap_or(0);
            let dropped = (taken.rows.len() - rows) * row_bytes(width, request);
            self.waiting_bytes.fetch_sub(dropped, Ordering::Relaxed);
            taken.rows.truncate(rows);
            taken.values.truncate(rows * width);
        }
    }

    /// This thread's shard, or the next one that is free.
    fn shard(&self) -> Option<MutexGuard<'_, Gathered>> {
        thread_local! {
            static PLACE: usize = NEXT_PLACE.fetch_add(1, Ordering::Relaxed);
        }
        let place = PLACE.with(|place| *place);
        let count = self.shards.len();
        let free = (0..count).find_map(|step| self.shards.get((place + step) % count)?.try_lock());
        free.or_else(|| Some(self.shards.get(place % count)?.lock()))
    }

    /// Takes what was gathered since the last time.
    pub(super) fn drain(&self) -> Gathered {
        let mut all = Gathered::on(&self.edges);
        for shard in &self.shards {
            // The new one is made before the lock is taken: nothing is allocated under it.
            let empty = Gathered::on(&self.edges);
            all.append(std::mem::replace(&mut *shard.lock(), empty));
        }
        all.over_limit = self.over_limit.swap(0, Ordering::Relaxed);
        all.over_queue = self.over_queue.swap(0, Ordering::Relaxed);
        let width = self.about.names.len();
        let bytes = all.sampled.iter().map(|row| row_bytes(width, &row.request));
        self.waiting_bytes.fetch_sub(bytes.sum(), Ordering::Relaxed);
        all
    }

    /// Says how many rows of this window may be copied by now; in a new window none are yet.
    pub(super) fn allow(&self, limit: u64, new_window: bool) {
        if new_window {
            self.granted.store(0, Ordering::Relaxed);
        }
        self.limit.store(limit, Ordering::Relaxed);
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Gathered>> {
        match self.0.try_lock() {
            Ok(gathered) => Some(gathered),
            Err(TryLockError::Poisoned(gathered)) => Some(gathered.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Gathered {
    fn on(edges: &ScoreEdges) -> Self {
        Self {
            scores: edges.counts(),
            ..Self::default()
        }
    }

    /// Adds what was gathered on the same edges.
    pub(super) fn append(&mut self, mut other: Self) {
        self.rows += other.rows;
        self.alerts += other.alerts;
        self.over_limit += other.over_limit;
        self.over_queue += other.over_queue;
        self.sampled.append(&mut other.sampled);
        self.values.append(&mut other.values);
        if self.scores.counts.is_empty() {
            self.scores = other.scores;
        } else {
            // One release has one set of edges.
            let _ = self.scores.merge(&other.scores);
        }
    }
}

/// The bytes that a copied row holds, about.
fn row_bytes(width: usize, request: &HeaderValue) -> usize {
    ROW_BYTES + width * size_of::<f64>() + request.len()
}

#[cfg(test)]
mod tests {
    use super::super::sampling::Sampler;
    use super::*;

    fn tap(limit: u64) -> Tap {
        let about = About {
            digest: Digest::of(b""),
            threshold: Some(0.5),
            names: vec!["a".to_owned(), "b".to_owned()],
            profile: None,
        };
        let release = "pump@1.0.0".parse().unwrap();
        Tap::new(release, about, limit, Arc::default())
    }

    fn call(tap: &Tap, request: &'static str, rows: usize) {
        let values = (0..rows * 2).map(|value| value as f64).collect();
        let choice = Sampler::new("key", 1.0).of(request.as_bytes());
        let taken = tap.take(choice, &Batch::new(2, values));
        let scores: Vec<f64> = (0..rows).map(|row| row as f64 / rows as f64).collect();
        let request = HeaderValue::from_static(request);
        tap.record(taken, &request, &scores, 1, || 77);
    }

    #[test]
    fn rows_over_the_limit_are_counted_but_not_kept() {
        let tap = tap(5);
        call(&tap, "one", 3);
        call(&tap, "two", 4);
        call(&tap, "three", 2);
        let gathered = tap.drain();
        assert_eq!((gathered.rows, gathered.alerts), (9, 3));
        assert_eq!((gathered.scores.present(), gathered.over_limit), (9, 4));
        let kept = gathered
            .sampled
            .iter()
            .map(|row| (row.request.to_str().unwrap(), row.row));
        let expected = [("one", 0), ("one", 1), ("one", 2), ("two", 0), ("two", 1)];
        assert_eq!(kept.collect::<Vec<_>>(), expected);
        assert_eq!(
            gathered.values,
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 1.0, 2.0, 3.0]
        );
        assert_eq!(gathered.sampled[4].score, 0.25);
        assert_eq!(gathered.sampled[4].time_ms, 77);
        tap.allow(7, false);
        call(&tap, "four", 4);
        assert_eq!(tap.drain().sampled.len(), 2);
        tap.allow(7, true);
        call(&tap, "five", 4);
        assert_eq!(tap.drain().sampled.len(), 4);
    }

    #[test]
    fn too_much_that_waits_is_dropped_and_counted_and_there_is_room_after_a_drain() {
        let tap = tap(u64::MAX);
        let rows = WAITING_LIMIT_BYTES / row_bytes(2, &HeaderValue::from_static("many")) - 1;
        call(&tap, "many", rows);
        call(&tap, "more", 100);
        let gathered = tap.drain();
        assert_eq!(gathered.sampled.len(), rows);
        assert_eq!((gathered.over_queue, gathered.over_limit), (100, 0));
        assert_eq!(gathered.rows as usize, rows + 100);
        call(&tap, "more", 100);
        assert_eq!(tap.drain().sampled.len(), 100);
        assert_eq!(tap.waiting_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn no_row_is_lost_between_threads_and_drains() {
        let tap = Arc::new(tap(u64::MAX));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let tap = tap.clone();
                std::thread::spawn(move || (0..500).for_each(|_| call(&tap, "one", 3)))
            })
            .collect();
        let mut all = Gathered::default();
        while callers.iter().any(|caller| !caller.is_finished()) {
            all.append(tap.drain());
        }
        callers
            .into_iter()
            .for_each(|caller| caller.join().unwrap());
        all.append(tap.drain());
        assert_eq!((all.rows, all.alerts), (12_000, 4000));
        assert_eq!((all.scores.present(), all.sampled.len()), (12_000, 12_000));
        assert_eq!(all.values.len(), 24_000);
    }
}
