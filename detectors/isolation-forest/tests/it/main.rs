//! Integration tests of the crate, one binary.

mod component;
mod data;
mod forests;
mod import;
mod input;
mod kernel;
mod train;
