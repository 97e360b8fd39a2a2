//! From what the SDK reports to [`StoreError`]: one table of statuses and codes. The codes are those of
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::StoreError;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Read,
    Write,
    List,
}

/// What was being done to which key of which store.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) store: String,
    pub(crate) key: String,
    pub(crate) action: Action,
}

/// The HTTP status, if the server answered with one.
pub(crate) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// An error with its causes, on one line; the SDK's own display hides them.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(400)
        .collect()
}

impl Place {
    pub(crate) fn timeout(&self, cause: String) -> StoreError {
        StoreError::Timeout {
            store: self.store.clone(),
            key: self.key.clone(),
            cause,
        }
    }

    pub(crate) fn incomplete(&self, received_bytes: u64, cause: String) -> StoreError {
        StoreError::Incomplete {
            store: self.store.clone(),
            key: self.key.clone(),
            received_bytes,
            cause,
        }
    }

    /// What the SDK's error means here.
    pub(crate) fn explain<E>(&self, error: &SdkError<E, HttpResponse>) -> StoreError
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        match error {
            SdkError::TimeoutError(_) => self.timeout("the time for one attempt ended".to_owned()),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                self.timeout(causes(error))
            }
            // A connection that was closed early is `other`, of a kind that may heal.
            SdkError::DispatchFailure(failure)
                if failure.is_io() || failure.as_other().is_some() =>
            {
                self.connection(causes(error))
            }
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                self.answered(
                    status,
                    error.code().unwrap_or("without a code"),
                    error.message().unwrap_or(""),
                )
            }
            SdkError::ResponseError(_) => self.connection(causes(error)),
            _ => self.unsent(causes(error)),
        }
    }

    /// The request never left: there were no credentials, or it could not be built.
    fn unsent(&self, cause: String) -> StoreError {
        if cause.to_ascii_lowercase().contains("credential") {
            return StoreError::Credentials {
                store: self.store.clone(),
                cause,
            };
        }
        self.refused(cause)
    }

    fn answered(&self, status: u16, code: &str, message: &str) -> StoreError {
        let (store, key) = (self.store.clone(), self.key.clone());
        let cause = if message.is_empty() {
            code.to_owned()
        } else {
            format!("{code}: {message}")
        };
        match (status, code) {
            (404, "NoSuchBucket") => StoreError::NoBucket { store },
            // Only this code says that the key is missing: other servers answer 404 for unknown users, too.
            (404, "NoSuchKey") => StoreError::Missing { store, key },
            (_, "RequestTimeTooSkewed" | "RequestExpired") => {
                StoreError::Clock { store, key, cause }
            }
            (401, _)
            | (
                _,
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidToken"
                | "TokenRefreshRequired"
                | "XAdminUserNotFound",
            ) => StoreError::Credentials { store, cause },
            (403, _) => self.forbidden(cause),
            (409, _) => StoreError::Conflict {
                store,
                key,
                attempts: 1,
            },
            // The upload was damaged or cut on the way; the server kept nothing.
            (
                400,
                "BadDigest" | "IncompleteBody" | "RequestTimeout" | "XAmzContentSHA256Mismatch",
            )
            | (429 | 500 | 502 | 503 | 504, _) => StoreError::Unavailable {
                store,
                key,
                status,
                code: code.to_owned(),
                attempts: 1,
            },
            (501, _) => self.refused(format!(
                "{cause}; this server lacks what create-only writes need (If-None-Match)"
            )),
            (
                301 | 307 | 400,
                "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed",
            )
            | (301 | 307, _) => self.refused(format!(
                "{cause}; the bucket lies in another region: set the store's region"
            )),
            _ => self.refused(format!("the server answered {status} {cause}")),
        }
    }

    fn forbidden(&self, cause: String) -> StoreError {
        let (store, key) = (self.store.clone(), self.key.clone());
        match self.action {
            Action::Read => StoreError::MissingOrForbidden { store, key },
            Action::Write => StoreError::Forbidden {
                store,
                key,
                action: "writing",
                cause,
                right: "s3:PutObject",
            },
            Action::List => StoreError::Forbidden {
                store,
                key,
                action: "listing",
                cause,
                right: "s3:ListBucket",
            },
        }
    }

    fn connection(&self, cause: String) -> StoreError {
        StoreError::Connection {
            store: self.store.clone(),
            key: self.key.clone(),
            cause,
        }
    }

    fn refused(&self, cause: String) -> StoreError {
        StoreError::Refused {
            store: self.store.clone(),
            key: self.key.clone(),
            cause,
        }
    }
}
