//! Experiments and runs. Creating an experiment may lose a race, and any create may happen without an answer: both end in
//! reading what is there, and a run is found again by a tag that it was created with.

use bytes::Bytes;
use hodoscope_release::Digest;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::batches::{Batch, Entry, batches, tags};
use super::wire::Wire;
use super::{Artifact, Attempt, Outcome, Record, RunChoice, TrackingError};

/// The tag by which a record's run is found again.
const RECORD_TAG: &str = "hodoscope.record";
/// The scheme of artifacts that the tracking server itself takes.
const PROXIED: &str = "mlflow-artifacts";
/// The path of that part of the server.
const PROXY_PATH: [&str; 4] = ["api", "2.0", "mlflow-artifacts", "artifacts"];

/// A run that is there.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: String,
    /// Where its artifacts lie, as MLflow says it.
    pub(super) artifact_uri: String,
    /// Whether this record made it, and so ends it.
    pub(super) own: bool,
}

#[derive(Deserialize)]
struct ExperimentAnswer {
    experiment: Experiment,
}

#[derive(Deserialize)]
struct Experiment {
    experiment_id: String,
    #[serde(default)]
    lifecycle_stage: String,
}

#[derive(Deserialize)]
struct Created {
    experiment_id: String,
}

#[derive(Deserialize)]
struct RunAnswer {
    run: RunText,
}

#[derive(Deserialize)]
struct RunsAnswer {
    #[serde(default)]
    runs: Vec<RunText>,
}

#[derive(Deserialize)]
struct RunText {
    info: RunInfo,
}

#[derive(Deserialize)]
struct RunInfo {
    run_id: String,
    #[serde(default)]
    artifact_uri: String,
}

/// The id of the experiment with this name; it is made if it is not there.
pub(super) async fn experiment(wire: &Wire<'_>, name: &str) -> Result<String, TrackingError> {
    if let Some(id) = find_experiment(wire, name).await? {
        return Ok(id);
    }
    let body = json!({ "name": name });
    let made: Result<Created, _> = wire
        .post("create the experiment", "experiments/create", &body)
        .await;
    match made {
        Ok(made) => Ok(made.experiment_id),
        Err(error) if error.is_code("RESOURCE_ALREADY_EXISTS") || error.is_ambiguous() => {
            settled(find_experiment(wire, name).await, error)
        }
        Err(error) => Err(error),
    }
}

async fn find_experiment(wire: &Wire<'_>, name: &str) -> Result<Option<String>, TrackingError> {
    let query = [("experiment_name", name)];
    let found: Result<ExperimentAnswer, _> = wire
        .get("find the experiment", "experiments/get-by-name", &query)
        .await;
    match found {
        Ok(found) if found.experiment.lifecycle_stage == "deleted" => {
            Err(TrackingError::Deleted(name.to_owned()))
        }
        Ok(found) => Ok(Some(found.experiment.experiment_id)),
        Err(error) if error.is_code("RESOURCE_DOES_NOT_EXIST") => Ok(None),
        Err(error) => Err(error),
    }
}

/// The record's run: one that an earlier attempt made, one with the same digest if the record wants that, or a new one.
pub(super) async fn open(
    wire: &Wire<'_>,
    experiment: &str,
    record: &Record,
    attempt: Attempt<'_>,
) -> Result<Run, TrackingError> {
    if attempt.resumed
        && let Some(run) = find(wire, experiment, RECORD_TAG, attempt.key).await?
    {
        return Ok(Run { own: true, ..run });
    }
    if let (RunChoice::OfDigest, Some(digest)) = (record.run, record.digest)
        && let Some(run) = of_digest(wire, experiment, digest).await?
    {
        return Ok(run);
    }
    let mut tags = tags(record);
    // The others follow with the batches; a create takes few.
    tags.retain(|tag| ["digest", "mlflow.source.name"].contains(&tag.key.as_str()));
    tags.push(Entry::tag(RECORD_TAG, attempt.key));
    let body = json!({
        "experiment_id": experiment,
        "run_name": record.run_name,
        "start_time": record.started_ms,
        "tags": tags,
    });
    let made: Result<RunAnswer, _> = wire.post("create the run", "runs/create", &body).await;
    match made {
        Ok(made) => Ok(made.run.into_run(true)),
        Err(error) if error.is_ambiguous() => {
            let found = find(wire, experiment, RECORD_TAG, attempt.key).await;
            Ok(Run {
                own: true,
                ..settled(found, error)?
            })
        }
        Err(error) => Err(error),
    }
}

/// The newest run about this component.
pub(super) async fn of_digest(
    wire: &Wire<'_>,
    experiment: &str,
    digest: Digest,
) -> Result<Option<Run>, TrackingError> {
    find(wire, experiment, "digest", &digest.to_string()).await
}

/// What a look after an ambiguous create found, or else why the create failed.
pub(super) fn settled<T>(
    found: Result<Option<T>, TrackingError>,
    error: TrackingError,
) -> Result<T, TrackingError> {
    found.ok().flatten().ok_or(error)
}

/// The newest run of an experiment with this tag.
async fn find(
    wire: &Wire<'_>,
    experiment: &str,
    tag: &str,
    value: &str,
) -> Result<Option<Run>, TrackingError> {
    let body = json!({
        "experiment_ids": [experiment],
        "filter": format!("tags.`{tag}` = '{value}'"),
        "max_results": 1,
        "order_by": ["attributes.start_time DESC"],
    });
    let found: RunsAnswer = wire.post("look for the run", "runs/search", &body).await?;
    Ok(found.runs.into_iter().next().map(|run| run.into_run(false)))
}

/// Logs parameters, metrics and tags. Sending the same again changes nothing.
pub(super) async fn log(wire: &Wire<'_>, run: &Run, record: &Record) -> Result<(), TrackingError> {
    #[derive(Serialize)]
    struct Body<'a> {
        run_id: &'a str,
        #[serde(flatten)]
        batch: &'a Batch,
    }
    for batch in &batches(record) {
        let body = Body {
            run_id: &run.id,
            batch,
        };
        let _: Value = wire
            .post("log figures to the run", "runs/log-batch", &body)
            .await?;
    }
    Ok(())
}

/// Puts artifacts by way of the server. What it does not take is told, and no error: the figures are worth having alone.
pub(super) async fn put_artifacts(
    wire: &Wire<'_>,
    run: &Run,
    artifacts: &[Artifact],
) -> Result<Vec<String>, TrackingError> {
    if artifacts.is_empty() {
        return Ok(Vec::new());
    }
    let Some(folder) = proxied(wire, &run.artifact_uri) else {
        let scheme = run.artifact_uri.split(':').next().unwrap_or_default();
        return Ok(vec![format!(
            "artifacts are not in MLflow: the experiment keeps them at `{scheme}:`, past the server; start it with \
             `--artifacts-destination`, and use a new experiment"
        )]);
    };
    for Artifact { name, bytes } in artifacts {
        put(wire, &folder, name, bytes.clone()).await?;
    }
    Ok(Vec::new())
}

async fn put(wire: &Wire<'_>, folder: &Url, name: &str, bytes: Bytes) -> Result<(), TrackingError> {
    let mut url = folder.clone();
    let parts = name
        .split('/')
        .filter(|part| !["", ".", ".."].contains(part));
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
    wire.put("put an artifact", url, bytes).await
}

/// The URL below which the server takes this run's artifacts; `None` if they lie elsewhere, where our credentials must
/// not be sent.
fn proxied(wire: &Wire<'_>, artifact_uri: &str) -> Option<Url> {
    let uri = Url::parse(artifact_uri).ok()?;
    let segments = uri.path().split('/').filter(|segment| !segment.is_empty());
    match uri.scheme() {
        // `mlflow-artifacts:/…` means this server, and `mlflow-artifacts://host/…` that one.
        PROXIED if uri.host_str().is_none_or(str::is_empty) => {
            Some(wire.address.join(PROXY_PATH.into_iter().chain(segments)))
        }
        PROXIED if wire.address.is_named(&uri) => {
            Some(wire.address.join(PROXY_PATH.into_iter().chain(segments)))
        }
        "http" | "https" if wire.address.is_host_of(&uri) => Some(wire.address.on_host(&uri)),
        _ => None,
    }
}

/// Ends the record's own run.
pub(super) async fn end(wire: &Wire<'_>, run: &Run, record: &Record) -> Result<(), TrackingError> {
    let status = match record.outcome {
        Outcome::Finished => "FINISHED",
        Outcome::Failed => "FAILED",
    };
    let body = json!({ "run_id": run.id, "status": status, "end_time": record.ended_ms });
    let _: Value = wire.post("end the run", "runs/update", &body).await?;
    Ok(())
}

impl RunText {
    fn into_run(self, own: bool) -> Run {
        Run {
            id: self.info.run_id,
            artifact_uri: self.info.artifact_uri,
            own,
        }
    }
}
