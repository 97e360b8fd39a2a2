//! The way back: the forest and the documents out of a component that `emit` wrote, so that a new threshold or other
//! documents can be compiled around the same trees.

use hodoscope_release::sections::{self, Calibration, Golden, Profile, Training};
use serde::de::DeserializeOwned;
use wasmparser::{DataKind, Parser, Payload};

use super::layout::NODE_BYTES;
use crate::forest::{Feature, Forest, ForestError, Node, Sections, Tree};
use crate::kernel::header;

/// Why no forest can be read from a component.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are no WebAssembly.
    #[error("not a component: {0}")]
    Malformed(String),
    /// The component is a detector of another kind, or of a later layout.
    #[error(
        "the component holds no isolation forest of this layout; use one that `hodoscope train` or `import` wrote"
    )]
    NotAForest,
    /// A document in it is not what its name says.
    #[error("section `{name}`: {problem}")]
    Document {
        /// The section's name.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// What was read is not a forest.
    #[error(transparent)]
    Forest(#[from] ForestError),
}

/// The forest in a component and the documents beside it. Emitting them again gives the same bytes; path lengths come
/// back rounded to the forest's unit, which changes no score.
pub fn read_forest(component: &[u8]) -> Result<(Forest, Sections), ReadError> {
    let mut memory = None;
    let mut documents = Sections::default();
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| ReadError::Malformed(error.to_string()))? {
            Payload::DataSection(data) => memory = memory.or_else(|| first_segment(data)),
            Payload::CustomSection(section) => {
                read_document(&mut documents, section.name(), section.data())?;
            }
            _ => {}
        }
    }
    let memory = Memory(memory.ok_or(ReadError::NotAForest)?);
    if !memory.0.starts_with(&header::MAGIC) {
        return Err(ReadError::NotAForest);
    }
    let forest = memory.forest().ok_or(ReadError::NotAForest)?;
    forest.check()?;
    Ok((forest, documents))
}

fn first_segment(data: wasmparser::DataSectionReader<'_>) -> Option<&[u8]> {
    let segment = data.into_iter().next()?.ok()?;
    matches!(segment.kind, DataKind::Active { .. }).then_some(segment.data)
}

fn read_document(documents: &mut Sections, name: &str, data: &[u8]) -> Result<(), ReadError> {
    match name {
        sections::GOLDEN => {
            let golden: Golden = parse(sections::GOLDEN, data)?;
            documents.golden_rows = golden
                .rows
                .into_iter()
                .map(|row| row.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect())
                .collect();
        }
        sections::CALIBRATION => {
            documents.calibration = Some(parse::<Calibration>(sections::CALIBRATION, data)?);
        }
        sections::PROFILE => documents.profile = Some(parse::<Profile>(sections::PROFILE, data)?),
        sections::TRAINING => {
            documents.training = Some(parse::<Training>(sections::TRAINING, data)?);
        }
        _ => {}
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(name: &'static str, data: &[u8]) -> Result<T, ReadError> {
    serde_json::from_slice(data).map_err(|error| ReadError::Document {
        name,
        problem: error.to_string(),
    })
}

/// The memory of a component, as its data segment has it. Whatever is out of range reads as `None`.
struct Memory<'a>(&'a [u8]);

impl Memory<'_> {
    fn word(&self, at: u32) -> Option<u32> {
        self.bytes(at, 4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn f64(&self, at: u32) -> Option<f64> {
        self.bytes(at, 8)?.try_into().ok().map(f64::from_le_bytes)
    }

    fn bytes(&self, at: u32, len: u32) -> Option<&[u8]> {
        let at = at as usize;
        self.0.get(at..at.checked_add(len as usize)?)
    }

    /// A text whose address and length lie at `at`.
    fn text(&self, at: u32) -> Option<String> {
        let bytes = self.bytes(self.word(at)?, self.word(at.checked_add(4)?)?)?;
        String::from_utf8(bytes.to_vec()).ok()
    }

    /// Reads each of the records whose address and count lie at `at`.
    fn list<T>(&self, at: u32, size: u32, read: impl Fn(u32) -> Option<T>) -> Option<Vec<T>> {
        let start = self.word(at)?;
        (0..self.word(at.checked_add(4)?)?)
            .map(|index| read(start.checked_add(index.checked_mul(size)?)?))
            .collect()
    }

    fn forest(&self) -> Option<Forest> {
        let record = self.word(header::DESCRIBE)?;
        let scale = self.f64(header::SCALE)?;
        let threshold = match self.bytes(record.checked_add(8)?, 1)? {
            [0] => None,
            _ => Some(self.f64(record.checked_add(16)?)?),
        };
        Some(Forest {
            features: self.list(record, 20, |at| self.feature(at))?,
            trees: self.list(header::ROOTS, 4, |at| self.tree(self.word(at)?, scale))?,
            normaliser: self.f64(header::NORMALISER)?,
            threshold,
            metadata: self.list(record.checked_add(24)?, 16, |at| {
                Some((self.text(at)?, self.text(at.checked_add(8)?)?))
            })?,
        })
    }

    fn feature(&self, at: u32) -> Option<Feature> {
        let unit = match self.word(at.checked_add(8)?)? {
            0 => None,
            _ => Some(self.text(at.checked_add(12)?)?),
        };
        Some(Feature {
            name: self.text(at)?,
            unit,
        })
    }

    /// A tree in the order in which its nodes lie, which is preorder: it ends where no right child is awaited.
    fn tree(&self, root: u32, scale: f64) -> Option<Tree> {
        let mut nodes = Vec::new();
        let mut awaited = 1usize;
        let mut at = root;
        while awaited > 0 {
            let length = f64::from(self.word(at.checked_add(12)?)?) / scale;
            let right = self.word(at.checked_add(8)?)?;
            if right == at {
                awaited -= 1;
                nodes.push(Node::Leaf { length });
            } else {
                awaited += 1;
                nodes.push(Node::Split {
                    feature: self.word(at.checked_add(4)?)? / 8,
                    threshold: f32::from_bits(self.word(at)?),
                    left: nodes.len() as u32 + 1,
                    right: right.checked_sub(root)? / NODE_BYTES as u32,
                    expected: length,
                });
            }
            at = at.checked_add(NODE_BYTES as u32)?;
        }
        Some(Tree { nodes })
    }
}
