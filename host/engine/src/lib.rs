#![doc = include_str!("../README.md")]

mod batch;
mod breaker;
mod chunks;
mod compile;
mod config;
mod contract;
mod detector;
mod engine;
mod fault;
mod gate;
mod guest;
mod guest_log;
mod inspect;
mod limiter;
mod pool;
mod refusal;
mod report;
mod runtime;
mod stats;

pub use batch::{Answer, Batch, Call, Deadline, Explanation, Reply};
pub use compile::compile_child_main;
pub use config::{Compiler, EngineConfig, Limits, LogLevel, LogLine, LogSink};
pub use detector::{Description, Detector, Feature};
pub use engine::{Engine, EngineError};
pub use fault::{Fault, GuestRefusal};
pub use inspect::{Inspection, Sections};
pub use refusal::{Refusal, RefusalKind};
pub use report::{Check, CompiledFrom, Cost, Outcome, Report};
pub use stats::{DetectorStats, EngineStats};

/// Locks a mutex whose data stays valid whatever the thread that held it was doing when it panicked.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}
