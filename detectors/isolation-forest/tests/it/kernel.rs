//! The compiled kernel against the reference, bit for bit, on forests of every shape, and what a component is made of.

use hodoscope_isolation_forest::{
    Forest, Node, Sections, Tree, emit, kernel_digests, read_forest, reference,
};
use hodoscope_release::Digest;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use crate::component::{Detector, Refusal, engine};
use crate::forests::{Random, Shape, grow, rows};
use crate::grower;

/// Shapes that take each path through the kernel, alone and mixed.
const SHAPES: [Shape; 16] = [
    shape(1, 1, 0, 0.0, 0),
    shape(1, 1, 1, 1.0, 0),
    shape(1, 40, 8, 0.9, 0),
    shape(2, 3, 4, 1.0, 2),
    shape(9, 100, 8, 0.85, 0),
    shape(16, 20, 8, 1.0, 20),
    shape(17, 37, 8, 0.9, 0),
    shape(30, 100, 8, 0.85, 40),
    shape(32, 10, 12, 0.85, 0),
    shape(33, 24, 8, 0.85, 0),
    shape(5, 9, 16, 0.8, 0),
    shape(3, 12, 40, 0.75, 30),
    shape(64, 10, 6, 0.95, 0),
    shape(166, 50, 8, 0.85, 0),
    shape(300, 30, 20, 0.7, 0),
    shape(4, 300, 3, 0.9, 5),
];

const fn shape(features: usize, trees: usize, depth: usize, split: f64, levels: usize) -> Shape {
    Shape {
        features,
        trees,
        depth,
        split,
        levels,
    }
}

fn compile(forest: &Forest) -> Vec<u8> {
    emit(forest, &Sections::default()).unwrap()
}

fn imports(component: &[u8]) -> usize {
    let engine = engine();
    let component = wasmtime::component::Component::new(&engine, component).unwrap();
    component.component_type().imports(&engine).count()
}

fn bits(scores: &[f64]) -> Vec<u64> {
    scores.iter().map(|score| score.to_bits()).collect()
}

#[test]
fn every_forest_scores_as_the_reference_does_at_every_batch_size() {
    let engine = engine();
    let mut random = Random(1);
    for shape in SHAPES {
        let forest = grow(&mut random, shape);
        let mut detector = Detector::start(&engine, &compile(&forest));
        let width = forest.features.len();
        for count in (0..=36).chain([47, 48, 63, 64, 65, 100, 127, 128, 129, 200, 300]) {
            let batch = rows(&mut random, &forest, count);
            let found = detector.score(width, &batch).unwrap();
            let expected = reference::score(&forest, &batch);
            assert_eq!(bits(&found), bits(&expected), "{shape:?}, {count} rows");
        }
    }
}

#[test]
fn scores_depend_neither_on_order_nor_on_split() {
    let engine = engine();
    let mut random = Random(2);
    for shape in SHAPES {
        let forest = grow(&mut random, shape);
        let mut detector = Detector::start(&engine, &compile(&forest));
        let width = forest.features.len();
        let batch = rows(&mut random, &forest, 150);
        let whole = detector.score(width, &batch).unwrap();
        for size in [1, 7, 64, 149] {
            let parts: Vec<f64> = batch
                .chunks(size * width)
                .flat_map(|part| detector.score(width, part).unwrap())
                .collect();
            assert_eq!(bits(&parts), bits(&whole), "{shape:?}, parts of {size}");
        }
        let reversed: Vec<f64> = batch.chunks(width).rev().flatten().copied().collect();
        let mut back = detector.score(width, &reversed).unwrap();
        back.reverse();
        assert_eq!(bits(&back), bits(&whole), "{shape:?}, reversed");
    }
}

#[test]
fn explanations_equal_the_reference_and_add_up() {
    let engine = engine();
    let mut random = Random(3);
    for shape in SHAPES {
        let forest = grow(&mut random, shape);
        let mut detector = Detector::start(&engine, &compile(&forest));
        let width = forest.features.len();
        let batch = rows(&mut random, &forest, 60);
        let found = detector.explain(width, &batch).unwrap();
        let expected = reference::explain(&forest, &batch);
        assert_eq!(bits(&found.scores), bits(&expected.scores), "{shape:?}");
        assert_eq!(found.baseline.to_bits(), expected.baseline.to_bits());
        assert_eq!(bits(&found.attributions), bits(&expected.attributions));
        for (score, reasons) in found.scores.iter().zip(found.attributions.chunks(width)) {
            let sum = found.baseline + reasons.iter().sum::<f64>();
            assert!((score.log2() - sum).abs() <= 1e-9, "{shape:?}");
        }
    }
}

#[test]
fn refuses_a_wrong_shape_with_what_was_found_and_expected() {
    let forest = grow(&mut Random(4), shape(9, 3, 4, 1.0, 0));
    let mut detector = Detector::start(&engine(), &compile(&forest));
    for columns in [0, 8, 10, 1_234_567_890] {
        let text = format!(
            "{columns} columns were sent, 9 are expected; send one value for each feature, in the order of the description"
        );
        let refusal = Refusal::WrongShape(text);
        assert_eq!(detector.score(columns, &[1.0; 9]), Err(refusal.clone()));
        assert_eq!(detector.explain(columns, &[1.0; 9]), Err(refusal));
    }
    let refusal = Refusal::WrongShape(
        "100 values were sent, a multiple of 9 is expected; send whole rows of 9 values".to_owned(),
    );
    assert_eq!(detector.score(9, &[1.0; 100]), Err(refusal));
    assert_eq!(detector.score(9, &[]), Ok(vec![]));
    assert!(detector.explain(9, &[]).unwrap().attributions.is_empty());
    assert_eq!(detector.score(9, &[0.5; 9]).unwrap().len(), 1);
}

#[test]
fn describes_what_the_forest_says() {
    let forest = grow(&mut Random(5), shape(4, 3, 4, 1.0, 0));
    let description = Detector::start(&engine(), &compile(&forest)).describe();
    assert_eq!(description.features.len(), 4);
    assert_eq!(description.features[1].name, "f1");
    assert_eq!(description.features[1].unit.as_deref(), Some("mm/s²"));
    assert_eq!(description.features[2].unit, None);
    assert_eq!(description.threshold, Some(0.625));
    assert_eq!(description.metadata, forest.metadata);
}

#[test]
fn one_sample_gives_one_half_everywhere() {
    let mut forest = grow(&mut Random(6), shape(2, 3, 0, 0.0, 0));
    forest.normaliser = 0.0;
    let mut detector = Detector::start(&engine(), &compile(&forest));
    assert_eq!(detector.score(2, &[1.0, f64::NAN]), Ok(vec![0.5]));
    assert_eq!(reference::score(&forest, &[1.0, f64::NAN]), vec![0.5]);
}

#[test]
fn very_long_paths_score_above_zero() {
    let mut forest = grow(&mut Random(7), shape(2, 3, 30, 1.0, 1));
    forest.normaliser = 1e-3;
    let found = Detector::start(&engine(), &compile(&forest))
        .score(2, &[0.0; 8])
        .unwrap();
    assert!(found.iter().all(|score| *score > 0.0));
    assert_eq!(bits(&found), bits(&reference::score(&forest, &[0.0; 8])));
}

#[test]
fn a_forest_comes_back_from_its_component_and_compiles_to_the_same_bytes() {
    let mut random = Random(8);
    for shape in SHAPES {
        let forest = grow(&mut random, shape);
        let golden_rows = rows(&mut random, &forest, 8)
            .chunks(shape.features)
            .map(<[f64]>::to_vec)
            .collect();
        let sections = Sections {
            golden_rows,
            ..Sections::default()
        };
        let component = emit(&forest, &sections).unwrap();
        assert_eq!(component, emit(&forest, &sections).unwrap(), "{shape:?}");
        let (read, documents) = read_forest(&component).unwrap();
        assert_eq!(read.features, forest.features);
        assert_eq!(read.metadata, forest.metadata);
        assert_eq!(component, emit(&read, &documents).unwrap(), "{shape:?}");
    }
}

#[test]
fn all_components_share_one_trusted_code_section_and_import_nothing() {
    let mut random = Random(9);
    for shape in SHAPES {
        let component = compile(&grow(&mut random, shape));
        Validator::new_with_features(WasmFeatures::default())
            .validate_all(&component)
            .unwrap();
        assert_eq!(imports(&component), 0, "{shape:?}");
        let mut codes = Vec::new();
        for payload in Parser::new(0).parse_all(&component) {
            match payload.unwrap() {
                Payload::ImportSection(imports) => assert_eq!(imports.count(), 0),
                Payload::CodeSectionStart { range, .. } => {
                    codes.push(Digest::of(&component[range]));
                }
                _ => {}
            }
        }
        assert_eq!(codes, [kernel_digests()[0]], "{shape:?}");
    }
}

#[test]
fn refuses_a_forest_above_the_limit_and_bytes_that_are_no_forest() {
    let mut forest = grow(&mut Random(10), shape(2, 1, 4, 1.0, 0));
    let tree: Tree = forest.trees[0].clone();
    assert!(matches!(tree.nodes[0], Node::Split { .. }));
    forest.trees = vec![tree; 80_000];
    let refusal = emit(&forest, &Sections::default()).unwrap_err().to_string();
    assert!(refusal.contains("use fewer trees"), "{refusal}");
    for bytes in [
        &b"\x7fELF"[..],
        b"",
        b"\0asm\x0d\0\x01\0",
        b"\0asm\x01\0\0\0",
    ] {
        assert!(read_forest(bytes).is_err());
    }
}

#[test]
fn refuses_a_golden_row_of_the_wrong_width() {
    let forest = grow(&mut Random(11), shape(2, 1, 1, 1.0, 0));
    let sections = Sections {
        golden_rows: vec![vec![1.0, 2.0], vec![1.0]],
        ..Sections::default()
    };
    assert_eq!(
        emit(&forest, &sections).unwrap_err().to_string(),
        "golden row 1 has 1 values, the forest 2 features; give one value for each"
    );
}

/// Components in stores carry this code. If it must change, add the digest below to the earlier ones in `kernel.rs`.
#[test]
fn the_code_section_changes_only_on_purpose() {
    assert_eq!(
        kernel_digests()[0].to_string(),
        "sha256:c6d84a88eda5b5017252ffc5a3a1f7eba6f1f613b172f5293fa670a0979e366c"
    );
}

/// Sets that are scored and explained by the reference within seconds; the larger ones are of the same kinds.
const REAL_SETS: [&str; 8] = [
    "shuttle",
    "campaign",
    "musk",
    "satimage-2",
    "pendigits",
    "annthyroid",
    "breastw",
    "wdbc",
];

#[test]
fn every_row_of_real_sets_scores_as_the_reference_does_and_its_reasons_add_up() {
    for name in REAL_SETS {
        let Some(table) = grower::data_set(name) else {
            skip(&format!(
                "every_row_of_real_sets…: no adbench/{name}.parquet"
            ));
            continue;
        };
        let forest = grower::grow(&table, 50);
        let mut detector = Detector::start(&engine(), &compile(&forest));
        for rows in table.values.chunks(4096 * table.columns) {
            let found = detector.explain(table.columns, rows).unwrap();
            let expected = reference::explain(&forest, rows);
            assert_eq!(bits(&found.scores), bits(&expected.scores), "{name}");
            assert_eq!(
                bits(&found.attributions),
                bits(&expected.attributions),
                "{name}"
            );
            let reasons = found.attributions.chunks(table.columns);
            for (score, reasons) in found.scores.iter().zip(reasons) {
                let sum = found.baseline + reasons.iter().sum::<f64>();
                assert!((score.log2() - sum).abs() <= 1e-9, "{name}");
            }
        }
    }
}

fn skip(what: &str) {
    println!("SKIP {what}");
    #[expect(clippy::disallowed_methods, reason = "the setting of tests")]
    let strict = std::env::var_os("HODOSCOPE_NO_SKIP").is_some();
    assert!(!strict, "skipped {what}");
}
