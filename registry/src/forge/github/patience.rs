//! How long and how often GitHub is asked. Reads are asked again after a failure. A write is sent again only after an
//! answer that says it was not looked at: a rate limit, or a token that ran out. All else is the reconcile loop's to
//! settle. The rules of waiting: `retry-after`, then `x-ratelimit-reset`, else a minute, doubling; five tries.
//! <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>

use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::credentials::{App, Issued, Rights, bearer};
use super::transport::{Answer, Transport};
use crate::forge::state::Setback;
use crate::forge::{Clock, ForgeError, GitHubCredentials, GitHubOptions, clock as time};

/// Tries of one call, the first included.
const TRIES: u32 = 5;
/// The pause after a limit without a time; it doubles.
const BLIND_PAUSE: Duration = Duration::from_secs(60);
/// The pause after a failed read; it doubles.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// A REST call, or a GraphQL one.
pub(super) struct Call<'a> {
    pub(super) method: &'static str,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a Value>,
    pub(super) action: &'static str,
    pub(super) rights: Rights,
    /// Whether it changes nothing.
    pub(super) reads: bool,
}

/// Why there is no good answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The forge's answer to a call that it understood and did not do: 404, 405, 409, 410, 422.
    Status {
        status: u16,
        message: String,
    },
    Setback(Setback),
}

/// How an answer is taken.
enum Verdict {
    Good,
    Wait(Option<Timestamp>),
    Unknown,
    Broken,
    Status,
    Fatal(ForgeError),
}

#[derive(Debug)]
pub(super) struct Patience {
    forge: String,
    repo: String,
    transport: Transport,
    options: GitHubOptions,
    app: Mutex<Option<App>>,
    /// When the last write was sent; held while one is under way, so that writes come one after the other.
    written: Mutex<Option<Timestamp>>,
}

impl Patience {
    pub(super) fn new(
        forge: String,
        repo: String,
        transport: Transport,
        options: GitHubOptions,
    ) -> Result<Self, ForgeError> {
        let app = App::new(&forge, &options.credentials)?;
        Ok(Self {
            forge,
            repo,
            transport,
            options,
            app: Mutex::new(app),
            written: Mutex::new(None),
        })
    }

    /// A GraphQL document's data.
    pub(super) async fn graphql<T: DeserializeOwned>(
        &self,
        action: &'static str,
        reads: bool,
        query: &str,
        variables: Value,
        clock: &dyn Clock,
    ) -> Result<T, Fault> {
        let body = json!({"query": query, "variables": variables});
        let call = Call {
            method: "POST",
            path: &self.transport.address().graphql,
            body: Some(&body),
            action,
            rights: Rights::Propose,
            reads,
        };
        let answer = self.ask(&call, clock).await?;
        let mut value: Value = answer
            .json(&self.forge, action)
            .map_err(|error| unclear(&call, error))?;
        let errors = value.get("errors").and_then(Value::as_array);
        if errors.is_some_and(|errors| !errors.is_empty()) {
            return Err(self.graphql_fault(&call, &answer, &value));
        }
        let data = value.get_mut("data").map(Value::take).unwrap_or_default();
        serde_json::from_value(data).map_err(|cause| {
            let error = ForgeError::Answer {
                forge: self.forge.clone(),
                action,
                cause: cause.to_string(),
            };
            unclear(&call, error)
        })
    }

    /// A REST path under this repository.
    pub(super) async fn rest(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
        action: &'static str,
        rights: Rights,
        clock: &dyn Clock,
    ) -> Result<Answer, Fault> {
        let path = format!("{}{path}", self.transport.address().rest);
        let call = Call {
            method,
            path: &path,
            body,
            action,
            rights,
            reads: method == "GET",
        };
        self.ask(&call, clock).await
    }

    async fn ask(&self, call: &Call<'_>, clock: &dyn Clock) -> Result<Answer, Fault> {
        let mut renewed = false;
        let mut blind = BLIND_PAUSE;
        let mut pause = READ_PAUSE;
        let mut last = None;
        for _ in 0..TRIES {
            let authorization = self.authorization(call, clock).await?;
            let answer = match self.send(call, authorization.as_deref(), clock).await {
                Ok(answer) => answer,
                Err(cause) => {
                    last = Some(self.broken(call, call.reads, cause)?);
                    clock.sleep(pause).await;
                    pause *= 2;
                    continue;
                }
            };
            match self.verdict(call, &answer, clock.now()) {
                Verdict::Good => return Ok(answer),
                Verdict::Status => {
                    return Err(Fault::Status {
                        status: answer.status,
                        message: answer.message(),
                    });
                }
                Verdict::Fatal(error) => return Err(Fault::Setback(Setback::Fatal(error))),
                Verdict::Unknown if !renewed && self.renew(call.rights).await => renewed = true,
                Verdict::Unknown => {
                    return Err(Fault::Setback(Setback::Fatal(ForgeError::Credentials {
                        forge: self.forge.clone(),
                        cause: answer.message(),
                    })));
                }
                Verdict::Broken => {
                    let cause = format!("status {} {}", answer.status, answer.message());
                    last = Some(self.broken(call, call.reads, cause)?);
                    clock.sleep(pause).await;
                    pause *= 2;
                }
                Verdict::Wait(until) => {
                    let until = until.unwrap_or_else(|| {
                        let until = time::after(clock.now(), blind);
                        blind *= 2;
                        until
                    });
                    last = Some(self.wait(until, clock).await?);
                }
            }
        }
        let error = last.unwrap_or_else(|| ForgeError::Unavailable {
            forge: self.forge.clone(),
            action: call.action,
            cause: "no answer".to_owned(),
        });
        Err(Fault::Setback(Setback::Fatal(error)))
    }

    /// Waits as long as the limit wants, if that is not too long; returns the error for the case that it was in vain.
    async fn wait(&self, until: Timestamp, clock: &dyn Clock) -> Result<ForgeError, Fault> {
        let limited = ForgeError::RateLimited {
            forge: self.forge.clone(),
            until,
        };
        let span = Duration::try_from(until.duration_since(clock.now())).unwrap_or_default();
        if span > self.options.longest_wait {
            return Err(Fault::Setback(Setback::Fatal(limited)));
        }
        tracing::warn!(forge = %self.forge, %until, "rate limit; waiting");
        clock.sleep(span.max(Duration::from_secs(1))).await;
        Ok(limited)
    }

    /// The error of a read, which goes on; a write is given back.
    fn broken(&self, call: &Call<'_>, again: bool, cause: String) -> Result<ForgeError, Fault> {
        let error = ForgeError::Unavailable {
            forge: self.forge.clone(),
            action: call.action,
            cause,
        };
        if again {
            tracing::debug!(forge = %self.forge, %error, "asking again");
            return Ok(error);
        }
        Err(Fault::Setback(Setback::Unclear(error)))
    }

    /// Sends a read at once, a write after its turn and its pause.
    async fn send(
        &self,
        call: &Call<'_>,
        authorization: Option<&str>,
        clock: &dyn Clock,
    ) -> Result<Answer, String> {
        let exchange = self
            .transport
            .exchange(call.method, call.path, call.body, authorization);
        if call.reads {
            return exchange.await;
        }
        let mut written = self.written.lock().await;
        if let Some(last) = *written {
            let due = time::after(last, self.options.between_writes);
            let span = Duration::try_from(due.duration_since(clock.now())).unwrap_or_default();
            if !span.is_zero() {
                clock.sleep(span).await;
            }
        }
        let answer = exchange.await;
        *written = Some(clock.now());
        answer
    }

    async fn authorization(
        &self,
        call: &Call<'_>,
        clock: &dyn Clock,
    ) -> Result<Option<String>, Fault> {
        match &self.options.credentials {
            GitHubCredentials::None => return Ok(None),
            GitHubCredentials::Token(token) => return Ok(Some(bearer(token))),
            GitHubCredentials::App { .. } => {}
        }
        // Held while a token is asked for, so that it is asked for once.
        let mut app = self.app.lock().await;
        let Some(app) = app.as_mut() else {
            return Ok(None);
        };
        if let Some(header) = app.token(call.rights, clock.now()) {
            return Ok(Some(header));
        }
        let issued = self.issue(app, call.rights, clock).await?;
        Ok(Some(app.keep(call.rights, issued)))
    }

    /// Asks for an installation's token. A token more does no harm, so this write is repeated as a read is.
    async fn issue(&self, app: &App, rights: Rights, clock: &dyn Clock) -> Result<Issued, Fault> {
        const ACTION: &str = "asking for a token";
        let fatal = |error| Fault::Setback(Setback::Fatal(error));
        let mut pause = READ_PAUSE;
        let mut blind = BLIND_PAUSE;
        let mut last = None;
        for _ in 0..TRIES {
            let (path, header, body) = app
                .request(rights, &self.repo, clock.now())
                .map_err(|cause| fatal(self.unknown(cause)))?;
            let path = format!("{}{path}", self.transport.address().rest);
            let call = Call {
                method: "POST",
                path: &path,
                body: Some(&body),
                action: ACTION,
                rights,
                reads: true,
            };
            let verdict = match self.send(&call, Some(&header), clock).await {
                Ok(answer) => match self.verdict(&call, &answer, clock.now()) {
                    Verdict::Good => return answer.json(&self.forge, ACTION).map_err(fatal),
                    Verdict::Wait(until) => {
                        let until = until.unwrap_or_else(|| time::after(clock.now(), blind));
                        blind *= 2;
                        last = Some(self.wait(until, clock).await?);
                        continue;
                    }
                    Verdict::Broken => format!("status {} {}", answer.status, answer.message()),
                    Verdict::Status => {
                        let cause = format!(
                            "{} {}; the App must be installed on this repository and have {}",
                            answer.status,
                            answer.message(),
                            rights.words()
                        );
                        return Err(fatal(self.unknown(cause)));
                    }
                    Verdict::Unknown => return Err(fatal(self.unknown(answer.message()))),
                    Verdict::Fatal(error) => return Err(fatal(error)),
                },
                Err(cause) => cause,
            };
            last = Some(self.broken(&call, true, verdict)?);
            clock.sleep(pause).await;
            pause *= 2;
        }
        Err(fatal(
            last.unwrap_or_else(|| self.unknown("no answer".to_owned())),
        ))
    }

    fn unknown(&self, cause: String) -> ForgeError {
        ForgeError::Credentials {
            forge: self.forge.clone(),
            cause,
        }
    }

    /// Whether another token can be had.
    async fn renew(&self, rights: Rights) -> bool {
        match self.app.lock().await.as_mut() {
            Some(app) => {
                app.forget(rights);
                true
            }
            None => false,
        }
    }

    fn verdict(&self, call: &Call<'_>, answer: &Answer, now: Timestamp) -> Verdict {
        match answer.status {
            200..=299 if is_limited(answer) => Verdict::Wait(limit_end(answer, now)),
            200..=299 => Verdict::Good,
            401 => Verdict::Unknown,
            429 => Verdict::Wait(limit_end(answer, now)),
            403 if is_limit(answer) => Verdict::Wait(limit_end(answer, now)),
            403 => Verdict::Fatal(ForgeError::Forbidden {
                forge: self.forge.clone(),
                action: call.action,
                cause: answer.message(),
                right: call.rights.words(),
            }),
            301 | 302 | 307 | 308 => Verdict::Fatal(ForgeError::Moved {
                forge: self.forge.clone(),
                to: answer.location.clone().unwrap_or_default(),
            }),
            500..=599 => Verdict::Broken,
            404 | 405 | 409 | 410 | 422 => Verdict::Status,
            status => Verdict::Fatal(ForgeError::Refused {
                forge: self.forge.clone(),
                action: call.action,
                cause: format!("status {status} {}", answer.message()),
            }),
        }
    }

    /// GraphQL answers 200 and says what went wrong in the body.
    fn graphql_fault(&self, call: &Call<'_>, answer: &Answer, value: &Value) -> Fault {
        let is = |kind: &str| error_kinds(value).any(|found| found == kind);
        let message = answer.message();
        let forge = self.forge.clone();
        let action = call.action;
        if is("NOT_FOUND") {
            return Fault::Status {
                status: 404,
                message,
            };
        }
        if is("FORBIDDEN") || is("INSUFFICIENT_SCOPES") {
            return Fault::Setback(Setback::Fatal(ForgeError::Forbidden {
                forge,
                action,
                cause: message,
                right: call.rights.words(),
            }));
        }
        if call.reads {
            return Fault::Setback(Setback::Fatal(ForgeError::Answer {
                forge,
                action,
                cause: message,
            }));
        }
        Fault::Status {
            status: 422,
            message,
        }
    }
}

/// A write whose answer cannot be read may have happened.
fn unclear(call: &Call<'_>, error: ForgeError) -> Fault {
    Fault::Setback(if call.reads {
        Setback::Fatal(error)
    } else {
        Setback::Unclear(error)
    })
}

fn error_kinds(value: &Value) -> impl Iterator<Item = &str> {
    value
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|error| error.get("type")?.as_str())
}

/// GraphQL's own words for a limit, in an answer of status 200.
fn is_limited(answer: &Answer) -> bool {
    // Most answers hold no error: look at the bytes before parsing them once more.
    let marked = |word: &[u8]| answer.body.windows(word.len()).any(|found| found == word);
    marked(b"\"errors\"")
        && serde_json::from_slice::<Value>(&answer.body)
            .is_ok_and(|value| error_kinds(&value).any(|kind| kind == "RATE_LIMITED"))
}

/// A 403 is a limit if its headers say so, or else its words; otherwise a right is missing.
fn is_limit(answer: &Answer) -> bool {
    let message = answer.message().to_ascii_lowercase();
    answer.retry_after.is_some()
        || answer.remaining == Some(0)
        || message.contains("rate limit")
        || message.contains("abuse detection")
}

fn limit_end(answer: &Answer, now: Timestamp) -> Option<Timestamp> {
    if let Some(seconds) = answer.retry_after {
        return Some(time::after(now, Duration::from_secs(seconds)));
    }
    let reset = answer.reset.filter(|_| answer.remaining == Some(0))?;
    Timestamp::from_second(reset).ok()
}
