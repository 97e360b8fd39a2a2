//! The work beside requests: close parts, put files, clean a folder, and ask for verdicts. A store that fails or hangs
//! stops only the putting; what waits meanwhile is bounded, and what does not fit is dropped and counted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use hodoscope_registry::capture::{CaptureKey, CaptureStore};
use hodoscope_registry::{StoreError, StoreLocation, StoreOptions};
use hodoscope_release::DetectorName;
use hodoscope_release::window::VerdictRecord;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::Capture;
use super::collector::{Collected, Collector};
use super::open::File;
use super::outbox::Outbox;
use crate::roster::Roster;
use crate::tasks;
use crate::telemetry::CaptureMeters;

/// How long one put may take, with all its attempts.
const PUT_DEADLINE: Duration = Duration::from_secs(30);
/// How long one verdict may take to read.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// Verdicts that are read at the same time.
const READ_AT_ONCE: usize = 8;
/// The pause after a failed put; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often verdicts are asked for, and how often a folder is cleaned.
const VERDICTS_EVERY: Duration = Duration::from_secs(120);
const CLEAN_EVERY: Duration = Duration::from_secs(3600);
/// The longest verdict that is read.
const VERDICT_LIMIT_BYTES: u64 = 64 << 10;

/// What does the work.
#[derive(Debug)]
pub struct Worker {
    pub(super) capture: Arc<Capture>,
    pub(super) roster: Arc<Roster>,
    pub(super) meters: CaptureMeters,
    pub(super) location: StoreLocation,
    /// How the store is reached; tests put their own here.
    pub options: StoreOptions,
    pub(super) retention: Duration,
    pub(super) folder_limit_bytes: u64,
    pub(super) collector: Option<Collector>,
    pub(super) outbox: Outbox,
}

impl Worker {
    /// Works until `finish`, then closes what is open and puts what waits. The caller bounds how long that may take.
    pub async fn run(mut self, finish: watch::Receiver<bool>) {
        let Some(collector) = self.collector.take() else {
            return;
        };
        let mut finishing = finish.clone();
        let beside = async {
            tokio::select! {
                () = self.look_after() => {}
                () = tasks::stopped(&mut finishing) => {}
            }
        };
        let (closed, closing) = watch::channel(false);
        let collecting = async {
            self.collect(collector, finish).await;
            closed.send_replace(true);
        };
        tokio::join!(collecting, self.put(closing), beside);
    }

    /// Looks at the taps until `finish`, and then a last time.
    async fn collect(&self, mut collector: Collector, mut finish: watch::Receiver<bool>) {
        loop {
            let pause = Duration::from_millis(collector.pause_ms(self.capture.now_ms()));
            let last = tokio::select! {
                () = sleep(pause) => false,
                () = tasks::stopped(&mut finish) => true,
            };
            let (capture, roster) = (self.capture.clone(), self.roster.clone());
            // Counting features and writing Parquet take milliseconds: not on a thread that answers requests.
            let looked = tasks::blocking(move || {
                let collected = collector.collect(&capture, &roster.now(), capture.now_ms(), last);
                (collector, collected)
            });
            let Some((same, collected)) = looked.await else {
                warn!("capture has ended after a fault of its own; scoring goes on");
                return;
            };
            collector = same;
            self.take(collected);
            if last {
                return;
            }
        }
    }

    fn take(&self, collected: Collected) {
        for (detector, [limit, queue]) in &collected.dropped {
            self.meters.dropped(detector, "window_limit", *limit);
            self.meters.dropped(detector, "queue_full", *queue);
        }
        if collected.files.is_empty() {
            return;
        }
        for file in self.outbox.push(collected.files) {
            self.lost(&file, "backlog_full");
        }
        self.tell_backlog();
    }

    /// Puts what waits, one file after the other, until nothing waits after `closing`.
    async fn put(&self, mut closing: watch::Receiver<bool>) {
        let (mut store, mut pause) = (None, FIRST_PAUSE);
        loop {
            let Some(file) = self.outbox.next() else {
                if *closing.borrow() {
                    return;
                }
                tokio::select! {
                    () = self.outbox.more.notified() => {}
                    () = tasks::stopped(&mut closing) => {}
                }
                continue;
            };
            match self.put_one(&mut store, &file).await {
                Ok(()) => {
                    self.meters
                        .put(&file.detector, &file.version, file.rows, file.bytes.len());
                    self.outbox.done(&file);
                    pause = FIRST_PAUSE;
                }
                Err(error @ StoreError::Occupied { .. }) => {
                    self.failed(&error);
                    self.lost(&file, "refused");
                    self.outbox.done(&file);
                }
                Err(error) => {
                    self.failed(&error);
                    tokio::select! {
                        () = sleep(pause) => {}
                        () = tasks::stopped(&mut closing) => sleep(FIRST_PAUSE).await,
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            self.tell_backlog();
        }
    }

    async fn put_one(
        &self,
        opened: &mut Option<CaptureStore>,
        file: &File,
    ) -> Result<(), StoreError> {
        let late = || StoreError::Timeout {
            store: self.location.to_string(),
            key: file.key.to_string(),
            cause: format!("{PUT_DEADLINE:?} for the whole put"),
        };
        let put = async {
            let store = match opened {
                Some(store) => store,
                None => opened.insert(self.open().await?),
            };
            store.put_new(&file.key, file.bytes.clone()).await
        };
        timeout(PUT_DEADLINE, put)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    async fn open(&self) -> Result<CaptureStore, StoreError> {
        CaptureStore::open(&self.location, &self.options).await
    }

    fn failed(&self, error: &StoreError) {
        self.meters
            .put_failures
            .with_label_values(&[error.kind()])
            .inc();
        warn!(
            reason = error.kind(),
            "failed to put captured traffic: {error}"
        );
    }

    fn lost(&self, file: &File, reason: &'static str) {
        debug!(key = %file.key, reason, "captured traffic was dropped");
        match file.rows {
            0 => self.meters.lost_parts.inc(),
            rows => self.meters.dropped(file.detector.as_str(), reason, rows),
        }
    }

    fn tell_backlog(&self) {
        let backlog = self.outbox.backlog();
        self.meters.backlog(backlog.files, backlog.bytes);
    }

    /// Cleans a folder and asks for verdicts, for ever: in rounds, and of a detector that is new at once.
    async fn look_after(&self) {
        let (mut replaced, mut asked) = (self.roster.replaced(), BTreeSet::new());
        let (mut clean, mut ask) = (
            tokio::time::interval(CLEAN_EVERY),
            tokio::time::interval(VERDICTS_EVERY),
        );
        loop {
            tokio::select! {
                _ = clean.tick() => self.clean().await,
                _ = ask.tick() => {
                    asked = self.names();
                    self.ask(&asked).await;
                }
                Ok(()) = replaced.changed() => {
                    let new = &self.names() - &asked;
                    self.ask(&new).await;
                    asked.extend(new);
                }
            }
        }
    }

    /// Deletes old files of a folder.
    pub async fn clean(&self) {
        if !matches!(self.location, StoreLocation::Folder(_)) {
            return;
        }
        let now = Duration::from_millis(self.capture.now_ms());
        let oldest = now.saturating_sub(self.retention).as_secs();
        let pruned = match self.open().await {
            Ok(store) => store.prune(oldest, self.folder_limit_bytes).await,
            Err(error) => Err(error),
        };
        match pruned {
            Ok(pruned) if pruned.files > 0 => {
                info!(
                    "deleted {} old files of captured traffic, {} bytes",
                    pruned.files, pruned.bytes
                );
            }
            Ok(_) => {}
            Err(error) => warn!("failed to delete old captured traffic: {error}"),
        }
    }

    /// The detectors in the roster.
    fn names(&self) -> BTreeSet<DetectorName> {
        let roster = self.roster.now();
        roster
            .detectors
            .values()
            .map(|entry| entry.name.clone())
            .collect()
    }

    /// Reads the last verdicts of these detectors. One that cannot be read keeps no other from being read.
    async fn ask(&self, names: &BTreeSet<DetectorName>) {
        if names.is_empty() {
            return;
        }
        let store = match timeout(READ_DEADLINE, self.open()).await {
            Ok(Ok(store)) => store,
            Ok(Err(error)) => return warn!("failed to read drift verdicts: {error}"),
            Err(_) => {
                return warn!(
                    "{} did not open within {READ_DEADLINE:?}; drift verdicts were not read",
                    self.location
                );
            }
        };
        let read = async |name: &DetectorName| {
            let key = CaptureKey::verdict(name);
            match timeout(READ_DEADLINE, store.get(&key, VERDICT_LIMIT_BYTES)).await {
                Ok(Ok(bytes)) => self.learn(name, &bytes),
                Ok(Err(error)) if error.is_missing() => {}
                Ok(Err(error)) => warn!("failed to read the drift verdict of {name}: {error}"),
                Err(_) => warn!("no drift verdict of {name} within {READ_DEADLINE:?}"),
            }
        };
        futures_util::stream::iter(names)
            .for_each_concurrent(READ_AT_ONCE, read)
            .await;
    }

    fn learn(&self, name: &DetectorName, bytes: &[u8]) {
        match serde_json::from_slice::<VerdictRecord>(bytes) {
            Ok(record) if record.detector == *name => self.capture.verdicts.learn(record),
            Ok(record) => warn!("the verdict of {name} speaks of {}", record.detector),
            Err(error) => warn!("the verdict of {name} cannot be read: {error}"),
        }
    }
}
