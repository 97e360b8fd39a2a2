//! Trains isolation forests and compiles them into detector components.

mod emit;
mod exp2;
mod forest;
mod kernel;
pub mod reference;
mod units;

pub use emit::{EmitError, MAX_COMPONENT_BYTES, ReadError, emit, read_forest};
pub use forest::{Feature, Forest, ForestError, Node, Sections, Tree, average_path_length};
pub use kernel::kernel_digests;
