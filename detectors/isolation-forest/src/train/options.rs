//! What a person may ask of the trainer, and what it comes to for a table of a given width.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::calibrate;

/// Rows for calibration: a threshold at 1 % of them has a rank error of 0.03 % (one standard deviation).
const CALIBRATION_ROWS: usize = 131_072;
/// What the calibration rows may take in memory; 320 features keep 100,000 rows.
const CALIBRATION_BYTES: usize = 128 << 20;
/// What the trees' rows may take in memory, unless one tree's sample is larger.
const POOL_BYTES: usize = 64 << 20;
/// More trees than this are a slip of the finger.
const TREES_MOST: usize = 10_000;

/// The options of `train`, named as its flags.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// How many trees.
    pub trees: usize,
    /// Rows per tree (psi); `None`: 256, or all if there are fewer.
    pub sample_size: Option<usize>,
    /// Features per tree.
    pub max_features: MaxFeatures,
    /// Where the threshold lies.
    pub contamination: Contamination,
    /// What the random choices start from.
    pub seed: u64,
    /// Reads the table again for the threshold and the metrics over all rows.
    pub exact_threshold: bool,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            trees: 100,
            sample_size: None,
            max_features: MaxFeatures::Share(1.0),
            contamination: Contamination::Share(0.01),
            seed: 0,
            exact_threshold: false,
        }
    }
}

/// Why an option is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// No trees or too many.
    #[error("--trees {0}: must lie within 1..={TREES_MOST}")]
    Trees(usize),
    /// No rows per tree.
    #[error("--sample-size 0: each tree needs at least one row")]
    SampleSize,
    /// More features than there are, or none.
    #[error(
        "--max-features {asked}: there are {width} features; give a count within 1..={width} or a share within 0..1 such as 0.5"
    )]
    MaxFeatures {
        /// What was asked for.
        asked: MaxFeatures,
        /// How many there are.
        width: usize,
    },
    /// A share outside 0..=0.5.
    #[error(
        "--contamination {0}: a share of rows within 0..=0.5, `auto` (a score of 0.5) or `none` (no threshold)"
    )]
    Contamination(String),
}

/// How many features each tree sees: an integer is a count, a number with a point a share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxFeatures {
    /// This many.
    Count(usize),
    /// This share of them, rounded down, at least one.
    Share(f64),
}

impl FromStr for MaxFeatures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(count) = text.parse() {
            return Ok(Self::Count(count));
        }
        let share = text
            .parse::<f64>()
            .ok()
            .filter(|share| *share > 0.0 && *share <= 1.0);
        share
            .map(Self::Share)
            .ok_or_else(|| "a count such as 3 or a share such as 0.5".to_owned())
    }
}

impl std::fmt::Display for MaxFeatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{share:?}"),
        }
    }
}

impl MaxFeatures {
    fn of(self, width: usize) -> Result<usize, OptionsError> {
        let count = match self {
            Self::Count(count) => count,
            Self::Share(share) => ((share * width as f64) as usize).max(1),
        };
        if (1..=width).contains(&count) {
            Ok(count)
        } else {
            Err(OptionsError::MaxFeatures { asked: self, width })
        }
    }
}

/// Where the threshold lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Contamination {
    /// So that this share of normal traffic alerts. The default is 0.01: without labels nobody knows the true share, but
    /// everybody knows how many alerts they can look at.
    Share(f64),
    /// A score of 0.5, as the paper and scikit-learn's `auto` have it.
    Auto,
    /// No threshold: the detector only ranks.
    None,
}

impl FromStr for Contamination {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Self, OptionsError> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            _ => {
                let share = text
                    .parse()
                    .ok()
                    .filter(|share| (0.0..=0.5).contains(share));
                share
                    .map(Self::Share)
                    .ok_or_else(|| OptionsError::Contamination(text.to_owned()))
            }
        }
    }
}

impl std::fmt::Display for Contamination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Share(share) => write!(f, "{share}"),
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
        }
    }
}

impl Contamination {
    /// The threshold, given the scores of calibration rows, rising.
    pub(crate) fn threshold(self, sorted: &[f64]) -> Option<f64> {
        match self {
            Self::Share(share) => Some(calibrate::threshold(sorted, share)),
            Self::Auto => Some(0.5),
            Self::None => None,
        }
    }
}

impl TrainOptions {
    /// What goes into the component: the options that shape it.
    pub(crate) fn recorded(&self) -> BTreeMap<String, Value> {
        let pairs = [
            ("trees", json!(self.trees)),
            (
                "sample-size",
                self.sample_size.map_or(Value::Null, |size| json!(size)),
            ),
            ("max-features", json!(self.max_features.to_string())),
            ("contamination", json!(self.contamination.to_string())),
            ("seed", json!(self.seed)),
            ("exact-threshold", json!(self.exact_threshold)),
        ];
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// Options checked and turned into numbers.
pub(super) struct Plan {
    pub(super) sample_size: usize,
    pub(super) sample_size_asked: bool,
    pub(super) features: usize,
    /// At most this many rows for the trees.
    pub(super) pool: usize,
    /// At most this many rows for calibration.
    pub(super) calibration: usize,
}

impl Plan {
    pub(super) fn new(options: &TrainOptions, width: usize) -> Result<Self, OptionsError> {
        if !(1..=TREES_MOST).contains(&options.trees) {
            return Err(OptionsError::Trees(options.trees));
        }
        let sample_size = options.sample_size.unwrap_or(256);
        if sample_size == 0 {
            return Err(OptionsError::SampleSize);
        }
        if let Contamination::Share(share) = options.contamination
            && !(0.0..=0.5).contains(&share)
        {
            return Err(OptionsError::Contamination(share.to_string()));
        }
        let row_bytes = 4 * width.max(1);
        let pool = options
            .trees
            .saturating_mul(sample_size)
            .min(POOL_BYTES / row_bytes);
        Ok(Self {
            sample_size,
            sample_size_asked: options.sample_size.is_some(),
            features: options.max_features.of(width)?,
            pool: pool.max(sample_size),
            calibration: CALIBRATION_ROWS
                .min(CALIBRATION_BYTES / row_bytes)
                .max(1_024),
        })
    }
}
