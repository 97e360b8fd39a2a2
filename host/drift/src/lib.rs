#![doc = include_str!("../README.md")]

mod compare;
pub mod distance;
mod judge;
mod merge;
mod quality;
mod reasons;
mod report;
pub mod significance;
mod splits;

pub use judge::{JudgeError, Reference, judge};
pub use merge::{MergeError, MergedWindow, merge};
pub use report::{
    AlertRate, Comparison, DriftReport, Effects, FeatureDrift, Floors, Policy, Problem, Quality,
    Verdict, WindowSummary,
};
