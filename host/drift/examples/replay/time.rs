//! How long two hundred detectors take.

use std::error::Error;
use std::time::Instant;

use hodoscope_drift::{MergedWindow, Policy, judge};

use crate::rows::{Known, Random, Rows, Traffic};

const DETECTORS: usize = 200;
const FEATURES: usize = 30;
const ROWS: usize = 100_000;

/// Thirty features of drawn rows; every second detector's windows are shifted.
pub(crate) fn table() -> Result<(), Box<dyn Error>> {
    let mut random = Random(3);
    let reference = Rows::drawn(&mut random, FEATURES, 20_000, 0.0);
    let known = Known::of(&reference, &(0..reference.len()).collect::<Vec<_>>())?;
    println!("\nTime, {FEATURES} features, {ROWS} rows in each of three windows, one thread\n");
    println!("| traffic | detectors | total | each |\n|---|---|---|---|");
    for (name, shift) in [("as before", 0.0), ("all features shifted", 0.5)] {
        let rows = Rows::drawn(&mut random, FEATURES, 20_000, shift);
        let traffic = Traffic::new(&known, &rows, (0..rows.len()).collect());
        let draw = |random: &mut Random| traffic.window(random, ROWS, 1);
        let windows: Vec<MergedWindow> = (0..3)
            .map(|_| draw(&mut random))
            .collect::<Result<_, _>>()?;
        let start = Instant::now();
        for seed in 0..DETECTORS {
            judge(
                &known.reference(),
                &windows,
                &Policy::default(),
                seed as u64,
            )?;
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "| {name} | {DETECTORS} | {seconds:.2} s | {:.1} ms |",
            seconds * 1_000.0 / DETECTORS as f64
        );
    }
    Ok(())
}
