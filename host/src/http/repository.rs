//! Triton's model repository extension: the index for everyone, load and unload for the operator. The channel decides
//! what is served, so load only checks the pinned release again, and unload is refused; both act freely with `--dev`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::response::Response;
use hodoscope_release::{DetectorName, Pin, ReleaseName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::param::{Operator, Param};
use super::problem::{Code, Problem};
use super::{answer, body};
use crate::app::App;
use crate::follow::LoadError;
use crate::roster::{Entry, Standing, State as Readiness};
use crate::tasks;

#[derive(Debug, Default, Deserialize)]
struct IndexRequest {
    #[serde(default)]
    ready: bool,
}

#[derive(Debug, Default, Deserialize)]
struct LoadRequest {
    #[serde(default)]
    parameters: serde_json::Map<String, Value>,
}

/// `POST /v2/repository/index`
pub(super) async fn index(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Problem> {
    let asked: IndexRequest = optional(&app, request).await?;
    let roster = app.roster.now();
    let lines = roster.detectors.values().flat_map(|entry| lines(entry));
    let shown: Vec<Value> = lines
        .filter(|line| !asked.ready || line["state"] == "READY")
        .collect();
    answer::value(&shown)
}

/// `POST /v2/repository/models/{name}/load`
pub(super) async fn load(
    _operator: Operator,
    State(app): State<Arc<App>>,
    Param(name): Param<DetectorName>,
    request: Request,
) -> Result<Response, Problem> {
    let asked: LoadRequest = optional(&app, request).await?;
    let pin = match asked.parameters.get("version").and_then(Value::as_str) {
        Some(version) => Some(dev_pin(&app, &name, version).await?),
        None => None,
    };
    // In a task of its own: a caller that goes away does not leave a load half done.
    let work = async move {
        let mut follower = app.follower.lock().await;
        match pin {
            Some(pin) => follower.overrule(&name, Some(pin), Instant::now()).await,
            None => follower.reload(&name, Instant::now()).await,
        }
    };
    tasks::start(work)
        .await
        .map_err(Problem::internal)?
        .map_err(not_loaded)?;
    answer::value(&json!({}))
}

/// `POST /v2/repository/models/{name}/unload`
pub(super) async fn unload(
    _operator: Operator,
    State(app): State<Arc<App>>,
    Param(name): Param<DetectorName>,
    request: Request,
) -> Result<Response, Problem> {
    let _: LoadRequest = optional(&app, request).await?;
    let known = app.roster.now().find(name.as_str()).map(|_| ());
    known.map_err(|absence| super::call::absent(name.as_str(), absence))?;
    if !app.http.dev {
        return Err(channel_owned(&name));
    }
    let work = async move {
        app.follower
            .lock()
            .await
            .overrule(&name, None, Instant::now())
            .await
    };
    tasks::start(work)
        .await
        .map_err(Problem::internal)?
        .map_err(not_loaded)?;
    answer::value(&json!({}))
}

/// The pin of a version that an operator names, which only `--dev` allows.
async fn dev_pin(app: &App, name: &DetectorName, version: &str) -> Result<Pin, Problem> {
    if !app.http.dev {
        return Err(channel_owned(name));
    }
    let release = ReleaseName::new(name.clone(), version)
        .map_err(|error| Problem::new(Code::Malformed, error.to_string()))?;
    let index = match app.source.store().await {
        Ok(store) => store.index(&release).await,
        Err(error) => Err(error),
    };
    let entry = index.map_err(|error| not_loaded(LoadError::Source(Box::new(error.into()))))?;
    Ok(Pin::from(&entry))
}

fn channel_owned(name: &DetectorName) -> Problem {
    Problem::new(
        Code::ChannelOwned,
        format!(
            "the channel decides what is served of `{name}`: use `hodoscope promote`, `rollback` or `retire`, or start \
             the host with --dev"
        ),
    )
}

fn not_loaded(error: LoadError) -> Problem {
    let code = match &error {
        LoadError::NotWanted(_) => Code::UnknownDetector,
        LoadError::Refused(_) => Code::ComponentRefused,
        LoadError::Source(source) if source.is_worth_a_retry() => Code::StoreUnavailable,
        LoadError::Source(_) => Code::NotLoadable,
        LoadError::Panicked => return Problem::internal(error),
    };
    Problem::new(code, error.to_string()).with("reason", error.kind())
}

/// A body that may be left out.
async fn optional<T: Default + serde::de::DeserializeOwned>(
    app: &App,
    request: Request,
) -> Result<T, Problem> {
    let (head, body) = request.into_parts();
    let body = body::read(app, &head.headers, body).await?;
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&body)
        .map_err(|error| Problem::new(Code::Malformed, format!("malformed JSON: {error}")))
}

/// A detector's lines: each wanted release, and what answers if that is another.
fn lines(entry: &Entry) -> Vec<Value> {
    let name = &entry.name;
    let mut lines: Vec<Value> = Vec::new();
    if let Some(served) = &entry.running {
        let standing = match entry.standing {
            Standing::Wanted => None,
            Standing::Fallback => Some("FALLBACK: "),
            Standing::Kept | Standing::Vanished => Some(""),
        };
        let reason = standing.map(|standing| format!("{standing}{}", entry.why()));
        let version = &served.release.version;
        lines.push(json!({ "name": name, "version": version, "state": Readiness::Ready, "reason": reason.unwrap_or_default() }));
    }
    let running = entry.running.as_ref().map(|served| served.pin());
    for release in entry
        .releases
        .iter()
        .filter(|release| Some(&release.pin) != running.as_ref())
    {
        let reason = release.reason.clone().unwrap_or_default();
        lines.push(json!({ "name": name, "version": release.pin.version, "state": release.state, "reason": reason }));
    }
    if lines.is_empty() {
        lines.push(
            json!({ "name": name, "version": "", "state": entry.state(), "reason": entry.why() }),
        );
    }
    lines
}
