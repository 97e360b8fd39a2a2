//! One request to MLflow and its answer, within the deadline of the whole record, with a cap on the answer's length. No
//! proxy, no redirects, no retries: what happens twice is decided where it is known to be harmless.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::TrackingError;
use super::address::Address;

/// The longest answer that is read. One run is a few KiB; with every parameter and tag at its limit it is below 2 MiB.
const ANSWER_LIMIT_BYTES: usize = 4 << 20;
/// The longest message of the server that is passed on, in characters.
const MESSAGE_LIMIT: usize = 300;
/// The longest time for connecting; a host that drops packets shall not use up the whole deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The way to one server for one record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire<'a> {
    pub(super) address: &'a Address,
    pub(super) client: &'a Client,
    pub(super) until: Instant,
}

/// MLflow's form of an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Complaint {
    error_code: String,
    message: String,
}

pub(super) fn client() -> Result<Client, TrackingError> {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("hodoscope/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| TrackingError::Client(causes(&error)))
}

impl Wire<'_> {
    /// Reads; `query` is escaped here.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        step: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, TrackingError> {
        let mut url = self.url(path);
        url.query_pairs_mut().extend_pairs(query);
        self.ask(step, self.client.request(Method::GET, url)).await
    }

    /// Writes, or searches.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        step: &'static str,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, TrackingError> {
        let request = self.client.request(Method::POST, self.url(path));
        self.ask(step, request.json(body)).await
    }

    /// Puts a document to a URL of this server.
    pub(super) async fn put(
        &self,
        step: &'static str,
        url: Url,
        bytes: Bytes,
    ) -> Result<(), TrackingError> {
        let request = self.client.request(Method::PUT, url).body(bytes);
        self.within(step, self.send(step, request)).await.map(drop)
    }

    fn url(&self, path: &str) -> Url {
        let fixed = ["api", "2.0", "mlflow"];
        self.address.join(fixed.into_iter().chain(path.split('/')))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        step: &'static str,
        request: RequestBuilder,
    ) -> Result<T, TrackingError> {
        let body = self.within(step, self.send(step, request)).await?;
        serde_json::from_slice(&body).map_err(|error| TrackingError::Garbled {
            step,
            reason: error.to_string(),
        })
    }

    async fn within<T>(
        &self,
        step: &'static str,
        work: impl Future<Output = Result<T, TrackingError>>,
    ) -> Result<T, TrackingError> {
        let done = timeout_at(self.until, work).await;
        done.unwrap_or(Err(TrackingError::Deadline { step }))
    }

    async fn send(
        &self,
        step: &'static str,
        request: RequestBuilder,
    ) -> Result<Vec<u8>, TrackingError> {
        let request = match self.address.token() {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let broken = |error: reqwest::Error| TrackingError::Connection {
            step,
            unsent: error.is_connect() || error.is_builder(),
            reason: causes(&error.without_url()),
        };
        let answer = request.send().await.map_err(broken)?;
        let status = answer.status();
        let body = read(step, answer).await?.map_err(broken)?;
        if status.is_success() {
            return Ok(body);
        }
        let complaint: Complaint = serde_json::from_slice(&body).unwrap_or_default();
        Err(TrackingError::Refused {
            step,
            status: status.as_u16(),
            code: tidy(&complaint.error_code),
            message: tidy(&complaint.message),
        })
    }
}

/// The body, up to the cap; the inner error is a connection that broke.
async fn read(
    step: &'static str,
    mut answer: Response,
) -> Result<Result<Vec<u8>, reqwest::Error>, TrackingError> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_LIMIT_BYTES => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                return Err(TrackingError::TooLong {
                    step,
                    limit_bytes: ANSWER_LIMIT_BYTES,
                });
            }
            Ok(None) => return Ok(Ok(body)),
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// A text of the server on one line of bounded length.
fn tidy(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(MESSAGE_LIMIT)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// An error with its causes, each once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
