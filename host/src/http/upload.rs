//! Taking a release: streamed into a file while it is hashed, capped, gated, and only then put into the store. An upload
//! never changes what is served; the answer is the conformance report.

use std::io::Write as _;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use hodoscope_engine::{Refusal, Report};
use hodoscope_registry::{Pushed, StoreError};
use hodoscope_release::{DetectorName, Digest, ReleaseName};
use http_body_util::BodyExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::param::{Operator, Param};
use super::problem::{Code, Problem};
use super::{answer, body};
use crate::app::App;
use crate::tasks;

/// `PUT /v1/detectors/{name}/versions/{version}`
pub(super) async fn upload(
    _operator: Operator,
    State(app): State<Arc<App>>,
    Param((name, version)): Param<(DetectorName, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let outcome = take(&app, name, &version, request).await;
    let word = match &outcome {
        Ok((_, Pushed::Created)) => "created",
        Ok((_, Pushed::Unchanged)) => "unchanged",
        Err(problem) => problem.code.as_str(),
    };
    app.telemetry.uploads.with_label_values(&[word]).inc();
    let (mut response, pushed) = outcome?;
    if pushed == Pushed::Created {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

async fn take(
    app: &Arc<App>,
    name: DetectorName,
    version: &str,
    request: Request,
) -> Result<(Response, Pushed), Problem> {
    if !app.http.accept_uploads {
        return Err(Problem::new(
            Code::UploadsOff,
            "uploads are off; start the host with --accept-uploads, or use `hodoscope push`",
        ));
    }
    let release = ReleaseName::new(name, version)
        .map_err(|error| Problem::new(Code::Malformed, error.to_string()))?;
    let (head, body) = request.into_parts();
    body::refuse_encoding(&head.headers)?;
    body::refuse_length(&head.headers, app.component_limit_bytes)?;
    let _room = app.uploads.try_acquire().map_err(|_| busy())?;
    let (bytes, digest) = receive(app, body).await?;
    let report = gate(app, bytes.clone())
        .await?
        .map_err(|refusal| refused(&refusal))?;
    let store = app
        .source
        .store()
        .await
        .map_err(|error| not_stored(&error))?;
    let pushed = store
        .push(&release, bytes, Vec::new())
        .await
        .map_err(|error| not_stored(&error))?;
    let answered = json!({
        "release": release,
        "digest": digest,
        "outcome": if pushed == Pushed::Created { "created" } else { "unchanged" },
        "report": report,
    });
    Ok((answer::value(&answered)?, pushed))
}

/// The body, by way of a file: many slow uploads do not fill the memory.
async fn receive(app: &App, mut body: Body) -> Result<(Bytes, Digest), Problem> {
    let limit = app.component_limit_bytes;
    let scratch = app.scratch.clone();
    let open = move || {
        std::fs::create_dir_all(&scratch)?;
        NamedTempFile::new_in(&scratch)
    };
    let mut file = blocking(open).await?;
    let mut hash = Sha256::new();
    let mut length = 0;
    while let Some(frame) = next_frame(app, &mut body).await? {
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length > limit {
            return Err(body::too_large(limit));
        }
        hash.update(&data);
        file = blocking(move || file.write_all(&data).map(|()| file)).await?;
    }
    let bytes = blocking(move || std::fs::read(file.path())).await?;
    let digest = Digest::from_bytes(hash.finalize().into());
    if Digest::of(&bytes) != digest {
        return Err(Problem::internal(
            "the disk gave back other bytes than were written",
        ));
    }
    Ok((bytes.into(), digest))
}

/// The next piece of the body; it may be slow as a whole, but no piece may.
async fn next_frame(
    app: &App,
    body: &mut Body,
) -> Result<Option<hyper::body::Frame<Bytes>>, Problem> {
    match tokio::time::timeout(app.http.read_timeout, body.frame()).await {
        Ok(frame) => frame.transpose().map_err(body::broken_off),
        Err(_) => Err(Problem::new(
            Code::ReadTimeout,
            format!(
                "nothing of the body arrived for {:?}",
                app.http.read_timeout
            ),
        )),
    }
}

async fn gate(app: &Arc<App>, bytes: Bytes) -> Result<Result<Report, Refusal>, Problem> {
    let engine = app.engine.clone();
    let work = move || {
        engine
            .load(&bytes)
            .map(|detector| detector.report().clone())
    };
    tasks::blocking(work)
        .await
        .ok_or_else(|| Problem::internal("the gate panicked"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    match tasks::blocking(work).await {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(Problem::internal(format_args!(
            "failed to keep an upload on disk: {error}"
        ))),
        None => Err(Problem::internal("keeping an upload on disk panicked")),
    }
}

fn busy() -> Problem {
    let mut problem = Problem::new(
        Code::Busy,
        "as many uploads as may are being checked; try again",
    );
    problem.retry_after = Some(std::time::Duration::from_secs(2));
    problem
}

fn refused(refusal: &Refusal) -> Problem {
    Problem::new(
        Code::ComponentRefused,
        format!("the gate refuses it: {refusal}"),
    )
    .with("reason", refusal.kind().as_str())
    .with("found", refusal.found.clone())
    .with("supported", refusal.supported.clone())
    .with("fix", refusal.fix.clone())
    .with(
        "report",
        serde_json::to_value(&refusal.report).unwrap_or_default(),
    )
}

fn not_stored(error: &StoreError) -> Problem {
    let code = match error {
        StoreError::Taken { .. } | StoreError::DocumentTaken { .. } => Code::VersionTaken,
        _ => Code::StoreUnavailable,
    };
    Problem::new(code, error.to_string()).with("reason", error.kind())
}
