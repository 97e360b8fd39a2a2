//! What a drift run records in MLflow: how far each feature and the score are off, the verdict, and with a candidate its
//! evidence and its version. The alias `champion` follows what the channel pins: where a merged pull request changes that,
//! nobody else tells MLflow.

use std::time::SystemTime;

use hodoscope_drift::Effects;
use hodoscope_registry::tracking::{Alias, Version};
use hodoscope_release::DetectorName;

use super::super::Context;
use super::answer::Detected;
use crate::tracking::{Activity, track};

/// Records a run; answers what went wrong with that. A candidate that was in the store before keeps its alias.
pub(super) fn record(
    context: &Context,
    detector: &DetectorName,
    found: &Detected,
    begun: SystemTime,
) -> Vec<String> {
    let report = &found.report;
    let last = report.windows.last();
    let mut activity = Activity::new("drift", detector)
        .tag("verdict", report.verdict.kind())
        .tag("window", &found.window)
        .tag("release", &report.release)
        .metric("windows", report.windows.len() as f64)
        .metric("rows", last.map(|window| window.rows as f64))
        .metric("alert_rate", last.and_then(|window| window.alert_rate))
        .metric(
            "features_drifted",
            last.map(|window| window.features_drifted),
        )
        .document("drift.json", report);
    activity.active = Some(Version {
        release: report.release.clone(),
        digest: report.digest,
        alias: Some(Alias::Champion),
    });
    if let Some(score) = &report.score {
        activity = effects(activity, "score", &score.effects);
    }
    for feature in &report.features {
        let name = format!("feature/{}", feature.name);
        activity = effects(activity, &name, &feature.comparison.effects);
    }
    if let Some(evidence) = &found.evidence {
        activity = activity.document("evidence.json", evidence);
    }
    if let Some(entry) = &found.candidate {
        activity.digest = Some(entry.digest);
        activity.version = Some(Version {
            release: entry.release(),
            digest: entry.digest,
            alias: found.fresh.then_some(Alias::Candidate),
        });
    }
    track(context, activity, begun).warnings
}

fn effects(activity: Activity, of: &str, effects: &Effects) -> Activity {
    activity
        .metric(&format!("{of}/psi"), effects.psi)
        .metric(&format!("{of}/ks"), effects.ks)
        .metric(&format!("{of}/wasserstein"), effects.wasserstein)
        .metric(&format!("{of}/jensen_shannon"), effects.jensen_shannon)
        .metric(&format!("{of}/missing"), effects.missing)
}
