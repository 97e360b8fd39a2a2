//! Owns what forests that our compiler emits may rely on: trusted, proven, explained, inline, and the same scores in every
//! order and split.

use hodoscope_engine::{Compiler, Engine, EngineConfig};
use hodoscope_isolation_forest::kernel_digests;

use crate::forest::component;
use crate::{config, later};

fn engine() -> Engine {
    Engine::new(EngineConfig {
        trusted_kernels: kernel_digests(),
        // A trusted component never needs the child: this one could not even start.
        compiler: Compiler::Child {
            program: "/nonexistent".into(),
            args: Vec::new(),
        },
        ..config()
    })
    .unwrap()
}

#[test]
fn an_emitted_forest_is_trusted_proven_and_explains() {
    for columns in [1, 2, 9, 30, 166] {
        let detector = engine().load(&component(columns).unwrap()).unwrap();
        assert!(detector.trusted(), "{columns}");
        assert!(!detector.unproven());
        assert!(detector.explains());
        assert!(detector.runs_inline(1));
        assert!(detector.report().passed());
        assert_eq!(detector.description().features.len(), columns as usize);
        let golden = detector.sections().golden.as_ref().unwrap();
        let values = golden
            .rows
            .iter()
            .flatten()
            .map(|value| value.unwrap_or(f64::NAN));
        let batch = hodoscope_engine::Batch::new(columns, values.collect());
        assert_eq!(detector.score(&batch, later()).unwrap(), golden.scores);
        let explanation = detector.explain(&batch, later()).unwrap();
        assert_eq!(explanation.scores, golden.scores);
    }
}

#[test]
fn the_same_forest_is_not_trusted_by_a_host_without_its_kernel() {
    let component = component(3).unwrap();
    let engine = Engine::new(config()).unwrap();
    let detector = engine.load(&component).unwrap();
    assert!(!detector.trusted());
    assert!(!detector.runs_inline(1));
}
