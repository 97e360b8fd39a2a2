//! What commands record in MLflow, in the words of MLflow. Without the setting `mlflow_tracking_uri` nothing is done; with
//! it, nothing here makes a command fail, or last longer than `mlflow_deadline_seconds`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use hodoscope_registry::tracking::{
    Alias, Artifact, Destination, Outcome, Record, RunChoice, Told, Version, track as deliver,
};
use hodoscope_release::{ChannelName, DetectorName, Digest, ReleaseName};
use serde::Serialize;

use crate::commands::Context;

/// The folder of local records, in the home folder.
const FOLDER: &str = "tracking";

/// What a command did.
#[derive(Debug, Clone)]
pub struct Activity {
    /// The command, for instance `train`.
    pub verb: &'static str,
    /// The detector; it names the experiment.
    pub detector: DetectorName,
    /// What the run is about, for its name: `pump`, `pump@1.4.0`.
    pub about: String,
    /// Which run is written to.
    pub run: RunChoice,
    /// The component.
    pub digest: Option<Digest>,
    /// The options.
    pub parameters: BTreeMap<String, String>,
    /// The figures.
    pub metrics: BTreeMap<String, f64>,
    /// What runs are found by, beside `detector`, `command` and `digest`.
    pub tags: BTreeMap<String, String>,
    /// Small documents.
    pub artifacts: Vec<Artifact>,
    /// How it ended.
    pub outcome: Outcome,
    /// The release to register.
    pub version: Option<Version>,
    /// The release that the channel wants to be active, to which `champion` shall point.
    pub active: Option<Version>,
}

impl Activity {
    /// A run of its own, which did its work.
    pub fn new(verb: &'static str, detector: &DetectorName) -> Self {
        Self {
            verb,
            detector: detector.clone(),
            about: detector.to_string(),
            run: RunChoice::Own,
            digest: None,
            parameters: BTreeMap::new(),
            metrics: BTreeMap::new(),
            tags: BTreeMap::new(),
            artifacts: Vec::new(),
            outcome: Outcome::Finished,
            version: None,
            active: None,
        }
    }

    /// Something that happened to a release: it goes to the run of its training, if MLflow knows that, and registers the
    /// release.
    pub fn of_release(
        verb: &'static str,
        release: &ReleaseName,
        digest: Digest,
        alias: Option<Alias>,
    ) -> Self {
        let version = Version {
            release: release.clone(),
            digest,
            alias,
        };
        Self {
            about: release.to_string(),
            run: RunChoice::OfDigest,
            digest: Some(digest),
            version: Some(version),
            ..Self::new(verb, &release.detector)
        }
        .tag("release", release)
    }

    /// A release became the active one of a channel: the alias `champion` points to it.
    pub fn promoted(release: &ReleaseName, digest: Digest, channel: &ChannelName) -> Self {
        Self::of_release("promote", release, digest, Some(Alias::Champion)).tag("channel", channel)
    }

    /// Adds a parameter.
    pub fn parameter(mut self, name: &str, value: impl Display) -> Self {
        self.parameters.insert(name.to_owned(), value.to_string());
        self
    }

    /// Adds a figure, if there is one.
    pub fn metric(mut self, name: &str, value: impl Into<Option<f64>>) -> Self {
        if let Some(value) = value.into() {
            self.metrics.insert(name.to_owned(), value);
        }
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, name: &str, value: impl Display) -> Self {
        self.tags.insert(name.to_owned(), value.to_string());
        self
    }

    /// Adds a document as JSON. What cannot be written as JSON is left out.
    pub fn document(mut self, name: &str, value: &impl Serialize) -> Self {
        if let Ok(json) = serde_json::to_vec_pretty(value) {
            self.artifacts.push(Artifact::new(name, json));
        }
        self
    }

    fn record(self, experiment: Option<&str>, started: SystemTime, ended: SystemTime) -> Record {
        let own = format!("hodoscope/{}", self.detector);
        let mut tags = self.tags;
        tags.extend([
            ("detector".to_owned(), self.detector.to_string()),
            ("mlflow.source.name".to_owned(), "hodoscope".to_owned()),
            (
                "hodoscope.build".to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
        ]);
        // A run keeps the command that made it when a later one adds to it.
        if self.run == RunChoice::Own {
            tags.insert("command".to_owned(), self.verb.to_owned());
        }
        Record {
            experiment: experiment.map_or(own, str::to_owned),
            run_name: format!("{} {}", self.verb, self.about),
            run: self.run,
            digest: self.digest,
            parameters: self.parameters,
            metrics: self.metrics,
            tags,
            artifacts: self.artifacts,
            outcome: self.outcome,
            version: self.version,
            active: self.active,
            started_ms: milliseconds(started),
            ended_ms: milliseconds(ended),
        }
    }
}

/// Records what a command did since `started`, if MLflow's address is set. Never fails: what went wrong is told in
/// warnings, for the command's answer. It blocks: call it outside of any runtime.
pub fn track(context: &Context, activity: Activity, started: SystemTime) -> Told {
    let settings = &context.config.tracking;
    let Some(uri) = &settings.uri else {
        return Told::default();
    };
    let destination = Destination {
        uri: uri.reveal().to_owned(),
        token: settings
            .token
            .as_ref()
            .map(|token| token.reveal().to_owned()),
        folder: context.config.home.join(FOLDER),
        deadline: settings.deadline,
    };
    let experiment = settings.experiment.as_deref();
    let record = activity.record(experiment, started, SystemTime::now());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let told = runtime.block_on(deliver(&destination, &record));
            // Looking up a host's name blocks a thread for as long as the system likes; it is not waited for.
            runtime.shutdown_background();
            told
        }
        Err(error) => Told {
            warnings: vec![format!("tracking: failed to start the runtime: {error}")],
            ..Told::default()
        },
    }
}

/// What was told, as lines below a command's answer; empty if nothing was tracked.
pub fn lines(told: &Told) -> String {
    let tracked = told.tracked.iter();
    let tracked = tracked.map(|tracked| format!("\n  tracked     {}", tracked.url));
    let warnings = told
        .warnings
        .iter()
        .map(|warning| format!("\n  note        {warning}"));
    tracked.chain(warnings).collect()
}

fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
