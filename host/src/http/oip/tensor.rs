//! Tensors: their datatypes, their values as JSON or as little-endian bytes, and their shapes.

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::super::problem::{Code, Problem};

/// The datatypes that rows may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp32,
    Fp64,
}

impl Datatype {
    /// The datatype by the protocol's name.
    pub(super) fn named(name: &str) -> Result<Self, Problem> {
        Ok(match name {
            "BOOL" => Self::Bool,
            "UINT8" => Self::Uint8,
            "UINT16" => Self::Uint16,
            "UINT32" => Self::Uint32,
            "UINT64" => Self::Uint64,
            "INT8" => Self::Int8,
            "INT16" => Self::Int16,
            "INT32" => Self::Int32,
            "INT64" => Self::Int64,
            "FP32" => Self::Fp32,
            "FP64" => Self::Fp64,
            _ => {
                let name: String = name.chars().take(40).collect();
                return Err(Problem::new(
                    Code::UnsupportedDatatype,
                    format!(
                        "datatype `{name}` is not supported; send FP32, FP64, INT8 to INT64, UINT8 to UINT64 or BOOL"
                    ),
                ));
            }
        })
    }

    /// Values from little-endian bytes. `None`: no whole number of values.
    pub(super) fn read(self, bytes: &[u8]) -> Option<Vec<f64>> {
        match self {
            Self::Bool => Some(
                bytes
                    .iter()
                    .map(|byte| f64::from(u8::from(*byte != 0)))
                    .collect(),
            ),
            Self::Uint8 => Some(bytes.iter().map(|byte| f64::from(*byte)).collect()),
            Self::Int8 => values(bytes, |chunk| f64::from(i8::from_le_bytes(chunk))),
            Self::Uint16 => values(bytes, |chunk| f64::from(u16::from_le_bytes(chunk))),
            Self::Int16 => values(bytes, |chunk| f64::from(i16::from_le_bytes(chunk))),
            Self::Uint32 => values(bytes, |chunk| f64::from(u32::from_le_bytes(chunk))),
            Self::Int32 => values(bytes, |chunk| f64::from(i32::from_le_bytes(chunk))),
            Self::Uint64 => values(bytes, |chunk| u64::from_le_bytes(chunk) as f64),
            Self::Int64 => values(bytes, |chunk| i64::from_le_bytes(chunk) as f64),
            Self::Fp32 => values(bytes, |chunk| f64::from(f32::from_le_bytes(chunk))),
            Self::Fp64 => values(bytes, f64::from_le_bytes),
        }
    }
}

fn values<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    rest.is_empty()
        .then(|| chunks.iter().map(|chunk| value(*chunk)).collect())
}

/// How many values a shape holds. `None`: more than can be counted, or a negative dimension.
pub(super) fn count(shape: &[i64]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, dimension| {
        product.checked_mul(usize::try_from(*dimension).ok()?)
    })
}

/// The `data` of a tensor: numbers in arrays, flat or nested, row-major either way. How deep they nest is bounded by the
/// JSON reader's own limit.
#[derive(Debug, Default)]
pub(super) struct Flat(pub(super) Vec<f64>);

impl<'de> serde::Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut values = Vec::new();
        deserializer.deserialize_seq(Nested(&mut values))?;
        Ok(Self(values))
    }
}

/// Appends what it finds.
struct Nested<'a>(&'a mut Vec<f64>);

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number, true, false, null or an array of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(Nested(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.push(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.0.push(value as f64);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.push(value as f64);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.push(f64::from(u8::from(value)));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.push(f64::NAN);
        Ok(())
    }
}
