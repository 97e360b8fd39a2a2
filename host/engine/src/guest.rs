//! Owns one instance of a detector: its store, its limits, and the three calls. A guest that trapped or broke the
//! contract is dropped with everything it held; only one that answered may be used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wasmtime::component::{ComponentExportIndex, InstancePre};
use wasmtime::{Engine, PoolConcurrencyLimitError, Store, StoreContextMut, Trap, UpdateDeadline};

use crate::contract::{Functions, WitDescription, WitExplanation, WitRefusal};
use crate::guest_log::GuestLog;
use crate::limiter::Limiter;
use crate::refusal::quote;
use crate::{Fault, Limits};

/// Host memory that lifting an answer may take beside the scores: refusal texts, log lines.
const HOST_FUEL_BASE: usize = 256 * 1024;
/// Host memory that lifting a description may take.
const HOST_FUEL_DESCRIBE: usize = 8 << 20;

/// What a store carries for the host.
pub(crate) struct GuestState {
    pub(crate) limiter: Limiter,
    pub(crate) log: Arc<GuestLog>,
    deadline: Instant,
    ticks: u32,
}

/// Where a component keeps the contract's functions.
#[derive(Debug, Clone)]
pub(crate) struct ExportIndexes {
    pub(crate) describe: ComponentExportIndex,
    pub(crate) score: ComponentExportIndex,
    pub(crate) explain: Option<ComponentExportIndex>,
}

/// A component that is ready to be instantiated.
pub(crate) struct Blueprint {
    pub(crate) engine: Engine,
    pub(crate) component: InstancePre<GuestState>,
    pub(crate) exports: ExportIndexes,
    pub(crate) limits: Limits,
    pub(crate) log: Arc<GuestLog>,
    pub(crate) live: Arc<LiveGuests>,
}

/// How many guests of a detector live, and the most memory that one of them held.
#[derive(Debug, Default)]
pub(crate) struct LiveGuests {
    pub(crate) count: AtomicUsize,
    pub(crate) memory_peak_bytes: AtomicUsize,
}

/// One instance of a detector.
pub(crate) struct Guest {
    store: Store<GuestState>,
    functions: Functions,
    live: Arc<LiveGuests>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.live.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs at each tick in the middle of a guest: cuts it once its deadline has passed.
fn at_tick(mut store: StoreContextMut<'_, GuestState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    state.ticks = state.ticks.saturating_add(1);
    if Instant::now() >= state.deadline {
        return Err(Trap::Interrupt.into());
    }
    Ok(UpdateDeadline::Continue(1))
}

impl Blueprint {
    /// Makes an instance; its start functions run now, until `deadline`.
    pub(crate) fn instantiate(&self, deadline: Instant) -> Result<Guest, Fault> {
        let mut store = Store::new(
            &self.engine,
            GuestState {
                limiter: Limiter::new(self.limits.memory_bytes, self.limits.table_elements),
                log: Arc::clone(&self.log),
                deadline,
                ticks: 0,
            },
        );
        store.limiter(|state| &mut state.limiter);
        store.epoch_deadline_callback(at_tick);
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(HOST_FUEL_BASE);
        let instance = match self.component.instantiate(&mut store) {
            Ok(instance) => instance,
            Err(error) => return Err(instantiation_fault(&error, store.data_mut())),
        };
        let missing = || Fault::Instance("an export of the contract is missing".into());
        let mut function = |index| instance.get_func(&mut store, index).ok_or_else(missing);
        let functions = Functions {
            describe: function(&self.exports.describe)?,
            score: function(&self.exports.score)?,
            explain: self.exports.explain.as_ref().map(function).transpose()?,
        };
        self.live.count.fetch_add(1, Ordering::Relaxed);
        let live = Arc::clone(&self.live);
        Ok(Guest {
            store,
            functions,
            live,
        })
    }
}

impl Guest {
    /// Compares the instance's functions with the contract. Must succeed once per component before any call.
    pub(crate) fn check(&self) -> wasmtime::Result<()> {
        self.functions.check(&self.store)
    }

    /// Calls `scoring.describe`.
    pub(crate) fn describe(&mut self, deadline: Instant) -> Result<WitDescription, Fault> {
        self.arm(deadline, HOST_FUEL_DESCRIBE);
        let answer = self.functions.describe().call(&mut self.store, ());
        self.settle(answer)
    }

    /// Calls `scoring.score` with the rows in `values`.
    pub(crate) fn score(
        &mut self,
        columns: u32,
        values: &[f64],
        deadline: Instant,
    ) -> Result<Result<Vec<f64>, WitRefusal>, Fault> {
        let rows = values.len() / (columns.max(1) as usize);
        self.arm(deadline, HOST_FUEL_BASE.saturating_add(rows * 8));
        let batch = crate::contract::WitBatch { columns, values };
        let answer = self.functions.score().call(&mut self.store, (batch,));
        self.settle(answer)
    }

    /// Calls `explaining.explain` with the rows in `values`.
    pub(crate) fn explain(
        &mut self,
        columns: u32,
        values: &[f64],
        deadline: Instant,
    ) -> Result<Result<WitExplanation, WitRefusal>, Fault> {
        let Some(explain) = self.functions.explain() else {
            let text = "this detector does not explain; ask for scores only".to_owned();
            return Ok(Err(WitRefusal::Unsupported(text)));
        };
        let rows = values.len() / (columns.max(1) as usize);
        let fuel = rows.saturating_add(values.len()).saturating_mul(8);
        self.arm(deadline, HOST_FUEL_BASE.saturating_add(fuel));
        let batch = crate::contract::WitBatch { columns, values };
        let answer = explain.call(&mut self.store, (batch,));
        self.settle(answer)
    }

    /// Ticks of the clock that the last call was seen running at.
    pub(crate) fn ticks(&self) -> u32 {
        self.store.data().ticks
    }

    /// Prepares a call: the clock starts, and the host will not spend more than `fuel` bytes on lifting the answer.
    fn arm(&mut self, deadline: Instant, fuel: usize) {
        let state = self.store.data_mut();
        state.deadline = deadline;
        state.ticks = 0;
        self.store.set_epoch_deadline(1);
        self.store.set_hostcall_fuel(fuel);
    }

    fn settle<T>(&mut self, answer: wasmtime::Result<(T,)>) -> Result<T, Fault> {
        let state = self.store.data_mut();
        let held = state.limiter.memory_bytes();
        if held > self.live.memory_peak_bytes.load(Ordering::Relaxed) {
            self.live
                .memory_peak_bytes
                .fetch_max(held, Ordering::Relaxed);
        }
        let denied = state.limiter.take_denied();
        answer
            .map(|(answer,)| answer)
            .map_err(|error| call_fault(&error, denied))
    }
}

/// The fault that an error of wasmtime is. A trap right after a refused growth is that growth.
fn call_fault(error: &wasmtime::Error, denied: bool) -> Fault {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Fault::Deadline,
        _ if denied => Fault::Memory,
        Some(trap) => Fault::Trap {
            code: format!("{trap:?}"),
        },
        // Not a trap: lifting found a pointer, text or variant that the canonical ABI does not allow.
        None => Fault::BadAnswer(quote(&format!("{:#}", error.root_cause()))),
    }
}

/// What a caller is told to wait for when all slots for instances are taken.
const RETRY_AFTER: Duration = Duration::from_secs(1);

fn instantiation_fault(error: &wasmtime::Error, state: &mut GuestState) -> Fault {
    if error.is::<PoolConcurrencyLimitError>() {
        let retry_after = RETRY_AFTER;
        return Fault::QueueFull { retry_after };
    }
    match call_fault(error, state.limiter.take_denied()) {
        Fault::BadAnswer(text) => Fault::Instance(text),
        fault => fault,
    }
}
