//! How well scores separate labelled anomalies: area under the ROC curve and average precision, as scikit-learn defines
//! them, ties included.

/// Both figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// The chance that an anomaly scores above a normal row, ties counting half.
    pub roc_auc: f64,
    /// The mean precision over the recall it gains, without interpolation.
    pub average_precision: f64,
    /// How many rows were labelled.
    pub rows: u64,
    /// How many of them are anomalies.
    pub anomalies: u64,
}

/// The figures of scores and labels (1 anomaly, 0 normal, NaN unknown and not counted). `None` unless both kinds occur.
pub fn metrics(scores: &[f64], labels: &[f32]) -> Option<Metrics> {
    let pairs = scores
        .iter()
        .zip(labels)
        .filter(|(_, label)| !label.is_nan());
    let mut pairs: Vec<(f64, bool)> = pairs.map(|(score, label)| (*score, *label > 0.5)).collect();
    let anomalies = pairs.iter().filter(|(_, anomaly)| *anomaly).count() as u64;
    let normal = pairs.len() as u64 - anomalies;
    if anomalies == 0 || normal == 0 {
        return None;
    }
    pairs.sort_unstable_by(|(left, _), (right, _)| right.total_cmp(left));
    let (mut above, mut below) = (0u64, 0u64);
    // Twice the number of (anomaly, normal) pairs in the right order, in integers: exact.
    let mut ordered = 0u128;
    let mut average_precision = 0.0;
    for tied in pairs.chunk_by(|(left, _), (right, _)| left == right) {
        let hits = tied.iter().filter(|(_, anomaly)| *anomaly).count() as u64;
        let misses = tied.len() as u64 - hits;
        ordered += u128::from(misses) * u128::from(2 * above + hits);
        above += hits;
        below += misses;
        let precision = above as f64 / (above + below) as f64;
        average_precision += hits as f64 / anomalies as f64 * precision;
    }
    Some(Metrics {
        roc_auc: ordered as f64 / (2.0 * anomalies as f64 * normal as f64),
        average_precision,
        rows: anomalies + normal,
        anomalies,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scores: &[f64], labels: &[f32], roc_auc: f64, average_precision: f64) {
        let found = metrics(scores, labels).unwrap();
        assert!((found.roc_auc - roc_auc).abs() < 1e-12, "{found:?}");
        assert!(
            (found.average_precision - average_precision).abs() < 1e-12,
            "{found:?}"
        );
    }

    #[test]
    fn agrees_with_what_scikit_learn_answers() {
        check(
            &[0.1, 0.4, 0.35, 0.8],
            &[0.0, 0.0, 1.0, 1.0],
            0.75,
            0.833_333_333_333_333_3,
        );
        check(&[0.5, 0.5, 0.5, 0.5], &[0.0, 1.0, 1.0, 0.0], 0.5, 0.5);
        check(
            &[0.9, 0.5, 0.5, 0.1],
            &[1.0, 1.0, 0.0, 0.0],
            0.875,
            0.833_333_333_333_333_3,
        );
    }

    #[test]
    fn leaves_out_unknown_labels_and_needs_both_kinds() {
        check(&[0.1, 0.9, 0.8], &[0.0, f32::NAN, 1.0], 1.0, 1.0);
        assert_eq!(metrics(&[0.1, 0.2], &[0.0, 0.0]), None);
        assert_eq!(metrics(&[], &[]), None);
    }
}
