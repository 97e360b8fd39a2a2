//! From a champion and captured rows to a candidate: what it takes over, what it is shown, what it promises.

use std::collections::HashSet;

use hodoscope::evidence::{Frame, Named, compare, compare_table, text};
use hodoscope::retrain::{RetrainError, RetrainPolicy, retrain, target_rate};
use hodoscope::rows::Table;
use hodoscope_isolation_forest::{Contamination, MaxFeatures, Target, TrainOptions, retune};
use hodoscope_release::evidence::Comparison;

use crate::clouds::{Lab, alert_rate, cloud, source};

#[test]
fn the_same_rows_give_the_same_bytes_in_whatever_order_and_files() {
    let lab = Lab::new();
    let champion = lab.champion(&cloud(1, 20_000, 0.0), &TrainOptions::default());
    let rows = cloud(2, 10_000, 0.3);
    let backwards: Vec<usize> = (0..rows.rows()).rev().collect();
    let (one, other) = backwards.split_at(3_000);
    let files = [
        lab.write("a.parquet", &rows.pick(one), None),
        lab.write("b.parquet", &rows.pick(other), None),
    ];
    let files: Vec<_> = files.iter().map(|path| path.as_path()).collect();
    let thinned = RetrainPolicy {
        most_rows: 6_000,
        ..RetrainPolicy::default()
    };
    for policy in [RetrainPolicy::default(), thinned] {
        let whole = lab.retrain_with(&champion, &rows, &policy);
        let split = retrain(&champion, &source(&files), &policy).unwrap();
        assert_eq!(split.digest, whole.digest);
        assert_eq!(split.data.digest, whole.data.digest);
        assert_eq!((split.data.files, split.data.rows), (2, 10_000));
    }
    let whole = lab.retrain(&champion, &rows);
    let other = lab.retrain(&champion, &cloud(3, 10_000, 0.3));
    assert_ne!(other.digest, whole.digest);
}

#[test]
fn a_candidate_takes_over_options_units_and_the_share_that_alerts() {
    let lab = Lab::new();
    let options = TrainOptions {
        trees: 30,
        sample_size: Some(64),
        max_features: MaxFeatures::Count(5),
        contamination: Contamination::Share(0.04),
        seed: 7,
        exact_threshold: false,
    };
    let champion = lab.champion(&cloud(1, 8_000, 0.0), &options);
    let retrained = lab.retrain(&champion, &cloud(2, 8_000, 0.0));
    let candidate = lab.load(&retrained.component);
    let recorded = &candidate.sections().training.as_ref().unwrap().options;
    for (name, value) in [
        ("trees", "30"),
        ("sample-size", "64"),
        ("max-features", "\"5\""),
        ("contamination", "\"0.04\""),
        ("seed", "7"),
        ("drop-highest", "0.01"),
    ] {
        assert_eq!(recorded[name].to_string(), value, "{name}");
    }
    assert_eq!(retrained.provenance.seed, Some(7));
    assert_eq!(retrained.provenance.parent, Some(champion.digest()));
    let description = candidate.description();
    assert_eq!(description.features, champion.description().features);
    let origin = ("retrained-from".to_owned(), champion.digest().to_string());
    assert!(description.metadata.contains(&origin));
    assert!(
        description
            .metadata
            .contains(&("name".to_owned(), "pump".to_owned()))
    );
    // A champion whose threshold a person moved is followed there, also by the candidate's candidate.
    let moved = retune(&retrained.component, Target::AlertRate(0.02)).unwrap();
    let next = lab.retrain(&lab.load(&moved.component), &cloud(3, 8_000, 0.0));
    assert_eq!(target_rate(&lab.load(&next.component)), Some(0.02));
    assert!((next.alert_rate.unwrap() - 0.02).abs() < 1e-3);
}

#[test]
fn the_alert_rate_holds_on_traffic_as_it_comes_although_the_trees_saw_it_filtered() {
    let lab = Lab::new();
    let champion = lab.champion(&cloud(1, 40_000, 0.0), &TrainOptions::default());
    let policy = RetrainPolicy {
        drop_highest: 0.05,
        ..RetrainPolicy::default()
    };
    let retrained = lab.retrain_with(&champion, &cloud(2, 40_000, 0.0), &policy);
    let fresh = cloud(3, 40_000, 0.0);
    let rate = alert_rate(&lab.load(&retrained.component), &fresh);
    // One in a hundred of 40,000 rows: two standard deviations are a tenth of that, and the threshold has its own.
    assert!((0.008..=0.0125).contains(&rate), "{rate}");
    // Calibrated on what is left after filtering, the same share would have meant far more alerts.
    let scores = cloud(2, 40_000, 0.0).score(&champion).unwrap();
    let mut rising = scores.clone();
    rising.sort_by(f64::total_cmp);
    let cut = rising[38_000];
    let rows = cloud(2, 40_000, 0.0);
    let left: Vec<usize> = (0..40_000).filter(|row| scores[*row] < cut).collect();
    let naive = lab.champion(&rows.pick(&left), &TrainOptions::default());
    let naive = alert_rate(&naive, &fresh);
    println!("alert rate {rate:.4} with unfiltered calibration, {naive:.4} with filtered");
    assert!(naive > 0.02, "{naive}");
}

#[test]
fn some_rows_are_held_out_from_the_threshold_too_where_that_tells_a_rate() {
    let lab = Lab::new();
    let champion = lab.champion(&cloud(1, 8_000, 0.0), &TrainOptions::default());
    let retrained = lab.retrain(&champion, &cloud(2, 20_000, 0.0));
    let (unseen, held_out) = (&retrained.unseen, &retrained.held_out);
    assert_eq!(unseen.rows(), (unseen.rows() + held_out.rows()) / 10);
    assert!(unseen.rows() >= 1_000);
    let bits = |row: &[f64]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let seen: HashSet<_> = (0..held_out.rows())
        .map(|at| bits(held_out.row(at)))
        .collect();
    assert!((0..unseen.rows()).all(|at| !seen.contains(&bits(unseen.row(at)))));
    let few = lab.retrain(&champion, &cloud(2, 4_000, 0.0));
    assert_eq!(few.unseen.rows(), 0);
}

#[test]
fn what_the_trees_are_not_shown_is_counted() {
    let lab = Lab::new();
    let champion = lab.champion(&cloud(1, 8_000, 0.0), &TrainOptions::default());
    let rows = cloud(2, 4_000, 0.0);
    let mut copied = rows.clone();
    for _ in 0..1_500 {
        copied.push(rows.row(0));
        copied.push(rows.row(1));
        copied.push(rows.row(2));
        copied.push(rows.row(3));
    }
    let labels: Vec<i32> = (0..copied.rows())
        .map(|row| i32::from(row % 10 == 0))
        .collect();
    let good = lab.write("good.parquet", &copied, Some(&labels));
    std::fs::write(lab.path("other.csv"), "f0,f1\n1,2\n").unwrap();
    let other = lab.path("other.csv");
    let files = source(&[&good, &other]);
    let always = RetrainPolicy {
        drop_copies_up_to: 1.0,
        ..RetrainPolicy::default()
    };
    let retrained = retrain(&champion, &files, &always).unwrap();
    let by_nature = retrain(&champion, &files, &RetrainPolicy::default()).unwrap();
    assert!(
        by_nature
            .data
            .notes
            .iter()
            .any(|note| note.contains("few values"))
    );
    let excluded = |reason: &str| {
        let found = retrained.data.excluded.iter().find(|e| e.reason == reason);
        found.map_or(0, |excluded| excluded.rows)
    };
    // Four rows have 1,500 copies each; which of them the trees would have seen is the hash's choice.
    assert!(
        excluded("duplicate").is_multiple_of(1_500),
        "{:?}",
        retrained.data
    );
    assert!(excluded("highest_scores") > 10);
    assert_eq!(retrained.data.files, 1);
    let labels = retrained.labels.unwrap();
    assert_eq!(labels.len(), retrained.held_out.rows());
    assert!(
        retrained
            .data
            .notes
            .iter()
            .any(|note| note.contains("tenant"))
    );
    let few = lab.write("few.parquet", &cloud(5, 100, 0.0), None);
    let error = retrain(&champion, &source(&[&few]), &RetrainPolicy::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there are 100 rows to retrain on; at least 500 are needed"
    );
    let foreign = lab.load(&crate::host::pump());
    let error = retrain(&foreign, &files, &RetrainPolicy::default()).unwrap_err();
    assert!(matches!(error, RetrainError::NotOurs(_)), "{error}");
}

#[test]
fn a_comparison_in_memory_is_that_of_the_file_and_shows_where_the_reasons_went() {
    let lab = Lab::new();
    let old = lab.champion(&cloud(1, 10_000, 0.0), &TrainOptions::default());
    let new = lab.champion(&cloud(2, 10_000, 2.0), &TrainOptions::default());
    let rows = cloud(3, 6_000, 2.0);
    let path = lab.write("rows.parquet", &rows, None);
    let named = |name, detector| Named { name, detector };
    let (old, new) = (named("pump@1.0.0", &old), named("pump@1.1.0", &new));
    let memory = compare(old, new, &rows, None).unwrap();
    let table = Table::open(&path).unwrap();
    let streamed = compare_table(old, new, table, None, |_, _| {}).unwrap();
    // Times are never the same twice.
    let still = |comparison: &Comparison| {
        let mut still = comparison.clone();
        for side in [&mut still.current, &mut still.candidate] {
            side.latency = None;
            side.rows_per_second_per_core = 0.0;
        }
        still.attribution = None;
        still
    };
    assert_eq!(still(&memory), still(&streamed));
    let shift = memory.attribution.as_ref().unwrap();
    assert!((0.02..=1.0).contains(&shift.total_variation), "{shift:?}");
    let sum: f64 = shift.features.iter().map(|feature| feature.current).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    assert!(memory.flip_rate.unwrap() > 0.05, "{memory:?}");
    let latency = memory.candidate.latency.unwrap();
    assert!(latency.one_row.p50_us > 0.0 && latency.one_row.p50_us <= latency.one_row.p99_us);
    let told = text(&memory);
    for word in ["verdicts flipped", "100 rows p50 / p99", "reasons"] {
        assert!(told.contains(word), "{told}");
    }
    let read: Comparison = serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap();
    assert_eq!(read, memory);
    let none = Frame::new(rows.names().to_vec(), Vec::new());
    assert!(compare(old, new, &none, None).is_err());
}
