//! The bins of a comparison's plot, laid out for drawing. The judge's bins hold equal shares of the reference, so they are
//! of very different widths: they are drawn along the values as areas, long tails cut short, or side by side where a few
//! wide bins would leave the rest no room.

use crate::Comparison;

/// Wider than this in narrowest bins, and values no longer make a readable axis.
const SPAN_LIMIT: f64 = 120.0;
/// Bins whose widths differ by less than this factor are of one width: their heights are shares.
const EVEN_FACTOR: f64 = 1.5;
/// The first and the last bin are drawn at most so many times as wide as their neighbour, with the same area.
const TAIL_FACTOR: f64 = 2.5;

/// Open bins that hold less on both sides are left out.
const OPEN_SHOWN: f64 = 0.0005;

/// One bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bin {
    /// Its lower edge; none if it is open.
    pub(crate) from: Option<f64>,
    /// Its upper edge; none if it is open.
    pub(crate) to: Option<f64>,
    /// The share of the reference's rows.
    pub(crate) reference: f64,
    /// The share of the window's rows.
    pub(crate) window: f64,
    /// Where an inner bin starts, as a part of the axis.
    pub(crate) left: f64,
    /// Where it ends.
    pub(crate) right: f64,
}

/// How bins are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Along the values; heights are shares, for all bins are of one width.
    Shares,
    /// Along the values; heights are shares by width.
    Densities,
    /// Every bin as wide as the other; heights are shares.
    Steps,
}

/// A plot's bins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bins {
    /// Under the first edge, if anything is there.
    pub(crate) below: Option<Bin>,
    /// Between two edges each; never empty.
    pub(crate) inner: Vec<Bin>,
    /// From the last edge on, if anything is there.
    pub(crate) above: Option<Bin>,
    /// How to lay them out.
    pub(crate) axis: Axis,
    /// The values at the ends of the axis.
    pub(crate) ends: (f64, f64),
    /// Whether the tails go on beyond the axis.
    pub(crate) cut: (bool, bool),
}

/// A comparison's bins; none if its parts do not fit together or hold nothing.
pub(crate) fn bins(comparison: &Comparison) -> Option<Bins> {
    let edges = &comparison.plot_edges;
    let (reference, window) = (&comparison.plot_reference, &comparison.plot_window);
    let sane = |shares: &[f64]| {
        shares
            .iter()
            .all(|share| share.is_finite() && *share >= 0.0)
    };
    let rising = edges
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a <= b));
    let fits =
        edges.len() >= 2 && reference.len() == window.len() && edges.iter().all(|e| e.is_finite());
    if !fits || !rising || !sane(reference) || !sane(window) {
        return None;
    }
    let open = match reference.len() {
        n if n == edges.len() + 1 => true,
        n if n + 1 == edges.len() => false,
        _ => return None,
    };
    let edge = |at: usize| edges.get(at).copied();
    let mut all: Vec<Bin> = reference
        .iter()
        .zip(window)
        .enumerate()
        .map(|(at, (reference, window))| Bin {
            from: if open {
                at.checked_sub(1).and_then(edge)
            } else {
                edge(at)
            },
            to: edge(if open { at } else { at + 1 }),
            reference: *reference,
            window: *window,
            left: 0.0,
            right: 0.0,
        })
        .collect();
    let filled = |bin: &Bin| bin.reference.max(bin.window) >= OPEN_SHOWN;
    let above = if open { all.pop().filter(filled) } else { None };
    let below = (open && !all.is_empty())
        .then(|| all.remove(0))
        .filter(filled);
    let mut bins = Bins {
        below,
        inner: all,
        above,
        axis: Axis::Steps,
        ends: (0.0, 0.0),
        cut: (false, false),
    };
    bins.place()?;
    Some(bins)
}

impl Bins {
    /// Lays the inner bins along the axis; none if there are none.
    fn place(&mut self) -> Option<()> {
        let mut edges: Vec<f64> = self.inner.iter().filter_map(|bin| bin.from).collect();
        edges.extend(self.inner.last().and_then(|bin| bin.to));
        let whole = (*edges.first()?, *edges.last()?);
        if let [first, second, third, ..] = edges.as_mut_slice() {
            *first = first.max(*second - TAIL_FACTOR * (*third - *second));
        }
        if let [.., third, second, last] = edges.as_mut_slice() {
            *last = last.min(*second + TAIL_FACTOR * (*second - *third));
        }
        let ends = (*edges.first()?, *edges.last()?);
        let widths = edges.windows(2).map(|pair| match pair {
            [from, to] => to - from,
            _ => 0.0,
        });
        let narrowest = widths.clone().fold(f64::INFINITY, f64::min);
        let widest = widths.fold(0.0, f64::max);
        let span = ends.1 - ends.0;
        if !span.is_finite() || narrowest <= 0.0 || span > SPAN_LIMIT * narrowest {
            let count = self.inner.len() as f64;
            for (at, bin) in self.inner.iter_mut().enumerate() {
                (bin.left, bin.right) = (at as f64 / count, (at + 1) as f64 / count);
            }
            self.ends = whole;
            return Some(());
        }
        for (bin, pair) in self.inner.iter_mut().zip(edges.windows(2)) {
            if let [from, to] = pair {
                (bin.left, bin.right) = ((from - ends.0) / span, (to - ends.0) / span);
            }
        }
        self.axis = if widest <= EVEN_FACTOR * narrowest {
            Axis::Shares
        } else {
            Axis::Densities
        };
        self.ends = ends;
        self.cut = (ends.0 > whole.0, ends.1 < whole.1);
        Some(())
    }

    /// What a share is drawn as in this bin, before scaling. An open bin counts as wide as the inner ones on average.
    pub(crate) fn height(&self, bin: &Bin, share: f64) -> f64 {
        let open = bin.from.is_none() || bin.to.is_none();
        match self.axis {
            Axis::Densities if open => share * self.inner.len() as f64,
            Axis::Densities => share / (bin.right - bin.left).max(f64::MIN_POSITIVE),
            Axis::Shares | Axis::Steps => share,
        }
    }

    /// The greatest height; at least a little, so that it can divide.
    pub(crate) fn tallest(&self) -> f64 {
        self.all()
            .map(|bin| self.height(bin, bin.reference.max(bin.window)))
            .fold(f64::MIN_POSITIVE, f64::max)
    }

    /// The inner bin at a part of the axis.
    pub(crate) fn at(&self, part: f64) -> Option<&Bin> {
        self.inner
            .iter()
            .find(|bin| bin.left <= part && part < bin.right)
    }

    /// All of them in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Bin> {
        self.below.iter().chain(&self.inner).chain(&self.above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effects, Floors};

    fn comparison(edges: &[f64], reference: &[f64], window: &[f64]) -> Comparison {
        Comparison {
            effects: Effects::default(),
            limits: Floors::default(),
            p_value: 1.0,
            p_adjusted: 1.0,
            drifted: false,
            means: (0.0, 0.0),
            plot_edges: edges.to_vec(),
            plot_reference: reference.to_vec(),
            plot_window: window.to_vec(),
        }
    }

    #[test]
    fn open_bins_are_kept_apart_and_left_out_when_empty() {
        let found = bins(&comparison(
            &[0.0, 1.0, 2.0],
            &[0.0, 0.5, 0.5, 0.0],
            &[0.0, 0.2, 0.3, 0.5],
        ))
        .unwrap();
        assert_eq!(found.inner.len(), 2);
        assert_eq!(found.below, None);
        assert_eq!(found.above.map(|bin| bin.window), Some(0.5));
        assert_eq!((found.ends, found.axis), ((0.0, 2.0), Axis::Shares));
    }

    #[test]
    fn uneven_bins_are_densities_and_very_uneven_ones_steps() {
        let axis_of = |edges: &[f64]| {
            let shares = vec![0.25; edges.len() - 1];
            bins(&comparison(edges, &shares, &shares)).unwrap().axis
        };
        assert_eq!(axis_of(&[0.0, 1.0, 2.2]), Axis::Shares);
        assert_eq!(axis_of(&[0.0, 1.0, 3.0, 4.0]), Axis::Densities);
        assert_eq!(axis_of(&[0.0, 1.0, 1e6, 2e6]), Axis::Steps);
        assert_eq!(axis_of(&[0.0, 1.0, 1.0]), Axis::Steps);
        assert_eq!(axis_of(&[-1e308, 0.0, 1e308]), Axis::Steps);
    }

    #[test]
    fn a_long_tail_is_cut_and_keeps_its_area() {
        let found = bins(&comparison(
            &[0.0, 1.0, 2.0, 1000.0],
            &[0.4, 0.4, 0.2],
            &[0.4, 0.4, 0.2],
        ))
        .unwrap();
        assert_eq!((found.ends, found.cut), ((0.0, 4.5), (false, true)));
        let area: f64 = found
            .inner
            .iter()
            .map(|bin| found.height(bin, bin.reference) * (bin.right - bin.left))
            .sum();
        assert!((area - 1.0).abs() < 1e-12, "{area}");
        assert_eq!(found.at(0.99).map(|bin| bin.to), Some(Some(1000.0)));
    }

    #[test]
    fn parts_that_do_not_fit_make_no_plot() {
        for (edges, shares) in [
            (&[][..], &[][..]),
            (&[0.0, 1.0], &[0.1, 0.2, 0.3, 0.4]),
            (&[1.0, 0.0], &[1.0]),
            (&[0.0, 1.0], &[f64::NAN]),
            (&[0.0, f64::INFINITY], &[1.0]),
        ] {
            assert_eq!(bins(&comparison(edges, shares, shares)), None, "{edges:?}");
        }
    }
}
