//! Owns the way from a component to machine code: from the cache if it is there, else from the compiler, which for unknown
//! code is a child process with limits of its own. wasmtime promises no bound on the time and memory that compiling
//! takes (its authors call that out of scope and advise another process), and twenty kilobytes can take gigabytes.

mod cache;
mod child;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use wasmtime::Engine;
use wasmtime::component::Component;

use self::cache::Cache;
pub use self::child::compile_child_main;
use crate::refusal::{Refusal, RefusalKind, quote};
use crate::stats::EngineStats;
use crate::{CompiledFrom, Compiler, EngineConfig, EngineError, Inspection, Limits, Report};

/// The way to compiled code.
pub(crate) struct Compiled {
    engine: Engine,
    compiler: Compiler,
    limits: Limits,
    cache: Option<Cache>,
    /// One compilation at a time: each may take gigabytes.
    turn: Mutex<()>,
    compiles: AtomicU64,
    compile_micros: AtomicU64,
    cache_hits: AtomicU64,
    cache_rejects: AtomicU64,
}

/// A compiled component, and what an earlier load found out about it.
pub(crate) struct Found {
    pub(crate) component: Component,
    pub(crate) from: CompiledFrom,
    pub(crate) report: Option<Report>,
}

impl Compiled {
    pub(crate) fn open(engine: &Engine, config: &EngineConfig) -> Result<Self, EngineError> {
        let cache = config.cache_dir.as_deref();
        Ok(Self {
            engine: engine.clone(),
            compiler: config.compiler.clone(),
            limits: config.limits.clone(),
            cache: cache.map(|dir| Cache::open(dir, engine)).transpose()?,
            turn: Mutex::new(()),
            compiles: AtomicU64::new(0),
            compile_micros: AtomicU64::new(0),
            cache_hits: AtomicU64::new(0),
            cache_rejects: AtomicU64::new(0),
        })
    }

    /// The compiled form of `bytes`.
    pub(crate) fn find(&self, bytes: &[u8], inspection: &Inspection) -> Result<Found, Refusal> {
        if let Some(found) = self.cached(inspection) {
            return Ok(found);
        }
        let _turn = crate::lock(&self.turn);
        // Another thread may have compiled the same component while this one waited for its turn.
        if let Some(found) = self.cached(inspection) {
            return Ok(found);
        }
        let start = Instant::now();
        let code = self.compile(bytes, inspection)?;
        self.compiles.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.compile_micros.fetch_add(micros, Ordering::Relaxed);
        if let Some(cache) = &self.cache {
            cache.write_code(inspection.digest, &code);
        }
        let component = self.deserialize(&code).map_err(|error| {
            refuse(
                format!("compiled code that this host cannot read: {error:#}"),
                "code compiled by the same build of the host",
                "restart the host: its executable was replaced while it was running",
            )
        })?;
        Ok(Found {
            component,
            from: CompiledFrom::Compiler,
            report: None,
        })
    }

    /// Keeps what the gate found out, for the next load of the same component.
    pub(crate) fn keep_report(&self, report: &Report) {
        if let Some(cache) = &self.cache {
            cache.write_report(report);
        }
    }

    pub(crate) fn count_into(&self, stats: &mut EngineStats) {
        stats.compiles = self.compiles.load(Ordering::Relaxed);
        stats.compile_seconds = self.compile_micros.load(Ordering::Relaxed) as f64 / 1e6;
        stats.cache_hits = self.cache_hits.load(Ordering::Relaxed);
        stats.cache_rejects = self.cache_rejects.load(Ordering::Relaxed);
    }

    fn cached(&self, inspection: &Inspection) -> Option<Found> {
        let cache = self.cache.as_ref()?;
        let code = match cache.read_code(inspection.digest) {
            Ok(code) => code?,
            Err(problem) => return self.reject(inspection, &problem),
        };
        let component = match self.deserialize(&code) {
            Ok(component) => component,
            Err(error) => return self.reject(inspection, &format!("{error:#}")),
        };
        self.cache_hits.fetch_add(1, Ordering::Relaxed);
        let report = cache.read_report(inspection.digest);
        Some(Found {
            component,
            from: CompiledFrom::Cache,
            // Trust may have changed with the host's kernels; then everything is checked anew.
            report: report.filter(|report| report.trusted == inspection.trusted),
        })
    }

    /// A damaged entry is a miss: it is compiled again and written over.
    fn reject(&self, inspection: &Inspection, problem: &str) -> Option<Found> {
        self.cache_rejects.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(release.digest = %inspection.digest, "compiling again, the cached code is not usable: {problem}");
        None
    }

    fn compile(&self, bytes: &[u8], inspection: &Inspection) -> Result<Vec<u8>, Refusal> {
        match &self.compiler {
            // A trusted component's code is our own and its structure is small: a child would only cost time.
            Compiler::Child { program, args } if !inspection.trusted => {
                child::compile(program, args, bytes, &self.limits)
            }
            Compiler::Child { .. } | Compiler::InProcess => {
                self.engine.precompile_component(bytes).map_err(|error| {
                    refuse(
                        quote(&format!("a component that does not compile: {error:#}")),
                        "what wasmtime compiles",
                        "build it again",
                    )
                })
            }
        }
    }

    fn deserialize(&self, code: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: `code` is machine code that will be run, so it must come from wasmtime's compiler. It does: it was made
        // by this process, or by a child that this process started from the executable it was configured with, or it
        // was read from the cache folder, which only this user can write (checked when it is opened) and whose
        // entries carry a hash over code, digest and engine. Bytes that were uploaded never get here.
        #[expect(
            unsafe_code,
            reason = "running compiled code is what the engine is for"
        )]
        unsafe {
            Component::deserialize(&self.engine, code)
        }
    }
}

/// A refusal by the compiler.
fn refuse(found: String, supported: &str, fix: &str) -> Refusal {
    Refusal::new(RefusalKind::Compile, found, supported, fix)
}
