//! Which trees take which path through the kernel. Ranks are bytes, so trees are put into groups in which no feature has
//! more than 255 different thresholds; a tree that fits no path is left to the scalar walk. What a forest gets is a
//! matter of speed only: all paths give the same bits.

use super::image::Image;
use super::layout::depth;
use super::quantise::{self, Tables, Thresholds};
use super::{lane, stage};
use crate::forest::{Forest, Node, Tree};
use crate::kernel::header;
use crate::units::Units;

/// Different thresholds of one feature within a group: ranks are 0 to 255.
const GROUP_THRESHOLDS: usize = 255;
/// Features up to which a row's ranks fit two registers.
const STAGE_FEATURES: usize = 32;
/// Depth up to which blocks of four levels are worth their memory.
const STAGE_DEPTH: u32 = 24;
/// Features up to which the ranks of 64 rows are worth their memory: 3 MiB.
const LANE_FEATURES: usize = 16_384;
/// Splits up to which evaluating all of them for 64 rows beats walking down for each row.
const LANE_SPLITS: usize = 255;

/// The fast path of a forest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// None: every tree is walked.
    Slow,
    /// Blocks of four levels.
    Stage,
    /// 64 rows side by side.
    Lane,
}

/// Trees by path; each is its number in the forest. Single leaves are in none: they are a constant of the sum.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) path: Path,
    pub(crate) groups: Vec<Group>,
    pub(crate) rest: Vec<usize>,
    /// How values become positions among the thresholds of all groups.
    tables: Tables,
}

/// Trees that share one map from positions to ranks.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) trees: Vec<usize>,
    pub(crate) thresholds: Thresholds,
}

impl Plan {
    /// No fast path.
    pub(crate) fn slow(forest: &Forest) -> Self {
        Self {
            path: Path::Slow,
            groups: vec![],
            rest: (0..forest.trees.len()).collect(),
            tables: Tables::default(),
        }
    }
}

/// Chooses the paths for `forest`.
pub(crate) fn plan(forest: &Forest) -> Plan {
    let features = forest.features.len();
    let path = if features <= STAGE_FEATURES {
        Path::Stage
    } else if features <= LANE_FEATURES {
        Path::Lane
    } else {
        Path::Slow
    };
    let mut groups = vec![];
    let mut rest = vec![];
    let mut all = Thresholds::new(features);
    for (number, tree) in forest.trees.iter().enumerate() {
        if tree.nodes.len() == 1 {
            continue;
        }
        let own = Thresholds::of(features, tree);
        let fits = fits(path, tree)
            && own.most() <= GROUP_THRESHOLDS
            && all.positions() + own.positions() <= quantise::MAX_POSITIONS;
        if fits {
            all.join(&own);
            join_group(&mut groups, number, own);
        } else {
            rest.push(number);
        }
    }
    match Tables::new(&all) {
        Some(tables) if !groups.is_empty() => Plan {
            path,
            groups,
            rest,
            tables,
        },
        _ => Plan::slow(forest),
    }
}

fn fits(path: Path, tree: &Tree) -> bool {
    match path {
        Path::Slow => false,
        Path::Stage => depth(tree) <= STAGE_DEPTH,
        Path::Lane => tree.nodes.len() / 2 <= LANE_SPLITS,
    }
}

/// Puts a tree into the last group, or opens one where it does not fit.
fn join_group(groups: &mut Vec<Group>, number: usize, own: Thresholds) {
    if let Some(group) = groups.last_mut() {
        let mut joined = group.thresholds.clone();
        joined.join(&own);
        if joined.most() <= GROUP_THRESHOLDS {
            group.thresholds = joined;
            group.trees.push(number);
            return;
        }
    }
    groups.push(Group {
        trees: vec![number],
        thresholds: own,
    });
}

/// Places the tables of the plan's path.
pub(crate) fn place(image: &mut Image, forest: &Forest, plan: &Plan, units: &Units) {
    if plan.path == Path::Slow {
        return;
    }
    let groups = plan.groups.iter().map(|group| &group.thresholds);
    let maps = quantise::place(image, &plan.tables, groups);
    match plan.path {
        Path::Slow => {}
        Path::Stage => stage::place(image, forest, plan, &maps, units),
        Path::Lane => lane::place(image, forest, plan, &maps, units),
    }
    let words = forest.features.len().next_multiple_of(4) as u32;
    image.put_word(header::POSITIONS_BYTES, words * 2);
}

/// The trees of a group.
pub(crate) fn trees<'a>(forest: &'a Forest, group: &'a Group) -> impl Iterator<Item = &'a Tree> {
    group
        .trees
        .iter()
        .filter_map(|number| forest.trees.get(*number))
}

/// Each split's feature and threshold.
pub(crate) fn splits(tree: &Tree) -> impl Iterator<Item = (u32, f32)> {
    tree.nodes.iter().filter_map(|node| match *node {
        Node::Split {
            feature, threshold, ..
        } => Some((feature, threshold)),
        Node::Leaf { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forest::{Feature, average_path_length};

    /// A forest of chains: each split has a leaf on its left, with thresholds all different.
    fn chains(features: usize, trees: usize, splits: usize) -> Forest {
        let mut next = 0.0;
        let mut chain = |_| {
            let mut nodes = vec![];
            for split in 0..splits {
                let at = nodes.len() as u32;
                next += 1.0;
                nodes.push(Node::Split {
                    feature: (split % features) as u32,
                    threshold: next,
                    left: at + 1,
                    right: at + 2,
                    expected: 1.0,
                });
                nodes.push(Node::Leaf { length: 1.0 });
            }
            nodes.push(Node::Leaf { length: 2.0 });
            Tree { nodes }
        };
        Forest {
            features: (0..features)
                .map(|index| Feature {
                    name: index.to_string(),
                    unit: None,
                })
                .collect(),
            trees: (0..trees).map(&mut chain).collect(),
            normaliser: average_path_length(256),
            threshold: None,
            metadata: vec![],
        }
    }

    fn check(forest: &Forest, path: Path, groups: usize, rest: usize) {
        let plan = plan(forest);
        assert_eq!(
            (plan.path, plan.groups.len(), plan.rest.len()),
            (path, groups, rest)
        );
    }

    #[test]
    fn narrow_forests_are_staged_and_wide_ones_go_by_lanes() {
        check(&chains(9, 10, 8), Path::Stage, 1, 0);
        check(&chains(32, 10, 8), Path::Stage, 1, 0);
        check(&chains(33, 10, 8), Path::Lane, 1, 0);
        check(&chains(33, 10, 255), Path::Lane, 1, 0);
    }

    #[test]
    fn more_thresholds_than_a_byte_counts_open_another_group() {
        check(&chains(1, 51, 5), Path::Stage, 1, 0);
        check(&chains(1, 52, 5), Path::Stage, 2, 0);
    }

    #[test]
    fn trees_that_fit_no_path_are_walked() {
        check(&chains(3, 4, 25), Path::Slow, 0, 4);
        check(&chains(40, 4, 256), Path::Slow, 0, 4);
        let mut mixed = chains(3, 4, 8);
        mixed.trees.extend(chains(3, 2, 30).trees);
        mixed.trees.extend(chains(3, 2, 0).trees);
        check(&mixed, Path::Stage, 1, 2);
    }
}
