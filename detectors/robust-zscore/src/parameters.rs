//! What is normal for each feature: the one file to change for a machine of your own.
//!
//! The numbers are an example, not measured: put in the median and the median absolute deviation of rows of your own
//! machine, and change `cases/golden.json` with them.

/// The normal range of one feature.
pub struct Parameter {
    /// The feature's name in requests.
    pub name: &'static str,
    /// The unit of its values.
    pub unit: &'static str,
    /// The median.
    pub median: f64,
    /// The median absolute deviation from the median; above zero.
    pub mad: f64,
}

/// One entry per feature, in the order of a batch's columns.
pub const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "temperature",
        unit: "degC",
        median: 68.0,
        mad: 2.7,
    },
    Parameter {
        name: "vibration",
        unit: "mm/s",
        median: 2.1,
        mad: 0.3,
    },
    Parameter {
        name: "pressure",
        unit: "bar",
        median: 5.6,
        mad: 0.2,
    },
];
