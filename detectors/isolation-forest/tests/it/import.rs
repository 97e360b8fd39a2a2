//! ONNX files written here field by field, so that none need be committed: what scikit-learn's converter makes of a
//! forest, a fused one, and everything that is not a forest. Real files of real sets are checked by `verify/parity`.

use hodoscope_isolation_forest::{Node, average_path_length, emit, import_onnx, reference};

/// Protocol buffers, written by hand.
#[derive(Default, Clone)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }

    fn floats(self, field: u64, values: &[f32]) -> Self {
        let packed: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.bytes(field, &packed)
    }

    fn ints(self, field: u64, values: &[i64]) -> Self {
        let mut packed = Self::default();
        values.iter().for_each(|value| packed.varint(*value as u64));
        self.bytes(field, &packed.0)
    }
}

fn attribute(name: &str) -> Message {
    Message::default().text(1, name)
}

fn node(op: &str, inputs: &[&str], output: &str, attributes: &[Message]) -> Message {
    let start = inputs
        .iter()
        .fold(Message::default(), |message, input| message.text(1, input));
    let start = start.text(2, output).text(4, op);
    attributes
        .iter()
        .fold(start, |message, attribute| message.message(5, attribute))
}

fn constant(name: &str, value: f32) -> Message {
    Message::default()
        .ints(1, &[1])
        .int(2, 1)
        .floats(4, &[value])
        .text(8, name)
}

fn indices(name: &str, values: &[i64]) -> Message {
    Message::default()
        .ints(1, &[values.len() as i64])
        .int(2, 7)
        .ints(7, values)
        .text(8, name)
}

fn value_info(name: &str, width: i64) -> Message {
    let dimension = Message::default().int(1, width);
    let shape = Message::default()
        .message(1, &Message::default())
        .message(1, &dimension);
    let tensor = Message::default().int(1, 1).message(2, &shape);
    Message::default()
        .text(1, name)
        .message(2, &Message::default().message(1, &tensor))
}

struct Graph(Message);

impl Graph {
    fn new(width: i64) -> Self {
        Self(
            Message::default()
                .message(11, &value_info("X", width))
                .message(12, &value_info("scores", 1)),
        )
    }

    fn node(self, node: Message) -> Self {
        Self(self.0.message(1, &node))
    }

    fn constant(self, tensor: Message) -> Self {
        Self(self.0.message(5, &tensor))
    }

    fn model(self) -> Vec<u8> {
        Message::default()
            .int(1, 9)
            .text(2, "skl2onnx")
            .text(3, "1.20.0")
            .message(7, &self.0)
            .0
    }
}

/// Two trees on columns 1 and 0: `x1 <= 0.5 ? (x0 <= -1 ? a : b) : c` with these leaf weights.
fn trees(input: &str, weights: &[f32], mode: &str, tracks_true: i64) -> Message {
    let one = [(1, 0.5, 1, 4), (0, -1.0, 2, 3)];
    let mut columns: [Vec<i64>; 6] = Default::default();
    let (mut values, mut modes) = (Vec::new(), Vec::new());
    let (mut target_trees, mut target_nodes) = (Vec::new(), Vec::new());
    for tree in 0..(weights.len() / 3) as i64 {
        for id in 0..5i64 {
            let split = one.get(id as usize);
            let (feature, value, yes, no) = split.copied().unwrap_or((0, 0.0, 0, 0));
            for (column, entry) in columns.iter_mut().zip([
                tree,
                id,
                feature,
                yes,
                no,
                if split.is_some() { tracks_true } else { 0 },
            ]) {
                column.push(entry);
            }
            values.push(value);
            modes.push(if split.is_some() { mode } else { "LEAF" });
            if split.is_none() {
                target_trees.push(tree);
                target_nodes.push(id);
            }
        }
    }
    let names = [
        "nodes_treeids",
        "nodes_nodeids",
        "nodes_featureids",
        "nodes_truenodeids",
        "nodes_falsenodeids",
        "nodes_missing_value_tracks_true",
    ];
    let mut attributes: Vec<Message> = names
        .iter()
        .zip(&columns)
        .map(|(name, values)| attribute(name).ints(8, values))
        .collect();
    attributes.push(attribute("nodes_values").floats(7, &values));
    attributes.push(
        modes
            .iter()
            .fold(attribute("nodes_modes"), |message, mode| {
                message.text(9, mode)
            }),
    );
    attributes.push(attribute("target_treeids").ints(8, &target_trees));
    attributes.push(attribute("target_nodeids").ints(8, &target_nodes));
    attributes.push(attribute("target_weights").floats(7, weights));
    node("TreeEnsembleRegressor", &[input], "sum", &attributes)
}

/// `-(2^(-sum / 9.0)) + 0.55`, the decision function.
fn decision(graph: Graph) -> Graph {
    graph
        .constant(constant("divisor", 9.0))
        .constant(constant("two", 2.0))
        .constant(constant("offset", 0.55))
        .node(node("Div", &["sum", "divisor"], "mean", &[]))
        .node(node("Neg", &["mean"], "negative", &[]))
        .node(node("Pow", &["two", "negative"], "power", &[]))
        .node(node("Neg", &["power"], "turned", &[]))
        .node(node("Add", &["turned", "offset"], "scores", &[]))
}

/// Leaves of 1, 2 and 5 rows.
fn lengths() -> [f32; 3] {
    [2.0, 3.0, 1.0 + average_path_length(5) as f32]
}

fn fused(mode: &str, tracks_true: i64) -> Vec<u8> {
    let weights = [lengths(), lengths()].concat();
    decision(Graph::new(2).node(trees("X", &weights, mode, tracks_true))).model()
}

fn refuses(bytes: &[u8], message: &str) {
    let found = import_onnx(bytes, &[]).unwrap_err().to_string();
    assert!(found.contains(message), "{found}");
}

#[test]
fn a_fused_ensemble_comes_in_with_its_offset_and_its_rows() {
    let imported = import_onnx(&fused("BRANCH_LEQ", 0), &[]).unwrap();
    let forest = &imported.forest;
    assert_eq!(imported.sample_size, Some(8));
    assert_eq!(
        (
            forest.trees.len(),
            forest.features.len(),
            forest.features[1].name.as_str()
        ),
        (2, 2, "f1")
    );
    assert!((forest.normaliser - 4.5).abs() < 1e-6);
    assert_eq!(forest.threshold, Some(f64::from(0.55f32).next_up()));
    let rows = [-2.0, 0.0, 0.0, 0.5, 0.0, 0.6, 0.0, f64::NAN, f64::NAN, 0.0];
    let [a, b, c] = lengths().map(|length| 2f64.powf(-f64::from(length) * 2.0 / 9.0));
    for (found, expected) in reference::score(forest, &rows).iter().zip([a, b, c, c, b]) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    let Node::Split { expected, .. } = forest.trees[0].nodes[0] else {
        panic!("the root is a leaf")
    };
    let mean = (2.0 + 2.0 * 3.0 + 5.0 * (1.0 + average_path_length(5))) / 8.0;
    assert!((expected - mean).abs() < 1e-5, "{expected} {mean}");
    emit(forest, &imported.sections).unwrap();
}

#[test]
fn every_comparison_that_sends_missing_values_right_is_understood() {
    let score = |bytes: &[u8], row: [f64; 2]| {
        reference::score(&import_onnx(bytes, &[]).unwrap().forest, &row)[0]
    };
    let leq = fused("BRANCH_LEQ", 0);
    // `x > t` with missing values tracked to "true" is the mirror image; `<` and `>=` differ at the threshold only.
    let mirrored = fused("BRANCH_GT", 1);
    assert_eq!(
        score(&mirrored, [0.0, 0.6]),
        score(&leq, [-2.0, 0.5])
            .max(score(&leq, [0.0, 0.5]))
            .min(score(&mirrored, [0.0, 0.6]))
    );
    let less = fused("BRANCH_LT", 0);
    assert_eq!(score(&less, [0.0, 0.5]), score(&leq, [0.0, 0.6]));
    assert_eq!(score(&less, [0.0, 0.499_999]), score(&leq, [0.0, 0.5]));
    refuses(
        &fused("BRANCH_LEQ", 1),
        "missing values to the side of smaller values",
    );
    refuses(
        &fused("BRANCH_GT", 0),
        "missing values to the side of smaller values",
    );
    refuses(&fused("BRANCH_EQ", 0), "compares by BRANCH_EQ");
}

#[test]
fn trees_on_gathered_columns_keep_the_columns_of_the_input() {
    let graph = Graph::new(4)
        .constant(indices("columns", &[3, 1]))
        .node(node(
            "Gather",
            &["X", "columns"],
            "gathered",
            &[attribute("axis").int(3, 1)],
        ))
        .node(trees(
            "gathered",
            &[lengths(), lengths()].concat(),
            "BRANCH_LEQ",
            0,
        ));
    let forest = import_onnx(&decision(graph).model(), &[]).unwrap().forest;
    let features: Vec<u32> = forest.trees[0]
        .nodes
        .iter()
        .filter_map(|node| match node {
            Node::Split { feature, .. } => Some(*feature),
            Node::Leaf { .. } => None,
        })
        .collect();
    assert_eq!((forest.features.len(), features), (4, vec![1, 3]));
}

#[test]
fn names_may_be_given_for_each_column() {
    let names = ["pressure".to_owned(), "heat".to_owned()];
    let forest = import_onnx(&fused("BRANCH_LEQ", 0), &names).unwrap().forest;
    assert_eq!(forest.features[0].name, "pressure");
    let refused = import_onnx(&fused("BRANCH_LEQ", 0), &names[..1])
        .unwrap_err()
        .to_string();
    assert_eq!(refused, "1 column names for 2 features; give one for each");
}

#[test]
fn lengths_that_tell_no_rows_are_taken_with_a_warning() {
    let graph =
        decision(Graph::new(2).node(trees("X", &[2.1, 2.2, 1.3, 2.1, 2.2, 1.3], "BRANCH_LEQ", 0)));
    let imported = import_onnx(&graph.model(), &[]).unwrap();
    assert_eq!(imported.sample_size, None);
    assert!(imported.warnings[0].contains("explanations weigh all leaves alike"));
}

#[test]
fn what_is_no_isolation_forest_is_refused_with_what_was_found() {
    refuses(b"", "it is empty");
    refuses(b"PAR1 and so on", "not an ONNX file");
    refuses(&Message::default().int(1, 9).0, "it holds no graph");
    let linear = Graph::new(3).node(node("LinearRegressor", &["X"], "scores", &[]));
    refuses(
        &linear.model(),
        "found 1 LinearRegressor (inputs X; outputs scores)",
    );
    let regressor = Graph::new(2)
        .node(trees("X", &lengths(), "BRANCH_LEQ", 0))
        .node(node("Identity", &["sum"], "scores", &[]));
    refuses(&regressor.model(), "no output is 2^(-path length / c)");
    let scaled = Graph::new(2)
        .node(node("Scaler", &["X"], "scaled", &[]))
        .node(trees(
            "scaled",
            &[lengths(), lengths()].concat(),
            "BRANCH_LEQ",
            0,
        ));
    refuses(&decision(scaled).model(), "something transforms it before");
}

#[test]
fn truncated_and_torn_files_are_refused_or_read_but_never_panic() {
    let whole = fused("BRANCH_LEQ", 0);
    for cut in 0..whole.len() {
        assert!(import_onnx(&whole[..cut], &[]).is_err(), "{cut}");
    }
    for at in 0..whole.len() {
        for bit in [0, 3, 7] {
            let mut torn = whole.clone();
            torn[at] ^= 1 << bit;
            if let Ok(imported) = import_onnx(&torn, &[]) {
                imported.forest.check().unwrap();
            }
        }
    }
}
