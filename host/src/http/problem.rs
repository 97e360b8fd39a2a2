//! Why a request has no answer, and the one table from that to an HTTP status. Every problem is answered as
//! `{"error": "text", "code": "word", …, "request_id": "…"}`; the words are fixed, the text tells the fix.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hodoscope_engine::{Fault, GuestRefusal};
use serde_json::{Map, Value};

/// The fixed word of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The body is not what its content type says.
    Malformed,
    /// Arrays or objects stand where a value belongs.
    TooDeep,
    /// A key or parameter that means nothing here.
    UnknownKey,
    /// A key that stands twice.
    DuplicateKey,
    /// A tensor's type that is not supported.
    UnsupportedDatatype,
    /// An output that the detector does not have.
    UnknownOutput,
    /// The token is missing or wrong.
    Unauthorized,
    /// Uploads are off.
    UploadsOff,
    /// No such detector.
    UnknownDetector,
    /// No such version is served.
    UnknownVersion,
    /// No such route.
    NotFound,
    /// The route knows other methods.
    MethodNotAllowed,
    /// The body did not arrive in time.
    ReadTimeout,
    /// The channel decides what is served.
    ChannelOwned,
    /// The version exists with other bytes.
    VersionTaken,
    /// The body is too long.
    TooLarge,
    /// A content type that is not supported.
    UnsupportedContentType,
    /// A content encoding that is not supported.
    UnsupportedEncoding,
    /// There are no rows.
    EmptyBatch,
    /// A row has too few or too many values.
    WrongWidth,
    /// A feature that the detector does not have.
    UnknownFeature,
    /// A feature is missing.
    MissingFeature,
    /// A feature stands twice in a row.
    DuplicateFeature,
    /// A value is no number.
    NotANumber,
    /// The gate refused the component.
    ComponentRefused,
    /// The detector cannot do what was asked.
    NotExplained,
    /// The detector is known, but nothing of it is loaded.
    NotReady,
    /// Too many uploads at once.
    Busy,
    /// The store does not answer.
    StoreUnavailable,
    /// The engine's own word.
    Fault(&'static str),
    /// The release may not be loaded, whatever the store says.
    NotLoadable,
    /// Our own bug.
    Internal,
}

/// Why a request has no answer.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The fixed word.
    pub code: Code,
    /// One sentence for the caller, with the fix.
    pub error: String,
    /// More members of the answer, for programs.
    pub members: Map<String, Value>,
    /// When a retry has a chance.
    pub retry_after: Option<Duration>,
    /// What only the log says.
    pub cause: Option<String>,
    /// Whether a release's meters have it already.
    pub counted: bool,
}

impl Code {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The status.
    pub const fn status(self) -> StatusCode {
        self.row().1
    }

    /// The table.
    const fn row(self) -> (&'static str, StatusCode) {
        match self {
            Self::Malformed => ("malformed", StatusCode::BAD_REQUEST),
            Self::TooDeep => ("too_deep", StatusCode::BAD_REQUEST),
            Self::UnknownKey => ("unknown_key", StatusCode::BAD_REQUEST),
            Self::DuplicateKey => ("duplicate_key", StatusCode::BAD_REQUEST),
            Self::UnsupportedDatatype => ("unsupported_datatype", StatusCode::BAD_REQUEST),
            Self::UnknownOutput => ("unknown_output", StatusCode::BAD_REQUEST),
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED),
            Self::UploadsOff => ("uploads_off", StatusCode::FORBIDDEN),
            Self::UnknownDetector => ("unknown_detector", StatusCode::NOT_FOUND),
            Self::UnknownVersion => ("unknown_version", StatusCode::NOT_FOUND),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::ReadTimeout => ("read_timeout", StatusCode::REQUEST_TIMEOUT),
            Self::ChannelOwned => ("channel_owned", StatusCode::CONFLICT),
            Self::VersionTaken => ("version_taken", StatusCode::CONFLICT),
            Self::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UnsupportedContentType => (
                "unsupported_content_type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            Self::UnsupportedEncoding => {
                ("unsupported_encoding", StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            Self::EmptyBatch => ("empty_batch", StatusCode::UNPROCESSABLE_ENTITY),
            Self::WrongWidth => ("wrong_width", StatusCode::UNPROCESSABLE_ENTITY),
            Self::UnknownFeature => ("unknown_feature", StatusCode::UNPROCESSABLE_ENTITY),
            Self::MissingFeature => ("missing_feature", StatusCode::UNPROCESSABLE_ENTITY),
            Self::DuplicateFeature => ("duplicate_feature", StatusCode::UNPROCESSABLE_ENTITY),
            Self::NotANumber => ("not_a_number", StatusCode::UNPROCESSABLE_ENTITY),
            Self::ComponentRefused => ("component_refused", StatusCode::UNPROCESSABLE_ENTITY),
            Self::NotExplained => ("not_explained", StatusCode::UNPROCESSABLE_ENTITY),
            Self::NotReady => ("not_ready", StatusCode::SERVICE_UNAVAILABLE),
            Self::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE),
            Self::StoreUnavailable => ("store_unavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::NotLoadable => ("not_loadable", StatusCode::CONFLICT),
            Self::Fault(kind) => (kind, fault_status(kind)),
            Self::Internal => ("internal_error", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// The status of each of the engine's words. A word that is not here is a new fault without a row: a 500.
const fn fault_status(kind: &str) -> StatusCode {
    match kind.as_bytes() {
        b"refused" => StatusCode::UNPROCESSABLE_ENTITY,
        b"deadline" | b"expired" => StatusCode::GATEWAY_TIMEOUT,
        b"queue_full" | b"breaker_open" | b"instance" | b"stopped" => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        // trap, internal, memory, bad_answer: the detector failed, and the caller can do nothing.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Problem {
    /// A problem with its word and its sentence.
    pub fn new(code: Code, error: impl Into<String>) -> Self {
        Self {
            code,
            error: error.into(),
            members: Map::new(),
            retry_after: None,
            cause: None,
            counted: false,
        }
    }

    /// Our own bug: the caller gets a fixed text, the log gets the cause.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(
                Code::Internal,
                "the host failed; its log has the cause under this request id",
            )
        }
    }

    /// Adds a member to the answer.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The answer's body.
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        let mut body = self.members.clone();
        body.insert("error".to_owned(), self.error.clone().into());
        body.insert("code".to_owned(), self.code.as_str().into());
        body.insert("request_id".to_owned(), request_id.into());
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let mut problem = Self::new(Code::Fault(fault.kind()), fault.to_string());
        problem.retry_after = fault.retry_after();
        match fault {
            Fault::Refused(GuestRefusal::BadValue { row, column, .. }) => {
                problem.with("row", row).with("column", column)
            }
            Fault::Trap { code } => problem.with("trap", code),
            Fault::BreakerOpen { reason, .. } => problem.with("reason", reason),
            _ => problem,
        }
    }
}

/// The answer without its body: the front adds it, since only the front knows the request's id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == Code::Unauthorized {
            let scheme = HeaderValue::from_static("Bearer realm=\"hodoscope\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_engine_has_a_status_of_its_own_choice() {
        let table: Vec<(&str, u16)> = Fault::KINDS
            .iter()
            .map(|kind| (*kind, fault_status(kind).as_u16()))
            .collect();
        insta::assert_compact_debug_snapshot!(table, @r#"[("refused", 422), ("internal", 500), ("trap", 500), ("deadline", 504), ("expired", 504), ("memory", 500), ("bad_answer", 500), ("queue_full", 503), ("breaker_open", 503), ("instance", 503), ("stopped", 503)]"#);
    }
}
