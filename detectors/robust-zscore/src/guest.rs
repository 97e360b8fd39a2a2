//! The contract: `describe` and `score`, with refusals that name the row and the reason.

#[expect(unsafe_code, reason = "generated from the contract by wit-bindgen")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit/0.1.0", world: "detector" });
    export!(RobustZscore with_types_in self);

    use super::RobustZscore;
}

use bindings::exports::hodoscope::detector::scoring::{
    Batch, Description, Feature, Guest, Location, Refusal,
};

use crate::parameters::PARAMETERS;
use crate::zscore;

struct RobustZscore;

impl Guest for RobustZscore {
    fn describe() -> Description {
        Description {
            features: PARAMETERS
                .iter()
                .map(|parameter| Feature {
                    name: parameter.name.to_owned(),
                    unit: Some(parameter.unit.to_owned()),
                })
                .collect(),
            threshold: Some(zscore::THRESHOLD),
            metadata: vec![
                ("detector".to_owned(), "robust-zscore".to_owned()),
                (
                    "method".to_owned(),
                    "modified z-score on median and MAD".to_owned(),
                ),
            ],
        }
    }

    fn score(batch: Batch) -> Result<Vec<f64>, Refusal> {
        let width = PARAMETERS.len();
        if batch.columns as usize != width {
            return Err(Refusal::WrongShape(format!(
                "a row has {} values; send the {width} features of this detector",
                batch.columns
            )));
        }
        if !batch.values.len().is_multiple_of(width) {
            return Err(Refusal::WrongShape(format!(
                "{} values are no whole number of rows of {width}",
                batch.values.len()
            )));
        }
        batch
            .values
            .chunks_exact(width)
            .zip(0..)
            .map(|(row, number)| {
                zscore::score(row).ok_or_else(|| {
                    let location = Location {
                        row: Some(number),
                        column: None,
                    };
                    let message = "every value is missing; send at least one".to_owned();
                    Refusal::BadValue((location, message))
                })
            })
            .collect()
    }
}
