//! Registered models: one for each detector, one version for each release, and the aliases. A version is found by its
//! digest before one is made, so that the same release registered twice is registered once.

use serde::Deserialize;
use serde_json::{Value, json};

use super::batches::Entry;
use super::runs::{self, Run, settled};
use super::wire::Wire;
use super::{TrackingError, Version};

#[derive(Deserialize)]
struct VersionAnswer {
    model_version: VersionText,
}

#[derive(Deserialize)]
struct VersionsAnswer {
    #[serde(default)]
    model_versions: Vec<VersionText>,
}

#[derive(Deserialize)]
struct VersionText {
    version: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// Registers a release and points its alias to it, if it wants one; answers MLflow's number of the version.
pub(super) async fn register(
    wire: &Wire<'_>,
    run: &Run,
    version: &Version,
) -> Result<String, TrackingError> {
    make_model(wire, version).await?;
    let number = match find(wire, version).await? {
        Some(number) => number,
        None => make_version(wire, run, version).await?,
    };
    if let Some(alias) = version.alias {
        let body = json!({
            "name": version.release.detector,
            "alias": alias.as_str(),
            "version": number,
        });
        let _: Value = wire
            .post("set the alias", "registered-models/alias", &body)
            .await?;
    }
    Ok(number)
}

/// Points the alias of a release that became active to it, unless it points there already: the merge of a pull request
/// tells nobody. A release that was never registered is, from the run of its training if there is one.
pub(super) async fn follow(
    wire: &Wire<'_>,
    experiment: &str,
    run: &Run,
    active: &Version,
) -> Result<(), TrackingError> {
    if points(wire, active).await? {
        return Ok(());
    }
    let trained = runs::of_digest(wire, experiment, active.digest).await?;
    register(wire, trained.as_ref().unwrap_or(run), active)
        .await
        .map(drop)
}

/// Whether the alias that this release wants points to it.
async fn points(wire: &Wire<'_>, version: &Version) -> Result<bool, TrackingError> {
    let Some(alias) = version.alias else {
        return Ok(true);
    };
    let query = [
        ("name", version.release.detector.as_str()),
        ("alias", alias.as_str()),
    ];
    let found: Result<VersionAnswer, _> = wire
        .get("read the alias", "registered-models/alias", &query)
        .await;
    match found {
        Ok(found) => Ok(found.model_version.is(version)),
        // There is no such model, or it has no such alias.
        Err(error)
            if error.is_code("RESOURCE_DOES_NOT_EXIST")
                || error.is_code("INVALID_PARAMETER_VALUE") =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

async fn make_model(wire: &Wire<'_>, version: &Version) -> Result<(), TrackingError> {
    let name = version.release.detector.as_str();
    let find = |step| {
        let query = [("name", name)];
        async move {
            wire.get::<Value>(step, "registered-models/get", &query)
                .await
        }
    };
    match find("find the registered model").await {
        Ok(_) => return Ok(()),
        Err(error) if error.is_code("RESOURCE_DOES_NOT_EXIST") => {}
        Err(error) => return Err(error),
    }
    let body = json!({
        "name": name,
        "description": "A detector of Hodoscope. The store holds its releases; `version` and `digest` are tags.",
    });
    let made: Result<Value, _> = wire
        .post(
            "create the registered model",
            "registered-models/create",
            &body,
        )
        .await;
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.is_code("RESOURCE_ALREADY_EXISTS") => Ok(()),
        Err(error) if error.is_ambiguous() => find("find the registered model")
            .await
            .map(drop)
            .map_err(|_| error),
        Err(error) => Err(error),
    }
}

/// The newest version with this release's version and digest.
async fn find(wire: &Wire<'_>, version: &Version) -> Result<Option<String>, TrackingError> {
    let query = [
        (
            "filter",
            format!(
                "name = '{}' and tags.`digest` = '{}'",
                version.release.detector, version.digest
            ),
        ),
        ("max_results", "100".to_owned()),
        ("order_by", "version_number DESC".to_owned()),
    ];
    let query = query.each_ref().map(|(key, value)| (*key, value.as_str()));
    let found: VersionsAnswer = wire
        .get("look for the version", "model-versions/search", &query)
        .await?;
    let mut versions = found.model_versions.into_iter();
    Ok(versions
        .find(|text| text.is(version))
        .map(|text| text.version))
}

impl VersionText {
    /// Whether it is this release.
    fn is(&self, version: &Version) -> bool {
        let has = |key: &str, value: &str| {
            let mut tags = self.tags.iter();
            tags.any(|tag| tag.key == key && tag.value == value)
        };
        has("digest", &version.digest.to_string())
            && has("version", &version.release.version.to_string())
    }
}

async fn make_version(
    wire: &Wire<'_>,
    run: &Run,
    version: &Version,
) -> Result<String, TrackingError> {
    let body = json!({
        "name": version.release.detector,
        "source": run.artifact_uri,
        "run_id": run.id,
        "description": version.release.to_string(),
        "tags": [
            Entry::tag("digest", &version.digest.to_string()),
            Entry::tag("version", &version.release.version.to_string()),
        ],
    });
    let made: Result<VersionAnswer, _> = wire
        .post("create the version", "model-versions/create", &body)
        .await;
    match made {
        Ok(made) => Ok(made.model_version.version),
        Err(error) if error.is_ambiguous() => settled(find(wire, version).await, error),
        Err(error) => Err(error),
    }
}
