//! The forest that trainers and importers make and `emit` compiles: trees of splits and leaves, and the documents that
//! ride beside them. It holds no data of training and knows no WebAssembly.

use hodoscope_release::sections::{Calibration, Profile, Training};

/// One column of the rows that a forest scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// The name by which callers send it; unique within the forest.
    pub name: String,
    /// The physical unit, for people.
    pub unit: Option<String>,
}

/// An isolation forest (Liu, Ting, Zhou 2008): `score = 2^(-mean path length / normaliser)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    /// The columns, in the order in which rows carry them; at least one.
    pub features: Vec<Feature>,
    /// The trees; at least one.
    pub trees: Vec<Tree>,
    /// `c(psi)`, the mean path length of an unsuccessful search in a tree of `psi` samples. 0 (one sample): every score
    /// is 0.5, as scikit-learn has it.
    pub normaliser: f64,
    /// Rows with a score at or above it are anomalies; within 0..=1.
    pub threshold: Option<f64>,
    /// Free pairs for people and tools; a key appears once.
    pub metadata: Vec<(String, String)>,
}

/// One tree. Node 0 is the root, every other node is the child of exactly one node before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// One node of a tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node {
    /// A row goes left if `(x as f32) <= threshold`, else right; a missing value (NaN) goes right.
    Split {
        /// The column to look at.
        feature: u32,
        /// The value to compare with; finite.
        threshold: f32,
        /// The node for smaller values.
        left: u32,
        /// The node for larger and missing values.
        right: u32,
        /// The expected path length of a row that reached this node; what attributions are made of.
        expected: f64,
    },
    /// The end of a path.
    Leaf {
        /// The path length: depth plus `c(samples in the leaf)`; finite, not negative.
        length: f64,
    },
}

/// What rides in a component beside the code.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sections {
    /// Rows whose scores the gate compares at every load; `emit` computes the scores by [`crate::reference`].
    pub golden_rows: Vec<Vec<f64>>,
    /// How scores of normal rows are distributed.
    pub calibration: Option<Calibration>,
    /// The edges on which inputs and scores are counted.
    pub profile: Option<Profile>,
    /// Where the forest comes from.
    pub training: Option<Training>,
}

/// Why a forest is not one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ForestError {
    /// No columns.
    #[error("the forest has no features; at least one is needed")]
    NoFeatures,
    /// Two columns of one name.
    #[error("feature `{0}` is named twice; give each column a name of its own")]
    DuplicateFeature(String),
    /// Two pairs of metadata with one key.
    #[error("metadata key `{0}` appears twice; keep one")]
    DuplicateKey(String),
    /// No trees.
    #[error("the forest has no trees; at least one is needed")]
    NoTrees,
    /// `c(psi)` is not usable.
    #[error("the normaliser is {0}; it must be finite and not negative")]
    Normaliser(f64),
    /// The threshold is no score.
    #[error("the threshold is {0}; it must lie within 0..1")]
    Threshold(f64),
    /// A node is not one.
    #[error("tree {tree}, node {node}: {problem}")]
    Node {
        /// The tree, from 0.
        tree: usize,
        /// The node within it, from 0.
        node: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

/// `c(n)`: the mean path length of an unsuccessful search in a binary search tree of `n` keys, equation 1 of Liu,
/// Ting, Zhou (2008): `2 H(n-1) - 2 (n-1)/n`, with `H(i)` taken as `ln(i) + 0.5772156649` (Euler's constant) as the
/// paper and scikit-learn do; `c(2) = 1`, `c(0) = c(1) = 0`.
pub fn average_path_length(n: u64) -> f64 {
    /// Euler's constant, as numpy has it.
    const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let n = n as f64;
            2.0 * ((n - 1.0).ln() + EULER_GAMMA) - 2.0 * (n - 1.0) / n
        }
    }
}

impl Forest {
    /// Checks what the types cannot say; every other function of the crate expects a forest that passed.
    pub fn check(&self) -> Result<(), ForestError> {
        if self.features.is_empty() {
            return Err(ForestError::NoFeatures);
        }
        if let Some(name) = twice(self.features.iter().map(|feature| feature.name.as_str())) {
            return Err(ForestError::DuplicateFeature(name));
        }
        if let Some(key) = twice(self.metadata.iter().map(|(key, _)| key.as_str())) {
            return Err(ForestError::DuplicateKey(key));
        }
        if self.trees.is_empty() {
            return Err(ForestError::NoTrees);
        }
        if !(self.normaliser.is_finite() && self.normaliser >= 0.0) {
            return Err(ForestError::Normaliser(self.normaliser));
        }
        if let Some(threshold) = self.threshold.filter(|t| !(0.0..=1.0).contains(t)) {
            return Err(ForestError::Threshold(threshold));
        }
        self.trees.iter().enumerate().try_for_each(|(tree, nodes)| {
            nodes
                .check(self.features.len())
                .map_err(|(node, problem)| ForestError::Node {
                    tree,
                    node,
                    problem,
                })
        })
    }
}

impl Tree {
    fn check(&self, features: usize) -> Result<(), (usize, &'static str)> {
        if self.nodes.is_empty() {
            return Err((0, "the tree has no nodes"));
        }
        let mut parents = vec![0u8; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            if at > 0 && parents.get(at) != Some(&1) {
                return Err((
                    at,
                    "the node is not the child of exactly one node before it",
                ));
            }
            node.check(features).map_err(|problem| (at, problem))?;
            if let Node::Split { left, right, .. } = *node {
                for child in [left as usize, right as usize] {
                    if child <= at {
                        return Err((at, "a child does not come after its parent"));
                    }
                    match parents.get_mut(child) {
                        Some(count) => *count = count.saturating_add(1),
                        None => return Err((at, "a child does not exist")),
                    }
                }
            }
        }
        Ok(())
    }
}

impl Node {
    fn check(&self, features: usize) -> Result<(), &'static str> {
        let length = match *self {
            Self::Split { feature, .. } if feature as usize >= features => {
                return Err("the split looks at a feature that does not exist");
            }
            Self::Split { threshold, .. } if !threshold.is_finite() => {
                return Err("the threshold is not finite");
            }
            Self::Split { expected, .. } => expected,
            Self::Leaf { length } => length,
        };
        if length.is_finite() && length >= 0.0 {
            Ok(())
        } else {
            Err("a path length is negative or not finite")
        }
    }
}

fn twice<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut seen = std::collections::BTreeSet::new();
    names
        .into_iter()
        .find(|name| !seen.insert(*name))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stump() -> Forest {
        Forest {
            features: vec![Feature {
                name: "f0".to_owned(),
                unit: None,
            }],
            trees: vec![Tree {
                nodes: vec![
                    Node::Split {
                        feature: 0,
                        threshold: 1.5,
                        left: 1,
                        right: 2,
                        expected: 1.0,
                    },
                    Node::Leaf { length: 1.0 },
                    Node::Leaf { length: 1.0 },
                ],
            }],
            normaliser: 1.0,
            threshold: None,
            metadata: vec![],
        }
    }

    #[test]
    fn average_path_lengths_are_those_of_the_paper() {
        assert_eq!(average_path_length(1), 0.0);
        assert_eq!(average_path_length(2), 1.0);
        assert!((average_path_length(256) - 10.244_770_920_119_918).abs() < 1e-12);
    }

    #[test]
    fn accepts_a_stump() {
        assert_eq!(stump().check(), Ok(()));
    }

    #[test]
    fn refuses_what_is_no_forest_and_says_where() {
        let mut forest = stump();
        forest.features.push(forest.features[0].clone());
        assert_eq!(
            forest.check().unwrap_err().to_string(),
            "feature `f0` is named twice; give each column a name of its own"
        );
        let mut forest = stump();
        forest.trees[0].nodes.pop();
        assert_eq!(
            forest.check().unwrap_err().to_string(),
            "tree 0, node 0: a child does not exist"
        );
        let mut forest = stump();
        forest.trees[0].nodes.push(Node::Leaf { length: 0.0 });
        assert_eq!(
            forest.check().unwrap_err().to_string(),
            "tree 0, node 3: the node is not the child of exactly one node before it"
        );
        let mut forest = stump();
        forest.threshold = Some(f64::NAN);
        assert!(forest.check().is_err());
    }
}
