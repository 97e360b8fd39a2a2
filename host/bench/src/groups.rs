//! The groups of rows, in the order of the table. Each can be run alone.

mod batch;
mod boundary;
mod capture;
mod fit;
mod http;
mod layers;
mod load;
mod many;
mod score;
mod swap;

use crate::Bench;
use crate::table::Table;

/// Measures one group's rows into the table.
type Run = fn(&Bench, &mut Table) -> anyhow::Result<()>;

/// Every group: its name, what it measures, how.
pub(crate) const ALL: &[(&str, &str, Run)] = &[
    (
        "score",
        "rows per second through the component, beside scikit-learn, tl2cgen and ONNX Runtime",
        score::run,
    ),
    (
        "http",
        "requests over loopback, beside a bare echo and FastAPI",
        http::run,
    ),
    (
        "capture",
        "requests with and without capture, in turn",
        capture::run,
    ),
    ("fit", "training, beside scikit-learn", fit::run),
    ("swap", "swaps under full load", swap::run),
    ("load", "from a release's bytes to serving", load::run),
    ("many", "a host with two hundred detectors", many::run),
    (
        "batch",
        "five million rows offline, beside pyarrow and scikit-learn",
        batch::run,
    ),
    ("layers", "our own layers above bare wasmtime", layers::run),
    (
        "boundary",
        "f32 or f64 lists into a component",
        boundary::run,
    ),
];
