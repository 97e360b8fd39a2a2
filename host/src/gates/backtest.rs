//! Whether the candidate still tells anomalies from normal rows: by labels where there are enough, else by how little
//! volume it needs around the rows ([`super::volume`]).

use hodoscope_isolation_forest::metrics;
use hodoscope_release::evidence::{Class, Gate, Limit};

use super::random::Random;
use super::volume::Curve;
use super::{Inputs, chance};
use crate::evidence::Frame;
use crate::evidence::statistics::{quantile, sorted};

const NAMES: [&str; 3] = ["average_precision", "excess_mass", "mass_volume"];
const SEED: u64 = 0x0076_6f6c_756d_6573;
/// Rows that stand for the volume.
const VOLUME_ROWS: usize = 20_000;
/// Held-out rows of which the mass is taken.
const MASS_ROWS: usize = 50_000;
/// A volume of more dimensions is nearly empty: this many features vary at a time, as in the paper's section on high
/// dimensions.
const FREE_FEATURES: usize = 5;
/// The box spans so much of each feature's values.
const BOX: (f64, f64) = (0.001, 0.999);

pub(super) fn measure(inputs: &Inputs<'_>) -> anyhow::Result<Vec<Gate>> {
    let absent = |name: &str, reason: String| Gate::not_applicable(name, Class::Similarity, reason);
    let Some(champion) = inputs.champion else {
        return Ok(NAMES
            .map(|name| absent(name, "there is no champion".to_owned()))
            .to_vec());
    };
    let labels: Vec<f32> = inputs
        .labels
        .unwrap_or_default()
        .iter()
        .map(|label| {
            if *label == 0.0 {
                0.0
            } else if label.is_nan() {
                f32::NAN
            } else {
                1.0
            }
        })
        .collect();
    let scores = inputs.held_out.score(inputs.candidate)?;
    let before = inputs.held_out.score(champion)?;
    let [precision, excess, volume] = NAMES;
    if let (Some(now), Some(before)) = (metrics(&scores, &labels), metrics(&before, &labels))
        && now.anomalies >= inputs.policy.labelled_least
    {
        let gate = Gate::measured(
            precision,
            Class::Similarity,
            before.average_precision - now.average_precision,
            Limit::at_most(inputs.policy.average_precision_loss, 0.0),
            inputs.policy,
            format!(
                "average precision {:.4}, the champion's {:.4}, on {} labelled anomalies",
                now.average_precision, before.average_precision, now.anomalies
            ),
        );
        let labelled = || "labels decide".to_owned();
        return Ok(vec![
            gate,
            absent(excess, labelled()),
            absent(volume, labelled()),
        ]);
    }
    let known = labels.iter().filter(|label| **label > 0.5).count();
    let few = format!(
        "{known} labelled anomalies; {} are needed",
        inputs.policy.labelled_least
    );
    let mut gates = vec![absent(precision, few)];
    gates.extend(unlabelled(inputs, champion)?);
    Ok(gates)
}

fn unlabelled(
    inputs: &Inputs<'_>,
    champion: &hodoscope_engine::Detector,
) -> anyhow::Result<Vec<Gate>> {
    let rows = inputs.held_out.spread(MASS_ROWS);
    let drawn = volume_rows(inputs.held_out);
    let curve = |detector| -> anyhow::Result<Curve> {
        Ok(Curve::new(&rows.score(detector)?, &drawn.score(detector)?))
    };
    let (own, of_champion) = (curve(inputs.candidate)?, curve(champion)?);
    let end = of_champion.end_price();
    let (excess, excess_before) = (own.excess_mass(end), of_champion.excess_mass(end));
    let (volume, volume_before) = (own.mass_volume(), of_champion.mass_volume());
    let ratio = |now: f64, before: f64| now / before.max(f64::MIN_POSITIVE);
    let mass = chance::rows(inputs.held_out);
    let sisters: Vec<Curve> = inputs
        .sisters
        .iter()
        .map(|sister| {
            Curve::new(
                &chance::scores(sister, &mass),
                &chance::scores(sister, &drawn),
            )
        })
        .collect();
    let wider = |figure: &dyn Fn(&Curve) -> f64| {
        chance::width(&sisters.iter().map(figure).collect::<Vec<_>>())
    };
    let excess_width = wider(&|curve| ratio(curve.excess_mass(end), excess_before));
    let volume_width = wider(&|curve| ratio(curve.mass_volume(), volume_before));
    let [_, excess_name, volume_name] = NAMES;
    Ok(vec![
        Gate::measured(
            excess_name,
            Class::Similarity,
            ratio(excess, excess_before),
            Limit::at_least(inputs.policy.excess_mass_ratio - excess_width, 1.0),
            inputs.policy,
            format!("mean excess mass {excess:.4}, the champion's {excess_before:.4}"),
        ),
        Gate::measured(
            volume_name,
            Class::Similarity,
            ratio(volume, volume_before),
            Limit::at_most(inputs.policy.mass_volume_ratio + volume_width, 1.0),
            inputs.policy,
            format!("needs {volume:.5} of the volume, the champion {volume_before:.5}"),
        ),
    ])
}

/// Rows spread evenly over the volume: held-out rows in which up to [`FREE_FEATURES`] features, other ones each time, are
/// drawn anew between the ends of [`BOX`]. Up to five features this is the box around the rows; beyond, its slices
/// through rows.
fn volume_rows(rows: &Frame) -> Frame {
    let width = rows.width();
    let ends: Vec<(f64, f64)> = (0..width)
        .map(|feature| {
            let present: Vec<f64> = rows.column(feature).filter(|v| v.is_finite()).collect();
            let rising = sorted(&present);
            let at = |share| quantile(&rising, share).unwrap_or_default();
            (at(BOX.0), at(BOX.1))
        })
        .collect();
    let mut random = Random::new(SEED);
    let mut made = Frame::new(rows.names().to_vec(), Vec::new());
    for _ in 0..VOLUME_ROWS {
        let mut row = rows.row(random.below(rows.rows())).to_vec();
        for feature in random.some(FREE_FEATURES, width) {
            if let (Some(value), Some((low, high))) = (row.get_mut(feature), ends.get(feature)) {
                *value = random.within(*low, *high);
            }
        }
        made.push(&row);
    }
    made
}
