//! Captured traffic: every row's score and alert as counts, and some rows, chosen by a keyed hash, with their values. A
//! request leaves both in the [`Tap`] of its release and never waits; a [`Worker`] beside requests turns them into small
//! files and puts them into a [`CaptureStore`](hodoscope_registry::capture::CaptureStore). A crash loses what the open
//! parts hold; a store that is away costs bounded memory, then files, and never an answer.

mod collector;
mod edges;
mod open;
mod outbox;
mod sampling;
pub mod table;
mod tap;
mod verdicts;
mod worker;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderValue;
use hodoscope_engine::{Batch, Detector};
use hodoscope_registry::StoreOptions;
use hodoscope_release::ReleaseName;

use crate::config::CaptureSettings;
use crate::roster::Roster;
use crate::telemetry::CaptureMeters;
use collector::Collector;
use open::Stamp;
use sampling::Sampler;

pub use sampling::Choice;
use tap::About;
pub use tap::{Taken, Tap};
pub use verdicts::{VerdictLine, Verdicts};
pub use worker::Worker;

/// What requests and loads need of it.
#[derive(Debug)]
pub struct Capture {
    sampler: Sampler,
    rows_per_window: u64,
    waiting_bytes: Arc<AtomicUsize>,
    taps: Mutex<Vec<Arc<Tap>>>,
    /// What is known of the drift job.
    pub verdicts: Verdicts,
    /// The wall clock, in milliseconds since 1970.
    clock: fn() -> u64,
}

/// This host and this start of it, as file names tell them.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The host's name.
    pub host: String,
    /// A random name of this start: what the ids begin with that this host gives to requests.
    pub boot: String,
}

/// Starts nothing yet: gives the handle for requests, and the worker.
pub fn build(
    settings: &CaptureSettings,
    options: StoreOptions,
    identity: &Identity,
    roster: Arc<Roster>,
    meters: CaptureMeters,
    clock: fn() -> u64,
) -> (Arc<Capture>, Worker) {
    let capture = Arc::new(Capture {
        sampler: Sampler::new(settings.key.reveal(), settings.fraction),
        rows_per_window: settings.rows_per_window,
        waiting_bytes: Arc::default(),
        taps: Mutex::default(),
        verdicts: Verdicts::new(clock()),
        clock,
    });
    let stamp = Stamp {
        host: identity.host.as_str().into(),
        boot: identity.boot.as_str().into(),
        sequence: 0,
        window_seconds: settings.window.as_secs(),
        fraction: settings.fraction,
    };
    let part_ms = u64::try_from(settings.part.as_millis()).unwrap_or(u64::MAX);
    let worker = Worker {
        collector: Some(Collector::new(stamp, part_ms, settings.rows_per_window)),
        capture: capture.clone(),
        roster,
        meters,
        location: settings.location.clone(),
        options,
        retention: settings.retention,
        folder_limit_bytes: settings.folder_limit_bytes,
        outbox: outbox::Outbox::default(),
    };
    (capture, worker)
}

impl Capture {
    /// The tap of a release that is being loaded; the same one if it is still there from an earlier load.
    pub fn tap(&self, release: &ReleaseName, detector: &Detector) -> Arc<Tap> {
        let mut taps = self.taps();
        let same =
            |tap: &&Arc<Tap>| tap.release == *release && tap.about.digest == detector.digest();
        if let Some(tap) = taps.iter().find(same) {
            return tap.clone();
        }
        let limit = first_rows(self.rows_per_window);
        let (about, waiting) = (About::of(detector), self.waiting_bytes.clone());
        let tap = Arc::new(Tap::new(release.clone(), about, limit, waiting));
        taps.push(tap.clone());
        tap
    }

    /// Copies the chosen rows of a request that is about to be scored; allocates nothing if none is chosen.
    pub fn take(&self, tap: &Tap, request: &HeaderValue, batch: &Batch) -> Taken {
        tap.take(self.sampler.of(request.as_bytes()), batch)
    }

    /// Counts an answered request and keeps its chosen rows.
    pub fn record(
        &self,
        tap: &Tap,
        taken: Taken,
        request: &HeaderValue,
        scores: &[f64],
        alerts: u64,
    ) {
        tap.record(taken, request, scores, alerts, self.clock);
    }

    #[cfg(test)]
    fn for_tests(fraction: f64, rows_per_window: u64) -> Arc<Self> {
        Arc::new(Self {
            sampler: Sampler::new("key", fraction),
            rows_per_window,
            waiting_bytes: Arc::default(),
            taps: Mutex::default(),
            verdicts: Verdicts::new(0),
            clock: || 0,
        })
    }

    /// The wall clock, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    fn taps(&self) -> MutexGuard<'_, Vec<Arc<Tap>>> {
        self.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Identity {
    /// This machine, and a start that gave itself this name.
    pub fn of_this_machine(boot: String) -> Self {
        // Where there is no such file, the start's random name alone keeps hosts apart.
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = match name.trim() {
            "" => "host".to_owned(),
            name => name.to_owned(),
        };
        Self { host, boot }
    }
}

/// The choice among the rows of a request, as a host with these settings makes it.
pub fn choice(settings: &CaptureSettings, request: &str) -> Choice {
    Sampler::new(settings.key.reveal(), settings.fraction).of(request.as_bytes())
}

/// The wall clock of this machine, in milliseconds since 1970.
pub fn wall_clock_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// How many of a window's rows may be copied at its start.
fn first_rows(rows_per_window: u64) -> u64 {
    (rows_per_window / 10).max(1).min(rows_per_window)
}
