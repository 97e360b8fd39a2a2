//! The bins of a comparison's plot, put in order for drawing: open ones apart, and laid along the values, or along equal
//! steps where a few wide bins would leave the rest no room.

use crate::Comparison;

/// Wider than this in narrowest bins, and values no longer make a readable axis.
const SPAN_LIMIT: f64 = 80.0;
/// Bins whose widths differ by less than this factor are of one width: their heights are shares.
const EVEN_FACTOR: f64 = 1.5;

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
}

/// How bins are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Along the values; heights are shares.
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
    /// Between two edges each.
    pub(crate) inner: Vec<Bin>,
    /// From the last edge on, if anything is there.
    pub(crate) above: Option<Bin>,
    /// How to lay them out.
    pub(crate) axis: Axis,
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
        })
        .collect();
    let filled = |bin: &Bin| bin.reference > 0.0 || bin.window > 0.0;
    let above = if open { all.pop().filter(filled) } else { None };
    let below = (open && !all.is_empty())
        .then(|| all.remove(0))
        .filter(filled);
    let axis = axis(&all);
    Some(Bins {
        below,
        inner: all,
        above,
        axis,
    })
}

fn axis(bins: &[Bin]) -> Axis {
    let widths = bins.iter().map(Bin::width);
    let narrowest = widths.clone().fold(f64::INFINITY, f64::min);
    let widest = widths.clone().fold(0.0, f64::max);
    if narrowest <= 0.0 || widths.sum::<f64>() > SPAN_LIMIT * narrowest {
        Axis::Steps
    } else if widest <= EVEN_FACTOR * narrowest {
        Axis::Shares
    } else {
        Axis::Densities
    }
}

impl Bin {
    /// From edge to edge; nothing if it is open.
    pub(crate) fn width(&self) -> f64 {
        match (self.from, self.to) {
            (Some(from), Some(to)) => to - from,
            _ => 0.0,
        }
    }
}

impl Bins {
    /// The least and the greatest edge.
    pub(crate) fn ends(&self) -> (f64, f64) {
        let from = self.inner.first().and_then(|bin| bin.from);
        let to = self.inner.last().and_then(|bin| bin.to);
        (from.unwrap_or_default(), to.unwrap_or_default())
    }

    /// What a share is drawn as in this bin, before scaling. An open bin counts as wide as the inner ones on average.
    pub(crate) fn height(&self, bin: &Bin, share: f64) -> f64 {
        let (from, to) = self.ends();
        let mean = (to - from) / self.inner.len() as f64;
        let width = if bin.from.is_some() && bin.to.is_some() {
            bin.width()
        } else {
            mean
        };
        match self.axis {
            Axis::Densities if width > 0.0 => share / width,
            _ => share,
        }
    }

    /// The greatest height; at least a little, so that it can divide.
    pub(crate) fn tallest(&self) -> f64 {
        self.all()
            .map(|bin| self.height(bin, bin.reference.max(bin.window)))
            .fold(f64::MIN_POSITIVE, f64::max)
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
        assert_eq!((found.ends(), found.axis), ((0.0, 2.0), Axis::Shares));
    }

    #[test]
    fn uneven_bins_are_densities_and_very_uneven_ones_steps() {
        let axis_of = |edges: &[f64]| {
            bins(&comparison(edges, &[0.5, 0.5], &[0.5, 0.5]))
                .unwrap()
                .axis
        };
        assert_eq!(axis_of(&[0.0, 1.0, 2.2]), Axis::Shares);
        assert_eq!(axis_of(&[0.0, 1.0, 5.0]), Axis::Densities);
        assert_eq!(axis_of(&[0.0, 1.0, 1e6]), Axis::Steps);
        assert_eq!(axis_of(&[0.0, 1.0, 1.0]), Axis::Steps);
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
