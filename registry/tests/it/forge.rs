//! The forge as its users see it: a virtual clock, proposals of a detector named pump, and the two kinds of forge.

use std::sync::Mutex;
use std::time::Duration;

use hodoscope_registry::forge::{Clock, Kind, Pause, Proposal};
use hodoscope_release::{ChannelName, DetectorName, Digest, Pin};
use jiff::Timestamp;

mod app;
mod crashes;
mod fake;
mod github;
mod local;
mod people;
mod races;
mod refusals;

/// A clock whose hands the tests turn; a pause turns them, too.
pub(crate) struct Hands {
    now: Mutex<Timestamp>,
    slept: Mutex<Vec<Duration>>,
}

impl Hands {
    pub(crate) fn new() -> Self {
        Self {
            now: Mutex::new("2026-11-24T08:00:00Z".parse().unwrap()),
            slept: Mutex::default(),
        }
    }

    pub(crate) fn turn(&self, span: Duration) {
        let mut now = self.now.lock().unwrap();
        *now = now.checked_add(span).unwrap();
    }

    pub(crate) fn slept(&self) -> Vec<Duration> {
        self.slept.lock().unwrap().clone()
    }

    pub(crate) fn hours(&self, hours: u64) {
        self.turn(Duration::from_secs(hours * 3600));
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn sleep(&self, span: Duration) -> Pause<'_> {
        self.turn(span);
        self.slept.lock().unwrap().push(span);
        Box::pin(tokio::task::yield_now())
    }
}

pub(crate) fn production() -> ChannelName {
    "production".parse().unwrap()
}

pub(crate) fn pump() -> DetectorName {
    "pump".parse().unwrap()
}

pub(crate) fn pin(version: &str) -> Pin {
    Pin {
        version: version.parse().unwrap(),
        digest: Digest::of(version.as_bytes()),
    }
}

/// What a job proposes: this version of the detector, in production.
pub(crate) fn promotion_of(detector: &str, version: &str) -> Proposal {
    let (detector, pin): (DetectorName, Pin) = (detector.parse().unwrap(), pin(version));
    let (name, wanted) = (detector.clone(), pin.clone());
    Proposal {
        channel: production(),
        kind: Kind::Promotion,
        candidate: pin.digest,
        change: Box::new(move |document| {
            document.promote(&name, wanted.clone());
            Ok(())
        }),
        title: format!("Promote {detector}@{version} in production"),
        body: format!("| what | why |\n|---|---|\n| {detector}@{version} | drift |\n"),
        labels: vec!["drift".into()],
        draft: false,
        by_hand: false,
        detector,
    }
}

pub(crate) fn promotion(version: &str) -> Proposal {
    promotion_of("pump", version)
}

/// Back to the release before; `version` is the one that it goes back to.
pub(crate) fn rollback(version: &str) -> Proposal {
    Proposal {
        kind: Kind::Rollback,
        change: Box::new(|document| document.rollback(&pump())),
        title: format!("Roll pump back to {version}"),
        ..promotion(version)
    }
}
