//! The modified z-score (Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993), mapped into 0..1.
//!
//! `z = |x - median| / (1.4826 MAD)`; a row counts by its most extreme feature; `score = z / (z + 3.5)`, so the 3.5 that
//! they propose as the limit becomes a threshold of one half.

use crate::parameters::PARAMETERS;

/// The limit that Iglewicz and Hoaglin propose.
pub const LIMIT: f64 = 3.5;
/// Makes the MAD of normally distributed values their standard deviation: 1 / (the normal quantile of 3/4).
const NORMAL_CONSISTENCY: f64 = 1.4826;
/// The score at [`LIMIT`].
pub const THRESHOLD: f64 = 0.5;

/// The score of one row; missing values (NaN) do not count. `None` if every value is missing.
pub fn score(row: &[f64]) -> Option<f64> {
    let most_extreme = row
        .iter()
        .zip(PARAMETERS)
        .filter(|(value, _)| !value.is_nan())
        .map(|(value, known)| (value - known.median).abs() / (NORMAL_CONSISTENCY * known.mad))
        .reduce(f64::max)?;
    Some(if most_extreme.is_finite() {
        most_extreme / (most_extreme + LIMIT)
    } else {
        1.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_with(index: usize, value: f64) -> Vec<f64> {
        let mut row: Vec<f64> = PARAMETERS.iter().map(|known| known.median).collect();
        row[index] = value;
        row
    }

    #[test]
    fn a_median_row_scores_zero_and_the_published_limit_one_half() {
        let known = &PARAMETERS[1];
        assert_eq!(score(&row_with(1, known.median)), Some(0.0));
        let limit = known.median + LIMIT * NORMAL_CONSISTENCY * known.mad;
        assert!((score(&row_with(1, limit)).unwrap() - THRESHOLD).abs() < 1e-12);
    }

    #[test]
    fn extreme_values_stay_within_one() {
        for value in [f64::MAX, f64::MIN, f64::INFINITY, f64::NEG_INFINITY] {
            let score = score(&row_with(0, value)).unwrap();
            assert!((0.99..=1.0).contains(&score), "{value}: {score}");
        }
    }

    #[test]
    fn missing_values_do_not_count_unless_all_are_missing() {
        assert_eq!(score(&row_with(0, f64::NAN)), Some(0.0));
        assert_eq!(score(&vec![f64::NAN; PARAMETERS.len()]), None);
    }

    #[test]
    fn every_feature_has_a_name_and_a_positive_deviation() {
        assert!(
            PARAMETERS
                .iter()
                .all(|known| known.mad > 0.0 && !known.name.is_empty())
        );
    }
}
