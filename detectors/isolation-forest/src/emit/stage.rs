//! Tables for narrow forests: each tree as blocks of four levels, which the kernel compares all at once.

use std::collections::BTreeMap;

use super::fast::{Group, Plan, trees};
use super::image::Image;
use super::layout::depth;
use super::quantise::Thresholds;
use crate::forest::{Forest, Node, Tree};
use crate::kernel::{BLOCK, KIND_STAGE, header};
use crate::units::Units;

/// Levels of a block.
const LEVELS: u32 = 4;
/// Splits of a block: a perfect tree in heap order.
const SPLITS: usize = 15;
/// A threshold that no rank exceeds.
const NEVER: u8 = 127;
/// A feature number that gathers 0.
const NOTHING: u8 = 128;
/// Features in a register.
const REGISTER: u32 = 16;

/// Places the table that turns the 15 comparisons of a block into four times its exit. It lies at a fixed address.
pub(crate) fn place_exits(image: &mut Image) {
    let exits: Vec<u8> = (0..1u32 << SPLITS).map(exit).collect();
    image.place(&exits, 1);
}

/// Follows the bits (set: right) down the heap; gives the number of the exit, times four.
fn exit(comparisons: u32) -> u8 {
    let leaf = (0..LEVELS).fold(0, |at, _| 2 * at + 1 + (comparisons >> at & 1));
    (4 * (leaf - SPLITS as u32)) as u8
}

/// Places the blocks of all trees and the groups.
pub(crate) fn place(image: &mut Image, forest: &Forest, plan: &Plan, maps: &[u32], units: &Units) {
    let registers = if forest.features.len() > REGISTER as usize {
        2
    } else {
        1
    };
    let mut groups = Vec::new();
    for (group, map) in plan.groups.iter().zip(maps) {
        groups.push(*map);
        groups.extend(place_group(image, forest, group, units, registers));
    }
    let at = image.place_words(&groups);
    image.put_word(header::GROUPS, at);
    image.put_word(header::GROUPS + 4, at + 4 * groups.len() as u32);
    image.put_word(header::KIND, KIND_STAGE);
    image.put_word(header::STAGE_ROW, registers * REGISTER);
    let columns = forest.features.len().next_multiple_of(4) as u32;
    let positions = image.reserve(BLOCK * columns * 2);
    let ranks = image.reserve(BLOCK * registers * REGISTER);
    image.put_word(header::POSITIONS, positions);
    image.put_word(header::RANKS, ranks);
}

/// Addresses and counts: trees of up to two blocks' depth, then the deeper ones with their number of stages.
fn place_group(
    image: &mut Image,
    forest: &Forest,
    group: &Group,
    units: &Units,
    registers: u32,
) -> [u32; 4] {
    let mut two = Vec::new();
    let mut many = Vec::new();
    for tree in trees(forest, group) {
        let stages = depth(tree).div_ceil(LEVELS).max(2);
        let mut blocks = Blocks {
            image: &mut *image,
            tree,
            thresholds: &group.thresholds,
            units,
            registers,
            passes: BTreeMap::new(),
        };
        let root = blocks.place(0, stages);
        if stages == 2 {
            two.push(root);
        } else {
            many.extend([root, stages]);
        }
        if stages == 2 && two.len() == 1 {
            // Fills fours up: a tree that adds nothing.
            let nothing = blocks.pass(0, 2);
            two.push(nothing);
            two.swap(0, 1);
        }
    }
    let count = (two.len() as u32).saturating_sub(1);
    if let Some(nothing) = two.first().copied() {
        two.remove(0);
        two.resize(two.len().next_multiple_of(4), nothing);
    }
    let two = image.place_words(&two);
    let deeper = (many.len() / 2) as u32;
    [two, count, image.place_words(&many), deeper]
}

/// The blocks of one tree.
struct Blocks<'a> {
    image: &'a mut Image,
    tree: &'a Tree,
    thresholds: &'a Thresholds,
    units: &'a Units,
    registers: u32,
    /// Blocks that only lead on, by units and stages left.
    passes: BTreeMap<(u32, u32), u32>,
}

/// A block before it is written.
struct Block {
    indices: [[u8; 16]; 2],
    thresholds: [u8; 16],
    exits: [u32; 16],
}

impl Blocks<'_> {
    /// Places the subtree below `node`, whose leaves lie at most `stages` blocks deep; children first. Gives its address.
    fn place(&mut self, node: u32, stages: u32) -> u32 {
        let mut block = Block {
            indices: [[0; 16], [NOTHING; 16]],
            thresholds: [NEVER; 16],
            exits: [0; 16],
        };
        // A heap of the nodes of this block; where a leaf ends a path early, its own row goes left to the end.
        let mut heap = vec![Some(node)];
        for slot in 0..2 * SPLITS + 1 {
            let here = heap.get(slot).copied().flatten();
            let next = match here.and_then(|node| self.tree.nodes.get(node as usize)) {
                Some(Node::Split { left, right, .. }) if slot < SPLITS => {
                    self.compare(&mut block, slot, here);
                    [Some(*left), Some(*right)]
                }
                _ => [here, None],
            };
            heap.extend(next);
        }
        for (exit, node) in block.exits.iter_mut().zip(heap.iter().skip(SPLITS)) {
            if let Some(node) = node {
                *exit = self.exit(*node, stages - 1);
            }
        }
        self.write(&block)
    }

    /// Sets one of the 15 comparisons.
    fn compare(&self, block: &mut Block, slot: usize, node: Option<u32>) {
        let node = node.and_then(|node| self.tree.nodes.get(node as usize));
        let Some(Node::Split {
            feature, threshold, ..
        }) = node
        else {
            return;
        };
        let number = *feature as u8;
        let high = *feature >= REGISTER;
        let [low_index, high_index] = &mut block.indices;
        if let (Some(low), Some(second), Some(rank)) = (
            low_index.get_mut(slot),
            high_index.get_mut(slot),
            block.thresholds.get_mut(slot),
        ) {
            *low = if high { NOTHING } else { number };
            *second = if high {
                number - REGISTER as u8
            } else {
                NOTHING
            };
            *rank = self.thresholds.rank(*feature, *threshold);
        }
    }

    /// Where a row goes from an exit with `stages` blocks left: units if there are none.
    fn exit(&mut self, node: u32, stages: u32) -> u32 {
        match self.tree.nodes.get(node as usize) {
            Some(Node::Split { .. }) => self.place(node, stages),
            Some(leaf @ Node::Leaf { .. }) => {
                let units = self.units.round(leaf.length());
                self.pass(units, stages)
            }
            None => 0,
        }
    }

    /// Units after `stages` blocks that compare nothing.
    fn pass(&mut self, units: u32, stages: u32) -> u32 {
        if stages == 0 {
            return units;
        }
        if let Some(at) = self.passes.get(&(units, stages)) {
            return *at;
        }
        let next = self.pass(units, stages - 1);
        let at = self.write(&Block {
            indices: [[0; 16], [NOTHING; 16]],
            thresholds: [NEVER; 16],
            exits: [next; 16],
        });
        self.passes.insert((units, stages), at);
        at
    }

    fn write(&mut self, block: &Block) -> u32 {
        let [low, high] = &block.indices;
        let at = self.image.place(low, 16);
        self.image.place(&block.thresholds, 1);
        self.image.place_words(&block.exits);
        if self.registers == 2 {
            self.image.place(high, 1);
        }
        at
    }
}
