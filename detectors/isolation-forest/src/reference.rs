//! The forest walked node by node in plain Rust: what the compiled kernel must equal, bit for bit. It shares with the
//! kernel only the unit of path lengths and the sequence of operations of `2^x`; golden scores come from here.

use crate::exp2::exp2;
use crate::forest::{Forest, Node, Tree};
use crate::units::Units;

/// Scores with their reasons: `log2(score) = baseline + sum(attributions of the row)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// As [`score`] gives them.
    pub scores: Vec<f64>,
    /// The base-2 logarithm of the score of a row about which nothing is known.
    pub baseline: f64,
    /// Row-major, one value per row and feature; positive pushes towards "anomalous". Unit: bits.
    pub attributions: Vec<f64>,
}

/// Scores rows (row-major, one value for each feature; a rest that is no whole row is left out).
///
/// `2^(-E[h(x)] / c(psi))`, equation 2 of Liu, Ting, Zhou (2008), where `E[h(x)]` is the mean over the trees of the
/// length of the path that the row takes. Within (0, 1].
pub fn score(forest: &Forest, rows: &[f64]) -> Vec<f64> {
    let units = Units::of(forest);
    rows.chunks_exact(forest.features.len())
        .map(|row| {
            let sum: u64 = forest
                .trees
                .iter()
                .map(|tree| path(tree, row).last().map_or(0, |node| round(&units, node)))
                .sum();
            exp2(bits(&units, sum as i64))
        })
        .collect()
}

/// Scores rows and attributes each score to features, as Saabas (2014) does for decision trees: every node carries the
/// path length expected there, and a split's feature is given the change of it from the node to the child taken. In
/// one tree the changes add up to the path's length less the root's expectation, which makes the sum rule exact.
pub fn explain(forest: &Forest, rows: &[f64]) -> Explanation {
    let units = Units::of(forest);
    let roots: u64 = forest
        .trees
        .iter()
        .filter_map(|tree| tree.nodes.first())
        .map(|root| round(&units, root))
        .sum();
    let attributions = rows
        .chunks_exact(forest.features.len())
        .flat_map(|row| changes(forest, &units, row))
        .map(|change| bits(&units, change))
        .collect();
    Explanation {
        scores: score(forest, rows),
        baseline: bits(&units, roots as i64),
        attributions,
    }
}

/// For each feature the change of the expected path length along the paths of one row, in units.
fn changes(forest: &Forest, units: &Units, row: &[f64]) -> Vec<i64> {
    let mut changes = vec![0i64; row.len()];
    for tree in &forest.trees {
        let nodes: Vec<&Node> = path(tree, row).collect();
        for (node, child) in nodes.iter().zip(nodes.iter().skip(1)) {
            if let Node::Split { feature, .. } = node
                && let Some(change) = changes.get_mut(*feature as usize)
            {
                *change += round(units, child) as i64 - round(units, node) as i64;
            }
        }
    }
    changes
}

/// The nodes that a row visits, from the root to its leaf.
fn path<'a>(tree: &'a Tree, row: &'a [f64]) -> impl Iterator<Item = &'a Node> {
    std::iter::successors(tree.nodes.first(), |node| match node {
        Node::Leaf { .. } => None,
        Node::Split {
            feature,
            threshold,
            left,
            right,
            ..
        } => {
            let value = *row.get(*feature as usize)? as f32;
            let child = if value <= *threshold { left } else { right };
            tree.nodes.get(*child as usize)
        }
    })
}

fn round(units: &Units, node: &Node) -> u64 {
    u64::from(units.round(node.length()))
}

/// The base-2 logarithm of the score that a sum of units means. Written as a difference so that 0 is never `-0`.
fn bits(units: &Units, sum: i64) -> f64 {
    0.0 - sum as f64 * units.rate
}
