//! How long a release takes from its bytes to serving, gate included: never seen before, and with its compiled code in
//! the cache.

use std::time::Instant;

use anyhow::ensure;

use crate::Bench;
use crate::components::{component, engine, rows};
use crate::measure::median;
use crate::table::{Table, Target};

/// Measures the rows.
pub(crate) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    for name in ["shuttle", "generated30", "musk"] {
        let set = rows(bench, name)?;
        let bytes = std::fs::read(component(bench, &set)?)?;
        let cache = tempfile::tempdir()?;
        let (mut cold, mut cached) = (Vec::new(), Vec::new());
        for round in 0..bench.size(11, 1) {
            let folder = cache.path().join(round.to_string());
            let load = |figures: &mut Vec<f64>| -> anyhow::Result<()> {
                // A fresh engine knows nothing but what is in the folder, as a host that starts.
                let engine = engine(bench, Some(folder.clone()))?;
                let start = Instant::now();
                let detector = engine.load(&bytes)?;
                figures.push(start.elapsed().as_secs_f64() * 1e3);
                ensure!(detector.trusted(), "the component of {name} is not trusted");
                Ok(())
            };
            load(&mut cold)?;
            load(&mut cached)?;
        }
        let (cold, cached) = (median(&mut cold), median(&mut cached));
        let target = |must, stretch| Target::AtMost {
            must,
            stretch: Some(stretch),
        };
        let what = |how: &str| {
            format!(
                "load of a release, {name} ({} KiB), {how}",
                bytes.len() / 1024
            )
        };
        table.alone(
            &format!("load.{name}.cold"),
            &what("cold"),
            format!("{cold:.1} ms"),
            cold,
            target(100.0, 30.0),
        );
        table.alone(
            &format!("load.{name}.cached"),
            &what("cached"),
            format!("{cached:.2} ms"),
            cached,
            target(5.0, 1.0),
        );
    }
    Ok(())
}
