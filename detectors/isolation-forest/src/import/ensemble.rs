//! The tree operators of `ai.onnx.ml`: `TreeEnsembleRegressor` (opsets 1 to 4) and `TreeEnsemble` (opset 5), as trees whose
//! leaves carry weights. Checks everything about them: a file comes from anywhere.

use std::collections::HashMap;

use super::ImportError;
use super::onnx::Operation;
use crate::train::round_down;

/// A tree as the file has it. Children come after their parents.
#[derive(Debug, Clone)]
pub(super) struct RawTree {
    pub(super) nodes: Vec<RawNode>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum RawNode {
    Split {
        feature: usize,
        threshold: f32,
        left: usize,
        right: usize,
    },
    /// The weight that the leaf adds to the output.
    Leaf(f64),
}

/// The trees of one operator, whose leaf weights it sums.
pub(super) struct Ensemble {
    pub(super) trees: Vec<RawTree>,
    /// What is added to the sum.
    pub(super) base: f64,
    /// What the sum is multiplied by: 1, or 1/trees for an average.
    pub(super) scale: f64,
}

/// A child as a file names it.
#[derive(Clone, Copy)]
enum Link {
    Node(usize),
    Leaf(usize),
}

/// What both operators come to before trees are followed.
struct Arrays {
    features: Vec<usize>,
    thresholds: Vec<f32>,
    children: Vec<(Link, Link)>,
    leaves: Vec<f64>,
}

fn refuse<T>(problem: impl Into<String>) -> Result<T, ImportError> {
    Err(ImportError::Trees(problem.into()))
}

/// Reads either operator.
pub(super) fn ensemble(operation: &Operation) -> Result<Ensemble, ImportError> {
    let post = operation.text("post_transform").unwrap_or_default();
    let transformed =
        !matches!(post.as_str(), "" | "NONE") || operation.int("post_transform").unwrap_or(0) != 0;
    if transformed {
        return refuse(
            "the trees' sum is transformed (post_transform), which no isolation forest needs",
        );
    }
    if operation.int("n_targets").unwrap_or(1) != 1 {
        return refuse("the trees have more than one target");
    }
    if operation.op_type == "TreeEnsemble" {
        modern(operation)
    } else {
        classic(operation)
    }
}

fn scale(average: bool, trees: usize) -> f64 {
    if average { 1.0 / trees as f64 } else { 1.0 }
}

/// Opset 5: leaves and splits in arrays of their own, roots listed.
fn modern(operation: &Operation) -> Result<Ensemble, ImportError> {
    let splits = operation.numbers("nodes_splits");
    let modes = operation
        .attribute("nodes_modes")
        .and_then(|modes| modes.t.as_ref())
        .and_then(|t| t.numbers());
    let modes = modes.unwrap_or_default();
    let missing = operation.ints("nodes_missing_value_tracks_true");
    let features = operation.ints("nodes_featureids");
    let (yes, yes_leaf) = (
        operation.ints("nodes_truenodeids"),
        operation.ints("nodes_trueleafs"),
    );
    let (no, no_leaf) = (
        operation.ints("nodes_falsenodeids"),
        operation.ints("nodes_falseleafs"),
    );
    let count = splits.len();
    if [
        modes.len(),
        features.len(),
        yes.len(),
        yes_leaf.len(),
        no.len(),
        no_leaf.len(),
    ]
    .iter()
    .any(|n| *n != count)
    {
        return refuse("the arrays of a TreeEnsemble differ in length");
    }
    let mut arrays = Arrays {
        features: Vec::with_capacity(count),
        thresholds: Vec::with_capacity(count),
        children: Vec::with_capacity(count),
        leaves: operation.numbers("leaf_weights"),
    };
    let link = |id: i64, leaf: i64| {
        let id = usize::try_from(id).unwrap_or(usize::MAX);
        if leaf != 0 {
            Link::Leaf(id)
        } else {
            Link::Node(id)
        }
    };
    let rows = splits
        .iter()
        .zip(&modes)
        .zip(features)
        .zip(yes.iter().zip(yes_leaf))
        .zip(no.iter().zip(no_leaf));
    for (index, ((((split, mode), feature), (yes, yes_leaf)), (no, no_leaf))) in rows.enumerate() {
        let mode = match *mode as i64 {
            0 => "BRANCH_LEQ",
            1 => "BRANCH_LT",
            2 => "BRANCH_GTE",
            3 => "BRANCH_GT",
            _ => "another comparison",
        };
        let tracks_true = missing.get(index).is_some_and(|flag| *flag != 0);
        let (threshold, swap) = branch(mode, *split, tracks_true)?;
        let (yes, no) = (link(*yes, *yes_leaf), link(*no, *no_leaf));
        arrays.push(
            *feature,
            threshold,
            if swap { (no, yes) } else { (yes, no) },
        )?;
    }
    let mut trees = Vec::new();
    for root in operation.ints("tree_roots") {
        // A tree that is a single leaf has a root whose both children are that leaf.
        trees.push(arrays.tree(Link::Node(usize::try_from(*root).unwrap_or(usize::MAX)))?);
    }
    let average = operation.int("aggregate_function").unwrap_or(1);
    if average > 1 {
        return refuse("the trees' weights are neither summed nor averaged");
    }
    finish(trees, 0.0, average == 0)
}

/// Opsets 1 to 4: nodes of all trees in parallel arrays, leaf weights by (tree, node).
fn classic(operation: &Operation) -> Result<Ensemble, ImportError> {
    let (tree_ids, node_ids) = (
        operation.ints("nodes_treeids"),
        operation.ints("nodes_nodeids"),
    );
    let (yes, no) = (
        operation.ints("nodes_truenodeids"),
        operation.ints("nodes_falsenodeids"),
    );
    let (features, modes) = (
        operation.ints("nodes_featureids"),
        operation.texts("nodes_modes"),
    );
    let missing = operation.ints("nodes_missing_value_tracks_true");
    let values = operation.numbers("nodes_values");
    let count = node_ids.len();
    if [
        tree_ids.len(),
        yes.len(),
        no.len(),
        features.len(),
        modes.len(),
        values.len(),
    ]
    .iter()
    .any(|n| *n != count)
    {
        return refuse("the arrays of a TreeEnsembleRegressor differ in length");
    }
    let mut weights: HashMap<(i64, i64), f64> = HashMap::new();
    let targets = operation
        .ints("target_treeids")
        .iter()
        .zip(operation.ints("target_nodeids"));
    for ((tree, node), weight) in targets.zip(operation.numbers("target_weights")) {
        *weights.entry((*tree, *node)).or_default() += weight;
    }
    let places: HashMap<(i64, i64), usize> = tree_ids
        .iter()
        .copied()
        .zip(node_ids.iter().copied())
        .enumerate()
        .map(|(at, key)| (key, at))
        .collect();
    let mut arrays = Arrays {
        features: Vec::with_capacity(count),
        thresholds: Vec::with_capacity(count),
        children: Vec::with_capacity(count),
        leaves: Vec::new(),
    };
    let rows = tree_ids
        .iter()
        .zip(node_ids)
        .zip(yes.iter().zip(no))
        .zip(features.iter().zip(&values))
        .zip(&modes);
    for (at, ((((tree, node), (yes, no)), (feature, value)), mode)) in rows.enumerate() {
        if mode == "LEAF" {
            arrays
                .leaves
                .push(weights.get(&(*tree, *node)).copied().unwrap_or(0.0));
            let leaf = Link::Leaf(arrays.leaves.len() - 1);
            arrays.push(0, 0.0, (leaf, leaf))?;
            continue;
        }
        let tracks_true = missing.get(at).is_some_and(|flag| *flag != 0);
        let (threshold, swap) = branch(mode, *value, tracks_true)?;
        let link = |id: &i64| {
            places
                .get(&(*tree, *id))
                .map_or(Link::Node(usize::MAX), |place| Link::Node(*place))
        };
        let (yes, no) = (link(yes), link(no));
        arrays.push(
            *feature,
            threshold,
            if swap { (no, yes) } else { (yes, no) },
        )?;
    }
    let mut trees = Vec::new();
    let mut last = None;
    // A tree's root is its first node.
    for (at, tree) in tree_ids.iter().enumerate() {
        if last != Some(*tree) {
            trees.push(arrays.tree(Link::Node(at))?);
        }
        last = Some(*tree);
    }
    let average = match operation.text("aggregate_function").as_deref() {
        None | Some("SUM") => false,
        Some("AVERAGE") => true,
        Some(other) => {
            return refuse(format!(
                "the trees' weights are combined by {other}, not summed"
            ));
        }
    };
    finish(
        trees,
        operation.numbers("base_values").iter().sum(),
        average,
    )
}

fn finish(trees: Vec<RawTree>, base: f64, average: bool) -> Result<Ensemble, ImportError> {
    if trees.is_empty() {
        return refuse("an ensemble has no trees");
    }
    let scale = scale(average, trees.len());
    Ok(Ensemble { trees, base, scale })
}

/// A comparison as "left if `x <= threshold`, missing to the right": the threshold, and whether "true" is right.
///
/// A missing value compares false, and goes to the false branch unless the node tracks it to the true one.
fn branch(mode: &str, value: f64, tracks_true: bool) -> Result<(f32, bool), ImportError> {
    let threshold = round_down(value);
    // The largest f32 below the value, for comparisons that exclude it.
    let below = if f64::from(threshold) < value {
        threshold
    } else {
        threshold.next_down()
    };
    let (threshold, swap) = match mode {
        "BRANCH_LEQ" => (threshold, false),
        "BRANCH_LT" => (below, false),
        "BRANCH_GTE" => (below, true),
        "BRANCH_GT" => (threshold, true),
        _ => {
            return refuse(format!(
                "a tree compares by {mode}, which no isolation forest does"
            ));
        }
    };
    if swap != tracks_true {
        let side = "sends missing values to the side of smaller values";
        return refuse(format!(
            "a split {side}; Hodoscope sends them right, so scores of rows with missing values would differ"
        ));
    }
    if !threshold.is_finite() {
        return refuse(format!(
            "a split at {value}, which is outside the range of f32"
        ));
    }
    Ok((threshold, swap))
}

impl Arrays {
    fn push(
        &mut self,
        feature: i64,
        threshold: f32,
        children: (Link, Link),
    ) -> Result<(), ImportError> {
        let Ok(feature) = usize::try_from(feature) else {
            return refuse(format!("a split on feature {feature}"));
        };
        self.features.push(feature);
        self.thresholds.push(threshold);
        self.children.push(children);
        Ok(())
    }

    /// Follows a root. Each node may be reached once: a cycle or a shared subtree is refused.
    fn tree(&self, root: Link) -> Result<RawTree, ImportError> {
        let mut nodes = vec![RawNode::Leaf(0.0)];
        let mut open = vec![(root, 0usize)];
        while let Some((link, place)) = open.pop() {
            if nodes.len() > 2 * self.children.len() + 1 {
                return refuse("a tree reaches a node twice");
            }
            let node = match link {
                Link::Leaf(leaf) => match self.leaves.get(leaf) {
                    Some(weight) if weight.is_finite() => RawNode::Leaf(*weight),
                    _ => {
                        return refuse(format!(
                            "leaf {leaf} does not exist or has no finite weight"
                        ));
                    }
                },
                Link::Node(at) => {
                    let found = self
                        .children
                        .get(at)
                        .zip(self.features.get(at))
                        .zip(self.thresholds.get(at));
                    let Some((((left, right), feature), threshold)) = found else {
                        return refuse("a split names a child that does not exist");
                    };
                    if let (Link::Leaf(one), Link::Leaf(other)) = (left, right)
                        && one == other
                    {
                        open.push((*left, place));
                        continue;
                    }
                    let next = nodes.len();
                    nodes.extend([RawNode::Leaf(0.0); 2]);
                    open.extend([(*right, next + 1), (*left, next)]);
                    RawNode::Split {
                        feature: *feature,
                        threshold: *threshold,
                        left: next,
                        right: next + 1,
                    }
                }
            };
            if let Some(slot) = nodes.get_mut(place) {
                *slot = node;
            }
        }
        Ok(RawTree { nodes })
    }
}
