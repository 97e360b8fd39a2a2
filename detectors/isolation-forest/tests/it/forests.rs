//! Forests and rows made from a seed: odd shapes that no trainer would grow, and values at which comparisons are easy to
//! get wrong.

use hodoscope_isolation_forest::{Feature, Forest, Node, Tree, average_path_length};

/// A small generator (splitmix64), the same on every machine.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Within 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Roughly normal.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// What a forest of `grow` looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) features: usize,
    pub(crate) trees: usize,
    pub(crate) depth: usize,
    /// The chance that a node above the depth is split.
    pub(crate) split: f64,
    /// How many different thresholds a feature has at most; 0: as many as come.
    pub(crate) levels: usize,
}

/// A random forest of a shape.
pub(crate) fn grow(random: &mut Random, shape: Shape) -> Forest {
    let trees = (0..shape.trees)
        .map(|_| {
            let mut nodes = Vec::new();
            grow_node(random, shape, 0, &mut nodes);
            Tree { nodes }
        })
        .collect();
    Forest {
        features: (0..shape.features)
            .map(|index| Feature {
                name: format!("f{index}"),
                unit: (index % 3 == 1).then(|| "mm/s²".to_owned()),
            })
            .collect(),
        trees,
        normaliser: average_path_length(256),
        threshold: Some(0.625),
        metadata: vec![("trainer".to_owned(), "a test".to_owned())],
    }
}

fn grow_node(random: &mut Random, shape: Shape, depth: usize, nodes: &mut Vec<Node>) -> u32 {
    let at = nodes.len();
    let length = depth as f64 + average_path_length(random.below(5) as u64);
    nodes.push(Node::Leaf { length });
    if depth < shape.depth && nodes.len() < 5000 && random.unit() < shape.split {
        let feature = random.below(shape.features) as u32;
        let threshold = threshold(random, shape.levels);
        let left = grow_node(random, shape, depth + 1, nodes);
        let right = grow_node(random, shape, depth + 1, nodes);
        nodes[at] = Node::Split {
            feature,
            threshold,
            left,
            right,
            expected: length + 1.5,
        };
    }
    at as u32
}

fn threshold(random: &mut Random, levels: usize) -> f32 {
    const ODD: [f32; 8] = [
        0.0,
        -0.0,
        1e-45,
        -1e-40,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        16_777_216.0,
    ];
    match random.below(20) {
        0 => ODD[random.below(ODD.len())],
        _ if levels > 0 => (random.below(levels) as f64 * 0.37 - 3.0) as f32,
        1 => (random.normal() * 1e6) as f32,
        _ => random.normal() as f32,
    }
}

/// Rows for a forest: normal values, values just at and beside thresholds, and the odd ones.
pub(crate) fn rows(random: &mut Random, forest: &Forest, count: usize) -> Vec<f64> {
    const ODD: [f64; 14] = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        f64::MAX,
        f64::MIN,
        5e-324,
        1e-45,
        -1e-40,
        f32::MAX as f64,
        f32::MIN as f64,
        3.402_823_6e38,
        16_777_217.0,
    ];
    let thresholds: Vec<f32> = forest
        .trees
        .iter()
        .flat_map(|tree| &tree.nodes)
        .filter_map(|node| match node {
            Node::Split { threshold, .. } => Some(*threshold),
            Node::Leaf { .. } => None,
        })
        .collect();
    (0..count * forest.features.len())
        .map(|_| match random.below(12) {
            0 => ODD[random.below(ODD.len())],
            1 | 2 if !thresholds.is_empty() => {
                let at = thresholds[random.below(thresholds.len())];
                f64::from([at, at.next_up(), at.next_down()][random.below(3)])
            }
            _ => random.normal(),
        })
        .collect()
}
