//! Owns what crosses the engine's edge per call: rows in, scores or explanations out, and the time allowed for it.

use std::time::{Duration, Instant};

use crate::Fault;

/// Rows to score, row-major; a NaN is a missing value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The width of a row.
    pub columns: u32,
    /// All values: the value of row `r` and column `c` is `values[r * columns + c]`.
    pub values: Vec<f64>,
}

impl Batch {
    /// A batch of `values`, `columns` to a row. Its shape is checked by the call that takes it.
    pub fn new(columns: u32, values: Vec<f64>) -> Self {
        Self { columns, values }
    }

    /// How many whole rows there are; 0 for a batch without columns.
    pub fn rows(&self) -> usize {
        self.values
            .len()
            .checked_div(self.columns as usize)
            .unwrap_or(0)
    }
}

/// The moment until which an answer is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline at `instant`.
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The deadline `duration` from now.
    pub fn after(duration: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(duration).unwrap_or(now))
    }

    /// The moment itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// What is left at `now`; zero once it has passed.
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }
}

/// Scores with their reasons: for each row `log2(score) = baseline + sum(its attributions)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// One score per row, bit for bit as scoring gives it.
    pub scores: Vec<f64>,
    /// The base-2 logarithm of the score of a row about which nothing is known.
    pub baseline: f64,
    /// Row-major, one value per row and feature, in bits; positive pushes towards "anomalous".
    pub attributions: Vec<f64>,
}

/// What a call gives back.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// One score per row.
    Scores(Vec<f64>),
    /// Scores and attributions.
    Explanation(Explanation),
}

impl Answer {
    /// The scores, whichever kind of answer it is.
    pub fn scores(&self) -> &[f64] {
        match self {
            Self::Scores(scores) => scores,
            Self::Explanation(explanation) => &explanation.scores,
        }
    }
}

/// A call for the pool.
#[derive(Debug, Clone)]
pub struct Call {
    /// The rows.
    pub batch: Batch,
    /// Whether attributions are wanted.
    pub explain: bool,
    /// Until when the answer is of use; waiting in the queue counts.
    pub deadline: Deadline,
}

/// Where the answer to a pooled call goes. It runs on a pool thread and must not block.
pub type Reply = Box<dyn FnOnce(Result<Answer, Fault>) + Send>;
