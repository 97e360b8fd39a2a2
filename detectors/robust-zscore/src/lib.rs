#![doc = include_str!("../README.md")]

#[cfg(target_arch = "wasm32")]
mod guest;
pub mod parameters;
pub mod zscore;
