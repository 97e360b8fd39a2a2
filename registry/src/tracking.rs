//! Runs and versions in MLflow, by its REST API 2.0. [`Tracking`] writes one [`Record`] within one deadline and repeats no
//! create: after an ambiguous error it reads what is there. Training must not depend on a server for experiments, so
//! commands call [`track`], which keeps the record in a local folder first and only ever warns.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hodoscope_release::{Digest, ReleaseName};
use serde::{Deserialize, Serialize};

mod address;
mod artifact;
mod batches;
mod error;
mod journal;
mod models;
mod runs;
mod wire;

pub use error::TrackingError;
pub use journal::{Destination, Told, track};

use address::Address;
use wire::Wire;

/// What is recorded about one training, push, promotion or drift check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The experiment; it is made if it is not there.
    pub experiment: String,
    /// The run's name; names need not differ.
    pub run_name: String,
    /// Which run is written to.
    pub run: RunChoice,
    /// The component that this is about; it becomes the tag `digest`.
    pub digest: Option<Digest>,
    /// The options. Values longer than MLflow takes are cut.
    pub parameters: BTreeMap<String, String>,
    /// The figures. Those that are not finite are left out.
    pub metrics: BTreeMap<String, f64>,
    /// What runs are found by.
    pub tags: BTreeMap<String, String>,
    /// Small documents.
    pub artifacts: Vec<Artifact>,
    /// How it ended.
    pub outcome: Outcome,
    /// The release to register, if there is one.
    pub version: Option<Version>,
    /// The release that a channel wants to be active now. The alias `champion` is moved to it if it points elsewhere; not
    /// by a record that is delivered late, for who is active by then it does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Version>,
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended, in milliseconds since 1970.
    pub ended_ms: i64,
}

/// Which run a record goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunChoice {
    /// One of its own.
    Own,
    /// The newest run of the experiment with the record's digest, so that a push adds to the training it pushes; one of
    /// its own where there is none.
    OfDigest,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did its work.
    Finished,
    /// It did not.
    Failed,
}

/// A document of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "artifact::Kept", into = "artifact::Kept")]
pub struct Artifact {
    /// Its file name; slashes make folders.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// A release that becomes a version of the registered model with the detector's name. MLflow counts versions itself; ours
/// is the tag `version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// The release.
    pub release: ReleaseName,
    /// Its component's digest.
    pub digest: Digest,
    /// The alias that shall point to it, if one shall.
    pub alias: Option<Alias>,
}

/// What a version is to its detector. Each alias points to one version at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alias {
    /// Pushed, and perhaps promoted one day.
    Candidate,
    /// Active.
    Champion,
}

/// A record that MLflow has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// MLflow's id of the run.
    pub run_id: String,
    /// Where a browser shows it.
    pub url: String,
    /// MLflow's number of the registered version.
    pub model_version: Option<String>,
    /// What MLflow could not take, for instance artifacts that lie where only other clients may write.
    pub warnings: Vec<String>,
}

/// An MLflow server. Nothing is asked of it when it is opened.
#[derive(Debug, Clone)]
pub struct Tracking {
    address: Address,
    client: reqwest::Client,
}

/// Whether a record was tried before, and by which name it is found again.
#[derive(Debug, Clone, Copy)]
struct Attempt<'a> {
    /// The value of the tag `hodoscope.record`, unique to this record.
    key: &'a str,
    /// Whether a run of this record may be there already.
    resumed: bool,
}

impl Tracking {
    /// Checks the address and prepares a client: no proxy, no redirects, no retries. `token` is sent as bearer and wins
    /// over a `user:password@` in the address.
    pub fn open(uri: &str, token: Option<&str>) -> Result<Self, TrackingError> {
        let address = Address::parse(uri, token)?;
        let client = wire::client()?;
        Ok(Self { address, client })
    }

    /// Whether [`Tracking::open`] would take this address; nothing is opened.
    pub fn check(uri: &str) -> Result<(), TrackingError> {
        Address::parse(uri, None).map(drop)
    }

    /// Writes a record, whole or up to an error, within `deadline`. `key` names the record among all others: a later call
    /// with the same key goes on with the same run.
    pub async fn record(
        &self,
        record: &Record,
        key: &str,
        deadline: Duration,
    ) -> Result<Tracked, TrackingError> {
        let until = tokio::time::Instant::now() + deadline;
        let attempt = Attempt { key, resumed: true };
        self.write(record, attempt, until).await
    }

    async fn write(
        &self,
        record: &Record,
        attempt: Attempt<'_>,
        until: tokio::time::Instant,
    ) -> Result<Tracked, TrackingError> {
        let wire = Wire {
            address: &self.address,
            client: &self.client,
            until,
        };
        let experiment = runs::experiment(&wire, &record.experiment).await?;
        let run = runs::open(&wire, &experiment, record, attempt).await?;
        runs::log(&wire, &run, record).await?;
        let mut warnings = runs::put_artifacts(&wire, &run, &record.artifacts).await?;
        if run.own {
            runs::end(&wire, &run, record).await?;
        }
        let mut model_version = None;
        let mut registered = Ok(());
        if let Some(version) = &record.version {
            registered = models::register(&wire, &run, version)
                .await
                .map(|number| model_version = Some(number));
        }
        if let (Ok(()), Some(active)) = (&registered, &record.active) {
            registered = models::follow(&wire, &experiment, &run, active).await;
        }
        match registered {
            // A server without a registry: the run is there, and trying again changes nothing.
            Err(error) if error.is_final() => warnings.push(error.to_string()),
            registered => registered?,
        }
        Ok(Tracked {
            url: self.address.page(&experiment, &run.id),
            run_id: run.id,
            model_version,
            warnings,
        })
    }
}

impl Alias {
    /// The word in MLflow.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Champion => "champion",
        }
    }
}
