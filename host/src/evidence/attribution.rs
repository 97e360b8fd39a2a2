//! How the reasons for scores moved. A release that ranks alike for other reasons will not go on ranking alike.

use hodoscope_engine::Detector;
use hodoscope_release::evidence::{AttributionShift, FeatureShare};

use super::frame::Frame;

/// Rows that are explained.
const ROWS: usize = 1_000;

/// Each side's mean absolute attribution by feature, as a share of all features', and the total variation between the
/// two, `½ Σ |p − q|`. `None` unless both explain and both have anything to attribute.
pub(super) fn shift(
    current: &Detector,
    candidate: &Detector,
    rows: &Frame,
) -> anyhow::Result<Option<AttributionShift>> {
    if !(current.explains() && candidate.explains()) {
        return Ok(None);
    }
    let rows = rows.spread(ROWS);
    let shares = (shares(current, &rows)?, shares(candidate, &rows)?);
    let (Some(one), Some(other)) = shares else {
        return Ok(None);
    };
    let share = |of: &[(String, f64)], name: &str| {
        let known = of.iter().find(|(known, _)| known == name);
        known.map_or(0.0, |(_, share)| *share)
    };
    let mut features: Vec<FeatureShare> = rows
        .names()
        .iter()
        .map(|name| FeatureShare {
            name: name.clone(),
            current: share(&one, name),
            candidate: share(&other, name),
        })
        .collect();
    let distance = |feature: &FeatureShare| (feature.current - feature.candidate).abs();
    let total_variation = features.iter().map(distance).sum::<f64>() / 2.0;
    features.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
    Ok(Some(AttributionShift {
        rows: rows.rows() as u64,
        total_variation,
        features,
    }))
}

/// By feature the share of all absolute attributions; `None` if all of them are zero.
fn shares(detector: &Detector, rows: &Frame) -> anyhow::Result<Option<Vec<(String, f64)>>> {
    let explained = rows.explain(detector)?;
    let features = &detector.description().features;
    let mut sums = vec![0.0; features.len()];
    for row in explained.attributions.chunks(features.len().max(1)) {
        for (sum, bits) in sums.iter_mut().zip(row) {
            *sum += bits.abs();
        }
    }
    let total: f64 = sums.iter().sum();
    Ok((total > 0.0).then(|| {
        let names = features.iter().map(|feature| feature.name.clone());
        names.zip(sums.iter().map(|sum| sum / total)).collect()
    }))
}
