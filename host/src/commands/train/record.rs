//! What a training records in MLflow: its options as parameters, its figures as metrics, and where it comes from as
//! documents.

use std::time::SystemTime;

use hodoscope_isolation_forest::TrainError;
use hodoscope_registry::tracking::{Outcome, Told};
use hodoscope_release::sections::Training;

use super::super::Context;
use super::{Answer, Args};
use crate::tracking::{Activity, track};

/// Records a training that gave a component.
pub(super) fn done(
    args: &Args,
    answer: &Answer,
    training: Option<&Training>,
    context: &Context,
    begun: SystemTime,
) -> Told {
    let mut activity = asked(args)
        .document("report.json", answer)
        .metric("rows", answer.rows as f64)
        .metric("features", answer.features as f64)
        .metric("trees", answer.trees as f64)
        .metric("sample_size", answer.sample_size as f64)
        .metric("calibration_rows", answer.calibration_rows as f64)
        .metric("threshold", answer.threshold)
        .metric("alert_rate", answer.alert_rate)
        .metric("roc_auc", answer.roc_auc)
        .metric("average_precision", answer.average_precision)
        .metric(
            "labelled_rows",
            answer.labelled_rows.map(|rows| rows as f64),
        )
        .metric(
            "labelled_anomalies",
            answer.labelled_anomalies.map(|rows| rows as f64),
        )
        .metric("size_bytes", answer.size_bytes as f64)
        .metric("seconds", answer.seconds);
    activity.digest = Some(answer.digest);
    if let Some(training) = training {
        activity = activity
            .document("training.json", training)
            .tag("trainer", &training.trainer);
        if let Some(digest) = training.data_digest {
            activity = activity.tag("data_digest", digest);
        }
    }
    track(context, activity, begun)
}

/// Records a training that failed; the error is the command's answer, and nothing is told beside it.
pub(super) fn failed(args: &Args, error: &TrainError, context: &Context, begun: SystemTime) {
    let mut activity = asked(args).tag("error", error);
    activity.outcome = Outcome::Failed;
    track(context, activity, begun);
}

/// The options, by their flags' names.
fn asked(args: &Args) -> Activity {
    let or_default = |given: Option<String>| given.unwrap_or_else(|| "default".to_owned());
    Activity::new("train", &args.name)
        .parameter("input", args.inputs.join(" "))
        .parameter("label", or_default(args.label.clone()))
        .parameter("columns", or_default(listed(&args.columns)))
        .parameter("exclude", or_default(listed(&args.exclude)))
        .parameter("trees", args.trees)
        .parameter(
            "sample_size",
            or_default(args.sample_size.map(|rows| rows.to_string())),
        )
        .parameter("max_features", args.max_features)
        .parameter("contamination", args.contamination)
        .parameter("seed", args.seed)
        .parameter("exact_threshold", args.exact_threshold)
}

fn listed(columns: &[String]) -> Option<String> {
    (!columns.is_empty()).then(|| columns.join(","))
}
