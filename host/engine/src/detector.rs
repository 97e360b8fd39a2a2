//! Owns a loaded detector and the way of a call through it: shape, breaker, instance, chunks, the check of the answer. A
//! detector exists only because the gate let its bytes through.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hodoscope_release::Digest;

use crate::batch::{Answer, Batch, Call, Deadline, Explanation, Reply};
use crate::breaker::{Admission, Breaker, Ending};
use crate::chunks;
use crate::engine::Core;
use crate::guest::{Blueprint, Guest};
use crate::stats::{DetectorStats, FaultCounts};
use crate::{Fault, GuestRefusal, Inspection, Report, Sections, lock};

/// A call runs inline if it is predicted to take no longer than this: about what handing it to a thread and back costs
/// a busy server in latency.
const INLINE_LIMIT_SECONDS: f64 = 50e-6;
/// Ticks at which a call predicted as inline may be seen running before the detector is sent to the pool for good:
/// 10 ms of running, which no preemption by the system can feign.
const OVERRUN_TICKS: u32 = 5;
/// A deadline below this says nothing about the detector.
const TELLING_DEADLINE: Duration = Duration::from_millis(10);

/// One column that a detector takes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Feature {
    /// The name by which callers send it.
    pub name: String,
    /// The physical unit, for people.
    pub unit: Option<String>,
}

/// What a detector says of itself.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Description {
    /// The columns, in the order in which a batch carries them.
    pub features: Vec<Feature>,
    /// Rows that score at or above it are anomalies.
    pub threshold: Option<f64>,
    /// Free pairs for people and tools.
    pub metadata: Vec<(String, String)>,
}

/// A loaded detector. Cloning it is cheap; it serves until its last clone is dropped.
#[derive(Clone)]
pub struct Detector(Arc<Loaded>);

/// What the gate hands over.
pub(crate) struct Admitted {
    pub(crate) inspection: Inspection,
    pub(crate) description: Description,
    pub(crate) report: Report,
    pub(crate) blueprint: Blueprint,
    pub(crate) reuse: bool,
    pub(crate) first: Option<Guest>,
}

struct Loaded {
    // Dropped in this order: instances before the component, both before the engine.
    serving: Mutex<Serving>,
    blueprint: Blueprint,
    core: Arc<Core>,
    id: u64,
    inspection: Inspection,
    description: Description,
    report: Report,
    reuse: bool,
    idle_limit: usize,
    demoted: AtomicBool,
    suspect: AtomicBool,
    faults: FaultCounts,
}

/// What changes with every call. One lock before the guest runs and one after it cost less than a handful of atomic
/// counters, and a call with one row takes less than a microsecond.
#[derive(Default)]
struct Serving {
    idle: Vec<Guest>,
    breaker: Breaker,
    calls: u64,
    rows: u64,
    running: usize,
}

impl Loaded {
    /// Whether one more instance may wait to be used again: a few per core, and never more of all detectors together
    /// than leave half of the slots to those that need a new one.
    fn may_keep(&self, idle: usize) -> bool {
        let slots = self.core.config.limits.instances as usize / 2;
        let share = slots / self.core.detectors.load(Ordering::Relaxed).max(1);
        idle < self.idle_limit.min(share.max(1))
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.core.detectors.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Detector").field(&self.digest()).finish()
    }
}

impl Detector {
    pub(crate) fn new(core: Arc<Core>, admitted: Admitted) -> Self {
        core.detectors.fetch_add(1, Ordering::Relaxed);
        let id = core.next_id.fetch_add(1, Ordering::Relaxed);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let idle = admitted.first.into_iter().filter(|_| admitted.reuse);
        Self(Arc::new(Loaded {
            serving: Mutex::new(Serving {
                idle: idle.collect(),
                ..Serving::default()
            }),
            blueprint: admitted.blueprint,
            core,
            id,
            inspection: admitted.inspection,
            description: admitted.description,
            report: admitted.report,
            reuse: admitted.reuse,
            idle_limit: cores * 2,
            demoted: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            faults: FaultCounts::default(),
        }))
    }

    /// The digest of the component's bytes.
    pub fn digest(&self) -> Digest {
        self.0.inspection.digest
    }

    /// What the detector says of itself.
    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// What the gate found out.
    pub fn report(&self) -> &Report {
        &self.0.report
    }

    /// What is in the component, as far as one sees without running it.
    pub fn inspection(&self) -> &Inspection {
        &self.0.inspection
    }

    /// The documents that ride in the component.
    pub fn sections(&self) -> &Sections {
        &self.0.inspection.sections
    }

    /// Whether its code is, byte for byte, a kernel of this host.
    pub fn trusted(&self) -> bool {
        self.0.inspection.trusted
    }

    /// Whether it came without golden rows.
    pub fn unproven(&self) -> bool {
        self.0.report.unproven
    }

    /// Whether it can attribute a score to features.
    pub fn explains(&self) -> bool {
        self.0.inspection.explains
    }

    /// Whether a call with `rows` rows should run on the caller's thread. Only trusted code qualifies, only for what is
    /// predicted to take at most 50 µs, and only until it has once run far longer than predicted.
    pub fn runs_inline(&self, rows: usize) -> bool {
        self.trusted()
            && !self.0.demoted.load(Ordering::Relaxed)
            && self.0.report.cost.predict_seconds(rows) <= INLINE_LIMIT_SECONDS
    }

    /// Scores on the calling thread. An empty batch has no scores.
    pub fn score(&self, batch: &Batch, deadline: Deadline) -> Result<Vec<f64>, Fault> {
        self.call(batch, false, deadline)
            .map(|answer| match answer {
                Answer::Scores(scores) | Answer::Explanation(Explanation { scores, .. }) => scores,
            })
    }

    /// Scores and explains on the calling thread.
    pub fn explain(&self, batch: &Batch, deadline: Deadline) -> Result<Explanation, Fault> {
        match self.call(batch, true, deadline)? {
            Answer::Explanation(explanation) => Ok(explanation),
            Answer::Scores(_) => Err(Fault::BadAnswer("scores without reasons".into())),
        }
    }

    /// Hands a call to the pool. `reply` runs on a pool thread, once, unless this returns a fault at once: the queue is
    /// full, the breaker open, or the batch has the wrong shape.
    pub fn submit(&self, call: Call, reply: Reply) -> Result<(), Fault> {
        let queued = self.check(&call.batch, call.explain).and_then(|()| {
            let breaker = lock(&self.0.serving).breaker.peek(Instant::now());
            breaker.map_err(breaker_fault)
        });
        queued
            .and_then(|()| {
                let submitted = self.0.core.pool.submit(self.clone(), call, reply);
                submitted.map_err(|(fault, _)| fault)
            })
            .inspect_err(|fault| self.0.faults.count(fault))
    }

    /// Plain numbers about this detector.
    pub fn stats(&self) -> DetectorStats {
        let loaded = &self.0;
        let serving = lock(&loaded.serving);
        DetectorStats {
            calls: serving.calls,
            rows: serving.rows,
            faults: loaded.faults.by_kind(),
            running: serving.running,
            waiting: loaded.core.pool.waiting(loaded.id),
            instances_live: loaded.blueprint.live.count.load(Ordering::Relaxed),
            instances_idle: serving.idle.len(),
            memory_peak_bytes: loaded
                .blueprint
                .live
                .memory_peak_bytes
                .load(Ordering::Relaxed),
            breaker_open: serving.breaker.is_open(),
            breaker_reason: serving.breaker.reason(),
            breaker_opened: serving.breaker.opened(),
            demoted: loaded.demoted.load(Ordering::Relaxed),
            log_lines_dropped: loaded.blueprint.log.dropped(),
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.0.suspect.load(Ordering::Relaxed)
    }

    /// Answers a pooled call.
    pub(crate) fn answer(&self, call: &Call) -> Result<Answer, Fault> {
        self.call(&call.batch, call.explain, call.deadline)
    }

    /// One call, whole: counted, admitted, run, recorded.
    fn call(&self, batch: &Batch, explain: bool, deadline: Deadline) -> Result<Answer, Fault> {
        let checked = self.check(batch, explain);
        let answer = match checked {
            Ok(()) => self.admitted(batch, explain, deadline),
            Err(fault) => {
                lock(&self.0.serving).calls += 1;
                Err(fault)
            }
        };
        answer.inspect_err(|fault| self.0.faults.count(fault))
    }

    /// What can be refused without running the guest.
    fn check(&self, batch: &Batch, explain: bool) -> Result<(), Fault> {
        let wanted = self.0.description.features.len();
        if batch.columns as usize != wanted {
            let text = format!("rows have {} values; send {wanted}", batch.columns);
            return Err(Fault::Refused(GuestRefusal::WrongShape(text)));
        }
        if !batch.values.len().is_multiple_of(wanted.max(1)) {
            let text = format!(
                "{} values are no whole number of rows of {wanted}",
                batch.values.len()
            );
            return Err(Fault::Refused(GuestRefusal::WrongShape(text)));
        }
        if explain && !self.explains() {
            let text = "this detector does not explain; ask for scores only".to_owned();
            return Err(Fault::Refused(GuestRefusal::Unsupported(text)));
        }
        Ok(())
    }

    fn admitted(&self, batch: &Batch, explain: bool, deadline: Deadline) -> Result<Answer, Fault> {
        let start = Instant::now();
        let (admission, idle) = {
            let mut serving = lock(&self.0.serving);
            serving.calls += 1;
            if deadline.instant() <= start {
                return Err(Fault::Expired);
            }
            let admission = serving.breaker.admit(start).map_err(breaker_fault)?;
            serving.running += 1;
            (admission, serving.idle.pop())
        };
        let mut guest = None;
        let run = AssertUnwindSafe(|| self.run(idle, batch, explain, deadline, &mut guest));
        let answer = catch_unwind(run).unwrap_or_else(|_| {
            let code = "HostPanic".to_owned();
            Err(Fault::Trap { code })
        });
        self.record(admission, &answer, guest, start, batch.rows(), deadline);
        answer
    }

    /// Runs the guest, and leaves it in `spent` if it may be used again.
    fn run(
        &self,
        idle: Option<Guest>,
        batch: &Batch,
        explain: bool,
        deadline: Deadline,
        spent: &mut Option<Guest>,
    ) -> Result<Answer, Fault> {
        let mut guest = match idle {
            Some(guest) => guest,
            None => self.0.blueprint.instantiate(deadline.instant())?,
        };
        let answer = chunks::call(&mut guest, batch, explain, deadline.instant());
        let overrun = guest.ticks() >= OVERRUN_TICKS;
        if overrun && self.runs_inline(batch.rows()) {
            tracing::warn!(release.digest = %self.digest(), "ran far longer than predicted; from now on it runs in the pool");
            self.0.demoted.store(true, Ordering::Relaxed);
        }
        // A refusal is an answer; after any other fault the instance's state is not to be relied on.
        if self.0.reuse && matches!(answer, Ok(_) | Err(Fault::Refused(_))) {
            *spent = Some(guest);
        }
        answer
    }

    fn record(
        &self,
        admission: Admission,
        answer: &Result<Answer, Fault>,
        guest: Option<Guest>,
        start: Instant,
        rows: usize,
        deadline: Deadline,
    ) {
        let ending = match answer {
            Ok(_) | Err(Fault::Refused(_)) => Ending::Good,
            // No free slot for an instance says something about the host.
            Err(Fault::QueueFull { .. }) => Ending::Neutral,
            Err(Fault::Deadline) => {
                let fair = 2.0 * self.0.report.cost.predict_seconds(rows);
                let given = deadline.remaining(start);
                if given >= TELLING_DEADLINE && given.as_secs_f64() >= fair {
                    Ending::Fault(Fault::Deadline.kind())
                } else {
                    Ending::Neutral
                }
            }
            Err(fault) => Ending::Fault(fault.kind()),
        };
        let mut serving = lock(&self.0.serving);
        serving.running = serving.running.saturating_sub(1);
        if answer.is_ok() {
            let rows = u64::try_from(rows).unwrap_or(u64::MAX);
            serving.rows = serving.rows.saturating_add(rows);
        }
        if ending == Ending::Good && admission == Admission::Normal {
            serving.breaker.record(admission, ending, start);
        } else {
            serving.breaker.record(admission, ending, Instant::now());
        }
        let suspect = serving.breaker.is_suspect();
        if suspect != self.0.suspect.load(Ordering::Relaxed) {
            self.0.suspect.store(suspect, Ordering::Relaxed);
        }
        // Dropping an instance unmaps memory: not while others wait for the lock.
        let surplus = match guest {
            Some(guest) if self.0.may_keep(serving.idle.len()) => {
                serving.idle.push(guest);
                None
            }
            other => other,
        };
        drop(serving);
        drop(surplus);
    }
}

fn breaker_fault(stopped: crate::breaker::Stopped) -> Fault {
    Fault::BreakerOpen {
        reason: stopped.reason,
        retry_after: stopped.retry_after,
    }
}
