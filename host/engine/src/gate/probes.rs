//! Owns the rows that the gate tries: special values in every column at once and in one column at a time, the golden
//! rows, and rows of ordinary sizes. They are the same for the same component.

use super::Subject;

/// Values that break careless arithmetic, each with its name for the report.
pub(super) const SPECIAL: [(&str, f64); 13] = [
    ("0", 0.0),
    ("-0", -0.0),
    ("NaN", f64::NAN),
    ("+inf", f64::INFINITY),
    ("-inf", f64::NEG_INFINITY),
    ("the largest f64", f64::MAX),
    ("the smallest f64", f64::MIN),
    ("a denormal", f64::from_bits(1)),
    ("a negative denormal", -f64::from_bits(1)),
    ("the least normal f64", f64::MIN_POSITIVE),
    ("2^53", 9_007_199_254_740_992.0),
    ("more than f32 holds", 1e39),
    ("less than f32 holds", 1e-46),
];

/// Columns into which special values are put one at a time.
const SINGLE_COLUMNS: usize = 16;
/// Golden rows among the probes.
const GOLDEN: usize = 64;
/// Rows of ordinary sizes among the probes.
const ORDINARY: usize = 64;

/// A row to try, and its name for the report.
pub(super) struct Probe {
    pub(super) name: String,
    pub(super) values: Vec<f64>,
}

/// A repeatable sequence of numbers (SplitMix64, Steele et al. 2014): the gate has no dice.
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number whose size is spread over nine powers of ten, of either sign.
    fn number(&mut self) -> f64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let power = i32::try_from(self.next() % 9).unwrap_or(0) - 3;
        (2.0 * unit - 1.0) * 10_f64.powi(power)
    }
}

/// All probes for a detector, hostile ones first.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Probe> {
    let columns = subject.columns as usize;
    let mut probes: Vec<Probe> = SPECIAL
        .iter()
        .map(|(name, value)| Probe {
            name: format!("{name} in every column"),
            values: vec![*value; columns],
        })
        .collect();
    let mut sequence = Sequence(1);
    let ordinary: Vec<Vec<f64>> = (0..ORDINARY)
        .map(|_| (0..columns).map(|_| sequence.number()).collect())
        .collect();
    for column in 0..columns.min(SINGLE_COLUMNS) {
        for (name, value) in SPECIAL.iter().filter(|(_, value)| !value.is_finite()) {
            let mut values = ordinary.first().cloned().unwrap_or_default();
            if let Some(slot) = values.get_mut(column) {
                *slot = *value;
            }
            probes.push(Probe {
                name: format!("{name} in column {column}"),
                values,
            });
        }
    }
    let golden = subject.inspection.sections.golden.iter();
    for (index, row) in golden.flat_map(|g| &g.rows).take(GOLDEN).enumerate() {
        probes.push(Probe {
            name: format!("golden row {index}"),
            values: row.iter().map(|value| value.unwrap_or(f64::NAN)).collect(),
        });
    }
    probes.extend(ordinary.into_iter().map(|values| Probe {
        name: "a row of ordinary numbers".into(),
        values,
    }));
    probes
}
