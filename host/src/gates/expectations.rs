//! Rows of which the detector's owner knows what must come: faults that have to be flagged, odd but healthy states that
//! must pass. A retrained release that unlearns one of them is broken, however well it does otherwise.

use std::path::Path;

use hodoscope_engine::Detector;
use hodoscope_release::evidence::{Class, Gate, Limit};
use parquet::data_type::ByteArray;

use super::{EXPECT_COLUMN, Inputs};
use crate::evidence::Frame;
use crate::rows::{Piece, Selection, Table, Values};

const FLAG: &str = "must_flag";
const PASS: &str = "must_pass";

pub(super) fn measure(inputs: &Inputs<'_>) -> anyhow::Result<Vec<Gate>> {
    let absent = |reason: &str| {
        [FLAG, PASS]
            .map(|name| Gate::not_applicable(name, Class::Integrity, reason))
            .to_vec()
    };
    let Some(path) = inputs.expectations.filter(|path| path.exists()) else {
        return Ok(absent("the owner gave no rows"));
    };
    let Some(threshold) = inputs.candidate.description().threshold else {
        return Ok(absent("the candidate has no threshold"));
    };
    let (flag, pass) = read(path, inputs.candidate)?;
    let gate = |name, rows: &Frame, wanted: bool| -> anyhow::Result<Gate> {
        if rows.rows() == 0 {
            return Ok(Gate::not_applicable(
                name,
                Class::Integrity,
                "the owner gave no such rows",
            ));
        }
        let scores = rows.score(inputs.candidate)?;
        let wrong = scores
            .iter()
            .filter(|score| (**score >= threshold) != wanted)
            .count();
        Ok(Gate::measured(
            name,
            Class::Integrity,
            wrong as f64 / scores.len().max(1) as f64,
            Limit::at_most(0.0, 0.0),
            inputs.policy,
            format!(
                "{wrong} of the owner's {} rows judged otherwise",
                scores.len()
            ),
        ))
    };
    Ok(vec![gate(FLAG, &flag, true)?, gate(PASS, &pass, false)?])
}

/// The rows to flag and the rows to pass.
fn read(path: &Path, candidate: &Detector) -> anyhow::Result<(Frame, Frame)> {
    let features = &candidate.description().features;
    let names: Vec<String> = features
        .iter()
        .map(|feature| feature.name.clone())
        .collect();
    let selection = Selection {
        features: names.clone(),
        keep: vec![EXPECT_COLUMN.to_owned()],
    };
    let mut blocks = Table::open(path)?.blocks(&selection)?;
    let mut flag = Frame::new(names.clone(), Vec::new());
    let mut pass = Frame::new(names, Vec::new());
    while let Some(block) = blocks.next_block()? {
        for piece in &block.pieces {
            for (at, word) in words(piece).into_iter().enumerate() {
                let row: Vec<f64> = piece
                    .features
                    .iter()
                    .filter_map(|column| column.get(at).copied())
                    .collect();
                match word {
                    b"flag" => flag.push(&row),
                    b"pass" => pass.push(&row),
                    other => anyhow::bail!(
                        "{}: `{EXPECT_COLUMN}` is `{}`; write flag or pass",
                        path.display(),
                        String::from_utf8_lossy(other)
                    ),
                }
            }
        }
    }
    Ok((flag, pass))
}

/// What stands in the column for each row; nothing where it is no text.
fn words(piece: &Piece) -> Vec<&[u8]> {
    let kept = piece.kept.first();
    let texts = kept.and_then(|kept| match &kept.values {
        Values::Bytes(texts) => Some((kept.indices(piece.rows), texts)),
        _ => None,
    });
    let Some((places, texts)) = texts else {
        return vec![b"".as_slice(); piece.rows];
    };
    let word = |place: Option<usize>| {
        place
            .and_then(|place| texts.get(place))
            .map(ByteArray::data)
    };
    let words = places
        .into_iter()
        .map(|place| word(place).unwrap_or_default());
    words.collect()
}
