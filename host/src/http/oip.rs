//! The Open Inference Protocol v2 over REST, in the protocol's own words: here a detector is a "model". Scores are outputs
//! of one tensor each; the binary tensor data extension is understood both ways.

mod request;
mod response;
mod tensor;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use self::response::Output;
use super::answer;
use super::body;
use super::call::{Chosen, absent};
use super::param::Param;
use super::problem::Problem;
use crate::app::App;
use crate::roster::{Entry, Served};

/// The name of the input tensor with one row per row and one column per feature.
const ROWS: &str = "rows";

/// `GET /v2`
pub(super) async fn server() -> Result<Response, Problem> {
    answer::value(&json!({
        "name": "hodoscope",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "model_repository"],
    }))
}

/// `GET /v2/health/live`
pub(super) async fn live() -> Result<Response, Problem> {
    answer::value(&json!({ "live": true }))
}

/// `GET /v2/health/ready`
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let ready = app.is_ready();
    let mut response = answer::value(&json!({ "live": true, "ready": ready }))?;
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

/// `GET /v2/models/{name}`
pub(super) async fn model(
    State(app): State<Arc<App>>,
    Param(name): Param<String>,
) -> Result<Response, Problem> {
    metadata(&app, &name, None)
}

/// `GET /v2/models/{name}/versions/{version}`
pub(super) async fn model_version(
    State(app): State<Arc<App>>,
    Param((name, version)): Param<(String, String)>,
) -> Result<Response, Problem> {
    metadata(&app, &name, Some(&version))
}

/// `GET /v2/models/{name}/ready`
pub(super) async fn model_ready(
    State(app): State<Arc<App>>,
    Param(name): Param<String>,
) -> Result<Response, Problem> {
    find(&app, &name, None)?;
    answer::value(&json!({ "name": name, "ready": true }))
}

/// `GET /v2/models/{name}/versions/{version}/ready`
pub(super) async fn model_version_ready(
    State(app): State<Arc<App>>,
    Param((name, version)): Param<(String, String)>,
) -> Result<Response, Problem> {
    find(&app, &name, Some(&version))?;
    answer::value(&json!({ "name": name, "ready": true }))
}

/// `POST /v2/models/{name}/infer`
pub(super) async fn infer(
    State(app): State<Arc<App>>,
    Param(name): Param<String>,
    request: Request,
) -> Result<Response, Problem> {
    answer_infer(&app, &name, None, request).await
}

/// `POST /v2/models/{name}/versions/{version}/infer`
pub(super) async fn infer_version(
    State(app): State<Arc<App>>,
    Param((name, version)): Param<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    answer_infer(&app, &name, Some(&version), request).await
}

async fn answer_infer(
    app: &App,
    name: &str,
    version: Option<&str>,
    request: Request,
) -> Result<Response, Problem> {
    let chosen = Chosen::new(app, name, version, request.headers())?;
    chosen.end(run(app, &chosen, request).await)
}

async fn run(app: &App, chosen: &Chosen, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    body::refuse_encoding(&head.headers)?;
    let header_length = request::header_length(&head.headers)?;
    let body = body::read(app, &head.headers, body).await?;
    let asked = request::parse(&body, header_length, &chosen.served)?;
    let explain = asked
        .outputs
        .iter()
        .any(|wanted| wanted.output == Output::Explanation);
    let answer = chosen.run(app, asked.batch, explain).await?;
    let id = asked.id.as_deref();
    response::write(&chosen.served, &answer, &asked.outputs, id)
}

fn find(
    app: &App,
    name: &str,
    version: Option<&str>,
) -> Result<(Arc<Entry>, Arc<Served>), Problem> {
    let roster = app.roster.now();
    let entry = roster.find(name).map_err(|absence| absent(name, absence))?;
    let served = match version {
        Some(version) => entry.version(version),
        None => entry
            .running
            .as_ref()
            .ok_or(crate::roster::Absence::NotReady(entry.why())),
    };
    let served = served.map_err(|absence| absent(name, absence))?;
    Ok((entry.clone(), served.clone()))
}

fn metadata(app: &App, name: &str, version: Option<&str>) -> Result<Response, Problem> {
    let (entry, served) = find(app, name, version)?;
    let versions: Vec<String> = entry
        .in_use()
        .map(|s| s.release.version.to_string())
        .collect();
    let width = served.columns.len();
    let outputs: Vec<Value> = Output::of(&served)
        .map(|output| {
            let shape = if output == Output::Explanation {
                json!([-1, width])
            } else {
                json!([-1])
            };
            json!({ "name": output.name(), "datatype": output.datatype(), "shape": shape })
        })
        .collect();
    let features: Vec<&str> = served.columns.names().collect();
    let body = json!({
        "name": name,
        "versions": versions,
        "platform": "hodoscope",
        "inputs": [{ "name": ROWS, "datatype": "FP64", "shape": [-1, width], "parameters": { "features": features } }],
        "outputs": outputs,
        "parameters": { "release": served.release.to_string(), "digest": served.digest(), "threshold": served.threshold },
    });
    answer::value(&body)
}
