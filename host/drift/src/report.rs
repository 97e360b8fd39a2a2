//! The report of a drift run: what was compared, how far apart it is, how sure that is, and what follows. It is kept as
//! JSON beside the windows, and shown as text and as a page.

use hodoscope_release::{Digest, ReleaseName, window::WindowName};
use serde::{Deserialize, Serialize};

/// What follows from a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The window has fewer rows than the policy asks for; nothing is said about drift.
    InsufficientData,
    /// The release carries no profile, so there is nothing to compare with.
    NoReference,
    /// The input is broken (a missing column, a changed unit, a constant, a flood of missing values): alert, never retrain.
    DataQuality,
    /// The window is like the reference.
    Stable,
    /// This window drifted, but too few of the windows before it did.
    Watching,
    /// The release no longer fits: retrain.
    Drifted,
}

/// Limits that decide; every one is in the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Fewest rows a window needs.
    pub min_rows: u64,
    /// The largest share of false discoveries among the features (Benjamini and Hochberg 1995).
    pub significance: f64,
    /// Effects below these are never called drift, however sure they are.
    pub floors: Floors,
    /// The quantile of A/A splits that an effect must exceed, too.
    pub calibration_quantile: f64,
    /// How many A/A splits are drawn.
    pub calibration_splits: u32,
    /// Retrain when the score drifted in so many …
    pub windows_needed: usize,
    /// … of the last so many windows.
    pub windows_seen: usize,
    /// Retrain when this share of the features drifted far in two windows running.
    pub feature_share: f64,
    /// Far is so many times over the limit. Traffic that is correlated in time (a weekend, a loud tenant) moves many
    /// features a little while the scores stay; that is no reason to retrain.
    pub feature_factor: f64,
    /// Retrain when the alert rate is outside these multiples of its target.
    pub alert_rate_factors: (f64, f64),
    /// More missing values than the reference has, as a share: broken input, not drift.
    pub missing_flood: f64,
    /// A larger share of values outside the reference's range, of those that do not repeat one value: a changed unit.
    pub outside_flood: f64,
}

/// Effects below which nothing is called drift.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floors {
    /// Population stability index.
    pub psi: f64,
    /// Kolmogorov and Smirnov's distance.
    pub ks: f64,
    /// Wasserstein's first distance over the reference's standard deviation.
    pub wasserstein: f64,
    /// Jensen and Shannon's distance, natural logarithm.
    pub jensen_shannon: f64,
    /// The change of the share of missing values, either way.
    pub missing: f64,
}

/// How far two distributions are apart. `missing` is the change of the share of missing values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Effects {
    /// Population stability index.
    pub psi: f64,
    /// Kolmogorov and Smirnov's distance.
    pub ks: f64,
    /// Wasserstein's first distance over the reference's standard deviation.
    pub wasserstein: f64,
    /// Jensen and Shannon's distance, natural logarithm.
    pub jensen_shannon: f64,
    /// The window's share of missing values minus the reference's.
    pub missing: f64,
}

/// One distribution compared with its reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// How far apart.
    pub effects: Effects,
    /// What A/A splits of the reference reach at this size (the policy's quantile), or the floor where that is higher.
    pub limits: Floors,
    /// The chance of such a distance without drift, before correction.
    pub p_value: f64,
    /// The same after correction for the number of features.
    pub p_adjusted: f64,
    /// Sure and large enough.
    pub drifted: bool,
    /// Mean of the reference, mean of the window.
    pub means: (f64, f64),
    /// For plots: the ends of about 20 bins of equal share of the reference, its least value first and its greatest
    /// last. Empty without values, and for windows that are not the last.
    pub plot_edges: Vec<f64>,
    /// The share of the reference's values between these ends: one more than there are edges, for the first lies under
    /// the first edge and the last over the last one (both 0 here if the reference's range is known).
    pub plot_reference: Vec<f64>,
    /// The same of the window.
    pub plot_window: Vec<f64>,
}

/// One feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureDrift {
    /// Its name.
    pub name: String,
    /// The comparison.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// What kind of broken input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// All values are missing.
    MissingColumn,
    /// Far more values are missing than in the reference.
    MissingFlood,
    /// A value that varied is now the same in every row.
    Constant,
    /// Most values lie outside the reference's range, or all are larger or smaller by one factor of eight or more.
    UnitChange,
}

/// One broken feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The feature.
    pub feature: String,
    /// What is wrong.
    pub kind: Quality,
    /// The figures, for people.
    pub detail: String,
}

/// The share of rows that alert.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AlertRate {
    /// At calibration.
    pub target: f64,
    /// In the window.
    pub window: f64,
    /// Inside the policy's factors, or not surely outside them.
    pub within: bool,
}

/// A window in brief.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowSummary {
    /// Its name, which is its start.
    pub window: WindowName,
    /// Rows that were scored.
    pub rows: u64,
    /// Rows whose features were counted.
    pub sampled_rows: u64,
    /// Whether its scores drifted.
    pub score_drifted: bool,
    /// The share of its features that drifted.
    pub features_drifted: f64,
    /// The share of its features that drifted by the policy's factor or more over their limits.
    #[serde(default)]
    pub features_far: f64,
    /// The share of its rows that alerted.
    pub alert_rate: Option<f64>,
}

/// The whole report. It speaks of the last of its windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftReport {
    /// 1.
    pub schema: u32,
    /// The release that was active.
    pub release: ReleaseName,
    /// Its digest.
    pub digest: Digest,
    /// Oldest first; the last one is judged.
    pub windows: Vec<WindowSummary>,
    /// What follows.
    pub verdict: Verdict,
    /// Why, in words, the most important first.
    pub reasons: Vec<String>,
    /// The scores of the last window; none without data or reference.
    pub score: Option<Comparison>,
    /// None for a detector without a threshold.
    pub alert_rate: Option<AlertRate>,
    /// Most drifted first.
    pub features: Vec<FeatureDrift>,
    /// Broken input.
    pub problems: Vec<Problem>,
    /// The limits that decided.
    pub policy: Policy,
}

impl Verdict {
    /// The fixed word for metrics, logs and JSON.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::InsufficientData => "insufficient_data",
            Self::NoReference => "no_reference",
            Self::DataQuality => "data_quality",
            Self::Stable => "stable",
            Self::Watching => "watching",
            Self::Drifted => "drifted",
        }
    }
}

impl Default for Floors {
    /// OPERATIONS B3.5.
    fn default() -> Self {
        Self {
            psi: 0.2,
            ks: 0.1,
            wasserstein: 0.1,
            jensen_shannon: 0.1,
            missing: 0.1,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_rows: 500,
            significance: 0.05,
            floors: Floors::default(),
            calibration_quantile: 0.99,
            calibration_splits: 500,
            windows_needed: 2,
            windows_seen: 3,
            feature_share: 0.3,
            feature_factor: 2.5,
            alert_rate_factors: (1.0 / 3.0, 3.0),
            missing_flood: 0.25,
            outside_flood: 0.5,
        }
    }
}
