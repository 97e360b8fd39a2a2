#![doc = include_str!("../README.md")]

mod report;

pub use report::{
    AlertRate, Comparison, DriftReport, Effects, FeatureDrift, Floors, Policy, Problem, Quality,
    Verdict, WindowSummary,
};
