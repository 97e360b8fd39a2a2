//! Owns the numbers that the engine counts. They are plain: names and labels of metrics are the host's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Fault;

/// Numbers about the engine.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct EngineStats {
    /// Loaded detectors, old ones that still drain included.
    pub detectors: usize,
    /// Threads of the pool.
    pub pool_threads: usize,
    /// Threads of the pool that run a call.
    pub pool_busy: usize,
    /// Calls that wait for a thread, over all detectors.
    pub waiting: usize,
    /// Components that were compiled.
    pub compiles: u64,
    /// Seconds spent on compiling them.
    pub compile_seconds: f64,
    /// Loads that found their compiled code in the cache.
    pub cache_hits: u64,
    /// Cache entries that were damaged or foreign, and were compiled again.
    pub cache_rejects: u64,
    /// Components that were refused.
    pub refusals: u64,
}

/// Numbers about one loaded detector.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct DetectorStats {
    /// Calls, the failed ones included.
    pub calls: u64,
    /// Rows that were scored.
    pub rows: u64,
    /// Faults by [`Fault::kind`]; kinds that never occurred are 0.
    pub faults: BTreeMap<&'static str, u64>,
    /// Calls that run now.
    pub running: usize,
    /// Calls that wait for a thread of the pool.
    pub waiting: usize,
    /// Instances that live.
    pub instances_live: usize,
    /// Instances that wait to be used again.
    pub instances_idle: usize,
    /// The most memory that one instance held.
    pub memory_peak_bytes: usize,
    /// Whether the breaker stops calls.
    pub breaker_open: bool,
    /// The kind of the fault that opened it.
    pub breaker_reason: Option<&'static str>,
    /// How often it has opened.
    pub breaker_opened: u64,
    /// Whether it was sent to the pool because it once ran far longer than predicted.
    pub demoted: bool,
    /// Log lines above the rate.
    pub log_lines_dropped: u64,
}

/// Faults by kind.
#[derive(Debug, Default)]
pub(crate) struct FaultCounts([AtomicU64; Fault::KINDS.len()]);

impl FaultCounts {
    pub(crate) fn count(&self, fault: &Fault) {
        let kinds = Fault::KINDS.iter().zip(&self.0);
        for (_, count) in kinds.filter(|(kind, _)| **kind == fault.kind()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        let kinds = Fault::KINDS.iter().zip(&self.0);
        kinds
            .map(|(kind, count)| (*kind, count.load(Ordering::Relaxed)))
            .collect()
    }
}
