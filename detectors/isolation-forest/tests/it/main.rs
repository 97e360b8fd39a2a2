//! Integration tests of the crate, one binary.
#![cfg(test)]

mod component;
mod data;
mod forests;
mod grower;
mod import;
mod input;
mod kernel;
mod train;
