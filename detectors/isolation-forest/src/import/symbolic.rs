//! Follows a graph from its inputs to its outputs without rows: every value is known as a function of the leaf that each
//! tree would reach. That reads the forest out of skl2onnx's graph (some thirty nodes per tree that turn a leaf's number
//! into a path length) and out of a fused one alike, and in f64, where the graph itself computes in f32.

use std::collections::HashMap;

use super::ImportError;
use super::ensemble::{RawNode, RawTree, ensemble};
use super::onnx::{Graph, Operation};

/// A sum over trees: `scale · Σ terms + bias`; a term has one number per leaf of its tree.
#[derive(Debug, Clone)]
pub(super) struct Sum {
    pub(super) terms: Vec<(usize, Vec<f64>)>,
    pub(super) scale: f64,
    pub(super) bias: f64,
}

/// What is known of a value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Constants, flattened.
    Numbers(Vec<f64>),
    /// Columns of the input.
    Columns(Vec<usize>),
    /// One number per leaf of one tree.
    Leaves(usize, Vec<f64>),
    Sum(Sum),
    /// `factor · 2^sum + add`.
    Score {
        factor: f64,
        sum: Sum,
        add: f64,
    },
    /// Not followed further.
    Unknown,
}

/// A graph's trees and what its outputs are.
pub(super) struct Followed {
    pub(super) trees: Vec<RawTree>,
    pub(super) outputs: Vec<Value>,
    /// The names of the columns, where the graph has one input per column.
    pub(super) names: Vec<String>,
    pub(super) width: Option<usize>,
}

/// Follows all nodes, which ONNX keeps in an order in which inputs come first.
pub(super) fn follow(graph: &Graph) -> Result<Followed, ImportError> {
    let mut known: HashMap<&str, Value> = HashMap::new();
    for tensor in &graph.initializer {
        let value = tensor.numbers().map_or(Value::Unknown, Value::Numbers);
        known.insert(&tensor.name, value);
    }
    let (names, width) = inputs(graph, &mut known);
    let mut trees = Vec::new();
    for operation in &graph.node {
        let arguments: Vec<Value> = operation
            .input
            .iter()
            .map(|name| known.get(name.as_str()).cloned().unwrap_or(Value::Unknown))
            .collect();
        let value = match operation.op_type.as_str() {
            "TreeEnsembleRegressor" | "TreeEnsemble" => {
                plant(operation, arguments.first(), &mut trees)?
            }
            _ => apply(operation, &arguments),
        };
        if let Some(output) = operation.output.first() {
            known.insert(output, value);
        }
    }
    let outputs = graph.output.iter().map(|output| {
        known
            .get(output.name.as_str())
            .cloned()
            .unwrap_or(Value::Unknown)
    });
    Ok(Followed {
        outputs: outputs.collect(),
        trees,
        names,
        width,
    })
}

/// Gives columns to the inputs: one input of all columns, or one for each column.
fn inputs<'a>(
    graph: &'a Graph,
    known: &mut HashMap<&'a str, Value>,
) -> (Vec<String>, Option<usize>) {
    let real: Vec<_> = graph
        .input
        .iter()
        .filter(|input| !known.contains_key(input.name.as_str()))
        .collect();
    let width_of = |index: usize| -> Option<usize> {
        let shape = real
            .get(index)?
            .r#type
            .as_ref()?
            .tensor_type
            .as_ref()?
            .shape
            .as_ref()?;
        usize::try_from(shape.dim.get(1)?.dim_value)
            .ok()
            .filter(|width| *width > 0)
    };
    if let [only] = real.as_slice() {
        let width = width_of(0);
        known.insert(
            &only.name,
            Value::Columns((0..width.unwrap_or(usize::from(u16::MAX))).collect()),
        );
        return (Vec::new(), width);
    }
    let mut names = Vec::new();
    for (index, input) in real.iter().enumerate() {
        let width = width_of(index).unwrap_or(1);
        let start = names.len();
        names.extend((0..width).map(|column| match width {
            1 => input.name.clone(),
            _ => format!("{}_{column}", input.name),
        }));
        known.insert(
            &input.name,
            Value::Columns((start..start + width).collect()),
        );
    }
    let width = names.len();
    (names, Some(width))
}

/// Takes the trees of an operator, with its columns replaced by those of the graph's input.
fn plant(
    operation: &Operation,
    input: Option<&Value>,
    trees: &mut Vec<RawTree>,
) -> Result<Value, ImportError> {
    let Some(Value::Columns(columns)) = input else {
        return Err(ImportError::Trees(
            "the trees do not read the input itself: something transforms it before (a scaler, a pipeline); export the forest alone".to_owned(),
        ));
    };
    let grown = ensemble(operation)?;
    let mut terms: Vec<(usize, Vec<f64>)> = Vec::with_capacity(grown.trees.len());
    for mut tree in grown.trees {
        for node in &mut tree.nodes {
            if let RawNode::Split { feature, .. } = node {
                *feature = *columns.get(*feature).ok_or_else(|| {
                    ImportError::Trees(format!(
                        "a split reads column {feature} of {}",
                        columns.len()
                    ))
                })?;
            }
        }
        let weights = tree.nodes.iter().filter_map(|node| match node {
            RawNode::Leaf(weight) => Some(*weight),
            RawNode::Split { .. } => None,
        });
        terms.push((trees.len(), weights.collect()));
        trees.push(tree);
    }
    if let ([(tree, weights)], 0.0) = (terms.as_slice(), grown.base) {
        return Ok(Value::Leaves(*tree, weights.clone()));
    }
    Ok(Value::Sum(Sum {
        terms,
        scale: grown.scale,
        bias: grown.base,
    }))
}

/// What an operator makes of values; [`Value::Unknown`] for all that no isolation forest needs.
fn apply(operation: &Operation, arguments: &[Value]) -> Value {
    let first = arguments.first().cloned().unwrap_or(Value::Unknown);
    let second = arguments.get(1).cloned().unwrap_or(Value::Unknown);
    match operation.op_type.as_str() {
        "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => first,
        "Constant" => operation
            .attribute("value")
            .and_then(|value| value.t.as_ref())
            .and_then(super::onnx::Tensor::numbers)
            .map_or(Value::Unknown, Value::Numbers),
        "Cast" => cast(first, operation.int("to").unwrap_or(1)),
        "Gather" | "ArrayFeatureExtractor" => gather(first, second),
        "Concat" => concat(arguments),
        "LabelEncoder" => encode(operation, first),
        "Neg" => multiply(first, -1.0),
        "Log" => map(first, f64::ln),
        "Exp" => power(std::f64::consts::E, first),
        "Pow" => match first.scalar() {
            Some(base) => power(base, second),
            None => Value::Unknown,
        },
        "Sum" => {
            let start = Value::Sum(Sum {
                terms: Vec::new(),
                scale: 1.0,
                bias: 0.0,
            });
            arguments.iter().cloned().fold(start, add)
        }
        "Max" => fold(arguments, f64::max),
        "Min" => fold(arguments, f64::min),
        "Add" => add(first, second),
        "Sub" => add(first, multiply(second, -1.0)),
        "Mul" => match (first.scalar(), second.scalar()) {
            (_, Some(factor)) => multiply(first, factor),
            (Some(factor), None) => multiply(second, factor),
            (None, None) => zip(first, second, |left, right| left * right),
        },
        "Div" => match second.scalar() {
            Some(divisor) => multiply(first, 1.0 / divisor),
            None => zip(first, second, |left, right| left / right),
        },
        "Equal" => zip(first, second, |left, right| {
            f64::from(u8::from(left == right))
        }),
        "Greater" => zip(first, second, |left, right| {
            f64::from(u8::from(left > right))
        }),
        "Less" => zip(first, second, |left, right| {
            f64::from(u8::from(left < right))
        }),
        _ => Value::Unknown,
    }
}

impl Value {
    fn scalar(&self) -> Option<f64> {
        match self {
            Self::Numbers(numbers) => match numbers.as_slice() {
                [only] => Some(*only),
                _ => None,
            },
            _ => None,
        }
    }

    /// A value as a sum over trees.
    pub(super) fn into_sum(self) -> Option<Sum> {
        match self {
            Self::Sum(sum) => Some(sum),
            Self::Leaves(tree, values) => Some(Sum {
                terms: vec![(tree, values)],
                scale: 1.0,
                bias: 0.0,
            }),
            Self::Numbers(_) => self.scalar().map(|bias| Sum {
                terms: Vec::new(),
                scale: 1.0,
                bias,
            }),
            _ => None,
        }
    }
}

fn map(value: Value, f: impl Fn(f64) -> f64) -> Value {
    let all = |values: Vec<f64>| values.into_iter().map(&f).collect();
    match value {
        Value::Numbers(values) => Value::Numbers(all(values)),
        Value::Leaves(tree, values) => Value::Leaves(tree, all(values)),
        _ => Value::Unknown,
    }
}

fn zip(left: Value, right: Value, f: impl Fn(f64, f64) -> f64) -> Value {
    let pairs =
        |one: Vec<f64>, other: Vec<f64>| one.into_iter().zip(other).map(|(x, y)| f(x, y)).collect();
    match (left.scalar(), right.scalar()) {
        (_, Some(right)) => return map(left, |left| f(left, right)),
        (Some(left), None) => return map(right, |right| f(left, right)),
        (None, None) => {}
    }
    match (left, right) {
        (Value::Leaves(tree, one), Value::Leaves(other_tree, other)) if tree == other_tree => {
            Value::Leaves(tree, pairs(one, other))
        }
        (Value::Numbers(one), Value::Numbers(other)) if one.len() == other.len() => {
            Value::Numbers(pairs(one, other))
        }
        _ => Value::Unknown,
    }
}

fn fold(arguments: &[Value], f: impl Fn(f64, f64) -> f64) -> Value {
    let folded = arguments
        .iter()
        .cloned()
        .reduce(|left, right| zip(left, right, &f));
    folded.unwrap_or(Value::Unknown)
}

fn multiply(value: Value, factor: f64) -> Value {
    match value {
        Value::Sum(sum) => Value::Sum(Sum {
            scale: sum.scale * factor,
            bias: sum.bias * factor,
            ..sum
        }),
        Value::Score {
            factor: own,
            sum,
            add,
        } => Value::Score {
            factor: own * factor,
            sum,
            add: add * factor,
        },
        other => map(other, |number| number * factor),
    }
}

fn add(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Score { factor, sum, add }, other) | (other, Value::Score { factor, sum, add }) => {
            let number = other.scalar();
            number.map_or(Value::Unknown, |number| Value::Score {
                factor,
                sum,
                add: add + number,
            })
        }
        (left @ Value::Sum(_), right) | (left, right @ Value::Sum(_)) => {
            match (left.into_sum(), right.into_sum()) {
                (Some(left), Some(right)) => join(left, right),
                _ => Value::Unknown,
            }
        }
        (Value::Leaves(tree, one), Value::Leaves(other_tree, other)) if tree != other_tree => {
            match (
                Value::Leaves(tree, one).into_sum(),
                Value::Leaves(other_tree, other).into_sum(),
            ) {
                (Some(left), Some(right)) => join(left, right),
                _ => Value::Unknown,
            }
        }
        (left, right) => zip(left, right, |left, right| left + right),
    }
}

fn join(mut left: Sum, right: Sum) -> Value {
    if left.terms.is_empty() {
        let bias = left.bias + right.bias;
        return Value::Sum(Sum { bias, ..right });
    }
    let factor = right.scale / left.scale;
    let rescaled = right.terms.into_iter().map(|(tree, values)| {
        let values = if factor == 1.0 {
            values
        } else {
            values.into_iter().map(|value| value * factor).collect()
        };
        (tree, values)
    });
    left.terms.extend(rescaled);
    left.bias += right.bias;
    Value::Sum(left)
}

fn power(base: f64, exponent: Value) -> Value {
    match exponent.into_sum() {
        Some(sum) if base > 0.0 && !sum.terms.is_empty() => {
            let factor = base.log2();
            Value::Score {
                factor: 1.0,
                sum: Sum {
                    scale: sum.scale * factor,
                    bias: sum.bias * factor,
                    ..sum
                },
                add: 0.0,
            }
        }
        _ => Value::Unknown,
    }
}

/// To a float type nothing changes; to integers the fraction goes; to booleans 0 stays 0.
fn cast(value: Value, to: i64) -> Value {
    match (value, to) {
        (value, 1 | 10 | 11) => value,
        (columns @ Value::Columns(_), _) => columns,
        (value, 9) => map(value, |number| f64::from(u8::from(number != 0.0))),
        (value, 2..=7 | 12 | 13) => map(value, f64::trunc),
        _ => Value::Unknown,
    }
}

fn gather(from: Value, at: Value) -> Value {
    let (Value::Columns(columns), Value::Numbers(numbers)) = (from, at) else {
        return Value::Unknown;
    };
    let place = |number: &f64| {
        let index = if *number < 0.0 {
            columns.len() as f64 + number
        } else {
            *number
        };
        columns.get(index as usize).copied()
    };
    match numbers.iter().map(place).collect() {
        Some(chosen) => Value::Columns(chosen),
        None => Value::Unknown,
    }
}

fn concat(arguments: &[Value]) -> Value {
    let mut all = Vec::new();
    for argument in arguments {
        match argument {
            Value::Columns(columns) => all.extend(columns),
            _ => return Value::Unknown,
        }
    }
    Value::Columns(all)
}

/// A table from numbers to numbers, as skl2onnx uses it from a leaf's number to its depth and its rows.
fn encode(operation: &Operation, value: Value) -> Value {
    let list = |floats: &str, ints: &str| -> Vec<f64> {
        let numbers = operation.numbers(floats);
        if numbers.is_empty() {
            operation
                .ints(ints)
                .iter()
                .map(|number| *number as f64)
                .collect()
        } else {
            numbers
        }
    };
    let (keys, values) = (
        list("keys_floats", "keys_int64s"),
        list("values_floats", "values_int64s"),
    );
    if keys.is_empty() || keys.len() != values.len() {
        return Value::Unknown;
    }
    let table: HashMap<u64, f64> = keys.iter().map(|key| key.to_bits()).zip(values).collect();
    map(value, |number| {
        table.get(&number.to_bits()).copied().unwrap_or(f64::NAN)
    })
}
