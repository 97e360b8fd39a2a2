//! Owns the engine's tests at its public edge: bytes in, detectors, refusals and faults out.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy frees tests, but not the functions that they share"
)]

mod calls;
mod compiling;
mod damage;
mod faults;
#[path = "../../examples/layers/forest.rs"]
mod forest;
mod forests;
mod guests;
mod pool;
mod refusals;

use std::time::Duration;

use hodoscope_engine::{Batch, Deadline, Engine, EngineConfig, Limits};

pub(crate) fn limits() -> Limits {
    Limits {
        instances: 100,
        ..Limits::default()
    }
}

pub(crate) fn config() -> EngineConfig {
    EngineConfig {
        limits: limits(),
        pool_threads: 3,
        ..EngineConfig::default()
    }
}

pub(crate) fn engine() -> Engine {
    Engine::new(config()).unwrap()
}

/// An engine for which the code of `component` is a kernel of its own.
pub(crate) fn engine_that_trusts(component: &[u8]) -> Engine {
    let code = engine().inspect(component).unwrap().code;
    Engine::new(EngineConfig {
        trusted_kernels: code,
        ..config()
    })
    .unwrap()
}

/// Rows of two values, of which the second is 0.
pub(crate) fn rows(firsts: &[f64]) -> Batch {
    Batch::new(2, firsts.iter().flat_map(|first| [*first, 0.0]).collect())
}

/// For guests that never end. On a busy machine a thread may stand still for a while before it runs them.
pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(1))
}

/// For guests that end by themselves.
pub(crate) fn later() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}
