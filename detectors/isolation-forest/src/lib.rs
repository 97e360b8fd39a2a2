//! Trains isolation forests and compiles them into detector components.

mod forest;

pub use forest::{Feature, Forest, ForestError, Node, Sections, Tree, average_path_length};
