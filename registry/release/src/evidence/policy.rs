//! The limits of the gates. Each is a number that a person may change; the defaults are those of the paper on operations
//! (section B5), and `docs/gates.md` says where each comes from.

use serde::{Deserialize, Serialize};

/// The limits of the gates; all of them are in the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatePolicy {
    /// How often the same rows are scored; every answer must be the same, bit for bit.
    pub repeats: u32,
    /// Injected anomalies of each of the five classes.
    pub injected_rows: usize,
    /// The recall that a candidate may lose of one class, at the champion's alert rate.
    pub injected_loss: f64,
    /// The recall that it may lose over all classes together before it counts as broken.
    pub injected_collapse: f64,
    /// Labelled anomalies from which on labels decide.
    pub labelled_least: u64,
    /// The average precision that a candidate may lose.
    pub average_precision_loss: f64,
    /// The least share of the champion's area under the excess-mass curve.
    pub excess_mass_ratio: f64,
    /// The largest multiple of the champion's area under the mass-volume curve.
    pub mass_volume_ratio: f64,
    /// The largest share of rows that one and the same score may have.
    pub single_score_share: f64,
    /// The least rank correlation with the champion's scores on its golden rows.
    pub rank_correlation: f64,
    /// The alert rate on the last clean window, as multiples of the target.
    pub alert_rate_factors: (f64, f64),
    /// The alert rate that no release may exceed unless its target is higher.
    pub alert_rate_cap: f64,
    /// Held-out rows that the champion (or the anchor) alerts on and the candidate does not, as a multiple of the target.
    pub forgiven_factor: f64,
    /// The share of the anchor's rows that may be judged otherwise than the anchor did.
    pub anchor_flips: f64,
    /// The 99th percentile of the latency of a call, as a multiple of the champion's.
    pub p99_ratio: f64,
    /// The alert rate on one half of the data of a forest made from the other, as a multiple of the target.
    pub halves_factor: f64,
    /// Rows that a shadow must have scored before its figures count.
    pub shadow_rows: u64,
    /// Calls that a shadow may fail.
    pub shadow_faults: u64,
    /// A gate that passed with less than this share of its room left asks for a person.
    pub near_share: f64,
}

impl Default for GatePolicy {
    fn default() -> Self {
        Self {
            repeats: 3,
            injected_rows: 1_000,
            injected_loss: 0.02,
            injected_collapse: 0.10,
            labelled_least: 50,
            average_precision_loss: 0.01,
            excess_mass_ratio: 0.95,
            mass_volume_ratio: 1.05,
            single_score_share: 0.5,
            rank_correlation: 0.8,
            alert_rate_factors: (0.5, 2.0),
            alert_rate_cap: 0.05,
            forgiven_factor: 1.0,
            anchor_flips: 0.10,
            p99_ratio: 1.2,
            halves_factor: 3.0,
            shadow_rows: 10_000,
            shadow_faults: 0,
            near_share: 0.1,
        }
    }
}
