//! Tables for wide forests: each tree as a list of choices, children first, which the kernel makes for 64 rows at once.

use std::collections::BTreeMap;

use super::fast::{Group, Plan, trees};
use super::image::Image;
use super::quantise::Thresholds;
use crate::forest::{Forest, Node, Tree};
use crate::kernel::{KIND_LANE, header};
use crate::units::Units;

/// Rows side by side, and so the bytes of a feature's ranks or of chosen leaf numbers.
const ROWS: u32 = 64;

/// Addresses that choices refer to.
#[derive(Debug, Clone, Copy)]
struct Places {
    /// 64 times each leaf number.
    numbers: u32,
    ranks: u32,
    chosen: u32,
}

/// Places the choices of all trees and the groups.
pub(crate) fn place(image: &mut Image, forest: &Forest, plan: &Plan, maps: &[u32], units: &Units) {
    let numbers: Vec<u8> = (0..=255u8)
        .flat_map(|number| [number; ROWS as usize])
        .collect();
    let numbers = image.place(&numbers, 64);
    // Scratch lies behind the image, so its address is known only once all choices are placed: they are written with
    // addresses relative to it, and moved then.
    let mut moved = Vec::new();
    let mut groups = Vec::new();
    for (group, map) in plan.groups.iter().zip(maps) {
        let (start, end) = place_group(image, forest, group, units, &mut moved);
        groups.extend([*map, start, end]);
    }
    let at = image.place_words(&groups);
    image.put_word(header::GROUPS, at);
    image.put_word(header::GROUPS + 4, at + 4 * groups.len() as u32);
    image.put_word(header::KIND, KIND_LANE);
    let columns = forest.features.len().next_multiple_of(4) as u32;
    let places = Places {
        numbers,
        ranks: image.reserve(columns * ROWS),
        chosen: image.reserve(258 * ROWS),
    };
    let positions = image.reserve(ROWS * columns * 2);
    image.put_word(header::POSITIONS, positions);
    image.put_word(header::RANKS, places.ranks);
    image.put_word(header::CHOSEN, places.chosen);
    for (at, choice) in moved {
        choice.write(image, at, places);
    }
}

/// Where a side of a choice comes from.
#[derive(Debug, Clone, Copy)]
enum Side {
    Leaf(u32),
    Choice(u32),
}

/// One choice: a split whose sides are known.
#[derive(Debug, Clone, Copy)]
struct Choice {
    feature: u32,
    threshold: u32,
    left: Side,
    right: Side,
}

/// Bytes of a choice.
const CHOICE: u32 = 16;

impl Choice {
    /// Adds nothing: fills a list up to an even number.
    const NOTHING: Self = Self {
        feature: 0,
        threshold: 0,
        left: Side::Leaf(0),
        right: Side::Leaf(0),
    };

    fn write(self, image: &mut Image, at: u32, places: Places) {
        let side = |side| match side {
            Side::Leaf(number) => places.numbers + number * ROWS,
            Side::Choice(index) => places.chosen + index * ROWS,
        };
        let ranks = places.ranks + self.feature * ROWS;
        let words = [ranks, side(self.left), side(self.right), self.threshold];
        for (index, word) in words.into_iter().enumerate() {
            image.put_word(at + 4 * index as u32, word);
        }
    }
}

/// Places room for the choices of a group, and its list of trees; gives the list's address and end.
fn place_group(
    image: &mut Image,
    forest: &Forest,
    group: &Group,
    units: &Units,
    moved: &mut Vec<(u32, Choice)>,
) -> (u32, u32) {
    let mut list = Vec::new();
    for tree in trees(forest, group) {
        let (choices, lengths) = choices(tree, &group.thresholds, units);
        let at = image.align(16);
        for choice in choices {
            let here = image.place(&[0; CHOICE as usize], 4);
            moved.push((here, choice));
        }
        let end = image.len();
        list.extend([at, end, image.place_words(&lengths)]);
    }
    let at = image.place_words(&list);
    (at, at + 4 * list.len() as u32)
}

/// The choices of a tree, children first, an even number of them; and the units by leaf number.
fn choices(tree: &Tree, thresholds: &Thresholds, units: &Units) -> (Vec<Choice>, Vec<u32>) {
    let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
    for node in &tree.nodes {
        if let Node::Leaf { length } = node {
            numbers.insert(units.round(*length), 0);
        }
    }
    for (number, (_, slot)) in numbers.iter_mut().enumerate() {
        *slot = number as u32;
    }
    let splits = tree.nodes.len() / 2;
    let mut choices: Vec<Choice> = vec![Choice::NOTHING; splits % 2];
    let mut sides: Vec<Side> = vec![Side::Leaf(0); tree.nodes.len()];
    // Children come after their parent, so the other way round they are known first.
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        let side = match *node {
            Node::Leaf { length } => {
                Side::Leaf(numbers.get(&units.round(length)).copied().unwrap_or(0))
            }
            Node::Split {
                feature,
                threshold,
                left,
                right,
                ..
            } => {
                let of = |child: u32| sides.get(child as usize).copied().unwrap_or(Side::Leaf(0));
                choices.push(Choice {
                    feature,
                    // One more: left is what lies below it.
                    threshold: u32::from(thresholds.rank(feature, threshold).wrapping_add(1)),
                    left: of(left),
                    right: of(right),
                });
                Side::Choice(choices.len() as u32 - 1)
            }
        };
        if let Some(slot) = sides.get_mut(at) {
            *slot = side;
        }
    }
    (choices, numbers.into_keys().collect())
}
