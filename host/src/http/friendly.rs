//! The friendly routes: rows of named features in, scores out; and what can be scored.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use hodoscope_engine::Batch;
use serde_json::{Value, json};

use super::answer;
use super::body::{self, Format};
use super::call::{Chosen, absent};
use super::param::{Param, flag};
use super::problem::Problem;
use super::rows::{binary, csv, json as json_rows, ndjson};
use crate::app::App;
use crate::columns::Columns;
use crate::roster::{Entry, Served};

/// `POST /v1/detectors/{name}/score`
pub(super) async fn score(
    State(app): State<Arc<App>>,
    Param(name): Param<String>,
    request: Request,
) -> Result<Response, Problem> {
    answer_score(&app, &name, None, request).await
}

/// `POST /v1/detectors/{name}/versions/{version}/score`
pub(super) async fn score_version(
    State(app): State<Arc<App>>,
    Param((name, version)): Param<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    answer_score(&app, &name, Some(&version), request).await
}

/// `GET /v1/detectors`
pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let roster = app.roster.now();
    let detectors: Vec<Value> = roster.detectors.values().map(|entry| line(entry)).collect();
    answer::value(&json!({ "detectors": detectors }))
}

/// `GET /v1/detectors/{name}`
pub(super) async fn describe(
    State(app): State<Arc<App>>,
    Param(name): Param<String>,
) -> Result<Response, Problem> {
    let roster = app.roster.now();
    let entry = roster
        .find(&name)
        .map_err(|absence| absent(&name, absence))?;
    match &entry.running {
        Some(served) => answer::value(&description(entry, served)),
        None => answer::value(&line(entry)),
    }
}

/// `GET /v1/detectors/{name}/versions/{version}`
pub(super) async fn describe_version(
    State(app): State<Arc<App>>,
    Param((name, version)): Param<(String, String)>,
) -> Result<Response, Problem> {
    let roster = app.roster.now();
    let entry = roster
        .find(&name)
        .map_err(|absence| absent(&name, absence))?;
    let served = entry
        .version(&version)
        .map_err(|absence| absent(&name, absence))?;
    answer::value(&description(entry, served))
}

async fn answer_score(
    app: &App,
    name: &str,
    version: Option<&str>,
    request: Request,
) -> Result<Response, Problem> {
    let explain = flag(request.uri().query(), "explain")?;
    let chosen = Chosen::new(app, name, version, request.headers())?;
    chosen.end(run(app, &chosen, explain, request).await)
}

async fn run(
    app: &App,
    chosen: &Chosen,
    explain: bool,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let format = Format::of(&head.headers)?;
    let body = body::read(app, &head.headers, body).await?;
    let batch = parse(format, &head.headers, &body, &chosen.served.columns)?;
    let answer = chosen.run(app, batch, explain).await?;
    Ok(answer::scored(&chosen.served, &answer))
}

fn parse(
    format: Format,
    headers: &HeaderMap,
    body: &[u8],
    columns: &Columns,
) -> Result<Batch, Problem> {
    match format {
        Format::Json => json_rows::parse(body, columns),
        Format::Ndjson => ndjson::parse(body, columns),
        Format::Csv => csv::parse(body, columns),
        Format::Binary => {
            let values = headers
                .get("x-hodoscope-values")
                .map(|value| value.as_bytes());
            binary::parse(body, binary::Width::named(values)?, columns)
        }
    }
}

/// A detector in the list.
fn line(entry: &Entry) -> Value {
    let running = entry.running.as_ref();
    json!({
        "name": entry.name,
        "state": entry.state(),
        "reason": entry.reason,
        "release": running.map(|served| served.release.to_string()),
        "digest": running.map(|served| served.digest()),
        "versions": entry.in_use().map(|served| served.release.version.to_string()).collect::<Vec<_>>(),
    })
}

/// A release in full.
fn description(entry: &Entry, served: &Served) -> Value {
    let description = served.detector.description();
    let metadata: serde_json::Map<String, Value> = description
        .metadata
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    json!({
        "name": entry.name,
        "state": entry.state(),
        "reason": entry.reason,
        "release": served.release.to_string(),
        "digest": served.digest(),
        "versions": entry.in_use().map(|served| served.release.version.to_string()).collect::<Vec<_>>(),
        "features": description.features,
        "threshold": served.threshold,
        "explains": served.detector.explains(),
        "calibrated": served.calibration.is_some(),
        "trusted": served.detector.trusted(),
        "unproven": served.detector.unproven(),
        "metadata": metadata,
    })
}
