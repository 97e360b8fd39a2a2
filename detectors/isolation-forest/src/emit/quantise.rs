//! Values as ranks among thresholds, exactly: the tables by which the kernel finds the position of a value among all
//! thresholds of its feature, and for each group of trees the map from positions to ranks within the group.

use super::buckets::{Buckets, Piece, WHOLE, WINDOW};
use super::fast::splits;
use super::image::Image;
use crate::forest::Tree;
use crate::kernel::header;

/// Positions are u16.
pub(crate) const MAX_POSITIONS: usize = 65_535;

/// The different thresholds of each feature, rising.
#[derive(Debug, Clone)]
pub(crate) struct Thresholds(Vec<Vec<f32>>);

impl Thresholds {
    /// None yet.
    pub(crate) fn new(features: usize) -> Self {
        Self(vec![vec![]; features])
    }

    /// Those of a tree.
    pub(crate) fn of(features: usize, tree: &Tree) -> Self {
        let mut thresholds = Self::new(features);
        for (feature, threshold) in splits(tree) {
            if let Some(of_feature) = thresholds.0.get_mut(feature as usize) {
                // Adding 0 makes one of the two zeros, which compare equal.
                of_feature.push(threshold + 0.0);
            }
        }
        thresholds.0.iter_mut().for_each(tidy);
        thresholds
    }

    /// Takes in others.
    pub(crate) fn join(&mut self, other: &Self) {
        for (mine, others) in self.0.iter_mut().zip(&other.0) {
            if !others.is_empty() {
                mine.extend_from_slice(others);
                tidy(mine);
            }
        }
    }

    /// How many the feature with the most has.
    pub(crate) fn most(&self) -> usize {
        self.0.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// How many thresholds all features have.
    pub(crate) fn positions(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// The rank of a threshold within its feature, as the kernel compares it: less 128.
    pub(crate) fn rank(&self, feature: u32, threshold: f32) -> u8 {
        let below = self.below(feature as usize, threshold);
        (below as u8).wrapping_sub(128)
    }

    /// How many thresholds of a feature lie below a value.
    fn below(&self, feature: usize, value: f32) -> usize {
        self.0
            .get(feature)
            .map_or(0, |of_feature| of_feature.partition_point(|t| *t < value))
    }
}

fn tidy(thresholds: &mut Vec<f32>) {
    // The stable sort merges what is already in order.
    thresholds.sort_by(f32::total_cmp);
    thresholds.dedup();
}

/// How values become positions among all thresholds, before it is placed.
#[derive(Debug, Default)]
pub(crate) struct Tables(Vec<FeatureTable>);

/// One feature of it.
#[derive(Debug)]
struct FeatureTable {
    /// Its thresholds, rising.
    thresholds: Vec<f32>,
    buckets: Buckets,
    /// Its first position.
    start: u16,
    /// Windows of thresholds that are compared; the same for four features.
    windows: usize,
}

impl Tables {
    /// Chooses buckets; `None` if positions do not fit 16 bits.
    pub(crate) fn new(all: &Thresholds) -> Option<Self> {
        let mut features = Vec::with_capacity(all.0.len());
        let mut start = 0usize;
        for four in all.0.chunks(4) {
            let chosen: Vec<(Buckets, usize)> = four.iter().map(|of| Buckets::choose(of)).collect();
            let fullest = chosen.iter().map(|(_, fullest)| *fullest).max();
            let windows = fullest.unwrap_or(0).div_ceil(WINDOW).max(1);
            for (thresholds, (buckets, _)) in four.iter().zip(chosen) {
                features.push(FeatureTable {
                    thresholds: thresholds.clone(),
                    buckets,
                    start: u16::try_from(start).ok()?,
                    windows,
                });
                start += thresholds.len() + windows * WINDOW;
            }
        }
        (start <= MAX_POSITIONS).then_some(Self(features))
    }
}

/// Places the tables; gives for each group the address of its map.
pub(crate) fn place<'a>(
    image: &mut Image,
    tables: &Tables,
    groups: impl Iterator<Item = &'a Thresholds>,
) -> Vec<u32> {
    place_thresholds(image, tables);
    place_features(image, tables);
    groups
        .map(|group| place_map(image, tables, group))
        .collect()
}

/// All thresholds, those of each feature followed by infinities as far as windows reach.
fn place_thresholds(image: &mut Image, tables: &Tables) {
    let words: Vec<u32> = tables
        .0
        .iter()
        .flat_map(|feature| {
            let behind = std::iter::repeat_n(f32::INFINITY, feature.windows * WINDOW);
            feature.thresholds.iter().copied().chain(behind)
        })
        .map(f32::to_bits)
        .collect();
    let at = image.place_words(&words);
    image.put_word(header::THRESHOLDS, at);
}

/// Buckets, and what the kernel reads of four features at a time.
fn place_features(image: &mut Image, tables: &Tables) {
    let mut quads: Vec<u32> = Vec::new();
    for four in tables.0.chunks(4) {
        let places: Vec<u32> = four.iter().map(|of| place_buckets(image, of)).collect();
        let pieces = [
            |buckets: &Buckets| buckets.whole,
            |buckets: &Buckets| buckets.dense,
        ];
        for piece in pieces {
            let of = |read: fn(&Piece) -> f32| four.iter().map(move |of| read(&piece(&of.buckets)));
            quads.extend(lanes(of(|piece| piece.lowest).map(f32::to_bits)));
            quads.extend(lanes(of(|piece| piece.per_value).map(f32::to_bits)));
            quads.extend(lanes(of(|piece| piece.last).map(f32::to_bits)));
        }
        let bias = WHOLE.to_bits().wrapping_mul(2);
        quads.extend(lanes(places.iter().map(|place| place.wrapping_sub(bias))));
        quads.extend(lanes(four.iter().map(|of| of.windows as u32)));
    }
    image.align(16);
    let features = image.place_words(&quads);
    image.put_span(header::FEATURES, features, quads.len() * 4);
}

/// Four words; a quad that is not full repeats its last feature, at whose ranks nobody looks.
fn lanes(words: impl Iterator<Item = u32>) -> [u32; 4] {
    let mut lanes = [0; 4];
    let mut last = 0;
    let mut words = words;
    for lane in &mut lanes {
        last = words.next().unwrap_or(last);
        *lane = last;
    }
    lanes
}

/// For each bucket the position of the first threshold that is not in a bucket before.
fn place_buckets(image: &mut Image, feature: &FeatureTable) -> u32 {
    let FeatureTable {
        thresholds,
        buckets,
        start,
        ..
    } = feature;
    let table: Vec<u8> = (0..=buckets.last())
        .map(|bucket| thresholds.partition_point(|t| buckets.bucket(*t) < bucket) as u16)
        .flat_map(|before| start.wrapping_add(before).to_le_bytes())
        .collect();
    image.place(&table, 4)
}

/// For each position the rank within a group, less 128.
fn place_map(image: &mut Image, tables: &Tables, group: &Thresholds) -> u32 {
    let mut map = Vec::new();
    for (number, feature) in tables.0.iter().enumerate() {
        let ranks = feature
            .thresholds
            .iter()
            .map(|t| group.rank(number as u32, *t));
        map.resize(usize::from(feature.start), 0);
        map.extend(ranks);
        // Above all thresholds: above all of the group.
        map.push(group.rank(number as u32, f32::INFINITY));
    }
    image.place(&map, 16)
}
