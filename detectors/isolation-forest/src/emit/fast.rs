//! Which trees take which path through the kernel. Ranks are bytes, so trees are put into groups in which no feature has
//! more than 255 different thresholds; a tree that fits no path is left to the scalar walk. What a forest gets is a
//! matter of speed only: all paths give the same bits.

use super::image::Image;
use super::layout::depth;
use super::quantise::{self, Thresholds};
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
        }
    }
}

/// Chooses the paths for `forest`.
pub(crate) fn plan(forest: &Forest) -> Plan {
    let path = if forest.features.len() <= STAGE_FEATURES {
        Path::Stage
    } else {
        Path::Lane
    };
    let mut plan = Plan {
        path,
        groups: vec![],
        rest: vec![],
    };
    let mut all = Thresholds::new(forest.features.len());
    for (number, tree) in forest.trees.iter().enumerate() {
        if tree.nodes.len() == 1 {
            continue;
        }
        let own = Thresholds::of(forest.features.len(), tree);
        let with_all = all.joined(&own);
        if !fits(path, tree)
            || own.most() > GROUP_THRESHOLDS
            || with_all.positions() > quantise::MAX_POSITIONS
        {
            plan.rest.push(number);
            continue;
        }
        all = with_all;
        join_group(&mut plan.groups, number, own);
    }
    if plan.groups.is_empty() {
        plan.path = Path::Slow;
    }
    plan
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
        let joined = group.thresholds.joined(&own);
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
    let all = plan
        .groups
        .iter()
        .fold(Thresholds::new(forest.features.len()), |all, group| {
            all.joined(&group.thresholds)
        });
    let maps = quantise::place(
        image,
        &all,
        plan.groups.iter().map(|group| &group.thresholds),
    );
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
