//! From windows to a verdict. Broken input first, which never retrains; then the alert rate and the scores decide, and
//! the features explain. Pure: the same windows, policy and seed give the same report.

use hodoscope_release::sections::{Histogram, Profile};
use hodoscope_release::window::Counts;
use hodoscope_release::{Digest, ReleaseName};

use crate::compare::{Calibrator, Measured, Pair, decide, excess};
use crate::merge::MergedWindow;
use crate::report::{
    AlertRate, Comparison, DriftReport, FeatureDrift, Policy, Problem, Verdict, WindowSummary,
};
use crate::{quality, reasons, significance};

/// The schema number of a report.
const SCHEMA: u32 = 1;
/// Broken input shows in fewer rows than drift does: a tenth of the policy's, which is what the usual sample keeps of them.
const QUALITY_SHARE: u64 = 10;

/// What windows are compared with: what the active release carries.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    /// The active release.
    pub release: &'a ReleaseName,
    /// Its digest.
    pub digest: Digest,
    /// The features' names, in the release's order.
    pub features: &'a [String],
    /// Counts of the rows it was calibrated on; none for a detector without.
    pub profile: Option<&'a Profile>,
    /// The share of those rows that alerted; none for a detector without a threshold.
    pub alert_rate: Option<f64>,
}

/// Windows that cannot be compared with the reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// A window was counted for another release.
    #[error(
        "window {window} counts {found}, but {wanted} is judged; judge each release by its own windows"
    )]
    OtherRelease {
        /// The window.
        window: String,
        /// The digest it counts.
        found: Digest,
        /// The digest that is judged.
        wanted: Digest,
    },
    /// Counts do not fit the profile.
    #[error("window {window} does not fit the release's profile: {reason}")]
    OtherEdges {
        /// The window.
        window: String,
        /// The difference.
        reason: String,
    },
}

/// One window, looked at.
pub(crate) struct Looked {
    pub(crate) summary: WindowSummary,
    pub(crate) score: Option<Comparison>,
    pub(crate) features: Vec<FeatureDrift>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) alert_rate: Option<AlertRate>,
    pub(crate) enough: bool,
}

/// Compares windows, oldest first, with what the release carries, and says what follows for the last of them.
///
/// `seed` draws the splits that calibrate the limits; any number, the same for the same answer.
pub fn judge(
    reference: &Reference<'_>,
    windows: &[MergedWindow],
    policy: &Policy,
    seed: u64,
) -> Result<DriftReport, JudgeError> {
    for window in windows {
        check(reference, window)?;
    }
    let mut calibrator = Calibrator::new(policy, seed);
    let looked: Vec<Looked> = windows
        .iter()
        .enumerate()
        .map(|(at, window)| {
            let last = at + 1 == windows.len();
            look(reference, window, policy, &mut calibrator, last)
        })
        .collect();
    let verdict = verdict(reference, &looked, policy);
    let reasons = reasons::reasons(reference, &looked, policy, verdict);
    let summaries = looked.iter().map(|window| window.summary.clone()).collect();
    let last = looked.into_iter().next_back();
    let last = last.filter(|_| verdict != Verdict::InsufficientData);
    let (score, alert_rate, features, problems) = last.map_or_else(Default::default, |last| {
        (last.score, last.alert_rate, last.features, last.problems)
    });
    Ok(DriftReport {
        schema: SCHEMA,
        release: reference.release.clone(),
        digest: reference.digest,
        windows: summaries,
        verdict,
        reasons,
        score,
        alert_rate,
        features,
        problems,
        policy: policy.clone(),
    })
}

/// In how many of the last windows the scores drifted.
pub(crate) fn score_windows(looked: &[Looked], policy: &Policy) -> usize {
    let seen = looked.iter().rev().take(policy.windows_seen);
    seen.filter(|window| window.summary.score_drifted).count()
}

/// Whether so many features drifted in this window.
pub(crate) fn many(window: &Looked, policy: &Policy) -> bool {
    !window.features.is_empty() && window.summary.features_drifted >= policy.feature_share
}

/// Whether so many features drifted far in the last two windows.
pub(crate) fn many_twice(looked: &[Looked], policy: &Policy) -> bool {
    let far = |window: &Looked| {
        !window.features.is_empty() && window.summary.features_far >= policy.feature_share
    };
    looked.len() >= 2 && looked.iter().rev().take(2).all(far)
}

fn verdict(reference: &Reference<'_>, looked: &[Looked], policy: &Policy) -> Verdict {
    let Some(last) = looked.last().filter(|last| last.enough) else {
        return match reference.profile {
            Some(_) => Verdict::InsufficientData,
            None => Verdict::NoReference,
        };
    };
    if reference.profile.is_none() {
        return Verdict::NoReference;
    }
    if !last.problems.is_empty() {
        return Verdict::DataQuality;
    }
    let alerts = last.alert_rate.is_some_and(|rate| !rate.within);
    let score = last.summary.score_drifted;
    if alerts
        || score && score_windows(looked, policy) >= policy.windows_needed
        || many_twice(looked, policy)
    {
        Verdict::Drifted
    } else if score || many(last, policy) {
        Verdict::Watching
    } else {
        Verdict::Stable
    }
}

fn check(reference: &Reference<'_>, window: &MergedWindow) -> Result<(), JudgeError> {
    let named = || window.window.to_string();
    if window.digest != reference.digest {
        return Err(JudgeError::OtherRelease {
            window: named(),
            found: window.digest,
            wanted: reference.digest,
        });
    }
    let Some(profile) = reference.profile else {
        return Ok(());
    };
    let fits = |name: &str, histogram: &Histogram, counts: &Counts| {
        let (wanted, found) = (histogram.counts.len(), counts.counts.len());
        if wanted == found && counts.sums.len() == found {
            return Ok(());
        }
        Err(JudgeError::OtherEdges {
            window: named(),
            reason: format!("{name} has {found} bins, not {wanted}"),
        })
    };
    fits("the score", &profile.scores, &window.scores)?;
    if window.sampled_rows > 0 && window.features.len() != profile.features.len() {
        let (found, wanted) = (window.features.len(), profile.features.len());
        return Err(JudgeError::OtherEdges {
            window: named(),
            reason: format!("{found} features, not {wanted}"),
        });
    }
    for (at, (histogram, counts)) in profile.features.iter().zip(&window.features).enumerate() {
        fits(&name_of(reference, at), histogram, counts)?;
    }
    Ok(())
}

fn name_of(reference: &Reference<'_>, at: usize) -> String {
    let name = reference.features.get(at).cloned();
    name.unwrap_or_else(|| format!("feature {at}"))
}

/// Looks at one window; of those before the last only what later verdicts need.
fn look(
    reference: &Reference<'_>,
    window: &MergedWindow,
    policy: &Policy,
    calibrator: &mut Calibrator<'_>,
    last: bool,
) -> Looked {
    let mut looked = Looked {
        summary: WindowSummary {
            window: window.window.clone(),
            rows: window.rows,
            sampled_rows: window.sampled_rows,
            score_drifted: false,
            features_drifted: 0.0,
            features_far: 0.0,
            alert_rate: reference
                .alert_rate
                .filter(|_| window.rows > 0)
                .map(|_| window.alerts as f64 / window.rows as f64),
        },
        score: None,
        features: Vec::new(),
        problems: Vec::new(),
        alert_rate: None,
        enough: window.rows >= policy.min_rows,
    };
    let Some(profile) = reference.profile.filter(|_| looked.enough) else {
        return looked;
    };
    let pairs: Vec<(String, Pair<'_>)> = profile
        .features
        .iter()
        .zip(&window.features)
        .enumerate()
        .map(|(at, (reference_counts, window))| {
            let pair = Pair {
                reference: reference_counts,
                window,
            };
            (name_of(reference, at), pair)
        })
        .collect();
    if window.sampled_rows >= policy.min_rows / QUALITY_SHARE {
        let found = pairs
            .iter()
            .filter_map(|(name, pair)| quality::problem(name, *pair, policy));
        looked.problems = found.collect();
    }
    let scores = Pair {
        reference: &profile.scores,
        window: &window.scores,
    };
    let measured = scores.measure();
    let mut score = compare(scores, measured, calibrator, policy, last);
    decide(&mut score, measured.p_value, policy.significance);
    looked.alert_rate = reference
        .alert_rate
        .map(|target| alert_rate(target, profile.rows, window, policy));
    if window.sampled_rows >= policy.min_rows {
        looked.features = features(&pairs, calibrator, policy, last);
    }
    // Broken input says nothing about drift, neither now nor as one of the windows before.
    if looked.problems.is_empty() {
        let drifted = || looked.features.iter().filter(|f| f.comparison.drifted);
        let far = drifted().filter(|f| {
            let Comparison {
                effects, limits, ..
            } = &f.comparison;
            excess(effects, limits) >= policy.feature_factor
        });
        let all = looked.features.len().max(1) as f64;
        let (drifted, far) = (drifted().count() as f64 / all, far.count() as f64 / all);
        (looked.summary.features_drifted, looked.summary.features_far) = (drifted, far);
        looked.summary.score_drifted = score.drifted;
    }
    looked.score = Some(score);
    looked
}

/// Draws the limits where something may exceed them, and for the window that is reported.
fn compare(
    pair: Pair<'_>,
    measured: Measured,
    calibrator: &mut Calibrator<'_>,
    policy: &Policy,
    last: bool,
) -> Comparison {
    let limits = if last || excess(&measured.effects, &policy.floors) >= 1.0 {
        calibrator.limits(pair)
    } else {
        policy.floors
    };
    pair.comparison(measured, limits, last)
}

fn features(
    pairs: &[(String, Pair<'_>)],
    calibrator: &mut Calibrator<'_>,
    policy: &Policy,
    last: bool,
) -> Vec<FeatureDrift> {
    let measured: Vec<Measured> = pairs.iter().map(|(_, pair)| pair.measure()).collect();
    let p_values: Vec<f64> = measured.iter().map(|measured| measured.p_value).collect();
    let adjusted = significance::benjamini_hochberg(&p_values);
    let mut features: Vec<FeatureDrift> = pairs
        .iter()
        .zip(measured)
        .zip(adjusted)
        .map(|(((name, pair), measured), p_adjusted)| {
            let mut comparison = compare(*pair, measured, calibrator, policy, last);
            decide(&mut comparison, p_adjusted, policy.significance);
            FeatureDrift {
                name: name.clone(),
                comparison,
            }
        })
        .collect();
    let rank = |feature: &FeatureDrift| {
        let FeatureDrift { comparison: c, .. } = feature;
        (c.drifted, excess(&c.effects, &c.limits))
    };
    features.sort_by(|a, b| {
        let ((a_drifted, a_excess), (b_drifted, b_excess)) = (rank(a), rank(b));
        b_drifted
            .cmp(&a_drifted)
            .then(b_excess.total_cmp(&a_excess))
    });
    features
}

/// Outside of the policy's factors, and not by chance: both the window's alerts and the target's are counts.
fn alert_rate(target: f64, known_rows: u64, window: &MergedWindow, policy: &Policy) -> AlertRate {
    let known = (target * known_rows as f64).round() as u64;
    let (alerts, rows) = (window.alerts, window.rows);
    let rate = alerts as f64 / rows.max(1) as f64;
    let (low, high) = policy.alert_rate_factors;
    let below = rate < low * target
        && significance::rate_below(alerts, rows, known, known_rows, low) <= policy.significance;
    let above = rate > high * target
        && significance::rate_above(alerts, rows, known, known_rows, high) <= policy.significance;
    AlertRate {
        target,
        window: rate,
        within: !below && !above,
    }
}
