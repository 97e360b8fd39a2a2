//! Owns when a detector's calls are stopped: after five faults in a row, or five in a full window of the last hundred
//! calls. A single probe is let through after a second, then after two, four, … up to a minute. Time is an argument.

use std::time::{Duration, Instant};

/// Faults in a row that open the breaker.
const CONSECUTIVE_LIMIT: u32 = 5;
/// Calls that the window remembers.
const WINDOW: u32 = 100;
/// Faults among the last [`WINDOW`] calls that open the breaker: 5 %.
const WINDOW_LIMIT: u32 = 5;
/// The time to the first probe.
const FIRST_PROBE: Duration = Duration::from_secs(1);
/// The longest time between probes.
const LONGEST_PROBE: Duration = Duration::from_secs(60);

/// How a call ended, as far as the breaker is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Scores, or a refusal that is the caller's to mend.
    Good,
    /// A fault of the detector's, by its kind.
    Fault(&'static str),
    /// Says nothing about the detector: for instance a deadline shorter than the batch needs.
    Neutral,
}

/// That a call may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Normal,
    Probe,
}

/// Why a call may not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped {
    pub(crate) reason: &'static str,
    pub(crate) retry_after: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    Probing { retry_at: Instant },
}

/// The breaker of one loaded detector.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    consecutive: u32,
    /// The last calls, newest in the lowest bit; a set bit is a fault.
    window: u128,
    seen: u32,
    reason: &'static str,
    backoff: Duration,
    opened: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed,
            consecutive: 0,
            window: 0,
            seen: 0,
            reason: "",
            backoff: FIRST_PROBE,
            opened: 0,
        }
    }
}

impl Breaker {
    /// Asks whether a call would be let through, without taking the probe.
    pub(crate) fn peek(&self, now: Instant) -> Result<(), Stopped> {
        match self.state {
            State::Open { until: at } | State::Probing { retry_at: at } if now < at => {
                Err(self.stopped(at, now))
            }
            _ => Ok(()),
        }
    }

    /// Lets a call through, as the probe if one is due. Each admission must be followed by [`Breaker::record`]; one
    /// that is not blocks further probes for the longest interval only.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<Admission, Stopped> {
        self.peek(now)?;
        match self.state {
            State::Closed => Ok(Admission::Normal),
            State::Open { .. } | State::Probing { .. } => {
                let retry_at = now.checked_add(self.backoff).unwrap_or(now);
                self.state = State::Probing { retry_at };
                Ok(Admission::Probe)
            }
        }
    }

    /// Notes how an admitted call ended.
    pub(crate) fn record(&mut self, admission: Admission, ending: Ending, now: Instant) {
        match (admission, ending) {
            (Admission::Probe, Ending::Good) => {
                let opened = self.opened;
                *self = Self {
                    opened,
                    ..Self::default()
                };
            }
            (Admission::Probe, Ending::Fault(kind)) => {
                self.backoff = self.backoff.saturating_mul(2).min(LONGEST_PROBE);
                self.open(kind, now);
            }
            (Admission::Probe, Ending::Neutral) => self.open(self.reason, now),
            // A call that was let through before the breaker opened changes nothing any more.
            (Admission::Normal, _) if self.state != State::Closed => {}
            (Admission::Normal, Ending::Neutral) => {}
            (Admission::Normal, Ending::Good) => {
                self.push(false);
                self.consecutive = 0;
            }
            (Admission::Normal, Ending::Fault(kind)) => {
                self.push(true);
                self.consecutive = self.consecutive.saturating_add(1);
                let full = self.seen >= WINDOW;
                if self.consecutive >= CONSECUTIVE_LIMIT
                    || full && self.window.count_ones() >= WINDOW_LIMIT
                {
                    self.opened = self.opened.saturating_add(1);
                    self.open(kind, now);
                }
            }
        }
    }

    /// Whether calls are being stopped.
    pub(crate) fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// Why they are, if they are.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        self.is_open().then_some(self.reason)
    }

    /// How often it opened from being closed.
    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }

    /// Whether the last call of the detector was a fault: such a detector gets one thread of the pool, not several.
    pub(crate) fn is_suspect(&self) -> bool {
        self.consecutive > 0 || self.is_open()
    }

    fn push(&mut self, fault: bool) {
        let mask = (1_u128 << WINDOW) - 1;
        self.window = (self.window << 1 | u128::from(fault)) & mask;
        self.seen = self.seen.saturating_add(1);
    }

    fn open(&mut self, reason: &'static str, now: Instant) {
        self.reason = reason;
        let until = now.checked_add(self.backoff).unwrap_or(now);
        self.state = State::Open { until };
    }

    fn stopped(&self, at: Instant, now: Instant) -> Stopped {
        Stopped {
            reason: self.reason,
            retry_after: at.saturating_duration_since(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &mut Breaker, now: Instant) {
        let admission = breaker.admit(now).unwrap();
        breaker.record(admission, Ending::Fault("trap"), now);
    }

    fn succeed(breaker: &mut Breaker, now: Instant) {
        let admission = breaker.admit(now).unwrap();
        breaker.record(admission, Ending::Good, now);
    }

    #[test]
    fn opens_after_five_faults_in_a_row_and_not_after_four() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        (0..4).for_each(|_| fail(&mut breaker, now));
        succeed(&mut breaker, now);
        (0..4).for_each(|_| fail(&mut breaker, now));
        assert!(!breaker.is_open());
        fail(&mut breaker, now);
        assert_eq!(
            breaker.admit(now),
            Err(Stopped {
                reason: "trap",
                retry_after: FIRST_PROBE
            })
        );
    }

    #[test]
    fn opens_at_five_percent_of_a_full_window() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for call in 0..100 {
            assert!(!breaker.is_open(), "call {call}");
            match call % 20 {
                19 => fail(&mut breaker, now),
                _ => succeed(&mut breaker, now),
            }
        }
        assert!(breaker.is_open());
    }

    #[test]
    fn a_fault_leaves_the_window_after_a_hundred_calls() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for call in 0..1000 {
            match call % 25 {
                0 => fail(&mut breaker, now),
                _ => succeed(&mut breaker, now),
            }
        }
        assert!(!breaker.is_open());
    }

    #[test]
    fn probes_alone_and_doubles_the_wait_up_to_a_minute() {
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        (0..5).for_each(|_| fail(&mut breaker, now));
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = Duration::from_secs(seconds);
            let early = now + wait - Duration::from_millis(1);
            assert!(breaker.admit(early).is_err(), "{seconds}");
            now += wait;
            assert_eq!(breaker.admit(now), Ok(Admission::Probe), "{seconds}");
            assert!(breaker.admit(now).is_err(), "one probe at a time");
            breaker.record(Admission::Probe, Ending::Fault("deadline"), now);
        }
        assert_eq!(breaker.reason(), Some("deadline"));
        now += LONGEST_PROBE;
        succeed(&mut breaker, now);
        assert!(!breaker.is_open());
        assert_eq!(breaker.opened(), 1);
    }

    #[test]
    fn a_probe_that_says_nothing_keeps_the_wait() {
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        (0..5).for_each(|_| fail(&mut breaker, now));
        now += FIRST_PROBE;
        assert_eq!(breaker.admit(now), Ok(Admission::Probe));
        breaker.record(Admission::Probe, Ending::Neutral, now);
        assert_eq!(breaker.peek(now).unwrap_err().retry_after, FIRST_PROBE);
    }
}
