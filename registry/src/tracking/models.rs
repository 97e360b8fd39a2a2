//! Registered models: one for each detector, one version for each release, and the aliases. A version is found by its
//! digest before one is made, so that the same release registered twice is registered once.

use serde::Deserialize;
use serde_json::{Value, json};

use super::batches::Entry;
use super::runs::{Run, settled};
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
    let digest = version.digest.to_string();
    let said = version.release.version.to_string();
    let query = [
        (
            "filter",
            format!(
                "name = '{}' and tags.`digest` = '{digest}'",
                version.release.detector
            ),
        ),
        ("max_results", "100".to_owned()),
        ("order_by", "version_number DESC".to_owned()),
    ];
    let query = query.each_ref().map(|(key, value)| (*key, value.as_str()));
    let found: VersionsAnswer = wire
        .get("look for the version", "model-versions/search", &query)
        .await?;
    let has = |text: &VersionText, key: &str, value: &str| {
        text.tags
            .iter()
            .any(|tag| tag.key == key && tag.value == value)
    };
    let same = |text: &VersionText| has(text, "digest", &digest) && has(text, "version", &said);
    Ok(found
        .model_versions
        .into_iter()
        .find(same)
        .map(|text| text.version))
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
