//! Owns the promises of the pool: turns, bounds, deadlines in the queue, an end that answers everything.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use hodoscope_engine::{Answer, Call, Deadline, Detector, Engine, EngineConfig, Fault};

use crate::guests::guest;
use crate::{config, engine, later, rows};

const LOOP: &str = "(loop $l (br $l))";

/// Hands a call to the pool; its answer comes out of the receiver.
fn submit(
    detector: &Detector,
    first: f64,
    deadline: Deadline,
) -> Result<Receiver<Result<Answer, Fault>>, Fault> {
    let (sender, receiver) = channel();
    let call = Call {
        batch: rows(&[first]),
        explain: false,
        deadline,
    };
    let reply = move |answer| sender.send(answer).unwrap();
    detector.submit(call, Box::new(reply)).map(|()| receiver)
}

fn after(millis: u64) -> Deadline {
    Deadline::after(Duration::from_millis(millis))
}

#[test]
fn answers_on_a_thread_of_the_pool() {
    let detector = engine().load(&guest().build()).unwrap();
    let answer = submit(&detector, 1.0, later()).unwrap().recv().unwrap();
    assert_eq!(answer, Ok(Answer::Scores(vec![0.5])));
}

#[test]
fn two_looping_guests_do_not_keep_a_good_one_from_answering() {
    let engine = engine();
    let other = LOOP.replace("$l", "$m");
    let loops = [LOOP, &other].map(|code| {
        let component = guest()
            .on_trigger(code)
            .with("always", format!(";; {code}"))
            .build();
        engine.load(&component).unwrap()
    });
    let good = engine.load(&guest().build()).unwrap();
    let mut cut = Vec::new();
    let mut answered = 0;
    for _ in 0..20 {
        for detector in &loops {
            cut.extend(submit(detector, 777.0, after(1000)).ok());
        }
        let answer = submit(&good, 1.0, later()).unwrap().recv().unwrap();
        assert_eq!(answer, Ok(Answer::Scores(vec![0.5])));
        answered += 1;
    }
    assert_eq!(answered, 20);
    for answer in cut {
        let fault = answer.recv().unwrap().unwrap_err();
        let kinds = ["deadline", "expired", "breaker_open"];
        assert!(kinds.contains(&fault.kind()), "{fault}");
    }
    assert!(good.stats().faults.values().all(|count| *count == 0));
    for detector in &loops {
        let faults = detector.stats().faults;
        // One that waits for its turn for as long as it may run has expired.
        assert!(faults["deadline"] + faults["expired"] >= 1, "{faults:?}");
    }
}

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_retry() {
    let engine = Engine::new(EngineConfig {
        pool_threads: 1,
        queue_capacity: 2,
        ..config()
    })
    .unwrap();
    let detector = engine.load(&guest().on_trigger(LOOP).build()).unwrap();
    let mut waiting = Vec::new();
    let mut refused = 0;
    for call in 0..10 {
        // The first outlives those that wait behind it.
        let deadline = after(if call == 0 { 5000 } else { 1000 });
        match submit(&detector, 777.0, deadline) {
            Ok(answer) => waiting.push(answer),
            Err(fault) => {
                assert_eq!(fault.kind(), "queue_full");
                assert!(fault.retry_after().is_some());
                refused += 1;
            }
        }
    }
    // One may run while two wait; how soon it begins is the system's to say.
    assert!((7..=8).contains(&refused), "{refused}");
    assert_eq!(detector.stats().faults["queue_full"], refused);
    for answer in waiting {
        let fault = answer.recv().unwrap().unwrap_err();
        assert!(["deadline", "expired"].contains(&fault.kind()), "{fault}");
    }
    assert!(detector.stats().faults["expired"] >= 1);
}

#[test]
fn an_engine_that_goes_answers_every_call_that_waits() {
    let engine = Engine::new(EngineConfig {
        pool_threads: 1,
        ..config()
    })
    .unwrap();
    let detector = engine.load(&guest().on_trigger(LOOP).build()).unwrap();
    let mut answers = vec![submit(&detector, 777.0, after(100)).unwrap()];
    answers.extend((0..10).map(|_| submit(&detector, 1.0, later()).unwrap()));
    drop(detector);
    drop(engine);
    let scored = answers
        .iter()
        .filter(|answer| answer.recv().unwrap().is_ok());
    assert_eq!(scored.count(), 10);
}

#[test]
fn a_receiver_that_panics_does_not_end_a_thread() {
    let engine = Engine::new(EngineConfig {
        pool_threads: 1,
        ..config()
    })
    .unwrap();
    let detector = engine.load(&guest().build()).unwrap();
    let call = Call {
        batch: rows(&[1.0]),
        explain: false,
        deadline: later(),
    };
    detector
        .submit(call, Box::new(|_| panic!("a test")))
        .unwrap();
    let answer = submit(&detector, 1.0, later()).unwrap().recv().unwrap();
    assert!(answer.is_ok());
}

#[test]
fn a_call_of_the_wrong_shape_does_not_wait() {
    let detector = engine().load(&guest().build()).unwrap();
    let call = Call {
        batch: hodoscope_engine::Batch::new(3, vec![0.0; 3]),
        explain: false,
        deadline: later(),
    };
    let fault = detector
        .submit(call, Box::new(|_| unreachable!()))
        .unwrap_err();
    assert_eq!(fault.kind(), "refused");
}
