//! The columns of a detector, prepared once per release for reading rows: names in order, by name, and as JSON spells
//! them.

use std::collections::HashMap;

/// The columns of a detector in its own order.
#[derive(Debug)]
pub struct Columns {
    names: Vec<Box<str>>,
    quoted: Vec<Box<[u8]>>,
    index: HashMap<Box<str>, usize>,
}

impl Columns {
    /// Prepares the names of a detector's features, in its order.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names: Vec<Box<str>> = names.into_iter().map(String::into_boxed_str).collect();
        let quote = |name: &str| serde_json::to_vec(name).unwrap_or_default();
        Self {
            quoted: names.iter().map(|name| quote(name).into()).collect(),
            index: (0..)
                .zip(&names)
                .map(|(i, name)| (name.clone(), i))
                .collect(),
            names,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none, which no detector that passed the gate has.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names in the detector's order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// A column's name.
    pub fn name(&self, column: usize) -> Option<&str> {
        self.names.get(column).map(|name| &**name)
    }

    /// A column's name as JSON nearly always spells it, quotes included.
    pub fn quoted(&self, column: usize) -> Option<&[u8]> {
        self.quoted.get(column).map(|quoted| &**quoted)
    }

    /// Where a name stands.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }
}
