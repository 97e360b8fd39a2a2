//! Owns the engine: one wasmtime engine, its clock, its pool of threads, its cache of compiled code. It hands out
//! detectors, and lives until the last of them is dropped.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use wasmtime::component::Linker;

use crate::compile::Compiled;
use crate::guest::GuestState;
use crate::pool::Pool;
use crate::runtime::{Ticker, host_engine};
use crate::stats::EngineStats;
use crate::{Detector, EngineConfig, Inspection, Refusal, gate, guest_log, inspect};

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refuses the settings, or the system the address space.
    #[error("wasmtime cannot start: {0}")]
    Runtime(String),
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(#[source] std::io::Error),
    /// The folder for compiled code cannot be used.
    #[error("the cache folder {path} cannot be used: {problem}; {fix}")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        fix: &'static str,
    },
}

/// What the engine and its detectors share.
pub(crate) struct Core {
    // Dropped in this order: the pool drains while the clock still ticks.
    pub(crate) pool: Pool,
    _ticker: Ticker,
    pub(crate) config: EngineConfig,
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) linker: Linker<GuestState>,
    pub(crate) compiled: Compiled,
    pub(crate) detectors: AtomicUsize,
    pub(crate) next_id: AtomicU64,
    pub(crate) refusals: AtomicU64,
}

/// Compiles, gates and calls detectors. Cloning it is cheap.
#[derive(Clone)]
pub struct Engine(Arc<Core>);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Engine").field(&self.0.config).finish()
    }
}

impl Engine {
    /// Starts an engine.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let wasmtime = host_engine(&config.limits)?;
        let mut linker = Linker::new(&wasmtime);
        guest_log::link(&mut linker).map_err(|e| EngineError::Runtime(format!("{e:#}")))?;
        let compiled = Compiled::open(&wasmtime, &config)?;
        Ok(Self(Arc::new(Core {
            pool: Pool::start(config.pool_threads, config.queue_capacity)?,
            _ticker: Ticker::start(&wasmtime)?,
            config,
            wasmtime,
            linker,
            compiled,
            detectors: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
        })))
    }

    /// The gate: the only way in which bytes become a detector. Slow (it compiles and runs the component): never call it
    /// on a thread that serves requests.
    pub fn load(&self, component: &[u8]) -> Result<Detector, Refusal> {
        let start = Instant::now();
        gate::load(&self.0, component, start).inspect_err(|_| {
            self.0.refusals.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// What can be said about bytes without running them.
    pub fn inspect(&self, component: &[u8]) -> Result<Inspection, Refusal> {
        let config = &self.0.config;
        inspect::inspect(component, &config.limits, &config.trusted_kernels)
    }

    /// What the engine was told.
    pub fn config(&self) -> &EngineConfig {
        &self.0.config
    }

    /// Plain numbers about the engine.
    pub fn stats(&self) -> EngineStats {
        let core = &self.0;
        let (pool_threads, pool_busy, waiting) = core.pool.load();
        let mut stats = EngineStats {
            detectors: core.detectors.load(Ordering::Relaxed),
            pool_threads,
            pool_busy,
            waiting,
            refusals: core.refusals.load(Ordering::Relaxed),
            ..EngineStats::default()
        };
        core.compiled.count_into(&mut stats);
        stats
    }
}
