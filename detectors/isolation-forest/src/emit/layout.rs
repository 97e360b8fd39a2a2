//! Where everything of a forest lies in memory: header, description, nodes for the scalar walk. The kernel reads it,
//! `read` gets the forest back from it.

use super::EmitError;
use super::fast::{self, Path, Plan};
use super::image::Image;
use super::stage;
use crate::forest::{Feature, Forest, Node, Tree};
use crate::kernel::header;
use crate::units::Units;

/// Bytes of a node in memory.
pub(crate) const NODE_BYTES: usize = 16;
/// Trees that the scalar walk takes at a time.
const QUAD: usize = 4;

/// Lays `forest` out in memory: with tables for the fast paths, unless they would take more than half of what a
/// component may have.
pub(crate) fn lay_out(forest: &Forest) -> Result<Image, EmitError> {
    let nodes: usize = forest.trees.iter().map(|tree| tree.nodes.len()).sum();
    let bytes = nodes.saturating_mul(NODE_BYTES);
    if bytes > super::MAX_COMPONENT_BYTES {
        return Err(EmitError::TooLarge { bytes });
    }
    let image = lay_out_with(forest, &fast::plan(forest));
    if image.bytes().len() <= super::MAX_COMPONENT_BYTES / 2 {
        return Ok(image);
    }
    Ok(lay_out_with(forest, &Plan::slow(forest)))
}

fn lay_out_with(forest: &Forest, plan: &Plan) -> Image {
    let units = Units::of(forest);
    let mut image = Image::new();
    if plan.path == Path::Stage {
        stage::place_exits(&mut image);
    }
    image.put_f64(header::RATE, units.rate);
    image.put_f64(header::SCALE, units.scale);
    image.put_f64(header::NORMALISER, forest.normaliser);
    image.put_word(header::COLUMNS, forest.features.len() as u32);
    place_description(&mut image, forest);
    place_refusals(&mut image, forest.features.len());
    let roots = place_walk(&mut image, forest, &units);
    let rest: Vec<(u32, &Tree)> = plan
        .rest
        .iter()
        .filter_map(|tree| Some((*roots.get(*tree)?, forest.trees.get(*tree)?)))
        .collect();
    place_quads(&mut image, header::REST, &rest);
    fast::place(&mut image, forest, plan, &units);
    let heap = image.heap();
    image.put_word(header::HEAP, heap);
    image
}

/// The record `description` as the canonical ABI has it in memory.
fn place_description(image: &mut Image, forest: &Forest) {
    let features: Vec<u32> = forest
        .features
        .iter()
        .flat_map(|feature| feature_words(image, feature))
        .collect();
    let features = image.place_words(&features);
    let metadata: Vec<u32> = forest
        .metadata
        .iter()
        .flat_map(|(key, value)| [place_text(image, key), place_text(image, value)])
        .flatten()
        .collect();
    let metadata = image.place_words(&metadata);
    let record = image.place(&[0; 32], 8);
    image.put_span(record, features, forest.features.len());
    if let Some(threshold) = forest.threshold {
        image.put_word(record + 8, 1);
        image.put_f64(record + 16, threshold);
    }
    image.put_span(record + 24, metadata, forest.metadata.len());
    image.put_word(header::DESCRIBE, record);
}

fn feature_words(image: &mut Image, feature: &Feature) -> [u32; 5] {
    let [name, name_len] = place_text(image, &feature.name);
    match &feature.unit {
        None => [name, name_len, 0, 0, 0],
        Some(unit) => {
            let [unit, unit_len] = place_text(image, unit);
            [name, name_len, 1, unit, unit_len]
        }
    }
}

fn place_text(image: &mut Image, text: &str) -> [u32; 2] {
    [image.place(text.as_bytes(), 1), text.len() as u32]
}

/// What follows the number that was found in the two refusals of a wrong shape.
fn place_refusals(image: &mut Image, columns: usize) {
    let width = format!(
        " columns were sent, {columns} are expected; send one value for each feature, in the order of the description"
    );
    let count = format!(
        " values were sent, a multiple of {columns} is expected; send whole rows of {columns} values"
    );
    for (field, text) in [(header::WIDTH_TEXT, width), (header::COUNT_TEXT, count)] {
        let at = image.place(text.as_bytes(), 1);
        image.put_span(field, at, text.len());
    }
}

/// Nodes, roots, quads, and what the trees sum up to without a row. Gives the address of each root.
fn place_walk(image: &mut Image, forest: &Forest, units: &Units) -> Vec<u32> {
    let mut roots = Vec::with_capacity(forest.trees.len());
    let mut expected = 0u64;
    let mut base = 0u64;
    image.align(NODE_BYTES);
    for tree in &forest.trees {
        roots.push(image.len());
        place_tree(image, tree, units);
        let root = tree
            .nodes
            .first()
            .map_or(0, |root| u64::from(units.round(root.length())));
        expected += root;
        if tree.nodes.len() == 1 {
            base += root;
        }
    }
    let at = image.place_words(&roots);
    image.put_span(header::ROOTS, at, roots.len());
    let trees: Vec<(u32, &Tree)> = roots.iter().copied().zip(&forest.trees).collect();
    place_quads(image, header::ALL, &trees);
    image.put(header::BASE, &base.to_le_bytes());
    image.put_f64(header::BASELINE, 0.0 - expected as f64 * units.rate);
    roots
}

/// The nodes of a tree in preorder.
fn place_tree(image: &mut Image, tree: &Tree, units: &Units) {
    enum Visit {
        Node(u32),
        /// Where to write the address of the node that comes next.
        Right(u32),
    }
    let mut stack = vec![Visit::Node(0)];
    while let Some(visit) = stack.pop() {
        let at = image.len();
        let node = match visit {
            Visit::Right(target) => {
                image.put_word(target, at);
                continue;
            }
            Visit::Node(node) => tree.nodes.get(node as usize),
        };
        match node {
            None => {}
            Some(node @ Node::Leaf { .. }) => {
                let length = units.round(node.length());
                image.place_words(&[f32::NAN.to_bits(), 0, at, length]);
            }
            Some(
                node @ Node::Split {
                    feature,
                    threshold,
                    left,
                    right,
                    ..
                },
            ) => {
                let length = units.round(node.length());
                image.place_words(&[threshold.to_bits(), feature * 8, 0, length]);
                stack.push(Visit::Node(*right));
                stack.push(Visit::Right(at + 8));
                stack.push(Visit::Node(*left));
            }
        }
    }
}

/// Quads of trees of like depth; the last one is filled up with a leaf of no length.
fn place_quads(image: &mut Image, field: u32, trees: &[(u32, &Tree)]) {
    let mut trees: Vec<(u32, u32)> = trees
        .iter()
        .filter(|(_, tree)| tree.nodes.len() > 1)
        .map(|(root, tree)| (depth(tree), *root))
        .collect();
    trees.sort_unstable();
    let nothing = image.align(NODE_BYTES);
    image.place_words(&[f32::NAN.to_bits(), 0, nothing, 0]);
    let quads: Vec<u32> = trees
        .chunks(QUAD)
        .flat_map(|quad| {
            let roots = quad.iter().map(|(_, root)| *root);
            let deepest = quad.iter().map(|(depth, _)| *depth).max();
            roots
                .chain(std::iter::repeat(nothing))
                .take(QUAD)
                .chain(deepest)
        })
        .collect();
    let at = image.place_words(&quads);
    image.put_span(field, at, trees.len().div_ceil(QUAD));
}

/// The number of splits on the longest path.
pub(crate) fn depth(tree: &Tree) -> u32 {
    let mut depths = vec![0u32; tree.nodes.len()];
    let mut deepest = 0;
    for (at, node) in tree.nodes.iter().enumerate() {
        let depth = depths.get(at).copied().unwrap_or(0);
        deepest = deepest.max(depth);
        if let Node::Split { left, right, .. } = node {
            for child in [*left, *right] {
                if let Some(below) = depths.get_mut(child as usize) {
                    *below = depth + 1;
                }
            }
        }
    }
    deepest
}
