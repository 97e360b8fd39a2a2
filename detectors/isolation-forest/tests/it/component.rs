//! A component on bare wasmtime, with epoch checks compiled in as a host has them: what the kernel is tested and timed
//! through.

use std::sync::Arc;

use wasmtime::component::{Component, ComponentType, Instance, Lift, Linker, Lower, TypedFunc};
use wasmtime::{Config, Engine, Store};

/// Rows as the contract passes them.
#[derive(ComponentType, Lower, Clone)]
#[component(record)]
pub(crate) struct Batch {
    pub(crate) columns: u32,
    pub(crate) values: Arc<[f64]>,
}

#[derive(ComponentType, Lift, Debug, Clone, PartialEq)]
#[component(record)]
pub(crate) struct Location {
    row: Option<u32>,
    column: Option<u32>,
}

#[derive(ComponentType, Lift, Debug, Clone, PartialEq)]
#[component(variant)]
pub(crate) enum Refusal {
    #[component(name = "wrong-shape")]
    WrongShape(String),
    #[component(name = "unsupported")]
    Unsupported(String),
    #[component(name = "bad-value")]
    BadValue((Location, String)),
    #[component(name = "internal")]
    Internal(String),
}

#[derive(ComponentType, Lift, Debug, Clone, PartialEq)]
#[component(record)]
pub(crate) struct Feature {
    pub(crate) name: String,
    pub(crate) unit: Option<String>,
}

#[derive(ComponentType, Lift, Debug, Clone, PartialEq)]
#[component(record)]
pub(crate) struct Description {
    pub(crate) features: Vec<Feature>,
    pub(crate) threshold: Option<f64>,
    pub(crate) metadata: Vec<(String, String)>,
}

#[derive(ComponentType, Lift, Debug, Clone, PartialEq)]
#[component(record)]
pub(crate) struct Explanation {
    pub(crate) scores: Vec<f64>,
    pub(crate) baseline: f64,
    pub(crate) attributions: Vec<f64>,
}

/// An instance that is reused for every call, as hosts reuse those of trusted components.
pub(crate) struct Detector {
    store: Store<()>,
    instance: Instance,
    score: TypedFunc<(Batch,), (Result<Vec<f64>, Refusal>,)>,
}

/// An engine with epoch interruption.
pub(crate) fn engine() -> Engine {
    let mut config = Config::new();
    config.epoch_interruption(true);
    Engine::new(&config).unwrap()
}

impl Detector {
    /// Compiles and starts a component; it may import nothing.
    pub(crate) fn start(engine: &Engine, bytes: &[u8]) -> Self {
        let component = Component::new(engine, bytes).unwrap();
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(1_000_000);
        let instance = Linker::new(engine)
            .instantiate(&mut store, &component)
            .unwrap();
        let score = function(&mut store, &instance, "scoring", "score");
        Self {
            store,
            instance,
            score,
        }
    }

    pub(crate) fn score(&mut self, columns: usize, values: &[f64]) -> Result<Vec<f64>, Refusal> {
        self.score_batch(Batch {
            columns: columns as u32,
            values: values.into(),
        })
    }

    /// As `score`, without a copy of the rows on this side.
    pub(crate) fn score_batch(&mut self, batch: Batch) -> Result<Vec<f64>, Refusal> {
        self.score.call(&mut self.store, (batch,)).unwrap().0
    }

    pub(crate) fn explain(
        &mut self,
        columns: usize,
        values: &[f64],
    ) -> Result<Explanation, Refusal> {
        let batch = Batch {
            columns: columns as u32,
            values: values.into(),
        };
        let explain = function::<(Batch,), (Result<Explanation, Refusal>,)>(
            &mut self.store,
            &self.instance,
            "explaining",
            "explain",
        );
        explain.call(&mut self.store, (batch,)).unwrap().0
    }

    pub(crate) fn describe(&mut self) -> Description {
        let describe =
            function::<(), (Description,)>(&mut self.store, &self.instance, "scoring", "describe");
        describe.call(&mut self.store, ()).unwrap().0
    }
}

fn function<P, R>(
    store: &mut Store<()>,
    instance: &Instance,
    interface: &str,
    name: &str,
) -> TypedFunc<P, R>
where
    P: wasmtime::component::ComponentNamedList + Lower,
    R: wasmtime::component::ComponentNamedList + Lift,
{
    let interface = format!("hodoscope:detector/{interface}@0.1.0");
    let interface = instance
        .get_export_index(&mut *store, None, &interface)
        .unwrap();
    let function = instance
        .get_export_index(&mut *store, Some(&interface), name)
        .unwrap();
    instance.get_typed_func(&mut *store, function).unwrap()
}
