//! One HTTP/1.1 connection that is kept open, with a deadline on everything. A request is never sent twice: what was
//! sent and not answered is a failure, and is counted as one.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Where a host answers: `http://127.0.0.1:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    authority: String,
    prefix: String,
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text
            .parse()
            .map_err(|error| format!("`{text}` is no URL: {error}"))?;
        let wanted =
            || format!("`{text}` is no URL of a host; write for instance http://127.0.0.1:8080");
        let plain = uri.scheme_str() == Some("http") && uri.query().is_none();
        let authority = uri.authority().filter(|_| plain).ok_or_else(wanted)?;
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self {
            authority: format!("{}:{port}", authority.host()),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
    }
}

/// Why there was no answer. The text is a fixed word, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    Connect,
    Timeout,
    Broken,
}

impl NoAnswer {
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Broken => "broken_connection",
        }
    }
}

/// A connection, open or to be opened.
pub(crate) struct Connection {
    address: Address,
    deadline: Duration,
    open: Option<SendRequest<Full<Bytes>>>,
    driver: JoinSet<()>,
}

impl Connection {
    pub(crate) fn new(address: Address, deadline: Duration) -> Self {
        Self {
            address,
            deadline,
            open: None,
            driver: JoinSet::new(),
        }
    }

    /// Sends one request and reads the whole answer.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), NoAnswer> {
        let deadline = self.deadline;
        let answer = timeout(deadline, self.exchange(method, path, body)).await;
        let answer = answer.unwrap_or(Err(NoAnswer::Timeout));
        if answer.is_err() {
            self.close();
        }
        answer
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), NoAnswer> {
        // A server may close a connection that rests; that is noticed here, before anything is sent.
        let usable = match &mut self.open {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.connect().await?;
        }
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address.prefix))
            .header(HOST, &self.address.authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|_| NoAnswer::Broken)?;
        let sender = self.open.as_mut().ok_or(NoAnswer::Connect)?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|_| NoAnswer::Broken)?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|_| NoAnswer::Broken)?;
        Ok((status, body.to_bytes()))
    }

    async fn connect(&mut self) -> Result<(), NoAnswer> {
        self.close();
        let stream = TcpStream::connect(&self.address.authority)
            .await
            .map_err(|_| NoAnswer::Connect)?;
        stream.set_nodelay(true).map_err(|_| NoAnswer::Connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|_| NoAnswer::Connect)?;
        self.driver.spawn(async move {
            // Its error is the sender's too, which reports it.
            let _ = connection.await;
        });
        self.open = Some(sender);
        Ok(())
    }

    fn close(&mut self) {
        self.open = None;
        self.driver.abort_all();
        self.driver.detach_all();
        self.driver = JoinSet::new();
    }
}

/// Asks a host for a JSON document; the error says what is wrong and what to do.
pub(super) async fn ask(address: &Address, path: &str) -> anyhow::Result<serde_json::Value> {
    const DEADLINE: Duration = Duration::from_secs(5);
    let mut connection = Connection::new(address.clone(), DEADLINE);
    let (status, body) = connection
        .call(Method::GET, path, Bytes::new())
        .await
        .map_err(|no_answer| {
            anyhow::anyhow!(
                "{address} does not answer ({}); start one with `hodoscope serve`, or give --url",
                no_answer.kind()
            )
        })?;
    if !status.is_success() {
        bail!(
            "{address}{path} answered {status}: {}",
            String::from_utf8_lossy(&body).trim()
        );
    }
    serde_json::from_slice(&body).with_context(|| format!("{address}{path} answered no JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_address_of_a_host() {
        let address: Address = "http://127.0.0.1:8080".parse().unwrap();
        assert_eq!(address.to_string(), "http://127.0.0.1:8080");
        let behind: Address = "http://gateway/hodoscope/".parse().unwrap();
        assert_eq!(behind.to_string(), "http://gateway:80/hodoscope");
        for text in ["127.0.0.1:8080", "https://x", "http://", "pump"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
