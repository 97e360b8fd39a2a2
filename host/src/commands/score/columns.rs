//! What stands beside a score in the output: the kept columns first, then `score`, `anomaly` (if there is a threshold),
//! `p_value` (if the release is calibrated), and for `--explain` the features that pushed the score up the most, in bits.

use anyhow::bail;
use hodoscope_release::sections::Calibration;
use parquet::basic::Type as Physical;
use parquet::data_type::ByteArray;
use parquet::schema::types::TypePtr;

use crate::offline::Scorer;
use crate::rows::{Block, Cells, Values, column_type};

/// Scores blocks and lays out their columns.
pub(crate) struct Columns {
    scorer: Scorer,
    calibration: Option<Calibration>,
    threshold: Option<f64>,
    names: Vec<ByteArray>,
    /// How many features explain a score; 0: none.
    reasons: usize,
}

/// The rows of a block with all columns of the output.
pub(crate) struct Scored {
    pub(crate) rows: usize,
    pub(crate) anomalies: u64,
    pub(crate) columns: Vec<Cells>,
}

impl Columns {
    pub(crate) fn new(scorer: Scorer, reasons: usize) -> Self {
        let detector = scorer.detector();
        let description = detector.description();
        Self {
            calibration: detector.sections().calibration.clone(),
            threshold: description.threshold,
            names: description
                .features
                .iter()
                .map(|f| ByteArray::from(f.name.as_str()))
                .collect(),
            reasons: reasons.min(description.features.len()),
            scorer,
        }
    }

    /// The types of the output's columns; refuses a kept column that has the name of one of ours.
    pub(crate) fn types(&self, kept: Vec<TypePtr>) -> anyhow::Result<Vec<TypePtr>> {
        let mut types = kept;
        let mut own = vec![column_type("score", Physical::DOUBLE, false)?];
        if self.threshold.is_some() {
            own.push(column_type("anomaly", Physical::BOOLEAN, false)?);
        }
        if self.calibration.is_some() {
            own.push(column_type("p_value", Physical::DOUBLE, false)?);
        }
        for place in 1..=self.reasons {
            own.push(column_type(
                &format!("reason_{place}"),
                Physical::BYTE_ARRAY,
                false,
            )?);
            own.push(column_type(
                &format!("reason_{place}_bits"),
                Physical::DOUBLE,
                false,
            )?);
        }
        if let Some(clash) = own
            .iter()
            .find(|own| types.iter().any(|kept| kept.name() == own.name()))
        {
            bail!(
                "column `{0}` cannot be kept: the output has a `{0}` of its own",
                clash.name()
            );
        }
        types.extend(own);
        Ok(types)
    }

    /// Scores a block.
    pub(crate) fn score(&self, block: Block) -> anyhow::Result<Scored> {
        let rows = block.rows();
        let (scores, reasons) = if self.reasons == 0 {
            (self.scorer.score(&block)?, Vec::new())
        } else {
            let explanation = self.scorer.explain(&block)?;
            (explanation.scores, self.top(&explanation.attributions))
        };
        let mut columns = kept(block)?;
        let mut anomalies = 0;
        let flags = self
            .threshold
            .map(|threshold| -> Vec<bool> { scores.iter().map(|s| *s >= threshold).collect() });
        let p_values = self
            .calibration
            .as_ref()
            .map(|c| scores.iter().map(|score| c.p_value(*score)).collect());
        columns.push(Cells::full(Values::Double(scores)));
        if let Some(flags) = flags {
            anomalies = flags.iter().filter(|flag| **flag).count() as u64;
            columns.push(Cells::full(Values::Boolean(flags)));
        }
        columns.extend(p_values.map(|values| Cells::full(Values::Double(values))));
        columns.extend(reasons);
        Ok(Scored {
            rows,
            anomalies,
            columns,
        })
    }

    /// For each place a column of names and a column of bits.
    fn top(&self, attributions: &[f64]) -> Vec<Cells> {
        let mut names = vec![Vec::new(); self.reasons];
        let mut bits = vec![Vec::new(); self.reasons];
        let mut order: Vec<usize> = Vec::new();
        for row in attributions.chunks(self.names.len().max(1)) {
            let bits_of = |feature: usize| row.get(feature).copied().unwrap_or(f64::NEG_INFINITY);
            order.clear();
            order.extend(0..row.len());
            order.sort_by(|a, b| bits_of(*b).total_cmp(&bits_of(*a)));
            for ((names, bits), feature) in names.iter_mut().zip(&mut bits).zip(&order) {
                names.push(self.names.get(*feature).cloned().unwrap_or_default());
                bits.push(bits_of(*feature));
            }
        }
        names
            .into_iter()
            .zip(bits)
            .flat_map(|(names, bits)| {
                [
                    Cells::full(Values::Bytes(names)),
                    Cells::full(Values::Double(bits)),
                ]
            })
            .collect()
    }
}

/// The kept columns of all pieces, joined.
fn kept(block: Block) -> anyhow::Result<Vec<Cells>> {
    let mut pieces = block.pieces.into_iter();
    let mut columns = pieces.next().map(|piece| piece.kept).unwrap_or_default();
    for piece in pieces {
        for (column, more) in columns.iter_mut().zip(piece.kept) {
            if !column.append(more) {
                bail!("a kept column changed its type within the file");
            }
        }
    }
    Ok(columns)
}
