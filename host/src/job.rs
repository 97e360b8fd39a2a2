//! The drift job for one detector: read what hosts counted, judge it, and if the release no longer fits, make a candidate,
//! let it through the gates, and propose it. Every step can be run again: the windows name the rows, the rows make the
//! same candidate, a candidate that is in the store already is taken from there, and the forge keeps one pull request.

mod candidate;
mod rows;
mod windows;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use hodoscope_drift::{DriftReport, MergedWindow, Policy, Reference, Verdict, judge};
use hodoscope_engine::{Detector, Engine};
use hodoscope_registry::Store;
use hodoscope_registry::capture::{CaptureKey, CaptureStore};
use hodoscope_release::window::{VerdictRecord, WindowName};
use hodoscope_release::{DetectorChannel, DetectorName, IndexEntry, ReleaseName};
use jiff::Timestamp;

use crate::commands::Context;
use crate::{app, gate, releases};

pub use candidate::{Candidate, Made};

/// What a run works with. Opened once for all detectors.
pub struct Job<'a> {
    pub(crate) context: &'a Context,
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) capture: CaptureStore,
    /// The time by which windows are complete.
    pub(crate) now: Timestamp,
}

/// The release that answers, and what lies in the store about it.
pub struct Champion {
    /// Its entry in the index.
    pub entry: IndexEntry,
    /// Its component, through the gate.
    pub detector: Detector,
}

/// What a look at a detector found.
pub struct Look {
    /// The release that answers.
    pub champion: Champion,
    /// The windows that were judged, oldest first.
    pub windows: Vec<MergedWindow>,
    /// The report on them.
    pub report: DriftReport,
    /// The last complete window, whether or not anything was counted in it.
    pub window: WindowName,
}

impl<'a> Job<'a> {
    /// Opens the store and the captured traffic.
    pub fn open(context: &'a Context, now: Timestamp) -> anyhow::Result<Self> {
        let config = &context.config;
        let (store, capture) = context.block_on(async {
            let store = releases::open_store(config).await?;
            let options = app::store_options(&config.store);
            let capture = CaptureStore::open(&config.capture.location, &options).await?;
            anyhow::Ok((store, capture))
        })??;
        Ok(Self {
            context,
            engine: gate::engine(config)?,
            store,
            capture,
            now,
        })
    }

    /// Judges the last complete windows of the release that answers, or those up to `at`.
    pub fn look(
        &self,
        detector: &DetectorName,
        wanted: &DetectorChannel,
        at: Option<&WindowName>,
    ) -> anyhow::Result<Look> {
        let champion = self.champion(&wanted.active.release(detector))?;
        if champion.entry.digest != wanted.active.digest {
            bail!(
                "the channel pins {} of {detector}@{}, but the store has {}; promote the release again",
                wanted.active.digest,
                wanted.active.version,
                champion.entry.digest
            );
        }
        let policy = Policy::default();
        let names = self.windows(at, policy.windows_seen);
        let window = names.last().cloned().context("no window is complete yet")?;
        let windows = self
            .context
            .block_on(windows::load(self, &champion, &names))??;
        let description = champion.detector.description();
        let features: Vec<String> = description
            .features
            .iter()
            .map(|f| f.name.clone())
            .collect();
        let sections = champion.detector.sections();
        let release = champion.entry.release();
        let reference = Reference {
            release: &release,
            digest: champion.entry.digest,
            features: &features,
            profile: sections.profile.as_ref(),
            alert_rate: sections.calibration.as_ref().map(|table| table.alert_rate),
        };
        let report = judge(&reference, &windows, &policy, window.start_seconds())?;
        Ok(Look {
            champion,
            windows,
            report,
            window,
        })
    }

    /// Keeps the verdict where hosts read it, so that an alert sees a schedule that stopped.
    pub fn record(&self, look: &Look) -> anyhow::Result<()> {
        let release = look.champion.entry.release();
        let record = VerdictRecord {
            schema: hodoscope_release::window::SCHEMA,
            detector: release.detector.clone(),
            verdict: look.report.verdict.kind().to_owned(),
            time_ms: u64::try_from(self.now.as_millisecond()).unwrap_or_default(),
            window: look.window.clone(),
            digest: look.champion.entry.digest,
            release,
        };
        let key = CaptureKey::verdict(&record.detector);
        let bytes = serde_json::to_vec_pretty(&record)?;
        self.context
            .block_on(self.capture.put(&key, bytes.into()))?
            .with_context(|| format!("failed to keep the verdict in {}", self.capture))
    }

    /// The folder for reports of a detector on this machine.
    pub fn folder(&self, detector: &DetectorName) -> PathBuf {
        self.context
            .config
            .home
            .join("drift")
            .join(detector.as_str())
    }

    /// A release of the store, through the gate.
    pub(crate) fn champion(&self, release: &ReleaseName) -> anyhow::Result<Champion> {
        let limit_bytes = self.context.config.engine.component_limit_bytes as u64;
        let stored =
            self.context
                .block_on(releases::fetch(&self.store, release, limit_bytes))??;
        let detector = self
            .engine
            .load(&stored.component)
            .with_context(|| format!("{release} was refused"))?;
        Ok(Champion {
            entry: stored.entry,
            detector,
        })
    }

    /// The names of the last complete windows, oldest first. A window is complete when its last parts have been written.
    fn windows(&self, at: Option<&WindowName>, count: usize) -> Vec<WindowName> {
        let settings = &self.context.config.capture;
        let length = settings.window.as_secs().max(1);
        let last = match at {
            Some(window) => window.start_seconds(),
            None => {
                let now = u64::try_from(self.now.as_second()).unwrap_or_default();
                let written = now.saturating_sub(settings.part.as_secs());
                let open = WindowName::holding(written, length).start_seconds();
                open.saturating_sub(length)
            }
        };
        (0..count as u64)
            .rev()
            .filter_map(|back| last.checked_sub(back * length))
            .map(|start| WindowName::holding(start, length))
            .collect()
    }
}

impl Look {
    /// Whether the release no longer fits, so that a candidate is wanted.
    pub fn wants_candidate(&self) -> bool {
        self.report.verdict == Verdict::Drifted
    }

    /// The windows whose rows a candidate learns from: those that drifted, and the last one.
    pub fn drifted(&self) -> Vec<&MergedWindow> {
        let drifted = |name: &WindowName| {
            let found = self
                .report
                .windows
                .iter()
                .find(|window| window.window == *name);
            found.is_some_and(|window| window.score_drifted)
        };
        let last = self.windows.last().map(|window| &window.window);
        self.windows
            .iter()
            .filter(|window| drifted(&window.window) || Some(&window.window) == last)
            .collect()
    }
}
