//! What handlers take out of a request's head, with every rejection in our own words.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq as _;

use super::problem::{Code, Problem};
use crate::app::App;

/// The parameters in a path.
pub(super) struct Param<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Param<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        let path = path.map_err(|rejection| {
            Problem::new(
                Code::Malformed,
                format!("the path cannot be read: {rejection}"),
            )
        })?;
        Ok(Self(path.0))
    }
}

/// Proof that the request carried the token. A handler that changes something has it in its signature.
pub(super) struct Operator(());

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let given = bearer(&parts.headers).unwrap_or_default();
        match bool::from(given.ct_eq(app.token.reveal().as_bytes())) {
            true => Ok(Self(())),
            false => Err(Problem::new(
                Code::Unauthorized,
                format!(
                    "this needs the token: `Authorization: Bearer $(cat {})`",
                    app.http.token_file.display()
                ),
            )),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// The flags in a query, for instance `explain=true`; any other key is a problem, so that a typing error is not ignored.
pub(super) fn flag(query: Option<&str>, name: &str) -> Result<bool, Problem> {
    let mut set = false;
    for pair in query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
        if key != name {
            let key: String = key.chars().take(100).collect();
            let error = format!("unknown parameter `{key}` in the query; known is `{name}`");
            return Err(Problem::new(Code::UnknownKey, error));
        }
        set = match value {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => {
                let error = format!("`{name}` in the query is true or false");
                return Err(Problem::new(Code::Malformed, error));
            }
        };
    }
    Ok(set)
}

/// The answer where no route is.
pub(super) async fn no_route(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(
        Code::NotFound,
        format!("there is no route `{path}`; /openapi.json lists them"),
    )
}

/// The answer where a route has other methods.
pub(super) async fn no_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(
        Code::MethodNotAllowed,
        format!("`{path}` does not take {method}; /openapi.json lists the methods"),
    )
}
