//! When each request is due. An open loop: the schedule does not wait for answers, so a slow server gets a queue and not
//! a rest, and latency is counted from the moment a request was due (no coordinated omission).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// The pacing thread looks at least this often whether it shall stop.
const GLANCE: Duration = Duration::from_millis(20);

/// How fast rows are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rate {
    /// So many rows per second.
    Rows(f64),
    /// As fast as the connections allow; latency is counted from the sending.
    Max,
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Self::Max),
            Ok(rows) if rows.is_finite() && rows > 0.0 => Ok(Self::Rows(rows)),
            _ => Err(format!(
                "`{text}` is no rate; give rows per second, or `max`"
            )),
        }
    }
}

/// The moments at which requests are due, counted from the start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) requests_per_second: f64,
}

impl Schedule {
    /// When request `index` (from 0) is due.
    pub(super) fn due(&self, index: u64) -> Duration {
        Duration::from_secs_f64(index as f64 / self.requests_per_second)
    }

    /// How many requests are due at `elapsed`.
    pub(super) fn due_count(&self, elapsed: Duration) -> u64 {
        (elapsed.as_secs_f64() * self.requests_per_second).floor() as u64 + 1
    }
}

/// Gives out permissions to send.
#[derive(Debug)]
pub(super) struct Pacer {
    schedule: Option<Schedule>,
    started: Instant,
    permits: Arc<Semaphore>,
    next: AtomicU64,
    stopped: Arc<AtomicBool>,
}

impl Pacer {
    /// Starts the clock. With a schedule a thread of its own releases permits: timers of the async runtime tick in whole
    /// milliseconds, which is longer than a request takes.
    pub(super) fn start(schedule: Option<Schedule>) -> std::io::Result<Self> {
        let pacer = Self {
            schedule,
            started: Instant::now(),
            permits: Arc::new(Semaphore::new(0)),
            next: AtomicU64::new(0),
            stopped: Arc::new(AtomicBool::new(false)),
        };
        if let Some(schedule) = schedule {
            let (permits, stopped) = (Arc::clone(&pacer.permits), Arc::clone(&pacer.stopped));
            let started = pacer.started;
            std::thread::Builder::new()
                .name("pace".to_owned())
                .spawn(move || release(schedule, started, &permits, &stopped))?;
        }
        Ok(pacer)
    }

    /// Waits for the next turn and gives the moment at which it was due; `None` once stopped.
    pub(super) async fn turn(&self) -> Option<Instant> {
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        let Some(schedule) = self.schedule else {
            return Some(Instant::now());
        };
        self.permits.acquire().await.ok()?.forget();
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        Some(self.started + schedule.due(index))
    }

    /// The start of the clock.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Lets nobody send any more.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.permits.close();
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn release(schedule: Schedule, started: Instant, permits: &Semaphore, stopped: &AtomicBool) {
    let mut released = 0;
    while !stopped.load(Ordering::Relaxed) {
        let elapsed = started.elapsed();
        let due = schedule.due_count(elapsed);
        let more = usize::try_from(due.saturating_sub(released)).unwrap_or(0);
        permits.add_permits(more.min(Semaphore::MAX_PERMITS / 2));
        released = due;
        let wait = schedule.due(released).saturating_sub(started.elapsed());
        std::thread::park_timeout(wait.min(GLANCE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_distances_from_the_start() {
        let schedule = Schedule {
            requests_per_second: 200.0,
        };
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(200), Duration::from_secs(1));
        assert_eq!(schedule.due_count(Duration::ZERO), 1);
        assert_eq!(schedule.due_count(Duration::from_millis(1)), 1);
        assert_eq!(schedule.due_count(Duration::from_millis(1000)), 201);
    }

    #[test]
    fn what_is_due_at_a_moment_was_due_before_it() {
        let schedule = Schedule {
            requests_per_second: 4999.7,
        };
        for ms in [0, 1, 17, 1_000, 86_400_000] {
            let elapsed = Duration::from_millis(ms);
            let count = schedule.due_count(elapsed);
            assert!(schedule.due(count - 1) <= elapsed + Duration::from_nanos(100));
            assert!(schedule.due(count) > elapsed - Duration::from_nanos(ms.min(1) * 100));
        }
    }

    #[test]
    fn reads_a_rate() {
        assert_eq!("5000".parse(), Ok(Rate::Rows(5000.0)));
        assert_eq!("max".parse(), Ok(Rate::Max));
        for text in ["0", "-1", "fast", "NaN", "inf"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
