//! How long and how often S3 is asked: a bounded number of attempts with growing, jittered pauses, one deadline for the
//! whole operation, and one for every piece of a body.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::fault::Place;
use crate::StoreError;
use crate::location::S3Options;

/// Pauses grow no further than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Attempts, pauses and deadlines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    attempts: u32,
    first_pause: Duration,
    attempt_timeout: Duration,
    operation_timeout: Duration,
}

impl From<&S3Options> for Patience {
    fn from(options: &S3Options) -> Self {
        Self {
            attempts: options.attempts.max(1),
            first_pause: options.first_pause,
            attempt_timeout: options.attempt_timeout,
            operation_timeout: options.operation_timeout,
        }
    }
}

impl Patience {
    /// Runs `work` until it succeeds, fails for good, or patience ends. `work` is told how many attempts went before.
    pub(crate) async fn attempt<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        place: &Place,
        work: impl Fn(u32) -> F,
    ) -> Result<T, StoreError> {
        let all = async {
            let mut earlier = 0;
            loop {
                let error = match work(earlier).await {
                    Err(error) if may_heal(&error) => error,
                    settled => return settled,
                };
                earlier += 1;
                if earlier >= self.attempts {
                    return Err(with_attempts(error, earlier));
                }
                tracing::debug!(store = %place.store, key = %place.key, attempt = earlier, %error, "asking again");
                tokio::time::sleep(self.pause(earlier)).await;
            }
        };
        match tokio::time::timeout(self.operation_timeout, all).await {
            Ok(settled) => settled,
            Err(_) => Err(place.timeout(format!("{:?} for all attempts", self.operation_timeout))),
        }
    }

    /// The next piece of a body; `None` at its end.
    pub(crate) async fn chunk(
        &self,
        place: &Place,
        body: &mut ByteStream,
        received_bytes: u64,
    ) -> Result<Option<Bytes>, StoreError> {
        match tokio::time::timeout(self.attempt_timeout, body.next()).await {
            Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) => {
                Err(place.incomplete(received_bytes, super::fault::causes(&error)))
            }
            Err(_) => Err(place.timeout(format!(
                "{:?} for a piece of the body",
                self.attempt_timeout
            ))),
        }
    }

    /// Between half and all of a span that doubles with each attempt, so that racing clients drift apart.
    fn pause(&self, earlier: u32) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << (earlier - 1).min(10));
        let span = doubled.min(LONGEST_PAUSE);
        let random = RandomState::new().build_hasher().finish();
        span.mul_f64(0.5 + 0.5 * (random >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// Damage may have happened on the way, so it is read once more before it is believed.
const fn may_heal(error: &StoreError) -> bool {
    error.is_transient() || matches!(error, StoreError::Damaged { .. })
}

fn with_attempts(error: StoreError, made: u32) -> StoreError {
    match error {
        StoreError::Unavailable {
            store,
            key,
            status,
            code,
            ..
        } => StoreError::Unavailable {
            store,
            key,
            status,
            code,
            attempts: made,
        },
        StoreError::Conflict { store, key, .. } => StoreError::Conflict {
            store,
            key,
            attempts: made,
        },
        other => other,
    }
}
