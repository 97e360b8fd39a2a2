//! NDJSON: one object per line. A feature that is absent or null is missing; a kept value is copied as it is written,
//! text without its quotes.

use std::collections::HashMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::Piece;
use super::text::{Bad, Gaps};

/// Where the value of a key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Feature(usize),
    Kept(usize),
    /// A feature that is also kept.
    Both(usize, usize),
}

/// One row, filled while its object is read.
struct Row<'a> {
    slots: &'a HashMap<&'a str, Slot>,
    numbers: &'a mut [f64],
    kept: &'a mut [Option<Value>],
}

/// Lines with something on them.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
}

/// The keys of one line, in the order of the text.
pub(super) fn keys(line: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    let names = reader.deserialize_map(Keys)?;
    reader.end()?;
    Ok(names)
}

/// Parses whole lines.
pub(super) fn parse(text: &[u8], features: &[String], keep: &[String]) -> Result<Piece, Bad> {
    let slots = slots(features, keep);
    let mut columns = vec![Vec::new(); features.len()];
    let mut gaps = vec![Gaps::default(); keep.len()];
    let mut numbers = vec![f64::NAN; features.len()];
    let mut kept = vec![None; keep.len()];
    let mut rows = 0;
    for line in lines(text) {
        numbers.fill(f64::NAN);
        kept.fill(None);
        let row = Row {
            slots: &slots,
            numbers: &mut numbers,
            kept: &mut kept,
        };
        read(line, row).map_err(|error| Bad {
            row: rows,
            reason: error.to_string(),
        })?;
        for (column, number) in columns.iter_mut().zip(&numbers) {
            column.push(*number);
        }
        for (column, value) in gaps.iter_mut().zip(&kept) {
            match value {
                None | Some(Value::Null) => column.push(None),
                Some(Value::String(text)) => column.push(Some(text.as_bytes())),
                Some(other) => column.push(Some(other.to_string().as_bytes())),
            }
        }
        rows += 1;
    }
    let kept = gaps.into_iter().map(Gaps::finish).collect();
    Ok(Piece {
        rows,
        features: columns,
        kept,
    })
}

fn slots<'a>(features: &'a [String], keep: &'a [String]) -> HashMap<&'a str, Slot> {
    let mut slots: HashMap<&str, Slot> = features
        .iter()
        .enumerate()
        .map(|(index, name)| (name.as_str(), Slot::Feature(index)))
        .collect();
    for (index, name) in keep.iter().enumerate() {
        let slot = match slots.get(name.as_str()) {
            Some(Slot::Feature(feature)) => Slot::Both(*feature, index),
            _ => Slot::Kept(index),
        };
        slots.insert(name, slot);
    }
    slots
}

fn read(line: &[u8], row: Row<'_>) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    reader.deserialize_map(row)?;
    reader.end()
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object per line")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.slots.get(key.as_ref()) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(Slot::Feature(feature)) => {
                    let number = map.next_value_seed(Number(&key))?;
                    put(self.numbers, *feature, number);
                }
                Some(Slot::Kept(index)) => {
                    let value = map.next_value::<Value>()?;
                    put(self.kept, *index, Some(value));
                }
                Some(Slot::Both(feature, index)) => {
                    let value = map.next_value::<Value>()?;
                    let number = Number(&key)
                        .deserialize(&value)
                        .map_err(de::Error::custom)?;
                    put(self.numbers, *feature, number);
                    put(self.kept, *index, Some(value));
                }
            }
        }
        Ok(())
    }
}

fn put<T>(slice: &mut [T], index: usize, value: T) {
    if let Some(place) = slice.get_mut(index) {
        *place = value;
    }
}

/// A number, a truth value or null, of the feature that is named.
struct Number<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Number<'_> {
    type Value = f64;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<f64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Number<'_> {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number in `{}`, or null if it is missing", self.0)
    }

    fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_bool<E>(self, value: bool) -> Result<f64, E> {
        Ok(f64::from(u8::from(value)))
    }

    fn visit_unit<E>(self) -> Result<f64, E> {
        Ok(f64::NAN)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
            names.push(name);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_null_are_missing_and_kept_text_loses_its_quotes() {
        let text = b"{\"a\":1,\"id\":\"x\"}\n\n{\"a\":null,\"id\":7}\n{\"id\":null}\n";
        let piece = parse(text, &["a".into()], &["id".into()]).unwrap();
        assert_eq!(piece.rows, 3);
        assert_eq!(piece.features[0][0], 1.0);
        assert!(piece.features[0][1].is_nan() && piece.features[0][2].is_nan());
        assert_eq!(piece.kept[0].indices(3), vec![Some(0), Some(1), None]);
        assert_eq!(piece.kept[0].numbers(3)[1], 7.0);
    }

    #[test]
    fn refuses_a_text_where_a_number_is_wanted() {
        let bad = parse(b"{\"a\":1}\n{\"a\":\"on\"}\n", &["a".into()], &[]).unwrap_err();
        assert_eq!(bad.row, 1);
        assert!(bad.reason.contains("`a`"), "{}", bad.reason);
    }

    #[test]
    fn names_come_in_the_order_of_the_text() {
        assert_eq!(keys(b"{\"z\":1,\"a\":[2]}").unwrap(), vec!["z", "a"]);
        assert!(keys(b"[1]").is_err());
    }
}
