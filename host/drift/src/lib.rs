#![doc = include_str!("../README.md")]

mod bins;
mod compare;
pub mod distance;
mod judge;
mod merge;
mod page;
mod quality;
mod reasons;
mod report;
pub mod significance;
mod splits;
mod text;
mod words;

pub use judge::{JudgeError, Reference, judge};
pub use merge::{MergeError, MergedWindow, Merging, merge};
pub use page::{Cell, Section, page, page_after};
pub use report::{
    AlertRate, Comparison, DriftReport, Effects, FeatureDrift, Floors, Policy, Problem, Quality,
    Verdict, WindowSummary,
};
pub use text::{plots, text, text_after};
