//! Windows of traffic: their names, and the parts that hosts write of them. A part holds what one host counted since its
//! last part, on the edges of the release's profile; all parts of a window and release add up to the whole.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{DetectorName, Digest};
use semver::Version;

/// The schema number of [`WindowPart`].
pub const SCHEMA: u32 = 1;

/// A window's start in UTC, written `20261124T000000Z`: names sort as time does and stand in keys and paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WindowName(String);

/// What one host counted of one release in one window since its last part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowPart {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The detector.
    pub detector: DetectorName,
    /// The release's version.
    pub version: Version,
    /// The release's digest, which names the edges.
    pub digest: Digest,
    /// The window.
    pub window: WindowName,
    /// Its length in seconds.
    pub window_seconds: u64,
    /// Which host, which start of it, and which part: no two parts share all three.
    pub host: String,
    /// A random name of this start of the host.
    pub boot: String,
    /// Rises by one with each part.
    pub sequence: u64,
    /// The threshold rows were judged by.
    pub threshold: Option<f64>,
    /// Rows that were scored.
    pub rows: u64,
    /// Rows at or above the threshold.
    pub alerts: u64,
    /// Every row's score.
    pub scores: Counts,
    /// Rows whose features were counted.
    pub sampled_rows: u64,
    /// The share of rows that was meant to be sampled.
    pub sample_fraction: f64,
    /// Rows that were chosen but not counted, because a queue was full or the window's cap was reached.
    pub dropped_rows: u64,
    /// The sampled rows' features, in the release's order; empty if the release carries no profile.
    pub features: Vec<Counts>,
    /// What the shadow made of the same rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowCounts>,
}

/// Counts on edges that are kept elsewhere: bin `i` holds `edges[i-1] <= x < edges[i]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// One more than there are edges.
    pub counts: Vec<u64>,
    /// The sum of the finite values in each bin; JSON knows no infinity.
    pub sums: Vec<f64>,
    /// Missing values; in no bin.
    pub missing: u64,
    /// Values under the reference's least one; they are in the first bin, too.
    pub below: u64,
    /// Values over the reference's greatest one; they are in the last bin, too.
    pub above: u64,
}

/// A shadow's comparison with the answers that were given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowCounts {
    /// The shadow's version.
    pub version: String,
    /// The shadow's digest.
    pub digest: String,
    /// Rows that both scored.
    pub rows: u64,
    /// Rows with another verdict.
    pub flips: u64,
    /// Calls that the shadow failed.
    pub faults: u64,
    /// Copies that found no room.
    pub dropped: u64,
    /// The sum of the absolute differences of the scores.
    pub difference_sum: f64,
    /// The largest one.
    pub difference_max: f64,
}

/// A text that is no window's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no window; write its start in UTC, for instance 20261124T000000Z")]
pub struct WindowNameError(String);

/// Two counts that were not made on the same edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("counts of {0} and {1} bins cannot be added; they were made on other edges")]
pub struct OtherEdges(pub usize, pub usize);

impl Counts {
    /// Empty counts on so many edges.
    pub fn on(edges: usize) -> Self {
        Self {
            counts: vec![0; edges + 1],
            sums: vec![0.0; edges + 1],
            ..Self::default()
        }
    }

    /// Counts a value: NaN is missing; `range` is the reference's least and greatest value.
    pub fn add(&mut self, edges: &[f64], range: Option<(f64, f64)>, value: f64) {
        if value.is_nan() {
            self.missing += 1;
            return;
        }
        let bin = edges.partition_point(|edge| *edge <= value);
        if let Some(count) = self.counts.get_mut(bin) {
            *count += 1;
        }
        if let Some(sum) = self.sums.get_mut(bin).filter(|_| value.is_finite()) {
            *sum += value;
        }
        if let Some((low, high)) = range {
            self.below += u64::from(value < low);
            self.above += u64::from(value > high);
        }
    }

    /// Adds what another part counted on the same edges.
    pub fn merge(&mut self, other: &Self) -> Result<(), OtherEdges> {
        if self.counts.len() != other.counts.len() || self.sums.len() != other.sums.len() {
            return Err(OtherEdges(self.counts.len(), other.counts.len()));
        }
        self.counts
            .iter_mut()
            .zip(&other.counts)
            .for_each(|(mine, theirs)| *mine += theirs);
        self.sums
            .iter_mut()
            .zip(&other.sums)
            .for_each(|(mine, theirs)| *mine += theirs);
        self.missing += other.missing;
        self.below += other.below;
        self.above += other.above;
        Ok(())
    }

    /// Values that are not missing.
    pub fn present(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl WindowName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WindowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WindowName {
    type Err = WindowNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = |range: std::ops::Range<usize>| {
            text.get(range)
                .is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let shaped = text.len() == 16
            && digits(0..8)
            && text.get(8..9) == Some("T")
            && digits(9..15)
            && text.ends_with('Z');
        shaped
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| WindowNameError(text.to_owned()))
    }
}

impl TryFrom<String> for WindowName {
    type Error = WindowNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<WindowName> for String {
    fn from(name: WindowName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_its_bin_and_outside_of_the_range_apart() {
        let mut counts = Counts::on(2);
        for value in [f64::NAN, -9.0, 0.0, 0.5, 1.0, 9.0] {
            counts.add(&[0.0, 1.0], Some((-1.0, 2.0)), value);
        }
        assert_eq!(counts.counts, [1, 2, 2]);
        assert_eq!(counts.sums, [-9.0, 0.5, 10.0]);
        assert_eq!(
            (counts.missing, counts.below, counts.above, counts.present()),
            (1, 1, 1, 5)
        );
    }

    #[test]
    fn an_infinite_value_is_counted_but_not_summed() {
        let mut counts = Counts::on(1);
        for value in [f64::INFINITY, f64::NEG_INFINITY, 2.0] {
            counts.add(&[1.0], Some((0.0, 2.0)), value);
        }
        assert_eq!((counts.counts, counts.sums), (vec![1, 2], vec![0.0, 2.0]));
        assert_eq!((counts.below, counts.above), (1, 1));
    }

    #[test]
    fn parts_add_up_and_other_edges_are_refused() {
        let mut counts = Counts::on(1);
        counts.add(&[0.0], None, 1.0);
        let other = counts.clone();
        counts.merge(&other).unwrap();
        assert_eq!(counts.counts, [0, 2]);
        assert_eq!(counts.merge(&Counts::on(2)), Err(OtherEdges(2, 3)));
    }

    #[test]
    fn a_window_is_named_by_its_start() {
        assert!("20261124T000000Z".parse::<WindowName>().is_ok());
        for wrong in [
            "",
            "2026-11-24",
            "20261124T000000",
            "20261124T00000000Z",
            "2026112xT000000Z",
        ] {
            assert!(wrong.parse::<WindowName>().is_err(), "{wrong}");
        }
    }
}
