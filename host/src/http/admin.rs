//! What the admin port tells without a token: metrics and the roster.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::answer;
use super::problem::Problem;
use crate::app::App;
use crate::roster::{Entry, Standing};
use crate::telemetry::RosterLine;

/// `GET /metrics`
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let roster = app.roster.now();
    let mut lines: Vec<RosterLine<'_>> =
        roster.detectors.values().map(|entry| line(entry)).collect();
    if let Some(capture) = &app.capture {
        for line in &mut lines {
            line.verdict = Some(capture.verdicts.line(line.detector, capture.now_ms()));
        }
    }
    let engine = app.engine.stats();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    app.telemetry.pool_waiting.set(count(engine.waiting));
    app.telemetry.pool_busy.set(count(engine.pool_busy));
    let text = app.telemetry.render(&lines).map_err(Problem::internal)?;
    let mut response = Response::new(text.into());
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// `GET /roster`
pub(super) async fn roster(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    answer::value(&app.roster.now().view())
}

fn line(entry: &Entry) -> RosterLine<'_> {
    let wanted = entry.wanted.as_ref().filter(|wanted| !wanted.retired);
    let wanted = wanted.map(|wanted| {
        (
            wanted.active.version.to_string(),
            wanted.active.digest.to_string(),
        )
    });
    let running = entry.running.as_ref();
    RosterLine {
        detector: &entry.name,
        wanted,
        running: running.map(|served| {
            (
                served.release.version.to_string(),
                served.digest().to_string(),
            )
        }),
        fallback: entry.standing == Standing::Fallback,
        verdict: None,
        releases: entry
            .in_use()
            .map(|served| (served.release.version.clone(), served.detector.stats()))
            .collect(),
    }
}
