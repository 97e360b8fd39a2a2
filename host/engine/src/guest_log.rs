//! Owns the one function that guests may call: `log.write`. Lines are cut at 4 KiB and rate-limited per detector before
//! their text is read, so that a chatty guest costs its own deadline and nothing else.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hodoscope_release::Digest;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmStr};

use crate::contract::{LOG_INSTANCE, WitLevel};
use crate::guest::GuestState;
use crate::{LogLevel, LogLine, LogSink};

/// Bytes of a line that are kept.
const LINE_BYTES: usize = 4096;
/// Lines that a detector may write per second.
const LINES_PER_SECOND: u32 = 20;

/// Where the lines of one detector go, and how many it may still write.
pub(crate) struct GuestLog {
    digest: Digest,
    sink: Option<LogSink>,
    budget: Mutex<Budget>,
    dropped: AtomicU64,
}

struct Budget {
    second: Instant,
    left: u32,
}

impl GuestLog {
    pub(crate) fn new(digest: Digest, sink: Option<LogSink>) -> Self {
        Self {
            digest,
            sink,
            budget: Mutex::new(Budget {
                second: Instant::now(),
                left: LINES_PER_SECOND,
            }),
            dropped: AtomicU64::new(0),
        }
    }

    /// Lines that were above the rate.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Takes one line from the budget of this second.
    fn admit(&self, now: Instant) -> bool {
        let mut budget = crate::lock(&self.budget);
        if now.saturating_duration_since(budget.second) >= Duration::from_secs(1) {
            *budget = Budget {
                second: now,
                left: LINES_PER_SECOND,
            };
        }
        match budget.left.checked_sub(1) {
            Some(left) => {
                budget.left = left;
                true
            }
            None => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    fn write(&self, level: LogLevel, text: &str) {
        let end = text.floor_char_boundary(LINE_BYTES);
        let message = text.get(..end).unwrap_or_default();
        if let Some(LogSink(write)) = &self.sink {
            return write(LogLine {
                digest: self.digest,
                level,
                message: message.to_owned(),
            });
        }
        match level {
            LogLevel::Debug => {
                tracing::debug!(target: "hodoscope::guest", { release.digest = %self.digest }, "{message}");
            }
            LogLevel::Info => {
                tracing::info!(target: "hodoscope::guest", { release.digest = %self.digest }, "{message}");
            }
            LogLevel::Warn => {
                tracing::warn!(target: "hodoscope::guest", { release.digest = %self.digest }, "{message}");
            }
            LogLevel::Error => {
                tracing::error!(target: "hodoscope::guest", { release.digest = %self.digest }, "{message}");
            }
        }
    }
}

/// Links `log` and nothing else.
pub(crate) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.instance(LOG_INSTANCE)?.func_wrap(
        "write",
        |store: StoreContextMut<'_, GuestState>, (level, text): (WitLevel, WasmStr)| {
            let log = std::sync::Arc::clone(&store.data().log);
            if log.admit(Instant::now()) {
                log.write(level.into(), &text.to_str(&store)?);
            }
            Ok(())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn cuts_long_lines_and_drops_those_above_the_rate() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        let sink = LogSink::new(move |line| seen.lock().unwrap().push(line.message));
        let log = GuestLog::new(Digest::of(b"x"), Some(sink));
        let now = Instant::now();
        for _ in 0..LINES_PER_SECOND + 5 {
            if log.admit(now) {
                log.write(LogLevel::Info, &"ä".repeat(4000));
            }
        }
        assert_eq!(log.dropped(), 5);
        assert!(log.admit(now + Duration::from_secs(1)));
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), LINES_PER_SECOND as usize);
        assert!(lines.iter().all(|line| line.len() == LINE_BYTES));
    }
}
