//! Owns a forest that nobody trained: as many trees and nodes as training on 256 samples gives, with random splits. What a
//! call costs depends on nothing else.

use hodoscope_isolation_forest::{
    Feature, Forest, Node, Sections, Tree, average_path_length, emit,
};

/// A repeatable sequence (Knuth's MMIX constants).
pub(crate) struct Sequence(pub(crate) u64);

impl Sequence {
    /// A number within -2..2.
    pub(crate) fn number(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / f64::from(1 << 22) - 2.0
    }
}

/// Grows the node for `samples` at `depth`, and gives its place and expected path length.
fn grow(
    nodes: &mut Vec<Node>,
    sequence: &mut Sequence,
    columns: u32,
    samples: u64,
    depth: u32,
) -> (u32, f64) {
    let place = nodes.len();
    let length = f64::from(depth) + average_path_length(samples);
    nodes.push(Node::Leaf { length });
    let here = u32::try_from(place).unwrap_or(0);
    // Isolation trees are lopsided: a random value of a random column leaves most samples on one side.
    let share = (sequence.number() + 2.0) / 4.0;
    let left_samples = (samples as f64 * share) as u64;
    if samples <= 1 || depth == 8 || left_samples == 0 || left_samples == samples {
        return (here, length);
    }
    let feature = ((sequence.number() + 2.0) / 4.0 * f64::from(columns)) as u32;
    let threshold = sequence.number() as f32;
    let (left, expected_left) = grow(nodes, sequence, columns, left_samples, depth + 1);
    let (right, expected_right) = grow(nodes, sequence, columns, samples - left_samples, depth + 1);
    let expected = share * expected_left + (1.0 - share) * expected_right;
    if let Some(node) = nodes.get_mut(place) {
        *node = Node::Split {
            feature: feature.min(columns - 1),
            threshold,
            left,
            right,
            expected,
        };
    }
    (here, expected)
}

/// The component of a forest of 100 trees over `columns` features, with golden rows.
pub(crate) fn component(columns: u32) -> Result<Vec<u8>, String> {
    let mut sequence = Sequence(1);
    let trees = (0..100).map(|_| {
        let mut nodes = Vec::new();
        grow(&mut nodes, &mut sequence, columns, 256, 0);
        Tree { nodes }
    });
    let trees = trees.collect();
    let feature = |index| Feature {
        name: format!("f{index}"),
        unit: None,
    };
    let forest = Forest {
        features: (0..columns).map(feature).collect(),
        trees,
        normaliser: average_path_length(256),
        threshold: Some(0.6),
        metadata: Vec::new(),
    };
    let golden = (0..64).map(|_| (0..columns).map(|_| sequence.number()).collect());
    let sections = Sections {
        golden_rows: golden.collect(),
        ..Sections::default()
    };
    emit(&forest, &sections).map_err(|error| error.to_string())
}
