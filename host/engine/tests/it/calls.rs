//! Owns what a well-behaved detector may rely on.

use hodoscope_engine::{Batch, Deadline, Fault, GuestRefusal};

use crate::guests::guest;
use crate::{engine, engine_that_trusts, later, rows};

#[test]
fn scores_rows_as_the_guest_does() {
    let detector = engine().load(&guest().build()).unwrap();
    let scores = detector.score(&rows(&[0.0, 1.0, 3.0, f64::NAN]), later());
    assert_eq!(scores, Ok(vec![1.0, 0.5, 0.25, 0.5]));
    assert_eq!(detector.description().features.len(), 2);
    assert!(detector.unproven());
    assert!(!detector.trusted());
    assert!(!detector.runs_inline(1));
    let report = detector.report();
    assert!(report.passed(), "{report:?}");
    assert!(report.cost.call_seconds > 0.0);
}

#[test]
fn scores_large_batches_in_chunks_and_an_empty_one_not_at_all() {
    let detector = engine().load(&guest().build()).unwrap();
    let firsts: Vec<f64> = (0..200_000).map(f64::from).collect();
    let scores = detector.score(&rows(&firsts), later()).unwrap();
    assert_eq!(scores.len(), firsts.len());
    assert!(
        scores
            .iter()
            .zip(&firsts)
            .all(|(score, a)| *score == 1.0 / (1.0 + a))
    );
    assert_eq!(detector.score(&rows(&[]), later()), Ok(vec![]));
}

#[test]
fn refuses_batches_of_the_wrong_shape_before_the_guest_sees_them() {
    let detector = engine().load(&guest().build()).unwrap();
    for batch in [
        Batch::new(3, vec![0.0; 3]),
        Batch::new(0, vec![]),
        Batch::new(2, vec![0.0; 3]),
    ] {
        let answer = detector.score(&batch, later());
        assert!(
            matches!(answer, Err(Fault::Refused(GuestRefusal::WrongShape(_)))),
            "{answer:?}"
        );
    }
    assert_eq!(detector.stats().faults["refused"], 3);
}

#[test]
fn a_guests_refusal_names_the_row_of_the_callers_batch() {
    let component = guest().on_trigger("(return (i32.const 1400))").build();
    let detector = engine().load(&component).unwrap();
    let mut firsts = vec![0.0; 20_000];
    // The second chunk begins with the trigger: 256 KiB of values, 16 bytes to a row.
    firsts[16_384] = 777.0;
    let answer = detector.score(&rows(&firsts), later());
    assert_eq!(
        answer,
        Err(Fault::Refused(GuestRefusal::BadValue {
            row: Some(16_385),
            column: Some(0),
            message: "no".into()
        }))
    );
}

#[test]
fn trusted_code_runs_inline_and_keeps_its_instance() {
    let component = guest().build();
    let engine = engine_that_trusts(&component);
    let detector = engine.load(&component).unwrap();
    assert!(detector.trusted());
    assert!(detector.runs_inline(1));
    assert!(!detector.runs_inline(100_000_000));
    for _ in 0..100 {
        detector.score(&rows(&[1.0]), later()).unwrap();
    }
    assert_eq!(detector.stats().instances_live, 1);
    assert_eq!(detector.stats().calls, 100);
}

#[test]
fn untrusted_code_gets_a_new_instance_for_each_call() {
    let component = guest().build();
    let detector = engine().load(&component).unwrap();
    detector.score(&rows(&[1.0]), later()).unwrap();
    assert_eq!(detector.stats().instances_live, 0);
}

#[test]
fn explains_and_checks_the_sum_rule() {
    let detector = engine().load(&guest().explaining("-1").build()).unwrap();
    assert!(detector.explains());
    let batch = rows(&[f64::NAN, f64::NAN]);
    let explanation = detector.explain(&batch, later()).unwrap();
    assert_eq!(explanation.scores, [0.5, 0.5]);
    assert_eq!(explanation.baseline, -1.0);
    assert_eq!(explanation.attributions, [0.0; 4]);
    let refused = engine()
        .load(&guest().explaining("-1.00001").build())
        .unwrap_err();
    assert!(refused.found.contains("add up to -1.00001"), "{refused}");
}

#[test]
fn a_detector_that_does_not_explain_says_so() {
    let detector = engine().load(&guest().build()).unwrap();
    let answer = detector.explain(&rows(&[1.0]), later());
    assert!(matches!(
        answer,
        Err(Fault::Refused(GuestRefusal::Unsupported(_)))
    ));
}

#[test]
fn a_call_whose_deadline_has_passed_never_reaches_the_guest() {
    let detector = engine().load(&guest().build()).unwrap();
    let past = Deadline::at(std::time::Instant::now());
    assert_eq!(detector.score(&rows(&[1.0]), past), Err(Fault::Expired));
}
