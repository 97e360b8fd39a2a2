//! Owns the threads for calls that may be slow, and the queues in front of them. Each detector has one bounded queue and
//! they are served in turn; a detector under suspicion (its last call was a fault) gets one thread at a time, the others as
//! many as there are cores, and there is one thread more than cores: so a guest that loops never holds all of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::batch::{Call, Reply};
use crate::detector::Detector;
use crate::{EngineError, Fault, lock};

/// Stack of a pool thread: a guest's 512 KiB and ample room for the host's frames.
const STACK_BYTES: usize = 4 << 20;
/// What a caller is told to wait for when the queue is full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

struct Job {
    detector: Detector,
    call: Call,
    reply: Reply,
    span: tracing::Span,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    running: usize,
}

#[derive(Default)]
struct State {
    queues: HashMap<u64, Queue>,
    /// Detectors with waiting jobs, the next one first; each at most once.
    turns: VecDeque<u64>,
    busy: usize,
    stopping: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    capacity: usize,
    share: usize,
}

/// The pool of threads. Dropping it answers what waits, ends the threads and joins them.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `threads` threads; 0 means one per core and one to spare.
    pub(crate) fn start(threads: usize, capacity: usize) -> Result<Self, EngineError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = if threads == 0 { cores + 1 } else { threads };
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            capacity: capacity.max(1),
            share: count.saturating_sub(1).max(1),
        });
        let threads = (0..count)
            .map(|index| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name(format!("hodoscope-pool-{index}"))
                    .stack_size(STACK_BYTES)
                    .spawn(move || shared.work())
                    .map_err(EngineError::Thread)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { shared, threads })
    }

    /// Queues a call of `detector`.
    pub(crate) fn submit(
        &self,
        detector: Detector,
        call: Call,
        reply: Reply,
    ) -> Result<(), (Fault, Reply)> {
        let id = detector.id();
        let mut expired = Vec::new();
        let mut state = lock(&self.shared.state);
        if state.stopping {
            return Err((Fault::Stopped, reply));
        }
        let queue = state.queues.entry(id).or_default();
        if queue.jobs.len() >= self.shared.capacity {
            take_expired(&mut queue.jobs, Instant::now(), &mut expired);
        }
        let accepted = queue.jobs.len() < self.shared.capacity;
        let result = if accepted {
            queue.jobs.push_back(Job {
                detector,
                call,
                reply,
                span: tracing::Span::current(),
            });
            if queue.jobs.len() == 1 {
                state.turns.push_back(id);
            }
            Ok(())
        } else {
            let retry_after = RETRY_AFTER;
            Err((Fault::QueueFull { retry_after }, reply))
        };
        drop(state);
        self.shared.wake.notify_one();
        for job in expired {
            job.answer(Err(Fault::Expired));
        }
        result
    }

    /// How many calls wait for the detector with this id.
    pub(crate) fn waiting(&self, id: u64) -> usize {
        let state = lock(&self.shared.state);
        state.queues.get(&id).map_or(0, |queue| queue.jobs.len())
    }

    /// How many threads there are, how many of them work, and how many calls wait.
    pub(crate) fn load(&self) -> (usize, usize, usize) {
        let state = lock(&self.shared.state);
        let waiting = state.queues.values().map(|queue| queue.jobs.len()).sum();
        (self.threads.len(), state.busy, waiting)
    }
}

/// Moves the jobs whose deadline has passed from `jobs` to `expired`.
fn take_expired(jobs: &mut VecDeque<Job>, now: Instant, expired: &mut Vec<Job>) {
    let waiting = std::mem::take(jobs);
    for job in waiting {
        if job.call.deadline.instant() <= now {
            expired.push(job);
        } else {
            jobs.push_back(job);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.state).stopping = true;
        self.shared.wake.notify_all();
        let own = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The last handle of the engine may be dropped by a pool thread, which cannot wait for itself.
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    /// The life of a pool thread.
    fn work(&self) {
        while let Some((id, job)) = self.next() {
            let Job {
                detector,
                call,
                reply,
                span,
            } = job;
            let answer = {
                let _entered = span.enter();
                detector.answer(&call)
            };
            let mut state = lock(&self.state);
            state.busy = state.busy.saturating_sub(1);
            if let Some(queue) = state.queues.get_mut(&id) {
                queue.running = queue.running.saturating_sub(1);
                if queue.running == 0 && queue.jobs.is_empty() {
                    state.queues.remove(&id);
                }
            }
            drop(state);
            // A thread may be free while a queue waits only because of its share.
            self.wake.notify_one();
            run_reply(reply, answer);
            drop(detector);
        }
    }

    /// Waits for a job that may run; `None` once the pool stops and nothing waits.
    fn next(&self) -> Option<(u64, Job)> {
        let mut state = lock(&self.state);
        loop {
            if let Some(found) = self.take(&mut state) {
                state.busy += 1;
                return Some(found);
            }
            if state.stopping && state.turns.is_empty() {
                return None;
            }
            state = match self.wake.wait(state) {
                Ok(state) => state,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
    }

    /// Takes the first job of the first detector in turn that is below its share of threads.
    fn take(&self, state: &mut State) -> Option<(u64, Job)> {
        let State { queues, turns, .. } = state;
        let place = turns.iter().position(|id| {
            queues.get(id).is_some_and(|queue| {
                let suspect = queue.jobs.front().is_some_and(|j| j.detector.is_suspect());
                queue.running < if suspect { 1 } else { self.share }
            })
        })?;
        let id = turns.remove(place)?;
        let queue = queues.get_mut(&id)?;
        let job = queue.jobs.pop_front()?;
        queue.running += 1;
        if !queue.jobs.is_empty() {
            turns.push_back(id);
        }
        Some((id, job))
    }
}

impl Job {
    fn answer(self, answer: Result<crate::Answer, Fault>) {
        run_reply(self.reply, answer);
    }
}

/// Hands an answer over. A reply that panics must not end a pool thread.
fn run_reply(reply: Reply, answer: Result<crate::Answer, Fault>) {
    let run = std::panic::AssertUnwindSafe(|| reply(answer));
    if std::panic::catch_unwind(run).is_err() {
        tracing::error!("the receiver of a pooled answer panicked");
    }
}
