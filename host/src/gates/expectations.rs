//! Rows of which the detector's owner knows what must come: faults that have to be flagged, odd but healthy states that
//! must pass. A retrained release that unlearns one of them is broken, however well it does otherwise.

use hodoscope_release::evidence::{Class, Gate, Limit};
use parquet::data_type::ByteArray;

use super::{EXPECT_COLUMN, Inputs};
use crate::evidence::Frame;
use crate::rows::{Selection, Table, Values};

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
    let features: Vec<String> = inputs
        .candidate
        .description()
        .features
        .iter()
        .map(|feature| feature.name.clone())
        .collect();
    let selection = Selection {
        features: features.clone(),
        keep: vec![EXPECT_COLUMN.to_owned()],
    };
    let mut blocks = Table::open(path)?.blocks(&selection)?;
    let (mut flag, mut pass) = (
        Frame::new(features.clone(), Vec::new()),
        Frame::new(features, Vec::new()),
    );
    while let Some(block) = blocks.next_block()? {
        for piece in &block.pieces {
            let words = piece.kept.first().map(|kept| match &kept.values {
                Values::Bytes(words) => (kept.indices(piece.rows), words.as_slice()),
                _ => (Vec::new(), [].as_slice()),
            });
            let (places, words) = words.unwrap_or_default();
            for at in 0..piece.rows {
                let word = places
                    .get(at)
                    .copied()
                    .flatten()
                    .and_then(|place| words.get(place));
                let row: Vec<f64> = piece
                    .features
                    .iter()
                    .filter_map(|column| column.get(at).copied())
                    .collect();
                match word.map(ByteArray::data) {
                    Some(b"flag") => flag.push(&row),
                    Some(b"pass") => pass.push(&row),
                    other => anyhow::bail!(
                        "{}: `{EXPECT_COLUMN}` is `{}`; write flag or pass",
                        path.display(),
                        String::from_utf8_lossy(other.unwrap_or_default())
                    ),
                }
            }
        }
    }
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
