//! Owns what damaged uploads do: nothing but a refusal.

use crate::engine;
use crate::guests::{guest, with_section};

fn component() -> Vec<u8> {
    let golden = br#"{"schema":1,"rows":[[1,0]],"scores":[0.5]}"#;
    with_section(guest().explaining("-1").build(), "hodoscope:other", golden)
}

#[test]
fn a_component_cut_off_anywhere_is_refused() {
    let engine = engine();
    let whole = component();
    for length in (0..whole.len())
        .step_by(64)
        .chain(whole.len() - 63..whole.len())
    {
        // Between two sections the rest looks whole: then an export or the code is missing.
        let cut = &whole[..length];
        assert!(
            engine.inspect(cut).is_err() || engine.load(cut).is_ok(),
            "{length}"
        );
    }
}

#[test]
fn flipped_bits_never_panic_and_never_make_a_wrong_answer() {
    let engine = engine();
    let whole = component();
    let mut compiled = 0;
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1 << (place % 8);
        if engine.inspect(&damaged).is_ok() && place % 16 == 0 {
            // Most of these are refused by the gate; what passes is another, valid detector.
            let _ = engine.load(&damaged);
            compiled += 1;
        }
    }
    assert!(compiled > 0);
}
