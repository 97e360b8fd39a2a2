//! Rows for a candidate: read, put into an order that does not depend on how they were stored, divided into what the trees
//! may see and what is held out, and guarded. Everything follows from the rows' values.

use std::cmp::Ordering;
use std::collections::HashMap;

use hodoscope_engine::Detector;
use hodoscope_release::Digest;
use hodoscope_release::evidence::{Data, Excluded};
use sha2::{Digest as _, Sha256};

use super::{LABEL_COLUMN, RetrainError, RetrainPolicy, Source};
use crate::evidence::Frame;
use crate::rows::Table;

/// As many held-out rows as the trainer keeps for calibration.
const HELD_OUT_MOST: usize = 131_072;
/// Of the held-out rows one in so many is not shown to the threshold either, where that makes enough to tell a rate.
const UNSEEN_PART: usize = 10;
const UNSEEN_LEAST: usize = 1_000;
/// The trees are given at most this share of the rows.
const TREES_SHARE: f64 = 0.5;

/// All rows, in the order in which they were read.
pub(super) struct Gathered {
    pub(super) frame: Frame,
    pub(super) labels: Option<Vec<f64>>,
    pub(super) data: Data,
}

/// Rows in two parts, each in the order of the rows' hashes, which is a random one.
pub(super) struct Parts {
    pub(super) trees: Frame,
    pub(super) held_out: Frame,
    /// Held out from the threshold, too; empty if they were too few to tell a rate.
    pub(super) unseen: Frame,
    pub(super) labels: Option<Vec<f64>>,
    /// For the rows of `trees`, then of `held_out`: whether they belong to the newer half of all rows.
    pub(super) ages: (Vec<bool>, Vec<bool>),
    pub(super) excluded: Vec<Excluded>,
    pub(super) digest: Digest,
    pub(super) notes: Vec<String>,
}

/// Reads the files. One that lacks a feature is of a release with other features, and is left out.
pub(super) fn gather(
    source: &Source,
    features: &[String],
    policy: &RetrainPolicy,
) -> Result<Gathered, RetrainError> {
    let mut kept = Vec::new();
    let (mut total, mut foreign) = (0u64, 0u64);
    for path in &source.files {
        let table = Table::open(path).map_err(|error| RetrainError::Rows(error.into()))?;
        let has = |feature: &String| table.columns().contains(feature);
        let rows = table.rows().unwrap_or_default();
        if features.iter().all(has) {
            total += rows;
            kept.push(path);
        } else {
            foreign += rows;
        }
    }
    let share = policy.most_rows as f64 / total.max(1) as f64;
    let mut frame = Frame::new(features.to_vec(), Vec::new());
    let mut labels: Vec<f64> = Vec::new();
    let (mut read, mut labelled) = (0u64, false);
    let mut thinned = Thinned::to(share);
    for path in &kept {
        let (part, known) =
            Frame::read(path, features, Some(LABEL_COLUMN)).map_err(RetrainError::Rows)?;
        labelled |= known.is_some();
        for at in 0..part.rows() {
            if thinned.keeps(part.row(at)) {
                frame.push(part.row(at));
                let label = known.as_ref().and_then(|labels| labels.get(at));
                labels.push(label.copied().unwrap_or(f64::NAN));
            }
            read += 1;
        }
    }
    let mut data = Data {
        windows: source.windows.clone(),
        files: kept.len() as u64,
        rows: read + foreign,
        ..Data::default()
    };
    exclude(&mut data.excluded, "other_columns", foreign);
    exclude(
        &mut data.excluded,
        "beyond_limit",
        read - frame.rows() as u64,
    );
    Ok(Gathered {
        frame,
        labels: labelled.then_some(labels),
        data,
    })
}

/// Thins rows out by the hash of their values, and among equal rows by which of them it is: the choice is the same in
/// whatever order rows are read, and values that repeat keep their share.
struct Thinned {
    share: f64,
    seen: HashMap<u64, u64>,
}

impl Thinned {
    fn to(share: f64) -> Self {
        Self {
            share,
            seen: HashMap::new(),
        }
    }

    fn keeps(&mut self, row: &[f64]) -> bool {
        if self.share >= 1.0 {
            return true;
        }
        let key = key(row);
        let nth = self.seen.entry(key).or_default();
        *nth += 1;
        unit(mixed(key ^ mixed(*nth))) < self.share
    }
}

/// Divides and guards. `pool` is what the trees can make use of.
pub(super) fn divide(
    gathered: &Gathered,
    champion: &Detector,
    policy: &RetrainPolicy,
    pool: usize,
) -> Result<Parts, RetrainError> {
    let frame = &gathered.frame;
    let order = ordered(frame);
    let digest = digest(frame, &order);
    // A little more than the trees need, since some of it will be left out.
    let share = (pool as f64 * 1.25 / frame.rows().max(1) as f64).min(TREES_SHARE);
    let of_trees = |key: &u64| unit(mixed(*key)) < share;
    let (mut trees, mut held_out): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for (key, row) in &order {
        if of_trees(key) {
            trees.push(*row);
        } else {
            held_out.push(*row);
        }
    }
    let unseen = match held_out.len() / UNSEEN_PART {
        UNSEEN_LEAST.. => held_out.split_off(held_out.len() - held_out.len() / UNSEEN_PART),
        _ => Vec::new(),
    };
    held_out.truncate(HELD_OUT_MOST);
    let (mut excluded, mut notes) = (Vec::new(), Vec::new());
    let before = trees.len();
    let mut single = trees.clone();
    single.dedup_by(|a, b| compared(frame.row(*a), frame.row(*b)) == Ordering::Equal);
    let copies = before - single.len();
    if copies as f64 <= policy.drop_copies_up_to * before as f64 {
        exclude(&mut excluded, "duplicate", copies as u64);
        trees = single;
    } else {
        notes.push(format!(
            "{copies} of {before} rows equal others: the features have few values, so equal rows count as often as they came"
        ));
    }
    let highest = highest(frame, &trees, champion, policy.drop_highest)?;
    exclude(&mut excluded, "highest_scores", highest.len() as u64);
    trees.retain(|row| !highest.contains(row));
    let middle = frame.rows() / 2;
    let newer = |rows: &[usize]| rows.iter().map(|row| *row >= middle).collect();
    let label = |row: &usize| {
        let labels = gathered.labels.as_ref()?;
        labels.get(*row).copied()
    };
    Ok(Parts {
        labels: gathered
            .labels
            .as_ref()
            .map(|_| held_out.iter().filter_map(label).collect()),
        ages: (newer(&trees), newer(&held_out)),
        trees: frame.pick(&trees),
        held_out: frame.pick(&held_out),
        unseen: frame.pick(&unseen),
        excluded,
        digest,
        notes,
    })
}

/// The rows that the champion scores highest: `share` of them.
fn highest(
    frame: &Frame,
    rows: &[usize],
    champion: &Detector,
    share: f64,
) -> Result<std::collections::HashSet<usize>, RetrainError> {
    let scores = frame
        .pick(rows)
        .score(champion)
        .map_err(RetrainError::Champion)?;
    let mut ranked: Vec<(f64, usize)> = scores.into_iter().zip(rows.iter().copied()).collect();
    let wanted = (share.clamp(0.0, 0.5) * rows.len() as f64).round() as usize;
    // The order of rows is that of their hashes: a stable sort makes ties the same in whatever order rows were read.
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    Ok(ranked
        .into_iter()
        .take(wanted)
        .map(|(_, row)| row)
        .collect())
}

fn exclude(excluded: &mut Vec<Excluded>, reason: &str, rows: u64) {
    if rows > 0 {
        let reason = reason.to_owned();
        excluded.push(Excluded { reason, rows });
    }
}

/// The rows by the hash of their values, equal rows side by side: a random permutation that is the same in whatever order
/// the rows were read.
fn ordered(frame: &Frame) -> Vec<(u64, usize)> {
    let mut order: Vec<(u64, usize)> = (0..frame.rows())
        .map(|row| (key(frame.row(row)), row))
        .collect();
    order.sort_unstable_by(|(a, one), (b, other)| {
        a.cmp(b)
            .then_with(|| compared(frame.row(*one), frame.row(*other)))
            .then(one.cmp(other))
    });
    order
}

fn compared(a: &[f64], b: &[f64]) -> Ordering {
    let bits = |row: &[f64]| {
        row.iter()
            .map(|value| canonical(*value))
            .collect::<Vec<_>>()
    };
    bits(a).cmp(&bits(b))
}

/// One NaN, one zero.
fn canonical(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        (value + 0.0).to_bits()
    }
}

fn key(row: &[f64]) -> u64 {
    row.iter()
        .fold(0, |hash, value| mixed(hash ^ canonical(*value)))
}

/// SplitMix64's step (Steele, Lea, Flood 2014): every input bit moves every output bit.
fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// In 0..1.
fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

/// As many numbers below `rows` as there are, drawn with replacement.
pub(super) fn drawn(rows: usize, seed: u64) -> Vec<usize> {
    let drawn = |at: usize| (unit(mixed(mixed(seed) ^ at as u64)) * rows as f64) as usize;
    (0..rows).map(drawn).collect()
}

fn digest(frame: &Frame, order: &[(u64, usize)]) -> Digest {
    let mut hash = Sha256::new();
    for name in frame.names() {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
    }
    for (_, row) in order {
        for value in frame.row(*row) {
            hash.update(canonical(*value).to_le_bytes());
        }
    }
    Digest::from_bytes(hash.finalize().into())
}
