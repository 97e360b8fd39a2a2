#![doc = include_str!("../README.md")]

mod calibrate;
mod emit;
mod exp2;
mod forest;
mod import;
mod input;
mod kernel;
mod metrics;
pub mod reference;
mod retune;
mod train;
mod units;

pub use emit::{EmitError, MAX_COMPONENT_BYTES, ReadError, emit, read_forest};
pub use forest::{Feature, Forest, ForestError, Node, Sections, Tree, average_path_length};
pub use import::{ImportError, Imported, import_onnx};
pub use input::{InputError, InputFile, Selection, Table, locate};
pub use kernel::kernel_digests;
pub use metrics::{Metrics, metrics};
pub use retune::{RetuneError, Retuned, Target, retune};
pub use train::{
    Contamination, Divided, MaxFeatures, OptionsError, Progress, Report, Timings, TrainError,
    TrainOptions, Trained, fit_rows, score_rows, train, train_divided,
};
