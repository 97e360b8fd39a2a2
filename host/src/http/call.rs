//! One scoring call: choose the release, run the engine where it should run, count, and offer a copy to the shadow.

use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, HeaderValue};
use hodoscope_engine::{Answer, Batch, Call, Deadline, Fault};
use tokio::sync::oneshot;

use super::front::REQUEST_ID;
use super::problem::{Code, Problem};
use crate::app::App;
use crate::capture::{Capture, Taken, Tap};
use crate::roster::{Absence, Entry, Served};

/// The header by whose value a canary's callers are chosen.
const KEY: &str = "x-hodoscope-key";

/// The release that answers a request, and since when.
pub(super) struct Chosen {
    pub(super) served: Arc<Served>,
    entry: Arc<Entry>,
    /// The request's id, if its rows are captured.
    id: Option<HeaderValue>,
    started: Instant,
}

/// What is captured of one call.
struct Captured<'a> {
    capture: &'a Capture,
    tap: &'a Tap,
    id: &'a HeaderValue,
    taken: Taken,
}

impl Chosen {
    /// The release of a detector that answers this request; with a version, that one.
    pub(super) fn new(
        app: &App,
        name: &str,
        version: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let started = Instant::now();
        let roster = app.roster.now();
        let entry = roster.find(name).map_err(|absence| absent(name, absence))?;
        let served = match version {
            Some(version) => entry
                .version(version)
                .map_err(|absence| absent(name, absence))?,
            None => match headers.get(KEY) {
                Some(key) => entry.choose(key.as_bytes()),
                None if entry.canary.is_none() => entry.running.as_ref(),
                None => entry.choose(&app.ids.some_key()),
            }
            .ok_or_else(|| absent(name, Absence::NotReady(entry.why())))?,
        };
        Ok(Self {
            served: served.clone(),
            entry: entry.clone(),
            id: served.tap.as_ref().and(headers.get(&REQUEST_ID).cloned()),
            started,
        })
    }

    /// Runs a call: on this thread if it is short, in the engine's pool if it may not be.
    pub(super) async fn run(
        &self,
        app: &App,
        batch: Batch,
        explain: bool,
    ) -> Result<Answer, Problem> {
        let detector = &self.served.detector;
        if explain && !detector.explains() {
            return Err(Problem::new(
                Code::NotExplained,
                format!(
                    "{} does not explain; ask for scores only",
                    self.served.release
                ),
            ));
        }
        let asked = Instant::now();
        let deadline = Deadline::at(asked + app.http.deadline);
        let shadow = self.entry.shadow.as_ref().filter(|_| self.is_running());
        let copy = shadow.map(|shadow| (shadow, batch.clone()));
        let captured = self.captured(app, &batch);
        let answer = if !detector.runs_inline(batch.rows()) {
            self.pooled(Call {
                batch,
                explain,
                deadline,
            })
            .await
        } else if explain {
            detector.explain(&batch, deadline).map(Answer::Explanation)
        } else {
            detector.score(&batch, deadline).map(Answer::Scores)
        };
        let answer = answer?;
        let meters = &self.served.meters;
        meters.score_seconds.observe(asked.elapsed().as_secs_f64());
        let scores = answer.scores();
        let anomalies = self.served.count_anomalies(scores);
        meters.answered(scores, anomalies);
        if let Some(Captured {
            capture,
            tap,
            id,
            taken,
        }) = captured
        {
            capture.record(tap, taken, id, scores, anomalies);
        }
        if let Some((shadow, batch)) = copy {
            app.shadows.offer(shadow, &self.served, batch, scores);
        }
        Ok(answer)
    }

    /// Copies the rows that are to be captured, before the engine takes the batch.
    fn captured<'a>(&'a self, app: &'a App, batch: &Batch) -> Option<Captured<'a>> {
        let (capture, tap) = (app.capture.as_deref()?, self.served.tap.as_deref()?);
        let id = self.id.as_ref()?;
        Some(Captured {
            taken: capture.take(tap, id, batch),
            capture,
            tap,
            id,
        })
    }

    async fn pooled(&self, call: Call) -> Result<Answer, Fault> {
        let (reply, answer) = oneshot::channel();
        let reply = Box::new(move |answer| drop(reply.send(answer)));
        self.served.detector.submit(call, reply)?;
        answer.await.unwrap_or(Err(Fault::Stopped))
    }

    fn is_running(&self) -> bool {
        let running = self.entry.running.as_ref();
        running.is_some_and(|running| Arc::ptr_eq(running, &self.served))
    }

    /// Ends the request: its time, and if it failed, why.
    pub(super) fn end<T>(&self, outcome: Result<T, Problem>) -> Result<T, Problem> {
        let meters = &self.served.meters;
        meters
            .request_seconds
            .observe(self.started.elapsed().as_secs_f64());
        outcome.map_err(|mut problem| {
            meters.failed(problem.code.as_str());
            problem.counted = true;
            problem
        })
    }
}

/// The problem of a detector or version that is not served.
pub(super) fn absent(name: &str, absence: Absence) -> Problem {
    let name: String = name.chars().take(100).collect();
    match absence {
        Absence::Detector(known) => Problem::new(
            Code::UnknownDetector,
            format!("unknown detector `{name}`; served are: {}", told(&known)),
        )
        .with("known", known),
        Absence::Retired => Problem::new(
            Code::UnknownDetector,
            format!("detector `{name}` is retired; promote a release to bring it back"),
        ),
        Absence::Version(known) => Problem::new(
            Code::UnknownVersion,
            format!(
                "this version of `{name}` is not served; served are: {}",
                told(&known)
            ),
        )
        .with("known", known),
        Absence::NotReady(reason) => {
            let mut problem = Problem::new(
                Code::NotReady,
                format!("detector `{name}` is not ready: {reason}"),
            );
            problem.retry_after = Some(std::time::Duration::from_secs(1));
            problem
        }
    }
}

fn told(known: &[String]) -> String {
    match known.split_at_checked(20) {
        _ if known.is_empty() => "none".to_owned(),
        Some((first, more)) if !more.is_empty() => format!("{}, …", first.join(", ")),
        _ => known.join(", "),
    }
}
