//! scikit-learn's isolation forest out of ONNX: as skl2onnx writes it and as a fused ensemble, with the features of each
//! tree, the offset as threshold, and the rows per node recovered from the path lengths. Whatever is not an isolation
//! forest is refused with what was found. Bytes come from anywhere: nothing in them is believed.

mod ensemble;
mod onnx;
mod symbolic;

use std::collections::BTreeMap;

use hodoscope_release::sections::{SCHEMA, Training};
use prost::Message;

use crate::forest::{Feature, Forest, ForestError, Node, Sections, Tree, average_path_length};
use crate::train::{boundary_rows, expect_lengths};
use ensemble::{RawNode, RawTree};
use onnx::{Graph, Model};
use symbolic::{Followed, Sum, Value, follow};

/// Why a file is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not ONNX, or not all of it.
    #[error(
        "not an ONNX file: {0}; write one with `skl2onnx.to_onnx(forest, rows[:1]).SerializeToString()`"
    )]
    NotOnnx(String),
    /// A model of another kind.
    #[error("not an isolation forest: no output is 2^(-path length / c); found {0}")]
    NotAForest(String),
    /// Trees that cannot be taken over as they are.
    #[error("the forest cannot be imported: {0}")]
    Trees(String),
    /// The names given do not fit.
    #[error("{given} column names for {width} features; give one for each")]
    Names {
        /// How many names.
        given: usize,
        /// How many features.
        width: usize,
    },
    /// What came out is no forest.
    #[error(transparent)]
    Forest(#[from] ForestError),
}

/// What import gives.
#[derive(Debug)]
pub struct Imported {
    /// The forest, for `emit`.
    pub forest: Forest,
    /// What rides beside it: golden rows and provenance; there is no data to calibrate on.
    pub sections: Sections,
    /// Who wrote the file.
    pub producer: String,
    /// Rows per tree, where the path lengths tell.
    pub sample_size: Option<u64>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// Reads an isolation forest from an ONNX file.
///
/// `names` are the features in the order of the columns; empty: the graph's own if it has one input per column, else
/// `f0`, `f1`, …. A row is an anomaly when scikit-learn's `predict` gives -1, which is a score *above* the offset, so the
/// threshold is the next number above it.
pub fn import_onnx(bytes: &[u8], names: &[String]) -> Result<Imported, ImportError> {
    if bytes.is_empty() {
        return Err(ImportError::NotOnnx("it is empty".to_owned()));
    }
    let model = Model::decode(bytes).map_err(|error| ImportError::NotOnnx(error.to_string()))?;
    let graph = model.graph.as_ref().filter(|graph| !graph.node.is_empty());
    let graph = graph.ok_or_else(|| ImportError::NotOnnx("it holds no graph".to_owned()))?;
    let followed = follow(graph)?;
    let mut scores = followed.outputs.iter().filter_map(|output| match output {
        Value::Score { factor, sum, add } if factor.abs() == 1.0 => {
            Some((*factor, sum.clone(), *add))
        }
        _ => None,
    });
    let (factor, sum, add) = scores
        .next()
        .ok_or_else(|| ImportError::NotAForest(found(graph)))?;
    let features = features(&followed, names)?;
    let mut warnings = Vec::new();
    let lengths = Lengths::new(sum, followed.trees.len())?;
    let (trees, sample_size) = lengths.trees(&followed.trees)?;
    if sample_size.is_none() {
        warnings.push("the path lengths do not tell how many rows each leaf had: explanations weigh all leaves alike".to_owned());
    }
    // A graph with a constant added gives decision_function, without one score_samples.
    let offset = (add != 0.0).then_some(-add / factor);
    let threshold = offset
        .map(f64::next_up)
        .filter(|threshold| (0.0..=1.0).contains(threshold));
    if threshold.is_none() {
        warnings.push(
            "the graph carries no usable offset: the detector ranks, without a threshold"
                .to_owned(),
        );
    }
    let forest = Forest {
        metadata: metadata(&model, trees.len(), sample_size),
        features,
        trees,
        normaliser: lengths.normaliser,
        threshold,
    };
    forest.check()?;
    Ok(Imported {
        sections: Sections {
            golden_rows: boundary_rows(&forest),
            training: Some(provenance(&model)),
            ..Sections::default()
        },
        forest,
        producer: format!("{} {}", model.producer_name, model.producer_version)
            .trim()
            .to_owned(),
        sample_size,
        warnings,
    })
}

fn metadata(model: &Model, trees: usize, sample_size: Option<u64>) -> Vec<(String, String)> {
    let mut pairs = vec![
        ("kind".to_owned(), "isolation-forest".to_owned()),
        ("trees".to_owned(), trees.to_string()),
    ];
    pairs.extend(sample_size.map(|size| ("sample-size".to_owned(), size.to_string())));
    if !model.producer_name.is_empty() {
        pairs.push((
            "imported-from".to_owned(),
            format!("ONNX by {} {}", model.producer_name, model.producer_version),
        ));
    }
    pairs
}

fn provenance(model: &Model) -> Training {
    Training {
        schema: SCHEMA,
        trainer: format!("onnx {} {}", model.producer_name, model.producer_version)
            .trim()
            .to_owned(),
        rows: 0,
        data_digest: None,
        options: BTreeMap::new(),
        metrics: BTreeMap::new(),
    }
}

/// What a graph is made of, for the person who meant another file.
fn found(graph: &Graph) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for operation in &graph.node {
        *counts.entry(&operation.op_type).or_default() += 1;
    }
    let operations: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let inputs: Vec<&str> = graph
        .input
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    let outputs: Vec<&str> = graph
        .output
        .iter()
        .map(|output| output.name.as_str())
        .collect();
    format!(
        "{} (inputs {}; outputs {})",
        operations.join(", "),
        inputs.join(", "),
        outputs.join(", ")
    )
}

fn features(followed: &Followed, names: &[String]) -> Result<Vec<Feature>, ImportError> {
    let splits = followed
        .trees
        .iter()
        .flat_map(|tree| &tree.nodes)
        .filter_map(|node| match node {
            RawNode::Split { feature, .. } => Some(feature + 1),
            RawNode::Leaf(_) => None,
        });
    let width = followed.width.unwrap_or_else(|| splits.max().unwrap_or(1));
    if !names.is_empty() && names.len() != width {
        return Err(ImportError::Names {
            given: names.len(),
            width,
        });
    }
    let own = |column: usize| {
        followed
            .names
            .get(column)
            .cloned()
            .unwrap_or_else(|| format!("f{column}"))
    };
    let name = |column: usize| names.get(column).cloned().unwrap_or_else(|| own(column));
    Ok((0..width)
        .map(|column| Feature {
            name: name(column),
            unit: None,
        })
        .collect())
}

/// The path length of each leaf of each tree.
struct Lengths {
    by_tree: Vec<Vec<f64>>,
    normaliser: f64,
}

impl Lengths {
    /// From the exponent `scale · Σ terms + bias`, in which each tree has exactly one term.
    fn new(sum: Sum, trees: usize) -> Result<Self, ImportError> {
        let mut by_tree = vec![Vec::new(); trees];
        if sum.terms.len() != trees {
            return Err(ImportError::Trees(format!(
                "{} of {trees} trees make the score",
                sum.terms.len()
            )));
        }
        let count = trees as f64;
        // The exponent falls with the length: weights with the opposite sign are turned.
        let sign = if sum.scale > 0.0 { -1.0 } else { 1.0 };
        let scale = sum.scale * sign;
        let share = if scale.is_finite() {
            sum.bias / (scale * count)
        } else {
            0.0
        };
        for (tree, values) in sum.terms {
            let Some(place) = by_tree.get_mut(tree).filter(|place| place.is_empty()) else {
                return Err(ImportError::Trees(format!("tree {tree} counts twice")));
            };
            *place = values
                .into_iter()
                .map(|value| clean(value * sign + share))
                .collect();
        }
        let bad = by_tree
            .iter()
            .flatten()
            .find(|length| !(length.is_finite() && **length >= 0.0));
        if let Some(bad) = bad {
            return Err(ImportError::Trees(format!(
                "a leaf has the path length {bad}"
            )));
        }
        let normaliser = if scale.is_finite() {
            -1.0 / (scale * count)
        } else {
            0.0
        };
        if !normaliser.is_finite() {
            return Err(ImportError::Trees(
                "the score does not depend on the trees".to_owned(),
            ));
        }
        Ok(Self {
            by_tree,
            normaliser,
        })
    }

    /// The trees with their lengths, and the rows per tree if every leaf tells how many rows it had.
    fn trees(&self, raw: &[RawTree]) -> Result<(Vec<Tree>, Option<u64>), ImportError> {
        let weights: Option<Vec<Vec<f64>>> = raw
            .iter()
            .zip(&self.by_tree)
            .map(|(tree, lengths)| leaf_weights(tree, lengths))
            .collect();
        let mut trees = Vec::with_capacity(raw.len());
        let mut sizes = Vec::with_capacity(raw.len());
        for (at, (tree, lengths)) in raw.iter().zip(&self.by_tree).enumerate() {
            let weights = weights.as_ref().and_then(|all| all.get(at));
            let (grown, size) = plant(tree, lengths, weights)?;
            trees.push(grown);
            sizes.push(size as u64);
        }
        let size = sizes
            .first()
            .copied()
            .filter(|first| weights.is_some() && sizes.iter().all(|size| size == first));
        Ok((trees, size))
    }
}

/// Rounding in the graph's f32 constants may leave a root's length just below 0.
fn clean(length: f64) -> f64 {
    if (-1e-6..0.0).contains(&length) {
        0.0
    } else {
        length
    }
}

/// One tree with lengths and expectations; also the weight of its root.
fn plant(
    raw: &RawTree,
    lengths: &[f64],
    weights: Option<&Vec<f64>>,
) -> Result<(Tree, f64), ImportError> {
    let mut leaves = lengths.iter().enumerate();
    let mut node_weights = vec![0.0; raw.nodes.len()];
    let mut nodes = Vec::with_capacity(raw.nodes.len());
    for (at, node) in raw.nodes.iter().enumerate() {
        nodes.push(match node {
            RawNode::Split {
                feature,
                threshold,
                left,
                right,
            } => Node::Split {
                feature: *feature as u32,
                threshold: *threshold,
                left: *left as u32,
                right: *right as u32,
                expected: 0.0,
            },
            RawNode::Leaf(_) => {
                let (leaf, length) = leaves
                    .next()
                    .ok_or_else(|| ImportError::Trees("a leaf has no path length".to_owned()))?;
                if let Some(place) = node_weights.get_mut(at) {
                    *place = weights
                        .and_then(|weights| weights.get(leaf))
                        .copied()
                        .unwrap_or(1.0);
                }
                Node::Leaf { length: *length }
            }
        });
    }
    for (at, node) in raw.nodes.iter().enumerate().rev() {
        if let RawNode::Split { left, right, .. } = node {
            let of = |child: &usize| node_weights.get(*child).copied().unwrap_or(0.0);
            let weight = of(left) + of(right);
            if let Some(place) = node_weights.get_mut(at) {
                *place = weight;
            }
        }
    }
    expect_lengths(&mut nodes, &node_weights);
    Ok((Tree { nodes }, node_weights.first().copied().unwrap_or(0.0)))
}

/// The rows in each leaf, from `length = depth + c(rows)`; `None` if one does not fit.
fn leaf_weights(tree: &RawTree, lengths: &[f64]) -> Option<Vec<f64>> {
    let mut depths = vec![0u32; tree.nodes.len()];
    let mut leaves = Vec::new();
    for (at, node) in tree.nodes.iter().enumerate() {
        let depth = depths.get(at).copied()?;
        match node {
            RawNode::Leaf(_) => leaves.push(depth),
            RawNode::Split { left, right, .. } => {
                for child in [left, right] {
                    *depths.get_mut(*child)? = depth + 1;
                }
            }
        }
    }
    leaves
        .iter()
        .zip(lengths)
        .map(|(depth, length)| rows_of(length - f64::from(*depth)))
        .collect()
}

/// The whole number whose `c` this is, within the rounding of f32 constants.
fn rows_of(extra: f64) -> Option<f64> {
    const TOLERANCE: f64 = 2e-5;
    let (mut low, mut high) = (1u64, 1u64 << 40);
    while low < high {
        let middle = low + (high - low) / 2;
        if average_path_length(middle) + TOLERANCE >= extra {
            high = middle
        } else {
            low = middle + 1
        }
    }
    ((average_path_length(low) - extra).abs() <= TOLERANCE).then_some(low as f64)
}
