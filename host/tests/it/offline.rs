//! `score` and `evaluate`: the same scores as the engine's, in the order of the rows, whatever the format and threads.

use hodoscope_engine::{Batch, Deadline, Engine, EngineConfig};

use crate::binary::{Folder, column};

fn engine() -> Engine {
    let trusted_kernels = hodoscope_isolation_forest::kernel_digests();
    Engine::new(EngineConfig {
        trusted_kernels,
        ..EngineConfig::default()
    })
    .unwrap()
}

#[test]
fn scores_are_the_engines_in_row_order_in_every_format_on_any_threads() {
    let folder = Folder::new();
    folder.pump("p", 6000, 1);
    folder.run("simulate --generate 6000 --out p.parquet --seed 1");
    folder.run("simulate --generate 6000 --out p.ndjson --seed 1");
    let component = std::fs::read(folder.path("p.wasm")).unwrap();
    let detector = engine().load(&component).unwrap();
    let features: Vec<Vec<String>> = detector
        .description()
        .features
        .iter()
        .map(|feature| column(&folder.path("p.csv"), &feature.name))
        .collect();
    let values =
        (0..6000).flat_map(|row| features.iter().map(move |f| f[row].parse::<f64>().unwrap()));
    let batch = Batch::new(8, values.collect());
    let wanted = detector
        .score(&batch, Deadline::after(std::time::Duration::from_secs(60)))
        .unwrap();
    for (input, threads) in [
        ("p.csv", 1),
        ("p.csv", 3),
        ("p.parquet", 1),
        ("p.parquet", 4),
        ("p.ndjson", 2),
    ] {
        let line =
            format!("score {input} --detector p.wasm --out s.csv --threads {threads} --force");
        let summary = folder.run(&line);
        let scores: Vec<f64> = column(&folder.path("s.csv"), "score")
            .iter()
            .map(|score| score.parse().unwrap())
            .collect();
        assert!(scores == wanted, "{line}");
        let alarms = column(&folder.path("s.csv"), "anomaly")
            .iter()
            .filter(|flag| *flag == "true")
            .count();
        assert_eq!(summary["anomalies"], alarms as u64, "{line}");
        assert_eq!(summary["rows"], 6000, "{line}");
    }
}

#[test]
fn keeps_columns_and_names_the_features_that_matter() {
    let folder = Folder::new();
    folder.pump("p", 3000, 2);
    folder.run("score p.csv --detector p.wasm --out s.csv --keep label,rpm --explain --top 2");
    let scored = folder.path("s.csv");
    assert_eq!(
        column(&scored, "label"),
        column(&folder.path("p.csv"), "label")
    );
    let header = folder.read("s.csv").lines().next().unwrap().to_owned();
    assert_eq!(
        header,
        "label,rpm,score,anomaly,p_value,reason_1,reason_1_bits,reason_2,reason_2_bits"
    );
    let bits = |name| {
        column(&scored, name)
            .iter()
            .map(|b| b.parse::<f64>().unwrap())
            .collect::<Vec<_>>()
    };
    assert!(
        bits("reason_1_bits")
            .iter()
            .zip(bits("reason_2_bits"))
            .all(|(first, second)| *first >= second)
    );
}

#[test]
fn refuses_a_file_without_the_features_and_tells_what_it_has() {
    let folder = Folder::new();
    folder.pump("p", 2000, 3);
    std::fs::write(folder.path("other.csv"), "rpm,label\n1,0\n").unwrap();
    let said = folder.refused("score other.csv --detector p.wasm --out s.csv");
    assert!(
        said.contains("no column `ambient_c`") && said.contains("`rpm`, `label`"),
        "{said}"
    );
    assert!(!folder.path("s.csv").exists() && !folder.path("s.csv.part").exists());
    let header = folder.read("p.csv").lines().next().unwrap().to_owned();
    std::fs::write(
        folder.path("text.csv"),
        format!("{header}\n1,2,3,4,5,6,7,8,0\n1,2,off,4,5,6,7,8,0\n"),
    )
    .unwrap();
    let said = folder.refused("score text.csv --detector p.wasm --out s.csv");
    assert!(
        said.contains("row 2") && said.contains("`off` in column `flow_m3_h`"),
        "{said}"
    );
    let said = folder.refused("score p.csv --detector p.wasm --out p.csv");
    assert!(said.contains("--force"), "{said}");
}

#[test]
fn a_release_agrees_with_itself_and_a_worn_pump_is_seen_by_the_old_release() {
    let folder = Folder::new();
    folder.pump("p", 20_000, 4);
    folder.run("simulate --generate 20000 --out worn.csv --seed 5 --drift-at 0 --drift-ramp 0");
    folder.run("train worn.csv --name pump --label label --trees 20 --out new.wasm");
    let same = folder.run("evaluate p.wasm p.wasm --rows p.csv --label label");
    assert_eq!(same["flip_rate"], 0.0);
    assert_eq!(same["kolmogorov_smirnov"], 0.0);
    assert_eq!(same["rank_correlation"], 1.0);
    assert_eq!(same["largest_change"], 0.0);
    let other = folder.run("evaluate p.wasm new.wasm --rows worn.csv --label label");
    let number = |pointer: &str| {
        other
            .pointer(pointer)
            .and_then(serde_json::Value::as_f64)
            .unwrap()
    };
    assert!(number("/current/false_alarm_rate") > 0.1, "{other}");
    assert!(number("/candidate/false_alarm_rate") < 0.03, "{other}");
    assert!(number("/candidate/roc_auc") > 0.9, "{other}");
}
