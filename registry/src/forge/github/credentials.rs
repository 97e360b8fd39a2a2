//! Who is asking. An App signs a short-lived token with its key and changes it for one of its installation: for this one
//! repository, with no more rights than the calls need, kept until shortly before it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use octocrab::jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::forge::{ForgeError, GitHubCredentials, clock};

/// A token that ends this soon is not used any more.
const MARGIN: Duration = Duration::from_secs(120);
/// The signed token's life; GitHub takes at most ten minutes, and clocks differ.
const JWT_SECONDS: i64 = 540;
const JWT_EARLIER_SECONDS: i64 = 60;

/// For what a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rights {
    /// Commits, pull requests, their labels and comments.
    Propose,
    /// Starting a workflow, and reading its runs.
    Dispatch,
}

impl Rights {
    /// An installation token's permissions.
    fn permissions(self) -> Value {
        match self {
            Self::Propose => json!({"contents": "write", "pull_requests": "write"}),
            // By its list of rights GitHub wants contents for the runs, by its pages actions.
            Self::Dispatch => json!({"actions": "write", "contents": "read"}),
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Propose => "contents: write and pull_requests: write",
            Self::Dispatch => "actions: write and contents: read",
        }
    }
}

/// The token of an installation as GitHub gives it.
#[derive(Deserialize)]
pub(super) struct Issued {
    token: String,
    expires_at: Timestamp,
}

/// An App's key and the tokens that it was given.
pub(super) struct App {
    id: String,
    installation: u64,
    key: EncodingKey,
    tokens: BTreeMap<Rights, Issued>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
    exp: i64,
}

impl App {
    /// `None` unless the credentials are an App's.
    pub(super) fn new(
        forge: &str,
        credentials: &GitHubCredentials,
    ) -> Result<Option<Self>, ForgeError> {
        let GitHubCredentials::App {
            app_id,
            installation_id,
            private_key,
        } = credentials
        else {
            return Ok(None);
        };
        let key = EncodingKey::from_rsa_pem(private_key.as_bytes()).map_err(|cause| {
            ForgeError::Setting {
                forge: forge.to_owned(),
                cause: format!(
                    "the App's private key is no RSA key in PEM ({cause}); download it from the App's settings"
                ),
            }
        })?;
        Ok(Some(Self {
            id: app_id.clone(),
            installation: *installation_id,
            key,
            tokens: BTreeMap::new(),
        }))
    }

    /// A token that is good for a while.
    pub(super) fn token(&self, rights: Rights, now: Timestamp) -> Option<String> {
        self.tokens
            .get(&rights)
            .filter(|issued| clock::after(now, MARGIN) < issued.expires_at)
            .map(|issued| bearer(&issued.token))
    }

    /// Keeps what was issued.
    pub(super) fn keep(&mut self, rights: Rights, issued: Issued) -> String {
        let header = bearer(&issued.token);
        self.tokens.insert(rights, issued);
        header
    }

    /// Forgets a token that was refused.
    pub(super) fn forget(&mut self, rights: Rights) {
        self.tokens.remove(&rights);
    }

    /// The path, the header and the body by which a token is asked for.
    pub(super) fn request(
        &self,
        rights: Rights,
        repo: &str,
        now: Timestamp,
    ) -> Result<(String, String, Value), String> {
        let claims = Claims {
            iss: &self.id,
            iat: now.as_second() - JWT_EARLIER_SECONDS,
            exp: now.as_second() + JWT_SECONDS,
        };
        let signed = encode(&Header::new(Algorithm::RS256), &claims, &self.key)
            .map_err(|cause| format!("signing failed: {cause}"))?;
        Ok((
            format!("/app/installations/{}/access_tokens", self.installation),
            bearer(&signed),
            json!({"repositories": [repo], "permissions": rights.permissions()}),
        ))
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

pub(super) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
