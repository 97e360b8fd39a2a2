//! The clock and the pauses of a forge, as an argument: limits, cool-downs and waiting for a rate limit are then the
//! same in a test, which turns the hands itself, as in a job.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

/// A pause that is over when the future is.
pub type Pause<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What the time is, and how to wait.
pub trait Clock: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;
    /// Waits.
    fn sleep(&self, span: Duration) -> Pause<'_>;
}

/// The machine's clock, for those who have no other.
#[derive(Debug, Clone, Copy, Default)]
pub struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, span: Duration) -> Pause<'_> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// `moment` and `span` later, or as late as time goes.
pub(super) fn after(moment: Timestamp, span: Duration) -> Timestamp {
    moment.checked_add(span).unwrap_or(Timestamp::MAX)
}
