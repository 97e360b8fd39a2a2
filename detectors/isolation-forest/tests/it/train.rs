//! Training end to end: what it finds, that it is the same whatever the file looks like, and the odd tables.

use std::io::Write as _;

use hodoscope_isolation_forest::{
    Contamination, Forest, InputFile, MaxFeatures, Node, Selection, Table, Target, TrainError,
    TrainOptions, Trained, emit, locate, reference, retune, score_rows, train,
};
use tempfile::TempDir;

use crate::data::{Rows, cloud, real};

fn selection() -> Selection {
    Selection {
        label: Some("label".to_owned()),
        ..Selection::default()
    }
}

fn table(text: &str, selection: &Selection) -> Table {
    Table::stream(
        "rows.csv",
        Box::new(std::io::Cursor::new(text.to_owned().into_bytes())),
        selection,
    )
    .unwrap()
}

fn check_csv(text: &str, options: &TrainOptions) -> Trained {
    train(&mut table(text, &Selection::default()), options, &()).unwrap()
}

fn bytes(trained: &Trained) -> Vec<u8> {
    emit(&trained.forest, &trained.sections).unwrap()
}

fn files(paths: &[std::path::PathBuf]) -> Vec<InputFile> {
    paths
        .iter()
        .map(|path| InputFile {
            path: path.clone(),
            name: path.display().to_string(),
        })
        .collect()
}

fn scores(forest: &Forest, rows: &[Vec<f64>]) -> Vec<f64> {
    reference::score(forest, &rows.concat())
}

#[test]
fn tells_far_rows_from_near_ones() {
    let rows = cloud(1, 5_000, 4, 50);
    let trained = train(
        &mut table(&rows.csv(), &selection()),
        &TrainOptions::default(),
        &(),
    )
    .unwrap();
    let metrics = trained.report.metrics.unwrap();
    assert!(metrics.roc_auc > 0.99, "{metrics:?}");
    assert!((trained.report.alert_rate.unwrap() - 0.01).abs() < 0.001);
    assert_eq!((trained.report.rows, trained.report.features), (5_000, 4));
    assert!(
        trained.report.warnings.is_empty(),
        "{:?}",
        trained.report.warnings
    );
    assert_eq!(trained.sections.golden_rows.len(), 32);
    assert_eq!(trained.sections.calibration.as_ref().unwrap().rows, 2_500);
}

#[test]
fn the_same_rows_give_the_same_bytes_in_every_file_and_on_any_number_of_threads() {
    let mut rows = cloud(2, 9_000, 3, 90);
    for (at, row) in rows.rows.iter_mut().enumerate() {
        if at % 17 == 0 {
            row[1] = f64::NAN;
        }
    }
    let folder = TempDir::new().unwrap();
    let options = TrainOptions {
        exact_threshold: true,
        ..TrainOptions::default()
    };
    let parts = |name: &str, cut: usize| -> Vec<std::path::PathBuf> {
        let mut paths = Vec::new();
        for (index, (rows, labels)) in rows
            .rows
            .chunks(cut)
            .zip(rows.labels.chunks(cut))
            .enumerate()
        {
            let part = Rows {
                rows: rows.to_vec(),
                labels: labels.to_vec(),
            };
            let path = folder.path().join(format!("{name}-{cut}-{index}"));
            match name {
                "csv" => std::fs::write(&path, part.csv()).unwrap(),
                "gz" => {
                    let mut out = flate2::write::GzEncoder::new(
                        std::fs::File::create(&path).unwrap(),
                        flate2::Compression::fast(),
                    );
                    out.write_all(part.csv().as_bytes()).unwrap();
                    out.finish().unwrap();
                }
                _ => part.parquet(&path, 700),
            }
            paths.push(path);
        }
        paths
    };
    let layouts = [
        parts("csv", 10_000),
        parts("gz", 4_000),
        parts("parquet", 10_000),
        parts("parquet", 1_234),
    ];
    let mut made = Vec::new();
    for paths in layouts {
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut table = Table::open(&files(&paths), &selection()).unwrap();
            let trained = pool.install(|| train(&mut table, &options, &())).unwrap();
            made.push(bytes(&trained));
        }
    }
    let same: Vec<bool> = made.iter().map(|bytes| *bytes == made[0]).collect();
    assert_eq!(same, vec![true; 8]);
    let other = TrainOptions { seed: 1, ..options };
    let trained = train(
        &mut table(&rows.csv(), &selection()),
        &TrainOptions {
            exact_threshold: false,
            ..other
        },
        &(),
    )
    .unwrap();
    assert_ne!(made[0], bytes(&trained));
}

#[test]
fn trees_split_as_the_paper_has_it() {
    let rows = cloud(3, 3_000, 5, 0);
    let options = TrainOptions {
        trees: 20,
        sample_size: Some(100),
        max_features: MaxFeatures::Count(2),
        ..TrainOptions::default()
    };
    let forest = check_csv(&rows.csv(), &TrainOptions { ..options }).forest;
    for tree in &forest.trees {
        let mut depth = vec![0; tree.nodes.len()];
        let mut features = std::collections::BTreeSet::new();
        for (at, node) in tree.nodes.iter().enumerate() {
            if let Node::Split {
                feature,
                left,
                right,
                ..
            } = node
            {
                features.insert(*feature);
                depth[*left as usize] = depth[at] + 1;
                depth[*right as usize] = depth[at] + 1;
            }
        }
        assert!(
            depth.iter().all(|depth| *depth <= 7),
            "ceil(log2(100)) is 7"
        );
        assert!(features.len() <= 2, "{features:?}");
    }
}

#[test]
fn odd_tables_are_trained_without_a_special_case() {
    let cases: [(&str, String); 9] = [
        ("one row", "a,b\n1,2\n".to_owned()),
        ("two rows", "a,b\n1,2\n3,4\n".to_owned()),
        ("all equal", format!("a,b\n{}", "1,2\n".repeat(500))),
        (
            "constant column",
            format!(
                "a,b\n{}",
                (0..500).map(|i| format!("7,{i}\n")).collect::<String>()
            ),
        ),
        (
            "duplicates",
            format!(
                "a,b\n{}",
                (0..500)
                    .map(|i| format!("{},{}\n", i % 3, i % 2))
                    .collect::<String>()
            ),
        ),
        (
            "extremes",
            "a,b\n1e300,-1e300\n-inf,inf\n1e-45,-1e-45\n0,0\n3.4028235e38,-3.4028235e38\n"
                .to_owned(),
        ),
        (
            "neighbouring floats",
            "a\n1\n1.00000011920929\n1.00000023841858\n".to_owned(),
        ),
        (
            "missing column",
            format!(
                "a,b\n{}",
                (0..300).map(|i| format!("{i},\n")).collect::<String>()
            ),
        ),
        ("missing rows", format!("a,b\n{}", ",\n".repeat(300))),
    ];
    for (case, text) in cases {
        let trained = check_csv(&text, &TrainOptions::default());
        let component = emit(&trained.forest, &trained.sections);
        assert!(component.is_ok(), "{case}: {component:?}");
        let threshold = trained.report.threshold.unwrap();
        assert!((0.0..=1.0).contains(&threshold), "{case}: {threshold}");
        assert!(
            trained.report.alert_rate.unwrap() <= 0.01 + 1e-12,
            "{case}: {:?}",
            trained.report
        );
    }
    let one = check_csv("a,b\n1,2\n", &TrainOptions::default());
    assert_eq!(scores(&one.forest, &[vec![1.0, 2.0]]), [0.5]);
    let wide: String = (0..200).map(|column| format!("c{column},")).collect();
    let rows: String = (0..20)
        .map(|row| {
            (0..201)
                .map(|c| format!("{},", (row * c) % 13))
                .collect::<String>()
                + "1\n"
        })
        .collect();
    let trained = check_csv(&format!("{wide}x,y\n{rows}"), &TrainOptions::default());
    assert_eq!(trained.report.features, 202);
}

#[test]
fn rows_with_missing_values_where_none_were_expected_stand_out() {
    let mut rows = cloud(4, 4_000, 3, 0);
    for at in 0..20 {
        rows.rows[at * 200][0] = f64::NAN;
    }
    let trained = train(
        &mut table(&rows.csv(), &selection()),
        &TrainOptions::default(),
        &(),
    )
    .unwrap();
    let found = scores(
        &trained.forest,
        &[vec![f64::NAN, 0.0, 0.0], vec![0.0, 0.0, 0.0]],
    );
    assert!(found[0] > found[1] + 0.05, "{found:?}");
}

#[test]
fn small_units_are_not_taken_for_constants() {
    let text: String = (0..600)
        .map(|i| format!("{}e-9,{i}\n", if i == 599 { 900 } else { i % 30 }))
        .collect();
    let trained = check_csv(&format!("amperes,b\n{text}"), &TrainOptions::default());
    let found = scores(&trained.forest, &[vec![900e-9, 300.0], vec![15e-9, 300.0]]);
    assert!(found[0] > found[1] + 0.1, "{found:?}");
}

#[test]
fn the_fast_scorer_agrees_with_the_reference_bit_for_bit() {
    let mut rows = cloud(5, 2_000, 6, 20);
    for (at, row) in rows.rows.iter_mut().enumerate() {
        if at % 5 == 0 {
            row[at % 6] = f64::NAN;
        }
    }
    for (trees, sample_size) in [(1, 2), (100, 256), (7, 2_000), (300, 64)] {
        let options = TrainOptions {
            trees,
            sample_size: Some(sample_size),
            ..TrainOptions::default()
        };
        let trained = train(&mut table(&rows.csv(), &selection()), &options, &()).unwrap();
        let narrow: Vec<f32> = rows
            .rows
            .concat()
            .iter()
            .map(|value| *value as f32)
            .collect();
        assert_eq!(
            score_rows(&trained.forest, &narrow),
            scores(&trained.forest, &rows.rows),
            "{trees} trees"
        );
    }
}

#[test]
fn the_threshold_from_the_reservoir_is_within_a_thousandth_of_the_exact_rank() {
    let rows = cloud(6, 300_000, 2, 3_000);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows.parquet");
    rows.parquet(&path, 100_000);
    let mut table = Table::open(&files(&[path]), &selection()).unwrap();
    let trained = train(&mut table, &TrainOptions::default(), &()).unwrap();
    assert_eq!(trained.report.calibration_rows, 131_072);
    let narrow: Vec<f32> = rows
        .rows
        .concat()
        .iter()
        .map(|value| *value as f32)
        .collect();
    let all = score_rows(&trained.forest, &narrow);
    let threshold = trained.report.threshold.unwrap();
    let rate = all.iter().filter(|score| **score >= threshold).count() as f64 / all.len() as f64;
    assert!((rate - 0.01).abs() <= 0.001, "{rate}");
    let exact = TrainOptions {
        exact_threshold: true,
        ..TrainOptions::default()
    };
    let exact = train(&mut table, &exact, &()).unwrap();
    let threshold = exact.report.threshold.unwrap();
    let alerts = all.iter().filter(|score| **score >= threshold).count();
    assert_eq!(alerts, 3_000);
    assert_eq!(exact.report.metrics.unwrap().rows, 300_000);
}

#[test]
fn contamination_may_be_a_share_or_auto_or_none() {
    let text = cloud(7, 3_000, 2, 30).csv();
    let with = |contamination| {
        check_csv(
            &text,
            &TrainOptions {
                contamination,
                ..TrainOptions::default()
            },
        )
        .report
    };
    assert_eq!(with(Contamination::Auto).threshold, Some(0.5));
    assert_eq!(with(Contamination::None).threshold, None);
    assert_eq!(with(Contamination::Share(0.0)).alert_rate, Some(0.0));
    let rate = with(Contamination::Share(0.1)).alert_rate.unwrap();
    assert!((0.098..=0.1).contains(&rate), "{rate}");
}

#[test]
fn options_out_of_range_are_refused_by_their_flag() {
    let check = |options: TrainOptions, flag: &str| {
        let text = cloud(8, 50, 2, 0).csv();
        let refused = train(&mut table(&text, &Selection::default()), &options, &()).unwrap_err();
        assert!(refused.to_string().starts_with(flag), "{refused}");
    };
    check(
        TrainOptions {
            trees: 0,
            ..TrainOptions::default()
        },
        "--trees 0",
    );
    check(
        TrainOptions {
            sample_size: Some(0),
            ..TrainOptions::default()
        },
        "--sample-size 0",
    );
    check(
        TrainOptions {
            max_features: MaxFeatures::Count(9),
            ..TrainOptions::default()
        },
        "--max-features 9",
    );
    check(
        TrainOptions {
            contamination: Contamination::Share(0.7),
            ..TrainOptions::default()
        },
        "--contamination 0.7",
    );
    let clipped = check_csv(
        &cloud(8, 50, 2, 0).csv(),
        &TrainOptions {
            sample_size: Some(1_000),
            ..TrainOptions::default()
        },
    );
    assert!(
        clipped
            .report
            .warnings
            .iter()
            .any(|warning| warning.contains("1000 is more than the 50 rows"))
    );
}

#[test]
fn a_stream_cannot_be_read_for_the_exact_threshold() {
    let options = TrainOptions {
        exact_threshold: true,
        ..TrainOptions::default()
    };
    let refused = train(
        &mut table("a\n1\n2\n", &Selection::default()),
        &options,
        &(),
    )
    .unwrap_err();
    assert!(
        matches!(refused, TrainError::Input(_)) && refused.to_string().contains("only once"),
        "{refused}"
    );
}

#[test]
fn retuning_moves_the_threshold_and_nothing_else() {
    let trained = train(
        &mut table(&cloud(9, 20_000, 3, 200).csv(), &selection()),
        &TrainOptions::default(),
        &(),
    )
    .unwrap();
    let component = bytes(&trained);
    let retuned = retune(&component, Target::AlertRate(0.001)).unwrap();
    assert_eq!(retuned.before, trained.report.threshold);
    assert!(retuned.after > trained.report.threshold.unwrap());
    assert!(
        (retuned.alert_rate_after.unwrap() - 0.001).abs() < 0.0003,
        "{retuned:?}"
    );
    let (forest, sections) = hodoscope_isolation_forest::read_forest(&retuned.component).unwrap();
    assert_eq!(forest.threshold, Some(retuned.after));
    assert_eq!(
        sections.golden_rows.len(),
        trained.sections.golden_rows.len()
    );
    assert_eq!(
        scores(&forest, &sections.golden_rows),
        scores(&trained.forest, &trained.sections.golden_rows)
    );
    let back = retune(&retuned.component, Target::Threshold(0.6)).unwrap();
    assert_eq!(back.after, 0.6);
    assert!(
        retune(&component, Target::AlertRate(1e-9))
            .unwrap_err()
            .to_string()
            .contains("finer than the 10000 rows")
    );
    assert!(retune(b"\0asm", Target::Threshold(0.5)).is_err());
}

#[test]
fn finds_the_labelled_anomalies_of_real_sets() {
    for (set, least) in [
        ("shuttle", 0.99),
        ("http", 0.99),
        ("annthyroid", 0.75),
        ("musk", 0.98),
    ] {
        let Some(path) = real(
            "finds_the_labelled_anomalies_of_real_sets",
            &format!("adbench/{set}.parquet"),
        ) else {
            return;
        };
        let mut table =
            Table::open(&locate(&path.display().to_string()).unwrap(), &selection()).unwrap();
        let trained = train(&mut table, &TrainOptions::default(), &()).unwrap();
        let metrics = trained.report.metrics.unwrap();
        assert!(metrics.roc_auc > least, "{set}: {metrics:?}");
    }
}
