//! From a pin to a release that can answer: fetch, gate and warm-up, away from the request threads.

use std::sync::Arc;
use std::time::Instant;

use hodoscope_engine::{Engine, Refusal};
use hodoscope_release::DetectorName;

use crate::capture::Capture;
use crate::roster::{Key, Served};
use crate::source::{Source, SourceError};
use crate::tasks;
use crate::telemetry::Telemetry;

/// What loading needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Loader {
    /// Where bytes come from.
    pub source: Arc<Source>,
    /// The gate.
    pub engine: Arc<Engine>,
    /// Where loads are counted.
    pub telemetry: Arc<Telemetry>,
    /// What is captured of traffic, if anything is.
    pub capture: Option<Arc<Capture>>,
}

/// Why a release could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its bytes cannot be had.
    #[error(transparent)]
    Source(#[from] Box<SourceError>),
    /// The gate refused it.
    #[error("the gate refuses it ({}): {_0}", _0.kind().as_str())]
    Refused(Box<Refusal>),
    /// The channel wants no release of this detector.
    #[error(
        "the channel wants no release of `{0}`; promote one, or start the host with --dev and name a version"
    )]
    NotWanted(DetectorName),
    /// Our own bug.
    #[error("the gate failed; the log has the cause")]
    Panicked,
}

impl LoadError {
    /// A fixed word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Source(error) => error.kind(),
            Self::Refused(refusal) => refusal.kind().as_str(),
            Self::NotWanted(_) => "not_wanted",
            Self::Panicked => "panicked",
        }
    }

    /// Whether trying again later may succeed: a store may come back and a busy machine find time, but bytes do not change.
    pub fn is_worth_a_retry(&self) -> bool {
        match self {
            Self::Source(error) => error.is_worth_a_retry(),
            Self::Refused(refusal) => refusal.slow,
            Self::NotWanted(_) | Self::Panicked => false,
        }
    }
}

impl Loader {
    /// Loads several releases at the same time: as many gates as there are cores, and every fetch at once.
    pub(super) async fn load_all(
        &self,
        keys: Vec<Key>,
    ) -> Vec<(Key, Result<Arc<Served>, LoadError>)> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(tokio::sync::Semaphore::new(cores));
        let started: Vec<_> = keys
            .into_iter()
            .map(|key| {
                let (loader, turns) = (self.clone(), turns.clone());
                let work = {
                    let key = key.clone();
                    async move {
                        let _turn = turns.acquire_owned().await;
                        loader.load(key).await
                    }
                };
                (key, tasks::start(work))
            })
            .collect();
        let mut loaded = Vec::new();
        for (key, task) in started {
            loaded.push((key, task.await.unwrap_or(Err(LoadError::Panicked))));
        }
        loaded
    }

    /// Loads one release.
    pub async fn load(&self, key: Key) -> Result<Arc<Served>, LoadError> {
        let started = Instant::now();
        let detector = key.0.detector.clone();
        let loaded = self.load_uncounted(key).await;
        let outcome = loaded.as_ref().map_or_else(LoadError::kind, |_| "ok");
        let labels = [detector.as_str(), outcome];
        self.telemetry.loads.with_label_values(&labels).inc();
        let duration = self
            .telemetry
            .load_seconds
            .with_label_values(&[detector.as_str()]);
        duration.observe(started.elapsed().as_secs_f64());
        loaded
    }

    async fn load_uncounted(&self, (release, digest): Key) -> Result<Arc<Served>, LoadError> {
        let bytes = self
            .source
            .fetch(&release, digest)
            .await
            .map_err(Box::new)?;
        let (engine, telemetry) = (self.engine.clone(), self.telemetry.clone());
        let capture = self.capture.clone();
        let gate = move || {
            let detector = engine
                .load(&bytes)
                .map_err(|refusal| LoadError::Refused(Box::new(refusal)))?;
            let served = Served::new(release, detector, &telemetry, capture.as_deref());
            served.warm_up();
            Ok(served)
        };
        tasks::blocking(gate)
            .await
            .unwrap_or(Err(LoadError::Panicked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_ran_out_of_time_is_tried_again_and_one_that_refused_is_not() {
        let refused = |slow: bool| {
            let refusal = serde_json::json!({
                "kind": "conformance", "found": "no score", "supported": "scores", "fix": "score", "slow": slow
            });
            LoadError::Refused(Box::new(serde_json::from_value(refusal).unwrap()))
        };
        assert!(refused(true).is_worth_a_retry());
        assert!(!refused(false).is_worth_a_retry());
    }
}
