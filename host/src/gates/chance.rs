//! What chance alone makes of a figure: forests of the same options with other seeds and other draws of rows differ, and so
//! would the candidate from its champion if nothing had changed. Limits on a loss are widened by it; without sisters they are not.

use hodoscope_isolation_forest::{Forest, score_rows};

use crate::evidence::Frame;

/// Standard deviations of the difference of two forests by which a limit is widened.
const DEVIATIONS: f64 = 2.0;
/// Rows on which sisters are measured.
const ROWS: usize = 20_000;

/// By how much a limit on the difference of candidate and champion is widened, given the figure of each sister: two
/// standard deviations of the difference of two forests, `2·√2·s`.
pub(super) fn width(of_sisters: &[f64]) -> f64 {
    DEVIATIONS * std::f64::consts::SQRT_2 * deviation(of_sisters)
}

/// A sister's scores; the frame's features are those of the candidate, in its order.
pub(super) fn scores(forest: &Forest, rows: &Frame) -> Vec<f64> {
    score_rows(forest, &rows.narrow())
}

/// The rows on which sisters are measured.
pub(super) fn rows(all: &Frame) -> Frame {
    all.spread(ROWS)
}

fn deviation(figures: &[f64]) -> f64 {
    if figures.len() < 2 {
        return 0.0;
    }
    let count = figures.len() as f64;
    let mean = figures.iter().sum::<f64>() / count;
    let squares: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
    (squares / (count - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(deviation(&[]), 0.0);
        assert_eq!(deviation(&[0.3]), 0.0);
        assert!((deviation(&[1.0, 2.0, 3.0, 4.0]) - 1.290_994_448_735_805_6).abs() < 1e-12);
    }
}
