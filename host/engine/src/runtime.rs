//! Owns the settings of wasmtime and the clock that interrupts guests. What shapes compiled code is fixed in
//! [`compile_settings`], so that the compiling child and every host of the same build agree; what only shapes
//! instances (the pool) comes from the limits.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Engine, PoolingAllocationConfig};

use crate::{EngineError, Limits};

/// How often running guests look at the clock. A tick costs the ticker's thread about 5 µs, 0.25 % of a core, and a guest
/// is cut at most one tick after its deadline; a shorter tick would only matter for deadlines below 10 ms.
pub(crate) const TICK: Duration = Duration::from_millis(2);

/// Stack of a guest. The threads that call guests have at least 2 MiB, so the guest's limit is always met first.
const WASM_STACK_BYTES: usize = 512 * 1024;

/// Core instances per component: CPython's dynamic libraries make about twenty.
const CORE_INSTANCES_PER_COMPONENT: u32 = 100;

/// The settings that shape compiled code, the same in the child and in the host.
pub(crate) fn compile_settings() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        // Relaxed SIMD gives forests a byte shuffle without a second instruction. Its results may differ between CPUs
        // outside of the range a kernel uses; golden rows would show that at load.
        .wasm_relaxed_simd(true)
        // Several memories: wasmtime's own adapters between the modules of a composed component (componentize-qjs makes
        // such) import two, and it panics where the proposal is off. The limiter sums them.
        .wasm_multi_memory(true)
        // 32 bits: what every toolchain emits, and what guard pages make free of checks.
        .wasm_memory64(false)
        // Neither backtraces nor their tables: guests' frames are never shown, and the tables are a third of the code.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .native_unwind_info(false)
        // A detector's data (a forest's trees) is mapped copy-on-write from one image for all its instances.
        .memory_init_cow(true);
    config
}

/// The settings of the host: pooled slots for instances, so that a fresh instance costs microseconds.
fn host_settings(limits: &Limits) -> Config {
    let memory_bytes = usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX);
    let tables = usize::try_from(limits.table_elements).unwrap_or(usize::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances)
        .total_core_instances(limits.instances.saturating_mul(4))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .total_memories(limits.instances)
        .max_memory_size(memory_bytes)
        .max_memories_per_component(4)
        .total_tables(limits.instances.saturating_mul(2))
        .max_tables_per_module(4)
        .max_tables_per_component(16)
        .table_elements(tables)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(8 << 20)
        // Nothing of one tenant's instance stays in a slot for the next one: pages go back to the system. Costs a
        // fresh instance a few page faults, and closes a class of bugs (RUSTSEC-2026-0088).
        .linear_memory_keep_resident(0)
        .table_keep_resident(0)
        // A slot stays mapped to the module that used it last, which makes the next instance of it cheap.
        .max_unused_warm_slots(limits.instances);
    let mut config = compile_settings();
    config.allocation_strategy(pool);
    config
}

/// The host's wasmtime engine.
pub(crate) fn host_engine(limits: &Limits) -> Result<Engine, EngineError> {
    Engine::new(&host_settings(limits)).map_err(|error| EngineError::Runtime(format!("{error:#}")))
}

/// Advances the epoch until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> Result<Self, EngineError> {
        let (stop, stopped) = mpsc::channel::<()>();
        let engine = engine.weak();
        let thread = std::thread::Builder::new()
            .name("hodoscope-ticker".into())
            .spawn(move || {
                while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    let Some(engine) = engine.upgrade() else {
                        return;
                    };
                    engine.increment_epoch();
                }
            })
            .map_err(EngineError::Thread)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic; there is nothing to report.
            let _ = thread.join();
        }
    }
}
