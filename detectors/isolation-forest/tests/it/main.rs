//! Integration tests of the crate, one binary.

mod component;
mod forests;
mod kernel;
