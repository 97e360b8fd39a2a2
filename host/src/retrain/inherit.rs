//! What a candidate takes over from its champion: the options of its training, the share of rows that shall alert, names,
//! units and metadata.

use hodoscope_engine::Detector;
use hodoscope_isolation_forest::{Contamination, Forest, TrainOptions};
use hodoscope_release::sections::Training;
use serde_json::Value;

use super::{ORIGIN_KEY, RetrainError};

/// What trainers of ours write into their record.
const TRAINER: &str = "hodoscope-isolation-forest";

/// The champion's options. A threshold that was moved by `retune` counts as the share of rows it alerts on.
pub(super) fn options(champion: &Detector) -> Result<TrainOptions, RetrainError> {
    let training = champion.sections().training.as_ref();
    let training = training
        .filter(|training| training.trainer.starts_with(TRAINER))
        .ok_or_else(|| RetrainError::NotOurs(champion.digest()))?;
    let mut options = TrainOptions::default();
    if let Some(trees) = whole(training, "trees")? {
        options.trees = trees as usize;
    }
    options.sample_size = whole(training, "sample-size")?.map(|size| size as usize);
    if let Some(seed) = whole(training, "seed")? {
        options.seed = seed;
    }
    if let Some(text) = text(training, "max-features")? {
        let unread = |_| unread("max-features", &Value::String(text.to_owned()));
        options.max_features = text.parse().map_err(unread)?;
    }
    options.contamination = match target_rate(champion) {
        Some(share) => Contamination::Share(share.clamp(0.0, 0.5)),
        None => match text(training, "contamination")? {
            Some("auto") => Contamination::Auto,
            _ => Contamination::None,
        },
    };
    Ok(options)
}

/// The share of rows that a detector is meant to alert on: what it was last tuned or trained to, else the share of its
/// calibration rows that alerted. `None` without a threshold, or with one that follows from the score alone (`auto`).
pub fn target_rate(detector: &Detector) -> Option<f64> {
    detector.description().threshold?;
    let sections = detector.sections();
    let option = |name: &str| sections.training.as_ref()?.options.get(name);
    if option("retuned-threshold").is_none() {
        if let Some(rate) = option("retuned-alert-rate").and_then(Value::as_f64) {
            return Some(rate);
        }
        match option("contamination").and_then(Value::as_str) {
            Some("auto") => return None,
            Some(text) => {
                if let Ok(share) = text.parse() {
                    return Some(share);
                }
            }
            None => {}
        }
    }
    sections.calibration.as_ref().map(|table| table.alert_rate)
}

/// Puts the champion's units, name and free pairs where the trainer left room, and says whose options these are.
pub(super) fn describe(forest: &mut Forest, champion: &Detector) {
    let description = champion.description();
    for (mine, theirs) in forest.features.iter_mut().zip(&description.features) {
        mine.unit.clone_from(&theirs.unit);
    }
    let known: Vec<String> = forest.metadata.iter().map(|(key, _)| key.clone()).collect();
    let taken = description
        .metadata
        .iter()
        .filter(|(key, _)| !known.contains(key) && key != ORIGIN_KEY && key != "retuned-from");
    let mut metadata: Vec<(String, String)> = taken.cloned().collect();
    metadata.append(&mut forest.metadata);
    metadata.push((ORIGIN_KEY.to_owned(), champion.digest().to_string()));
    forest.metadata = metadata;
}

fn whole(training: &Training, name: &'static str) -> Result<Option<u64>, RetrainError> {
    match training.options.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| unread(name, value)),
    }
}

fn text<'a>(training: &'a Training, name: &'static str) -> Result<Option<&'a str>, RetrainError> {
    match training.options.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| unread(name, value)),
    }
}

fn unread(name: &'static str, value: &Value) -> RetrainError {
    RetrainError::Option {
        name,
        found: value.to_string(),
    }
}
