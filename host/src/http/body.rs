//! Reading a body: capped, in time, in one of the formats that we read.

use std::pin::pin;
use std::task::Poll;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;

use super::problem::{Code, Problem};
use crate::app::App;

/// How a scoring body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Ndjson,
    Csv,
    Binary,
}

impl Format {
    /// JSON unless the content type names another format. curl's `-d` says `x-www-form-urlencoded` whatever the body
    /// is, so that means JSON, too.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        refuse_encoding(headers)?;
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Ok(Self::Json);
        };
        let text = value.to_str().unwrap_or("?");
        let essence = text.split(';').next().unwrap_or_default().trim();
        if essence == "application/json" {
            return Ok(Self::Json);
        }
        match essence.to_ascii_lowercase().as_str() {
            "" | "application/json" | "application/x-www-form-urlencoded" | "text/json" => {
                Ok(Self::Json)
            }
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::Ndjson),
            "text/csv" => Ok(Self::Csv),
            "application/octet-stream" => Ok(Self::Binary),
            _ => {
                let essence: String = essence.chars().take(100).collect();
                Err(Problem::new(
                    Code::UnsupportedContentType,
                    format!(
                        "content type `{essence}` is not supported; use application/json, text/csv, \
                         application/x-ndjson or application/octet-stream"
                    ),
                ))
            }
        }
    }
}

/// Refuses a compressed body: it would have to be unpacked before its length is known.
pub(super) fn refuse_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers
        .get(header::CONTENT_ENCODING)
        .map(|value| value.as_bytes())
    {
        None | Some(b"" | b"identity") => Ok(()),
        Some(_) => Err(Problem::new(
            Code::UnsupportedEncoding,
            "compressed bodies are not supported; send it without Content-Encoding",
        )),
    }
}

/// Refuses a body whose length is announced and too large, before any of it is read.
pub(super) fn refuse_length(headers: &HeaderMap, limit: usize) -> Result<(), Problem> {
    let announced = headers.get(header::CONTENT_LENGTH);
    let length: Option<u64> = announced.and_then(|value| value.to_str().ok()?.parse().ok());
    match length {
        Some(length) if length > limit as u64 => Err(too_large(limit)),
        _ => Ok(()),
    }
}

/// The whole body.
pub(super) async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let limit = app.http.body_limit_bytes;
    refuse_length(headers, limit)?;
    let mut whole = pin!(collect(body, limit));
    // Small bodies arrive together with the head; only those that do not are worth a timer.
    let at_once = std::future::poll_fn(|context| match whole.as_mut().poll(context) {
        Poll::Ready(read) => Poll::Ready(Some(read)),
        Poll::Pending => Poll::Ready(None),
    });
    if let Some(read) = at_once.await {
        return read;
    }
    match tokio::time::timeout(app.http.read_timeout, whole).await {
        Ok(read) => read,
        Err(_) => Err(Problem::new(
            Code::ReadTimeout,
            format!("the body did not arrive within {:?}", app.http.read_timeout),
        )),
    }
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut rest: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken_off)?.into_data() else {
            continue;
        };
        if first.len() + rest.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        match first.is_empty() && rest.is_empty() {
            true => first = data,
            false => {
                if rest.is_empty() {
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(if rest.is_empty() { first } else { rest.into() })
}

pub(super) fn broken_off(error: axum::Error) -> Problem {
    Problem::new(Code::Malformed, format!("the body broke off: {error}"))
}

pub(super) fn too_large(limit: usize) -> Problem {
    Problem::new(
        Code::TooLarge,
        format!("the body is longer than {limit} bytes; send fewer rows at a time"),
    )
    .with("limit_bytes", limit)
}
