//! Real rows, and a plain isolation forest grown on them (256 samples, depth 8): the shape that trainers make, without
//! the trainer.

use std::fs::File;
use std::path::PathBuf;

use hodoscope_isolation_forest::{Feature, Forest, Node, Tree, average_path_length};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::forests::Random;

/// A table of numbers, row-major.
pub(crate) struct Table {
    pub(crate) columns: usize,
    pub(crate) values: Vec<f64>,
}

/// A data set of `../shared/data/adbench` without its label; `None` where the folder is absent.
pub(crate) fn data_set(name: &str) -> Option<Table> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data");
    #[expect(clippy::disallowed_methods, reason = "the setting of tests")]
    let root = std::env::var_os("HODOSCOPE_DATA").map_or(root, PathBuf::from);
    let file = File::open(root.join(format!("adbench/{name}.parquet"))).ok()?;
    let reader = SerializedFileReader::new(file).unwrap();
    let mut columns = 0;
    let mut values = Vec::new();
    for row in reader.get_row_iter(None).unwrap() {
        let row = row.unwrap();
        let fields = row.get_column_iter().filter(|(name, _)| *name != "label");
        let before = values.len();
        values.extend(fields.map(|(_, field)| number(field)));
        columns = values.len() - before;
    }
    Some(Table { columns, values })
}

fn number(field: &Field) -> f64 {
    match field {
        Field::Double(x) => *x,
        Field::Float(x) => f64::from(*x),
        Field::Long(x) => *x as f64,
        Field::Int(x) => f64::from(*x),
        Field::Short(x) => f64::from(*x),
        Field::Byte(x) => f64::from(*x),
        Field::UByte(x) => f64::from(*x),
        other => panic!("{other:?}"),
    }
}

/// Grows `trees` trees of 256 samples each, as Liu, Ting and Zhou describe it.
pub(crate) fn grow(table: &Table, trees: usize) -> Forest {
    let mut random = Random(42);
    let rows = table.values.len() / table.columns;
    let trees = (0..trees)
        .map(|_| {
            let sample = (0..256).map(|_| random.below(rows)).collect();
            let mut nodes = Vec::new();
            grow_node(&mut random, table, sample, 0, &mut nodes);
            Tree { nodes }
        })
        .collect();
    Forest {
        features: (0..table.columns)
            .map(|index| Feature {
                name: format!("f{index}"),
                unit: None,
            })
            .collect(),
        trees,
        normaliser: average_path_length(256),
        threshold: Some(0.6),
        metadata: vec![],
    }
}

fn grow_node(
    random: &mut Random,
    table: &Table,
    sample: Vec<usize>,
    depth: usize,
    nodes: &mut Vec<Node>,
) -> u32 {
    let at = nodes.len();
    let length = depth as f64 + average_path_length(sample.len() as u64);
    nodes.push(Node::Leaf { length });
    let value = |row: usize, column: usize| table.values[row * table.columns + column] as f32;
    let range = |column: usize| {
        let values = sample.iter().map(|row| value(*row, column));
        values.fold((f32::MAX, f32::MIN), |(low, high), x| {
            (low.min(x), high.max(x))
        })
    };
    let open: Vec<usize> = (0..table.columns)
        .filter(|column| range(*column).0 < range(*column).1)
        .collect();
    if depth < 8 && sample.len() > 1 && !open.is_empty() {
        let column = open[random.below(open.len())];
        let (low, high) = range(column);
        let threshold = low + (high - low) * (random.unit() as f32);
        let threshold = threshold.clamp(low, high.next_down());
        let (smaller, larger) = sample
            .iter()
            .partition(|row| value(**row, column) <= threshold);
        let left = grow_node(random, table, smaller, depth + 1, nodes);
        let right = grow_node(random, table, larger, depth + 1, nodes);
        nodes[at] = Node::Split {
            feature: column as u32,
            threshold,
            left,
            right,
            expected: length,
        };
    }
    at as u32
}
