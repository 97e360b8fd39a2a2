//! A typed column of a block: its values with the type they had, and where it has none. The shape is Parquet's own (values without
//! gaps, one level per row), so that a copy from Parquet to Parquet converts nothing.

use parquet::data_type::ByteArray;

/// The values of a column that are there, in row order.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Truth values.
    Boolean(Vec<bool>),
    /// 32-bit integers, also dates.
    Int32(Vec<i32>),
    /// 64-bit integers, also timestamps.
    Int64(Vec<i64>),
    /// Single precision.
    Float(Vec<f32>),
    /// Double precision.
    Double(Vec<f64>),
    /// Text or bytes.
    Bytes(Vec<ByteArray>),
}

/// A typed column of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    /// The values that are there.
    pub values: Values,
    /// For each row 1 if it has a value, else 0; `None`: every row has one, and the column can say nothing else.
    pub levels: Option<Vec<i16>>,
}

impl Cells {
    /// A column in which every row has a value.
    pub fn full(values: Values) -> Self {
        Self {
            values,
            levels: None,
        }
    }

    /// Puts the rows of `other` behind these; false if the types differ.
    #[must_use]
    pub fn append(&mut self, other: Self) -> bool {
        match (&mut self.levels, other.levels) {
            (Some(levels), Some(more)) => levels.extend(more),
            (None, None) => {}
            _ => return false,
        }
        match (&mut self.values, other.values) {
            (Values::Boolean(values), Values::Boolean(more)) => values.extend(more),
            (Values::Int32(values), Values::Int32(more)) => values.extend(more),
            (Values::Int64(values), Values::Int64(more)) => values.extend(more),
            (Values::Float(values), Values::Float(more)) => values.extend(more),
            (Values::Double(values), Values::Double(more)) => values.extend(more),
            (Values::Bytes(values), Values::Bytes(more)) => values.extend(more),
            _ => return false,
        }
        true
    }

    /// Bytes held in memory, about.
    pub fn size_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Boolean(values) => values.len(),
            Values::Int32(values) => values.len() * 4,
            Values::Int64(values) => values.len() * 8,
            Values::Float(values) => values.len() * 4,
            Values::Double(values) => values.len() * 8,
            Values::Bytes(values) => values
                .iter()
                .map(|v| v.len() + size_of::<ByteArray>())
                .sum(),
        };
        values + self.levels.as_ref().map_or(0, |levels| levels.len() * 2)
    }

    /// For each row the index of its value, `None` where it has none.
    pub fn indices(&self, rows: usize) -> Vec<Option<usize>> {
        let Some(levels) = &self.levels else {
            return (0..rows).map(Some).collect();
        };
        let mut next = 0;
        levels
            .iter()
            .map(|level| {
                let there = *level == 1;
                let index = next;
                next += usize::from(there);
                there.then_some(index)
            })
            .collect()
    }

    /// The column as numbers, NaN where there is none or it is no number.
    pub fn numbers(&self, rows: usize) -> Vec<f64> {
        let number = |index: usize| match &self.values {
            Values::Boolean(values) => values.get(index).map(|v| f64::from(u8::from(*v))),
            Values::Int32(values) => values.get(index).map(|v| f64::from(*v)),
            Values::Int64(values) => values.get(index).map(|v| *v as f64),
            Values::Float(values) => values.get(index).map(|v| f64::from(*v)),
            Values::Double(values) => values.get(index).copied(),
            Values::Bytes(values) => values.get(index).and_then(|v| truth_or_number(v.data())),
        };
        self.indices(rows)
            .into_iter()
            .map(|index| index.and_then(number).unwrap_or(f64::NAN))
            .collect()
    }
}

fn truth_or_number(bytes: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    match text {
        "true" | "True" | "TRUE" => Some(1.0),
        "false" | "False" | "FALSE" => Some(0.0),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_value_has_no_index_and_is_nan() {
        let kept = Cells {
            values: Values::Int32(vec![7, 9]),
            levels: Some(vec![1, 0, 1]),
        };
        assert_eq!(kept.indices(3), vec![Some(0), None, Some(1)]);
        let numbers = kept.numbers(3);
        assert_eq!((numbers[0], numbers[2]), (7.0, 9.0));
        assert!(numbers[1].is_nan());
    }

    #[test]
    fn reads_labels_written_as_words() {
        let kept = Cells::full(Values::Bytes(vec![
            "true".into(),
            "False".into(),
            "1".into(),
        ]));
        assert_eq!(kept.numbers(3), vec![1.0, 0.0, 1.0]);
    }
}
