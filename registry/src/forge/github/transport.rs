//! One HTTP exchange with GitHub: where REST and GraphQL lie, one deadline over all of it, a cap on the answer. octocrab
//! carries it, without retries and without following redirects.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use octocrab::Octocrab;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::forge::{ForgeError, GitHubOptions};

/// The longest answer that is read: a page of pull requests with long bodies.
const ANSWER_LIMIT_BYTES: usize = 32 << 20;
/// octocrab sends none by itself.
const ACCEPT: &str = "application/vnd.github+json";
/// The path of an Enterprise server's REST API; its GraphQL lies beside.
const ENTERPRISE_REST: &str = "/api/v3";
const ENTERPRISE_GRAPHQL: &str = "/api/graphql";

/// The address of the API, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Scheme and host.
    pub(super) origin: String,
    /// What stands before REST's paths.
    pub(super) rest: String,
    pub(super) graphql: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<u64>,
    pub(super) remaining: Option<u64>,
    pub(super) reset: Option<i64>,
    pub(super) location: Option<String>,
    pub(super) body: Bytes,
}

/// A client for one address.
#[derive(Debug)]
pub(super) struct Transport {
    address: Address,
    options: GitHubOptions,
    /// Made at the first call, for it needs the runtime.
    client: OnceCell<Octocrab>,
}

impl Address {
    /// Takes the setting apart. Plain HTTP is for this machine only: a token goes over it.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let fix = || {
            format!(
                "`github_url` is `{url}`; write `https://api.github.com`, or `https://<host>/api/v3` for an Enterprise server"
            )
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(fix)?;
        let (host, path) = rest
            .split_once('/')
            .map_or((rest, String::new()), |(host, path)| {
                (host, format!("/{path}"))
            });
        let local = host.starts_with("127.0.0.1:")
            || host.starts_with("localhost:")
            || host.starts_with("[::1]:");
        let plain = |text: &str, more: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if host.is_empty() || !plain(host, ".-:[]") || !plain(&path, "/-_.") {
            return Err(fix());
        }
        if scheme != "https" && !(scheme == "http" && local) {
            return Err(fix());
        }
        let rest = path.trim_end_matches('/').to_owned();
        let graphql = match rest.strip_suffix(ENTERPRISE_REST) {
            Some(before) => format!("{before}{ENTERPRISE_GRAPHQL}"),
            None => format!("{rest}/graphql"),
        };
        Ok(Self {
            origin: format!("{scheme}://{host}"),
            rest,
            graphql,
        })
    }
}

impl Transport {
    pub(super) fn new(address: Address, options: GitHubOptions) -> Self {
        Self {
            address,
            options,
            client: OnceCell::new(),
        }
    }

    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// Sends one request. The error says why there is no answer; whether the request took effect nobody knows then.
    pub(super) async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        authorization: Option<&str>,
    ) -> Result<Answer, String> {
        let timeout = self.options.call_timeout;
        let call = self.call(method, path, body, authorization);
        match tokio::time::timeout(timeout, call).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {:.1} s", timeout.as_secs_f64())),
        }
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        authorization: Option<&str>,
    ) -> Result<Answer, String> {
        let client = self
            .client
            .get_or_try_init(|| async { self.client() })
            .await
            .map_err(|error| causes(&error))?;
        let mut builder = http::Request::builder()
            .method(method)
            .uri(path)
            .header("accept", ACCEPT);
        if let Some(authorization) = authorization {
            let mut value = http::HeaderValue::from_str(authorization)
                .map_err(|_| "the token holds characters that no header may have".to_owned())?;
            value.set_sensitive(true);
            builder = builder.header("authorization", value);
        }
        let request = client
            .build_request(builder, body)
            .map_err(|error| causes(&error))?;
        let response = client
            .execute(request)
            .await
            .map_err(|error| causes(&error))?;
        let text = |name: &str| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.trim().to_owned())
        };
        let number = |name: &str| text(name).and_then(|value| value.parse::<i64>().ok());
        let unsigned = |name: &str| number(name).and_then(|value| u64::try_from(value).ok());
        let mut answer = Answer {
            status: response.status().as_u16(),
            retry_after: unsigned("retry-after"),
            remaining: unsigned("x-ratelimit-remaining"),
            reset: number("x-ratelimit-reset"),
            location: text("location"),
            body: Bytes::new(),
        };
        let body = Limited::new(response.into_body(), ANSWER_LIMIT_BYTES);
        answer.body = body
            .collect()
            .await
            .map_err(|error| causes(error.as_ref()))?
            .to_bytes();
        Ok(answer)
    }

    fn client(&self) -> octocrab::Result<Octocrab> {
        Octocrab::builder()
            .base_uri(self.address.origin.as_str())?
            .set_connect_timeout(Some(self.options.connect_timeout))
            .set_read_timeout(Some(self.options.call_timeout))
            .set_write_timeout(Some(self.options.call_timeout))
            .build()
    }
}

/// An error with its causes, on one line, without octocrab's traces.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let line = error.to_string();
        let line = line.lines().next().unwrap_or_default();
        if !line.is_empty() && !text.contains(line) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(line);
        }
        next = error.source();
    }
    text.chars().take(400).collect()
}

impl Answer {
    /// What GitHub says in words, with the words of each error.
    pub(super) fn message(&self) -> String {
        let Ok(value) = serde_json::from_slice::<Value>(&self.body) else {
            return String::from_utf8_lossy(&self.body)
                .chars()
                .take(200)
                .collect();
        };
        let mut words: Vec<String> = Vec::new();
        let mut say = |value: Option<&Value>| {
            if let Some(text) = value.and_then(Value::as_str) {
                words.push(text.to_owned());
            }
        };
        say(value.get("message"));
        for error in value
            .get("errors")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            match error {
                Value::String(_) => say(Some(error)),
                error => {
                    say(error.get("message"));
                    say(error.get("field"));
                    say(error.get("code"));
                }
            }
        }
        words.join("; ").chars().take(400).collect()
    }

    /// Reads a successful answer.
    pub(super) fn json<T: serde::de::DeserializeOwned>(
        &self,
        forge: &str,
        action: &'static str,
    ) -> Result<T, ForgeError> {
        serde_json::from_slice(&self.body).map_err(|cause| ForgeError::Answer {
            forge: forge.to_owned(),
            action,
            cause: cause.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_where_graphql_lies() {
        for (url, origin, rest, graphql) in [
            (
                "https://api.github.com",
                "https://api.github.com",
                "",
                "/graphql",
            ),
            (
                "https://api.github.com/",
                "https://api.github.com",
                "",
                "/graphql",
            ),
            (
                "https://ghe.acme.org/api/v3",
                "https://ghe.acme.org",
                "/api/v3",
                "/api/graphql",
            ),
            (
                "http://127.0.0.1:80/api/v3/",
                "http://127.0.0.1:80",
                "/api/v3",
                "/api/graphql",
            ),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(
                (&*address.origin, &*address.rest, &*address.graphql),
                (origin, rest, graphql)
            );
        }
    }

    #[test]
    fn refuses_to_send_a_token_in_the_clear() {
        for url in [
            "http://api.github.com",
            "api.github.com",
            "https://",
            "ftp://a",
            "https://a@b/",
            "",
        ] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }
}
