//! The trainer's own fast scorer, for the rows of the calibration reservoir and for `--exact-threshold`: millions of rows
//! per second on one core without compiling anything. Values become ranks among a forest's thresholds; then each tree is
//! evaluated bottom-up for [`LANES`] rows at once, one compare and one select per split on bytes, which the compiler turns
//! into SIMD. (The emitted component would need an engine, which this crate does not know, and 100 ms to compile.)
//! Large trees, where looking at every split costs more than a descent, are walked.

use std::collections::BTreeSet;

use super::ranks::Ranks;
use crate::exp2::exp2;
use crate::forest::{Forest, Node, Tree};
use crate::units::Units;

/// Rows evaluated together.
pub(crate) const LANES: usize = 256;
/// A tree with more splits than this is walked.
const SPLITS_EVALUATED: usize = 256;
/// Distinct thresholds of one feature that ranks of one byte can tell apart.
const LOCAL_THRESHOLDS: usize = 255;
/// Slots with constants, one per distinct leaf length.
const CONSTANTS: usize = 256;
/// Where the slots of pairs start, those of splits, and how many there are.
const PAIR_SLOTS: usize = CONSTANTS;
const SPLIT_SLOTS: usize = PAIR_SLOTS + SPLITS_EVALUATED;
const SLOTS: usize = SPLIT_SLOTS + SPLITS_EVALUATED;

/// One feature's values of [`LANES`] rows.
pub(crate) type Lane = [f32; LANES];
type Bytes = [u8; LANES];
/// Ranks less 128: baseline SIMD compares signed bytes.
type Locals = [i8; LANES];

/// A forest made ready for scoring many rows.
pub(crate) struct Scorer {
    /// All thresholds of each feature.
    thresholds: Vec<Ranks>,
    groups: Vec<Group>,
    walked: Vec<Walked>,
    units: Units,
}

/// Trees that together have at most [`LOCAL_THRESHOLDS`] thresholds per feature.
struct Group {
    /// The features used, and for each the local rank of a global rank.
    features: Vec<(usize, Vec<i8>)>,
    trees: Vec<Evaluated>,
}

/// The slot of a split is `CONSTANTS` plus its place among the pairs and then the splits.
struct Evaluated {
    /// Splits between two leaves: they wait for nothing, so they come first.
    pairs: Vec<Pair>,
    splits: Vec<Split>,
    /// The lengths of the constants.
    lengths: Box<[u32; CONSTANTS]>,
    /// The slot of the root.
    root: usize,
}

/// `slot[own] = if rank[feature] <= threshold { left } else { right }`.
struct Pair {
    feature: u16,
    threshold: i8,
    left: u8,
    right: u8,
}

/// `slot[own] = if rank[feature] <= threshold { slot[left] } else { slot[right] }`.
struct Split {
    feature: u16,
    threshold: i8,
    left: u16,
    right: u16,
}

struct Walked {
    nodes: Vec<Node>,
}

/// Working memory of one thread.
pub(crate) struct Scratch {
    /// One lane per feature; the caller fills it.
    pub(crate) block: Vec<Lane>,
    ranks: Vec<[u32; LANES]>,
    local: Vec<Locals>,
    slots: Vec<Bytes>,
    sums: [u64; LANES],
}

impl Scorer {
    /// Prepares a forest, whose nodes must be in order (children after parents).
    pub(crate) fn new(forest: &Forest) -> Self {
        let width = forest.features.len();
        let units = Units::of(forest);
        let small = |tree: &&Tree| tree.nodes.len() <= 2 * SPLITS_EVALUATED + 1;
        let (evaluated, large): (Vec<&Tree>, Vec<&Tree>) = forest.trees.iter().partition(small);
        let mut all = vec![BTreeSet::new(); width];
        for tree in &evaluated {
            collect(tree, &mut all);
        }
        let groups = group(&evaluated, width);
        Self {
            groups: groups
                .iter()
                .map(|trees| Group::new(trees, &all, &units))
                .collect(),
            thresholds: all
                .iter()
                .map(|keys| Ranks::new(&thresholds_of(keys)))
                .collect(),
            walked: large
                .into_iter()
                .map(|tree| Walked {
                    nodes: tree.nodes.clone(),
                })
                .collect(),
            units,
        }
    }

    /// Working memory for [`Scorer::score`].
    pub(crate) fn scratch(&self) -> Scratch {
        Scratch {
            block: vec![[0.0; LANES]; self.thresholds.len()],
            ranks: vec![[0; LANES]; self.thresholds.len()],
            local: vec![[0; LANES]; self.thresholds.len()],
            slots: (0..SLOTS)
                .map(|slot| [(slot % CONSTANTS) as u8; LANES])
                .collect(),
            sums: [0; LANES],
        }
    }

    /// Scores the rows in `scratch.block`.
    pub(crate) fn score(&self, scratch: &mut Scratch) -> [f64; LANES] {
        let Scratch {
            block,
            ranks,
            local,
            slots,
            sums,
        } = scratch;
        *sums = [0; LANES];
        for ((lane, ranks), thresholds) in block.iter().zip(ranks.iter_mut()).zip(&self.thresholds)
        {
            thresholds.of(lane, ranks);
        }
        for group in &self.groups {
            for ((feature, map), local) in group.features.iter().zip(local.iter_mut()) {
                let Some(ranks) = ranks.get(*feature) else {
                    continue;
                };
                for (out, rank) in local.iter_mut().zip(ranks) {
                    *out = map.get(*rank as usize).copied().unwrap_or(i8::MAX);
                }
            }
            for tree in &group.trees {
                tree.add(local, slots, sums);
            }
        }
        for tree in &self.walked {
            tree.add(block, &self.units, sums);
        }
        sums.map(|sum| exp2(0.0 - sum as f64 * self.units.rate))
    }
}

impl Scratch {
    /// Puts a row into one of the lanes.
    pub(crate) fn set_row(&mut self, lane: usize, row: &[f32]) {
        for (column, value) in self.block.iter_mut().zip(row) {
            if let Some(place) = column.get_mut(lane) {
                *place = *value;
            }
        }
    }
}

impl Group {
    fn new(trees: &[&Tree], all: &[BTreeSet<i32>], units: &Units) -> Self {
        let mut own = vec![BTreeSet::new(); all.len()];
        for tree in trees {
            collect(tree, &mut own);
        }
        let own: Vec<Vec<i32>> = own
            .into_iter()
            .map(|set| set.into_iter().collect())
            .collect();
        let used: Vec<usize> = (0..own.len())
            .filter(|feature| own.get(*feature).is_some_and(|t| !t.is_empty()))
            .collect();
        let mut features = Vec::with_capacity(used.len());
        for feature in &used {
            let (Some(all), Some(own)) = (all.get(*feature), own.get(*feature)) else {
                continue;
            };
            let mut map = Vec::with_capacity(all.len() + 1);
            map.push(signed(0));
            map.extend(
                all.iter()
                    .map(|value| signed(own.partition_point(|known| known <= value))),
            );
            features.push((*feature, map));
        }
        Self {
            trees: trees
                .iter()
                .map(|tree| Evaluated::new(tree, &used, &own, units))
                .collect(),
            features,
        }
    }
}

impl Evaluated {
    fn new(tree: &Tree, used: &[usize], own: &[Vec<i32>], units: &Units) -> Self {
        let mut known: Vec<u32> = Vec::new();
        let mut slot_of = vec![0usize; tree.nodes.len()];
        let (mut pairs, mut splits) = (Vec::new(), Vec::new());
        for (at, node) in tree.nodes.iter().enumerate().rev() {
            let slot = match *node {
                Node::Leaf { length } => constant(&mut known, units.round(length)),
                Node::Split {
                    feature,
                    threshold,
                    left,
                    right,
                    ..
                } => {
                    let feature = feature as usize;
                    let local = used
                        .iter()
                        .position(|other| *other == feature)
                        .unwrap_or_default();
                    let ranks = own.get(feature).map(Vec::as_slice).unwrap_or_default();
                    let threshold =
                        signed(ranks.partition_point(|known| *known < order_key(threshold)));
                    let place =
                        |child: u32| slot_of.get(child as usize).copied().unwrap_or_default();
                    let (left, right, feature) = (place(left), place(right), local as u16);
                    if left < CONSTANTS && right < CONSTANTS {
                        let (left, right) = (left as u8, right as u8);
                        pairs.push(Pair {
                            feature,
                            threshold,
                            left,
                            right,
                        });
                        PAIR_SLOTS + pairs.len() - 1
                    } else {
                        let (left, right) = (left as u16, right as u16);
                        splits.push(Split {
                            feature,
                            threshold,
                            left,
                            right,
                        });
                        SPLIT_SLOTS + splits.len() - 1
                    }
                }
            };
            if let Some(place) = slot_of.get_mut(at) {
                *place = slot;
            }
        }
        let mut lengths = Box::new([0; CONSTANTS]);
        for (place, length) in lengths.iter_mut().zip(&known) {
            *place = *length;
        }
        Self {
            pairs,
            splits,
            lengths,
            root: slot_of.first().copied().unwrap_or_default(),
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "slots are below SLOTS by construction"
    )]
    fn add(&self, local: &[Locals], slots: &mut [Bytes], sums: &mut [u64; LANES]) {
        for (pair, out) in self.pairs.iter().zip(&mut slots[PAIR_SLOTS..]) {
            pick(
                &local[usize::from(pair.feature)],
                pair.threshold,
                pair.left,
                pair.right,
                out,
            );
        }
        for (index, split) in self.splits.iter().enumerate() {
            let (before, after) = slots.split_at_mut(SPLIT_SLOTS + index);
            let (left, right) = (
                &before[usize::from(split.left)],
                &before[usize::from(split.right)],
            );
            select(
                &local[usize::from(split.feature)],
                split.threshold,
                left,
                right,
                &mut after[0],
            );
        }
        for (sum, id) in sums.iter_mut().zip(&slots[self.root]) {
            *sum += u64::from(self.lengths[usize::from(*id)]);
        }
    }
}

impl Walked {
    #[expect(
        clippy::indexing_slicing,
        reason = "a checked forest's children and features exist"
    )]
    fn add(&self, block: &[Lane], units: &Units, sums: &mut [u64; LANES]) {
        for (row, sum) in sums.iter_mut().enumerate() {
            let mut at = 0;
            loop {
                match self.nodes[at] {
                    Node::Leaf { length } => {
                        *sum += u64::from(units.round(length));
                        break;
                    }
                    Node::Split {
                        feature,
                        threshold,
                        left,
                        right,
                        ..
                    } => {
                        at = if block[feature as usize][row] <= threshold {
                            left
                        } else {
                            right
                        } as usize;
                    }
                }
            }
        }
    }
}

/// The slot of a leaf length, a new one if it has none.
fn constant(known: &mut Vec<u32>, length: u32) -> usize {
    known
        .iter()
        .position(|other| *other == length)
        .unwrap_or_else(|| {
            known.push(length);
            known.len() - 1
        })
}

/// A rank of 0..=255 less 128.
fn signed(rank: usize) -> i8 {
    (rank as u8 ^ 0x80).cast_signed()
}

/// One split on all lanes: plain arrays and masks, of which the compiler makes SIMD (an `if` becomes a branch per lane,
/// thirty times slower). Not inlined, so that it knows `out` to be apart from the others.
#[inline(never)]
#[expect(clippy::indexing_slicing, reason = "all arrays have LANES elements")]
fn select(ranks: &Locals, threshold: i8, left: &Bytes, right: &Bytes, out: &mut Bytes) {
    for lane in 0..LANES {
        let goes_right = u8::from(ranks[lane] > threshold).wrapping_neg();
        out[lane] = left[lane] ^ ((left[lane] ^ right[lane]) & goes_right);
    }
}

/// A split between two leaves on all lanes.
#[inline(never)]
#[expect(clippy::indexing_slicing, reason = "all arrays have LANES elements")]
fn pick(ranks: &Locals, threshold: i8, left: u8, right: u8, out: &mut Bytes) {
    for lane in 0..LANES {
        let goes_right = u8::from(ranks[lane] > threshold).wrapping_neg();
        out[lane] = left ^ ((left ^ right) & goes_right);
    }
}

/// Trees in order, a new group whenever a feature would get too many thresholds.
fn group<'a>(trees: &[&'a Tree], width: usize) -> Vec<Vec<&'a Tree>> {
    let mut groups = Vec::new();
    let mut open: Vec<&Tree> = Vec::new();
    let mut seen = vec![BTreeSet::new(); width];
    for tree in trees {
        let mut own = vec![BTreeSet::new(); width];
        collect(tree, &mut own);
        let full = seen.iter().zip(&own).any(|(seen, own)| {
            let fresh = own.iter().filter(|key| !seen.contains(*key)).count();
            seen.len() + fresh > LOCAL_THRESHOLDS
        });
        if full && !open.is_empty() {
            groups.push(std::mem::take(&mut open));
            seen.iter_mut().for_each(BTreeSet::clear);
        }
        for (seen, own) in seen.iter_mut().zip(own) {
            seen.extend(own);
        }
        open.push(tree);
    }
    groups.push(open);
    groups
}

fn collect(tree: &Tree, sets: &mut [BTreeSet<i32>]) {
    for node in &tree.nodes {
        if let Node::Split {
            feature, threshold, ..
        } = node
            && let Some(set) = sets.get_mut(*feature as usize)
        {
            set.insert(order_key(*threshold));
        }
    }
}

/// An integer that orders as the float does; both zeros are one.
fn order_key(value: f32) -> i32 {
    let bits = (value + 0.0).to_bits().cast_signed();
    bits ^ (((bits >> 31).cast_unsigned() >> 1).cast_signed())
}

fn thresholds_of(keys: &BTreeSet<i32>) -> Vec<f32> {
    let value = |key: &i32| key ^ (((key >> 31).cast_unsigned() >> 1).cast_signed());
    keys.iter()
        .map(|key| f32::from_bits(value(key).cast_unsigned()))
        .collect()
}
