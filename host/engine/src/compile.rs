//! Owns turning a component into machine code, and keeping it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::refusal::{Refusal, RefusalKind, quote};
use crate::stats::EngineStats;
use crate::{CompiledFrom, EngineConfig, EngineError, Inspection};

/// The way to compiled code.
pub(crate) struct Compiled {
    engine: Engine,
    /// One compilation at a time: each may take gigabytes.
    turn: Mutex<()>,
    compiles: AtomicU64,
    compile_micros: AtomicU64,
}

impl Compiled {
    pub(crate) fn open(engine: &Engine, _config: &EngineConfig) -> Result<Self, EngineError> {
        Ok(Self {
            engine: engine.clone(),
            turn: Mutex::new(()),
            compiles: AtomicU64::new(0),
            compile_micros: AtomicU64::new(0),
        })
    }

    pub(crate) fn component(
        &self,
        bytes: &[u8],
        _inspection: &Inspection,
    ) -> Result<(Component, CompiledFrom), Refusal> {
        let _turn = crate::lock(&self.turn);
        let start = Instant::now();
        let component = Component::from_binary(&self.engine, bytes).map_err(|error| {
            Refusal::new(
                RefusalKind::Compile,
                quote(&format!("{error:#}")),
                "components that compile",
                "build it again",
            )
        })?;
        self.compiles.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.compile_micros.fetch_add(micros, Ordering::Relaxed);
        Ok((component, CompiledFrom::Compiler))
    }

    pub(crate) fn count_into(&self, stats: &mut EngineStats) {
        stats.compiles = self.compiles.load(Ordering::Relaxed);
        stats.compile_seconds = self.compile_micros.load(Ordering::Relaxed) as f64 / 1e6;
    }
}

/// The body of the hidden command `hodoscope compile`: a component on standard input, compiled code on standard output.
pub fn compile_child_main() -> ! {
    std::process::exit(2)
}
