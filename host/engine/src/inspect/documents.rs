//! Owns reading the documents inside a component: size, JSON, schema number, and that each makes sense by itself. A
//! document that is there but not valid refuses the component: nothing else would notice a broken calibration.

use hodoscope_release::sections::{self, Calibration, Golden, Histogram, Profile, Training};
use serde::de::DeserializeOwned;

use super::Sections;
use super::shape::Shape;
use crate::Limits;
use crate::refusal::{Refusal, RefusalKind, quote};

/// Golden rows that are scored at each load.
const GOLDEN_ROWS: usize = 10_000;

/// Reads the four documents.
pub(super) fn read(shape: &Shape<'_>, limits: &Limits) -> Result<Sections, Refusal> {
    let golden: Option<Golden> = document(shape, limits, sections::GOLDEN)?;
    let calibration: Option<Calibration> = document(shape, limits, sections::CALIBRATION)?;
    let profile: Option<Profile> = document(shape, limits, sections::PROFILE)?;
    let training: Option<Training> = document(shape, limits, sections::TRAINING)?;
    if let Some(golden) = &golden {
        check_golden(golden)?;
    }
    if let Some(calibration) = &calibration {
        check_calibration(calibration)?;
    }
    if let Some(profile) = &profile {
        schema(sections::PROFILE, profile.schema)?;
        profile
            .features
            .iter()
            .chain([&profile.scores])
            .try_for_each(check_histogram)?;
    }
    if let Some(training) = &training {
        schema(sections::TRAINING, training.schema)?;
    }
    Ok(Sections {
        golden,
        calibration,
        profile,
        training,
    })
}

fn document<T: DeserializeOwned>(
    shape: &Shape<'_>,
    limits: &Limits,
    name: &str,
) -> Result<Option<T>, Refusal> {
    let mut found = shape.custom.iter().filter(|(section, _)| *section == name);
    let Some((_, data)) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() {
        return Err(refusal(name, "is there twice"));
    }
    if data.len() as u64 > limits.section_bytes {
        return Err(Refusal::new(
            RefusalKind::TooLarge,
            format!("a section `{name}` of {} bytes", data.len()),
            format!("up to {} bytes", limits.section_bytes),
            "carry fewer rows in it",
        ));
    }
    serde_json::from_slice(data).map(Some).map_err(|error| {
        refusal(
            name,
            &quote(&format!("does not hold its document: {error}")),
        )
    })
}

fn refusal(name: &str, text: &str) -> Refusal {
    Refusal::new(
        RefusalKind::Section,
        format!("the section `{name}` {text}"),
        format!(
            "JSON of schema {} as `hodoscope_release::sections` defines it",
            sections::SCHEMA
        ),
        "write it with `hodoscope train`, or leave the section out",
    )
}

fn schema(name: &str, found: u32) -> Result<(), Refusal> {
    if found == sections::SCHEMA {
        return Ok(());
    }
    Err(refusal(name, &format!("has the schema {found}")))
}

fn check_golden(golden: &Golden) -> Result<(), Refusal> {
    schema(sections::GOLDEN, golden.schema)?;
    let text = if golden.rows.is_empty() {
        "has no rows".to_owned()
    } else if golden.rows.len() != golden.scores.len() {
        format!(
            "has {} rows and {} scores",
            golden.rows.len(),
            golden.scores.len()
        )
    } else if golden.rows.len() > GOLDEN_ROWS {
        format!("has more than {GOLDEN_ROWS} rows")
    } else if !golden
        .scores
        .iter()
        .all(|score| (0.0..=1.0).contains(score))
    {
        "promises a score that is not within 0..1".to_owned()
    } else {
        return Ok(());
    };
    Err(refusal(sections::GOLDEN, &text))
}

fn check_calibration(calibration: &Calibration) -> Result<(), Refusal> {
    schema(sections::CALIBRATION, calibration.schema)?;
    let Calibration { tail, scores, .. } = calibration;
    let text = if tail.len() != scores.len() {
        "has another number of scores than of probabilities"
    } else if !tail.is_sorted_by(|a, b| a >= b) || !scores.is_sorted_by(|a, b| a <= b) {
        "is not monotone"
    } else if !(0.0..=1.0).contains(&calibration.alert_rate)
        || !tail.iter().all(|p| (0.0..=1.0).contains(p))
    {
        "has a probability that is not within 0..1"
    } else {
        return Ok(());
    };
    Err(refusal(sections::CALIBRATION, text))
}

fn check_histogram(histogram: &Histogram) -> Result<(), Refusal> {
    let Histogram {
        edges,
        counts,
        sums,
        ..
    } = histogram;
    let text = if counts.len() != edges.len() + 1 || sums.len() != counts.len() {
        "has a histogram whose counts do not fit its edges"
    } else if !edges.is_sorted_by(|a, b| a < b) || !edges.iter().all(|edge| edge.is_finite()) {
        "has a histogram whose edges do not rise"
    } else {
        return Ok(());
    };
    Err(refusal(sections::PROFILE, text))
}
