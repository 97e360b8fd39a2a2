//! How two lists of scores of the same rows compare: pure functions, checked against SciPy 1.17.

use std::cmp::Ordering;

/// Ranks from 1, rising with the score; ties share their mean rank (SciPy `rankdata`, method `average`).
pub(crate) fn ranks(scores: &[f64]) -> Vec<f64> {
    let order = rising(scores);
    let mut ranks = vec![0.0; scores.len()];
    let mut before = 0;
    for tie in order.chunk_by(|a, b| score(scores, *a) == score(scores, *b)) {
        let mean = before as f64 + (tie.len() as f64 + 1.0) / 2.0;
        before += tie.len();
        for index in tie {
            if let Some(rank) = ranks.get_mut(*index) {
                *rank = mean;
            }
        }
    }
    ranks
}

/// Spearman's rank correlation: Pearson's correlation of the ranks. `None` if one side is constant or empty.
pub(crate) fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x - mean_a, y - mean_b);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    (aa > 0.0 && bb > 0.0).then(|| (ab / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0))
}

/// The largest distance between the two empirical distribution functions (Kolmogorov and Smirnov).
pub(crate) fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (a, b) = (sorted(a), sorted(b));
    let (mut i, mut j, mut largest) = (0, 0, 0.0_f64);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let at = x.min(*y);
        while a.get(i).is_some_and(|v| *v <= at) {
            i += 1;
        }
        while b.get(j).is_some_and(|v| *v <= at) {
            j += 1;
        }
        largest = largest.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    Some(largest)
}

/// The share of the `k` highest rows of `a` that are among the `k` highest of `b`; of equal scores the earlier row
/// counts as higher. `None` for `k` = 0 or more than there are rows.
pub(crate) fn top_agreement(a: &[f64], b: &[f64], k: usize) -> Option<f64> {
    if k == 0 || k > a.len() || a.len() != b.len() {
        return None;
    }
    let (top_a, top_b) = (top(a, k), top(b, k));
    let mut in_b = vec![false; b.len()];
    for index in top_b {
        if let Some(place) = in_b.get_mut(index) {
            *place = true;
        }
    }
    let shared = top_a
        .into_iter()
        .filter(|index| in_b.get(*index).is_some_and(|there| *there))
        .count();
    Some(shared as f64 / k as f64)
}

fn top(scores: &[f64], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let higher = |a: &usize, b: &usize| {
        score(scores, *b)
            .total_cmp(&score(scores, *a))
            .then(a.cmp(b))
    };
    if k < order.len() {
        order.select_nth_unstable_by(k, higher);
    }
    order.truncate(k);
    order
}

/// The score that a share `quantile` of the rows does not exceed, interpolated between neighbours (NumPy's `linear`).
/// `sorted` must rise.
pub(crate) fn quantile(sorted: &[f64], quantile: f64) -> Option<f64> {
    let place = quantile * sorted.len().checked_sub(1)? as f64;
    let low = sorted.get(place.floor() as usize)?;
    let high = sorted.get(place.ceil() as usize)?;
    Some(low + (high - low) * place.fract())
}

/// A rising copy.
pub(crate) fn sorted(scores: &[f64]) -> Vec<f64> {
    let mut copy = scores.to_vec();
    copy.sort_unstable_by(f64::total_cmp);
    copy
}

fn rising(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(
        |a, b| match score(scores, *a).total_cmp(&score(scores, *b)) {
            Ordering::Equal => a.cmp(b),
            other => other,
        },
    );
    order
}

fn score(scores: &[f64], index: usize) -> f64 {
    scores.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Expected values: SciPy 1.17.1 `rankdata`, `spearmanr`, `ks_2samp`, NumPy
    // `quantile`, on exactly these lists.
    const A: [f64; 8] = [0.4, 0.5, 0.5, 0.7, 0.3, 0.9, 0.55, 0.45];
    const B: [f64; 8] = [0.42, 0.6, 0.5, 0.65, 0.35, 0.8, 0.5, 0.6];

    fn near(found: Option<f64>, wanted: f64) {
        let found = found.unwrap();
        assert!((found - wanted).abs() < 1e-12, "{found} for {wanted}");
    }

    #[test]
    fn ranks_share_their_mean_among_ties() {
        assert_eq!(ranks(&A), vec![2.0, 4.5, 4.5, 7.0, 1.0, 8.0, 6.0, 3.0]);
    }

    #[test]
    fn agrees_with_scipy() {
        near(spearman(&A, &B), 0.824_257_562_261_365_3);
        near(kolmogorov_smirnov(&A, &B), 0.25);
    }

    #[test]
    fn quantiles_are_interpolated_as_numpy_does() {
        let sorted = sorted(&A);
        for (q, wanted) in [
            (0.0, 0.3),
            (0.5, 0.5),
            (0.9, 0.76),
            (0.99, 0.886),
            (1.0, 0.9),
        ] {
            near(quantile(&sorted, q), wanted);
        }
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn top_rows_agree_by_count_and_ties_go_to_the_earlier_row() {
        // Highest three of A: rows 5, 3, 6; of B: rows 5, 3 and, of the two with 0.6, the earlier one, row 1.
        near(top_agreement(&A, &B, 3), 2.0 / 3.0);
        near(top_agreement(&A, &A, 8), 1.0);
        assert_eq!(top_agreement(&A, &B, 0), None);
        assert_eq!(top_agreement(&A, &B, 9), None);
    }

    #[test]
    fn says_nothing_where_nothing_can_be_said() {
        assert_eq!(spearman(&[1.0, 1.0], &[0.1, 0.2]), None);
        assert_eq!(spearman(&[], &[]), None);
        assert_eq!(kolmogorov_smirnov(&[], &A), None);
    }

    #[test]
    fn equal_lists_agree_wholly() {
        near(spearman(&A, &A), 1.0);
        near(kolmogorov_smirnov(&A, &A), 0.0);
    }
}
