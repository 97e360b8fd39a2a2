//! Grows isolation trees as scikit-learn does: each on a sample drawn without replacement, split at a uniform threshold of
//! a feature drawn among those that are not constant in the node, down to one row or the height limit `ceil(log2(psi))`.
//! Missing values lie above every other and go right. A tree depends on the seed and its index only, never on threads.

use rayon::prelude::*;

use super::random::Random;
use crate::forest::{Node, Tree, average_path_length};

/// Rows of f32, row-major.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) width: usize,
}

/// What shapes the trees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) trees: usize,
    /// Rows per tree, at most the number of rows.
    pub(crate) sample_size: usize,
    /// Features per tree, 1 up to the width.
    pub(crate) features: usize,
    pub(crate) seed: u64,
}

/// The number of edges below which a node is not split further: `ceil(log2(max(psi, 2)))`.
pub(crate) fn height_limit(sample_size: usize) -> u32 {
    sample_size.max(2).next_power_of_two().trailing_zeros()
}

/// Grows the trees on the threads of the current rayon pool. `tick` is called after each tree.
pub(crate) fn grow(rows: Rows<'_>, shape: Shape, tick: &(dyn Fn() + Sync)) -> Vec<Tree> {
    let trees = (0..shape.trees)
        .into_par_iter()
        .map_init(Scratch::default, |scratch, index| {
            let tree = Grower::new(rows, shape, index as u64, scratch).grow();
            tick();
            tree
        });
    trees.collect()
}

#[derive(Default)]
struct Scratch {
    values: Vec<f32>,
    open: Vec<Open>,
    counts: Vec<u32>,
}

/// A node whose rows are known and whose kind is not.
struct Open {
    start: usize,
    end: usize,
    depth: u32,
    /// `features[..active]` are not known to be constant here.
    active: usize,
    node: usize,
}

struct Grower<'a> {
    rows: Rows<'a>,
    random: Random,
    sample: Vec<u32>,
    features: Vec<u32>,
    limit: u32,
    scratch: &'a mut Scratch,
}

struct Cut {
    feature: u32,
    threshold: f32,
}

impl<'a> Grower<'a> {
    fn new(rows: Rows<'a>, shape: Shape, index: u64, scratch: &'a mut Scratch) -> Self {
        let mut random = Random::new(shape.seed, index);
        let count = rows.values.len() / rows.width;
        let sample = random.distinct(shape.sample_size, count);
        let features = random.distinct(shape.features, rows.width);
        Self {
            rows,
            random,
            sample,
            features,
            limit: height_limit(shape.sample_size),
            scratch,
        }
    }

    fn grow(mut self) -> Tree {
        let mut nodes = vec![Node::Leaf { length: 0.0 }];
        self.scratch.counts.clear();
        self.scratch.counts.push(self.sample.len() as u32);
        self.scratch.open.push(Open {
            start: 0,
            end: self.sample.len(),
            depth: 0,
            active: self.features.len(),
            node: 0,
        });
        while let Some(mut open) = self.scratch.open.pop() {
            let count = open.end - open.start;
            let cut = if open.depth >= self.limit || count <= 1 {
                None
            } else {
                self.cut(&mut open)
            };
            let Some(cut) = cut else {
                let length = f64::from(open.depth) + average_path_length(count as u64);
                set(&mut nodes, open.node, Node::Leaf { length });
                continue;
            };
            let middle = open.start + self.partition(&open, cut.threshold);
            let left = nodes.len();
            let split = Node::Split {
                feature: cut.feature,
                threshold: cut.threshold,
                left: left as u32,
                right: left as u32 + 1,
                expected: 0.0,
            };
            set(&mut nodes, open.node, split);
            for (start, end, node) in [(middle, open.end, left + 1), (open.start, middle, left)] {
                self.scratch.open.push(Open {
                    start,
                    end,
                    depth: open.depth + 1,
                    active: open.active,
                    node,
                });
            }
            nodes.extend([Node::Leaf { length: 0.0 }; 2]);
            self.scratch
                .counts
                .extend([(middle - open.start) as u32, (open.end - middle) as u32]);
        }
        let weights: Vec<f64> = self
            .scratch
            .counts
            .iter()
            .map(|count| f64::from(*count))
            .collect();
        expect_lengths(&mut nodes, &weights);
        Tree { nodes }
    }

    /// Draws features until one is not constant and a threshold in its range; leaves its values in the scratch.
    fn cut(&mut self, open: &mut Open) -> Option<Cut> {
        while open.active > 0 {
            let drawn = self.random.below(open.active);
            let feature = self.features.get(drawn).copied()?;
            if let Some(threshold) = self.threshold(open, feature) {
                return Some(Cut { feature, threshold });
            }
            open.active -= 1;
            self.features.swap(drawn, open.active);
        }
        None
    }

    /// A threshold that leaves rows on both sides; none if all values are equal or all are missing.
    ///
    /// scikit-learn also calls a range below 1e-7 constant, which would drop features in small units: we do not. Where a
    /// part of the values is missing, "missing" is as far above the maximum as that is above the minimum: half of the
    /// cuts part the missing from the present.
    #[expect(
        clippy::indexing_slicing,
        reason = "the sample holds row numbers below the number of rows"
    )]
    fn threshold(&mut self, open: &Open, feature: u32) -> Option<f32> {
        let (mut low, mut high, mut missing) = (f32::INFINITY, f32::NEG_INFINITY, false);
        self.scratch.values.clear();
        let sample = &self.sample[open.start..open.end];
        self.scratch.values.extend(sample.iter().map(|row| {
            let value = self.rows.values[*row as usize * self.rows.width + feature as usize];
            low = if value < low { value } else { low };
            high = if value > high { value } else { high };
            missing |= value.is_nan();
            value
        }));
        if low > high {
            return None;
        }
        if missing && (low == high || self.random.coin()) {
            return Some(high);
        }
        if low == high {
            return None;
        }
        let (low_wide, high_wide) = (f64::from(low), f64::from(high));
        let uniform = round_down(low_wide + self.random.unit() * (high_wide - low_wide));
        Some(if uniform >= high || uniform < low {
            low
        } else {
            uniform
        })
    }

    /// Moves the rows that go left to the front; gives how many there are.
    #[expect(
        clippy::indexing_slicing,
        reason = "values and sample have the same length within the node"
    )]
    fn partition(&mut self, open: &Open, threshold: f32) -> usize {
        let sample = &mut self.sample[open.start..open.end];
        let values = &mut self.scratch.values[..sample.len()];
        let mut left = 0;
        for at in 0..values.len() {
            if values[at] <= threshold {
                values.swap(at, left);
                sample.swap(at, left);
                left += 1;
            }
        }
        left
    }
}

/// The largest f32 that is not above: `x <= wide` and `x <= round_down(wide)` agree for every f32 `x`.
pub(crate) fn round_down(wide: f64) -> f32 {
    let near = wide as f32;
    if f64::from(near) > wide {
        near.next_down()
    } else {
        near
    }
}

fn set(nodes: &mut [Node], at: usize, node: Node) {
    if let Some(place) = nodes.get_mut(at) {
        *place = node;
    }
}

/// Fills in what each split expects: the mean length of the leaves below it, weighted by their rows. Nodes come after
/// their parents; `weights` has one entry per node.
pub(crate) fn expect_lengths(nodes: &mut [Node], weights: &[f64]) {
    let mut means: Vec<f64> = vec![0.0; nodes.len()];
    for at in (0..nodes.len()).rev() {
        let of = |child: u32| {
            let child = child as usize;
            (
                weights.get(child).copied().unwrap_or(0.0),
                means.get(child).copied().unwrap_or(0.0),
            )
        };
        let mean = match nodes.get_mut(at) {
            Some(Node::Leaf { length }) => *length,
            Some(Node::Split {
                left,
                right,
                expected,
                ..
            }) => {
                let ((left_weight, left_mean), (right_weight, right_mean)) =
                    (of(*left), of(*right));
                let mean = (left_weight * left_mean + right_weight * right_mean)
                    / (left_weight + right_weight);
                *expected = mean;
                mean
            }
            None => 0.0,
        };
        if let Some(place) = means.get_mut(at) {
            *place = mean;
        }
    }
}
