//! Windows of traffic: their names, and the parts that hosts write of them. A part holds what one host counted since its
//! last part, on the edges of the release's profile; all parts of a window and release add up to the whole.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{DetectorName, Digest, ReleaseName};
use semver::Version;

/// The schema number of [`WindowPart`] and [`VerdictRecord`].
pub const SCHEMA: u32 = 1;
const DAY_SECONDS: u64 = 24 * 3600;
/// The year 10,000, which a name of this shape cannot hold.
const END_SECONDS: u64 = 253_402_300_800;

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

/// What the last look at a detector's drift found: a job overwrites it after each look, and hosts export its age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The detector.
    pub detector: DetectorName,
    /// The verdict's fixed word, for instance `stable`.
    pub verdict: String,
    /// When it was given, in milliseconds since 1970.
    pub time_ms: u64,
    /// The last window that was looked at.
    pub window: WindowName,
    /// The release whose profile it was compared with.
    pub release: ReleaseName,
    /// Its digest.
    pub digest: Digest,
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
    /// The window that holds a moment, in seconds since 1970. Windows of one length follow one another from
    /// 1970-01-01T00:00:00Z on, so that days start at midnight and hours at the full hour, in UTC.
    pub fn holding(moment_seconds: u64, window_seconds: u64) -> Self {
        Self::starting(moment_seconds - moment_seconds % window_seconds.max(1))
    }

    /// The window that starts at this moment, in seconds since 1970; the year 9999 is the last.
    fn starting(seconds: u64) -> Self {
        let seconds = seconds.min(END_SECONDS - 1);
        let (year, month, day) = date(seconds / DAY_SECONDS);
        let rest = seconds % DAY_SECONDS;
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        Self(format!(
            "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"
        ))
    }

    /// Its start in seconds since 1970.
    pub fn start_seconds(&self) -> u64 {
        seconds(&self.0).unwrap_or(0)
    }

    /// Its day, as `2026-11-24`.
    pub fn day(&self) -> String {
        let part = |range| self.0.get(range).unwrap_or_default();
        format!("{}-{}-{}", part(0..4), part(4..6), part(6..8))
    }

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
        let wrong = || WindowNameError(text.chars().take(40).collect());
        let name = Self::starting(seconds(text).ok_or_else(wrong)?);
        // A month 13 would come back as another text.
        if name.0 == text {
            Ok(name)
        } else {
            Err(wrong())
        }
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

/// The edges on which scores are counted of a release that carries no profile: 1/128, 2/128, … 1.
pub fn uniform_edges() -> Vec<f64> {
    (1..=128_u8).map(|edge| f64::from(edge) / 128.0).collect()
}

/// Seconds since 1970 of a text such as `20261124T000000Z`; `None` for another shape or a date before 1970.
fn seconds(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        let part = text.get(range)?;
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    };
    let shaped = text.len() == 16 && text.get(8..9) == Some("T") && text.ends_with('Z');
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    let days = days(year, month, day)?;
    shaped.then(|| days * DAY_SECONDS + hour * 3600 + minute * 60 + second)
}

/// The date of a day since 1970 in the Gregorian calendar: `civil_from_days` of
/// <https://howardhinnant.github.io/date_algorithms.html>, for days after its epoch.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

/// The inverse of [`date`]: `days_from_civil` of the same page. `None` before 1970 or for a month or day beyond any.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    days.checked_sub(719_468)
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
    fn a_moment_lies_in_one_window_whose_name_tells_its_start() {
        let moment = 1_795_564_799; // 2026-11-24T23:59:59Z
        let name = |window| WindowName::holding(moment, window).to_string();
        assert_eq!(name(86_400), "20261124T000000Z");
        assert_eq!(name(3600), "20261124T230000Z");
        assert_eq!(name(1), "20261124T235959Z");
        assert_eq!(WindowName::holding(moment, 86_400).day(), "2026-11-24");
        let leap: WindowName = "20280229T120000Z".parse().unwrap();
        assert_eq!(leap.start_seconds(), 1_835_438_400);
        for day in 0..60_000 {
            let window = WindowName::holding(day * 86_400 + 5, 86_400);
            assert_eq!(window.start_seconds(), day * 86_400);
            assert_eq!(window.as_str().parse(), Ok(window.clone()));
        }
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
            "20261324T000000Z",
            "20260230T000000Z",
            "20261124T250000Z",
            "19691231T000000Z",
        ] {
            assert!(wrong.parse::<WindowName>().is_err(), "{wrong}");
        }
    }
}
