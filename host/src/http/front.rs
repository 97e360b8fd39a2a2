//! Around every request: an id, the counts, the log line, and the body of a problem. It stands before the router and not
//! in it as a layer, because a layer costs each request an allocation or two more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::Response;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use super::problem::Problem;
use crate::app::App;

/// Names a request, in its head and in the answer's.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The longest id that a caller may give a request.
const ID_LIMIT: usize = 128;

/// The router of a port, with what every request needs.
#[derive(Debug, Clone)]
pub struct Front {
    app: Arc<App>,
    router: Router,
}

/// Names requests that came without a name: a random start and a count.
#[derive(Debug)]
pub struct RequestIds {
    start: u64,
    next: AtomicU64,
}

/// What the log says of a request.
struct Asked {
    method: Method,
    uri: Uri,
    traceparent: Option<HeaderValue>,
    started: Instant,
}

/// Counts a request as in flight until it is answered or given up.
struct InFlight<'a>(&'a App);

impl Front {
    /// Stands before a router.
    pub fn new(app: Arc<App>, router: Router) -> Self {
        Self { app, router }
    }

    /// Answers a request.
    pub async fn call<B>(&self, mut request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let _in_flight = InFlight::new(&self.app);
        let id = request
            .headers()
            .get(&REQUEST_ID)
            .filter(|id| is_plain(id))
            .cloned();
        let id = id.unwrap_or_else(|| {
            let id = self.app.ids.next();
            // What is captured of a request is found again by the id that its caller got.
            if self.app.capture.is_some() {
                request.headers_mut().insert(REQUEST_ID, id.clone());
            }
            id
        });
        let asked = Asked {
            method: request.method().clone(),
            uri: request.uri().clone(),
            traceparent: request.headers().get(&TRACEPARENT).cloned(),
            started: Instant::now(),
        };
        let Ok(mut response) = self.router.clone().oneshot(request).await;
        if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
            self.tell(&mut response, &problem, &id, &asked);
        }
        debug!(
            request.id = ?id, http.method = %asked.method, http.path = asked.uri.path(), http.status = response.status().as_u16(),
            trace.id = asked.trace_id(), seconds = asked.started.elapsed().as_secs_f64(), "answered"
        );
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    /// Gives a problem its body, counts it and logs it, once.
    fn tell(&self, response: &mut Response, problem: &Problem, id: &HeaderValue, asked: &Asked) {
        let id = id.to_str().unwrap_or_default();
        let code = problem.code.as_str();
        if !problem.counted {
            self.app.telemetry.rejected.with_label_values(&[code]).inc();
        }
        let cause = problem.cause.as_deref().unwrap_or(&problem.error);
        let (method, path) = (&asked.method, asked.uri.path());
        if problem.code.status().is_server_error() {
            warn!(request.id = id, trace.id = asked.trace_id(), http.method = %method, http.path = path, code, "request failed: {cause}");
        } else {
            debug!(request.id = id, trace.id = asked.trace_id(), http.method = %method, http.path = path, code, "request refused: {cause}");
        }
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        if response.status() != StatusCode::NO_CONTENT && asked.method != Method::HEAD {
            *response.body_mut() = Body::from(problem.body(id));
        }
    }
}

impl Asked {
    /// The trace's id out of a W3C `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`.
    fn trace_id(&self) -> Option<&str> {
        let text = self.traceparent.as_ref()?.to_str().ok()?;
        let id = text.split('-').nth(1)?;
        (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
    }
}

impl<'a> InFlight<'a> {
    fn new(app: &'a App) -> Self {
        app.telemetry.in_flight.inc();
        Self(app)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.telemetry.in_flight.dec();
    }
}

/// Whether a caller's id may stand in a log line and in a header.
fn is_plain(id: &HeaderValue) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    (1..=ID_LIMIT).contains(&id.len()) && id.as_bytes().iter().all(plain)
}

impl RequestIds {
    /// Ids that no other process gives.
    pub fn new() -> Self {
        let mut start = [0; 8];
        // Without randomness ids repeat after a restart, which only confuses a search in the log.
        let _ = getrandom::fill(&mut start);
        Self {
            start: u64::from_le_bytes(start),
            next: AtomicU64::new(0),
        }
    }

    fn next(&self) -> HeaderValue {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}-{count:x}", self.start);
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    }

    /// What all ids begin with that this process gives.
    pub fn start(&self) -> String {
        format!("{:016x}", self.start)
    }

    /// A number that looks random, for calls that name no key: a canary gets its share of them, too.
    pub(super) fn some_key(&self) -> [u8; 8] {
        let count = self.next.load(Ordering::Relaxed);
        (self.start ^ count.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes()
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}
