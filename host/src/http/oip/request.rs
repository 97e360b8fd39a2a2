//! From an inference request to a batch. Rows come as one tensor with a column per feature, or as one tensor per feature
//! with its name; values as JSON, or as bytes behind the JSON.

use axum::http::HeaderMap;
use hodoscope_engine::Batch;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::problem::{Code, Problem};
use super::response::Output;
use super::tensor::{Datatype, Flat, count};
use crate::columns::Columns;
use crate::roster::Served;

/// The header that says how long the JSON before the bytes is.
const HEADER_LENGTH: &str = "inference-header-content-length";

/// What a request asks.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: Option<String>,
    pub(super) batch: Batch,
    pub(super) outputs: Vec<Wanted>,
}

/// An output that the answer shall have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) output: Output,
    pub(super) binary: bool,
}

#[derive(Debug, Deserialize)]
struct Inference {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    inputs: Vec<Input>,
    #[serde(default)]
    outputs: Option<Vec<RequestedOutput>>,
}

#[derive(Debug, Deserialize)]
struct Input {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(default)]
    data: Option<Flat>,
}

#[derive(Debug, Deserialize)]
struct RequestedOutput {
    name: String,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

/// A tensor whose values are known and as many as its shape says.
struct Tensor {
    name: String,
    shape: Vec<i64>,
    values: Vec<f64>,
}

/// How long the JSON is, if bytes follow it.
pub(super) fn header_length(headers: &HeaderMap) -> Result<Option<usize>, Problem> {
    let Some(value) = headers.get(HEADER_LENGTH) else {
        return Ok(None);
    };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length
        .map(Some)
        .ok_or_else(|| malformed("Inference-Header-Content-Length is no number of bytes"))
}

/// Reads a request for a release.
pub(super) fn parse(
    body: &[u8],
    header_length: Option<usize>,
    served: &Served,
) -> Result<Asked, Problem> {
    let length = header_length.unwrap_or(body.len());
    let (json, mut bytes) = body.split_at_checked(length).ok_or_else(|| {
        malformed(format!(
            "Inference-Header-Content-Length is {length}, but the body has {} bytes",
            body.len()
        ))
    })?;
    let inference: Inference = serde_json::from_slice(json)
        .map_err(|error| malformed(format!("malformed inference request: {error}")))?;
    let outputs = outputs(&inference, served)?;
    let mut tensors = Vec::with_capacity(inference.inputs.len());
    for input in inference.inputs {
        tensors.push(input.tensor(&mut bytes)?);
    }
    if !bytes.is_empty() {
        return Err(malformed(format!(
            "{} bytes follow the last tensor",
            bytes.len()
        )));
    }
    Ok(Asked {
        id: inference.id,
        batch: batch(tensors, &served.columns)?,
        outputs,
    })
}

fn outputs(inference: &Inference, served: &Served) -> Result<Vec<Wanted>, Problem> {
    let flag = |parameters: &Option<Map<String, Value>>, name: &str| {
        parameters.as_ref()?.get(name)?.as_bool()
    };
    let all_binary = flag(&inference.parameters, "binary_data_output").unwrap_or(false);
    let Some(requested) = inference
        .outputs
        .as_ref()
        .filter(|outputs| !outputs.is_empty())
    else {
        let usual = Output::of(served).filter(|output| output.is_usual());
        return Ok(usual
            .map(|output| Wanted {
                output,
                binary: all_binary,
            })
            .collect());
    };
    let find = |name: &str| Output::of(served).find(|output| output.name() == name);
    requested
        .iter()
        .map(|wanted| {
            let output = find(&wanted.name).ok_or_else(|| unknown_output(&wanted.name, served))?;
            let binary = flag(&wanted.parameters, "binary_data").unwrap_or(all_binary);
            Ok(Wanted { output, binary })
        })
        .collect()
}

fn unknown_output(name: &str, served: &Served) -> Problem {
    let name: String = name.chars().take(100).collect();
    let known: Vec<&str> = Output::of(served).map(Output::name).collect();
    let error = format!(
        "{} has no output `{name}`; it has {}",
        served.release,
        known.join(", ")
    );
    Problem::new(Code::UnknownOutput, error).with("known", known)
}

impl Input {
    fn tensor(self, bytes: &mut &[u8]) -> Result<Tensor, Problem> {
        let name = || self.name.chars().take(100).collect::<String>();
        let datatype = Datatype::named(&self.datatype)?;
        let parameters = self.parameters.as_ref();
        let size = parameters.and_then(|parameters| parameters.get("binary_data_size"));
        let values = match (&self.data, size) {
            (Some(_), Some(_)) => {
                return Err(malformed(format!(
                    "input `{}` has both data and binary_data_size; send one",
                    name()
                )));
            }
            (None, None) => {
                return Err(malformed(format!(
                    "input `{}` has no data; send `data`, or bytes and binary_data_size",
                    name()
                )));
            }
            (Some(_), None) => self.data.unwrap_or_default().0,
            (None, Some(size)) => {
                let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
                let split = size.and_then(|size| bytes.split_at_checked(size));
                let (own, rest) = split.ok_or_else(|| {
                    malformed(format!(
                        "binary_data_size of input `{}` is not within the body",
                        self.name
                    ))
                })?;
                *bytes = rest;
                datatype.read(own).ok_or_else(|| {
                    malformed(format!(
                        "the bytes of input `{}` are no whole number of {}",
                        self.name, self.datatype
                    ))
                })?
            }
        };
        if count(&self.shape) != Some(values.len()) {
            let error = format!(
                "input `{}` has {} values, which do not fill its shape {:?}",
                self.name,
                values.len(),
                self.shape
            );
            return Err(malformed(error).with("input", self.name));
        }
        Ok(Tensor {
            name: self.name,
            shape: self.shape,
            values,
        })
    }
}

fn batch(tensors: Vec<Tensor>, columns: &Columns) -> Result<Batch, Problem> {
    let by_feature = !tensors.is_empty() && tensors.iter().all(|tensor| tensor.is_column(columns));
    if by_feature {
        return join(&tensors, columns);
    }
    let [tensor] = <[Tensor; 1]>::try_from(tensors).map_err(|tensors| {
        let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).take(20).collect();
        malformed(format!(
            "the inputs are {}; send one tensor `rows` with a column per feature, or one tensor per feature with its name",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        ))
    })?;
    let width = match tensor.shape.as_slice() {
        [_] => tensor.values.len(),
        [_, width] => usize::try_from(*width).unwrap_or(0),
        _ => {
            return Err(malformed(format!(
                "the shape {:?} is not [rows, features]",
                tensor.shape
            )));
        }
    };
    if tensor.shape.first() == Some(&0) {
        return columns.batch(Vec::new());
    }
    match width == columns.len() {
        true => columns.batch(tensor.values),
        false => Err(columns.wrong_width(width, None)),
    }
}

/// One tensor per feature, side by side.
fn join(tensors: &[Tensor], columns: &Columns) -> Result<Batch, Problem> {
    let order = columns.order(tensors.iter().map(|tensor| tensor.name.as_str()))?;
    let rows = tensors.first().map_or(0, |tensor| tensor.values.len());
    let mut values = vec![0.0; rows * columns.len()];
    for (tensor, column) in tensors.iter().zip(order) {
        if tensor.values.len() != rows {
            let error = format!(
                "inputs of different lengths: `{}` has {}, the first has {rows}",
                tensor.name,
                tensor.values.len()
            );
            return Err(malformed(error));
        }
        let slots = values.iter_mut().skip(column).step_by(columns.len().max(1));
        slots
            .zip(&tensor.values)
            .for_each(|(slot, value)| *slot = *value);
    }
    columns.batch(values)
}

impl Tensor {
    /// Whether it is named as a feature and has one value per row.
    fn is_column(&self, columns: &Columns) -> bool {
        matches!(self.shape.as_slice(), [_] | [_, 1]) && columns.find(&self.name).is_some()
    }
}

fn malformed(error: impl Into<String>) -> Problem {
    Problem::new(Code::Malformed, error)
}
