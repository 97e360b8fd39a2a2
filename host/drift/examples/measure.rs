//! Reads counts as JSON on stdin and prints every statistic of them as JSON: `verify/drift` holds it against SciPy and
//! Evidently.

#![expect(clippy::print_stdout, reason = "a tool whose output is its work")]

use std::error::Error;

use hodoscope_drift::distance::{self, Side};
use hodoscope_drift::{MergedWindow, Policy, Reference, judge, significance};
use hodoscope_release::Digest;
use hodoscope_release::sections::{Histogram, Profile};
use hodoscope_release::window::Counts;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(default)]
    cases: Vec<Case>,
    /// Lists of p-values to adjust.
    #[serde(default)]
    p_values: Vec<Vec<f64>>,
    #[serde(default)]
    rates: Vec<Rate>,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    seed: u64,
}

#[derive(Deserialize)]
struct Case {
    reference: Histogram,
    window: Counts,
}

#[derive(Deserialize)]
struct Rate {
    events: u64,
    n: u64,
    known: u64,
    m: u64,
    factor: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let input: Input = serde_json::from_reader(std::io::stdin().lock())?;
    let cases: Vec<Value> = input
        .cases
        .iter()
        .map(|case| measured(case, &input.policy, input.seed))
        .collect::<Result<_, _>>()?;
    let adjusted: Vec<Vec<f64>> = input
        .p_values
        .iter()
        .map(|p_values| significance::benjamini_hochberg(p_values))
        .collect();
    let rates: Vec<Value> = input
        .rates
        .iter()
        .map(|rate| {
            let Rate {
                events,
                n,
                known,
                m,
                factor,
            } = *rate;
            json!({
                "above": significance::rate_above(events, n, known, m, factor),
                "below": significance::rate_below(events, n, known, m, factor),
            })
        })
        .collect();
    println!(
        "{}",
        json!({ "cases": cases, "adjusted": adjusted, "rates": rates })
    );
    Ok(())
}

/// Statistics on the bins as they are, and what `judge` makes of them as scores.
fn measured(case: &Case, policy: &Policy, seed: u64) -> Result<Value, Box<dyn Error>> {
    let Case { reference, window } = case;
    let (p, q) = (
        distance::shares(&reference.counts),
        distance::shares(&window.counts),
    );
    let known = Side {
        counts: &reference.counts,
        sums: &reference.sums,
    };
    let seen = Side {
        counts: &window.counts,
        sums: &window.sums,
    };
    let ks = distance::kolmogorov_smirnov(&p, &q);
    let wasserstein = distance::wasserstein(&reference.edges, known, seen);
    let present = |counts: &[u64]| counts.iter().sum::<u64>();
    let (m, n) = (present(&reference.counts), present(&window.counts));
    Ok(json!({
        "psi": distance::psi(&p, &q),
        "jensen_shannon": distance::jensen_shannon(&p, &q),
        "ks": [ks.least, ks.most],
        "wasserstein": [wasserstein.least, wasserstein.most],
        "deviation": distance::deviation(&reference.edges, reference.range, known),
        "p_ks": significance::kolmogorov_smirnov(ks.least, n, m),
        "p_homogeneity": significance::homogeneity(&reference.counts, &window.counts),
        "judged": judged(case, policy, seed, n)?,
    }))
}

fn judged(case: &Case, policy: &Policy, seed: u64, rows: u64) -> Result<Value, Box<dyn Error>> {
    let release = "measure@1.0.0".parse()?;
    let profile = Profile {
        schema: 1,
        rows: case.reference.counts.iter().sum(),
        features: Vec::new(),
        scores: case.reference.clone(),
    };
    let reference = Reference {
        release: &release,
        digest: Digest::of(b"measure"),
        features: &[],
        profile: Some(&profile),
        alert_rate: None,
    };
    let window = MergedWindow {
        detector: release.detector.clone(),
        version: release.version.clone(),
        digest: reference.digest,
        window: "20261124T000000Z".parse()?,
        window_seconds: 86_400,
        parts: 1,
        threshold: None,
        rows,
        alerts: 0,
        scores: case.window.clone(),
        sampled_rows: 0,
        sample_fraction: 0.0,
        dropped_rows: 0,
        features: Vec::new(),
        shadow: None,
    };
    let report = judge(&reference, &[window], policy, seed)?;
    Ok(serde_json::to_value(report.score)?)
}
