//! Parts of a window add up, and what does not belong together is refused.

use hodoscope_drift::{MergeError, merge};
use hodoscope_release::Digest;
use hodoscope_release::window::ShadowCounts;

use crate::draws::{Known, Random};

#[test]
fn parts_of_several_hosts_count_as_one() {
    let mut random = Random(1);
    let known = Known::of(&random.rows(1_000, |_, _| {}));
    let (a, b) = (random.rows(300, |_, _| {}), random.rows(500, |_, _| {}));
    let parts = [known.part(1, "a", &a), known.part(1, "b", &b)];
    let merged = merge(&parts).unwrap();
    let whole = known.window(1, &[a, b].concat());
    assert_eq!(
        (merged.parts, merged.rows, merged.alerts),
        (2, 800, whole.alerts)
    );
    assert_eq!(merged.scores.counts, whole.scores.counts);
    assert_eq!(merged.features[3].counts, whole.features[3].counts);
    assert_eq!(merged.sample_fraction, 1.0);
    let again = [parts[0].clone(), parts[1].clone(), parts[0].clone()];
    assert_eq!(merge(&again).unwrap(), merged);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let mut random = Random(2);
    let known = Known::of(&random.rows(1_000, |_, _| {}));
    let part = known.part(1, "a", &random.rows(10, |_, _| {}));
    let changed = |change: &dyn Fn(&mut hodoscope_release::window::WindowPart)| {
        let mut other = part.clone();
        other.host = "b".to_owned();
        change(&mut other);
        merge(&[part.clone(), other])
    };
    assert!(changed(&|_| {}).is_ok());
    let digest = changed(&|part| part.digest = Digest::of(b"other"));
    assert!(matches!(digest, Err(MergeError::Other { .. })));
    let window = changed(&|part| part.window = "20261102T000000Z".parse().unwrap());
    assert!(matches!(window, Err(MergeError::Other { .. })));
    let edges = changed(&|part| {
        part.scores.counts.pop();
    });
    assert!(matches!(edges, Err(MergeError::Edges { .. })));
    let features = changed(&|part| {
        part.features.pop();
    });
    assert!(matches!(features, Err(MergeError::Edges { .. })));
    let twice = changed(&|part| {
        part.host = "a".to_owned();
        part.rows = 11;
    });
    assert!(matches!(twice, Err(MergeError::Twice { .. })));
    assert!(matches!(merge(&[]), Err(MergeError::Nothing)));
}

#[test]
fn a_part_without_sampled_rows_may_leave_its_features_out() {
    let mut random = Random(3);
    let known = Known::of(&random.rows(1_000, |_, _| {}));
    let full = known.part(1, "b", &random.rows(10, |_, _| {}));
    let mut empty = known.part(1, "a", &random.rows(5, |_, _| {}));
    (empty.sampled_rows, empty.features) = (0, Vec::new());
    let merged = merge(&[empty, full.clone()]).unwrap();
    assert_eq!((merged.rows, merged.sampled_rows), (15, 10));
    assert_eq!(merged.features, full.features);
}

#[test]
fn counts_of_one_shadow_add_up() {
    let mut random = Random(4);
    let known = Known::of(&random.rows(1_000, |_, _| {}));
    let part = |host: &str, digest: &str, rows: u64, most: f64| {
        let mut part = known.part(1, host, &[]);
        part.shadow = Some(ShadowCounts {
            digest: digest.to_owned(),
            rows,
            flips: 1,
            difference_max: most,
            ..ShadowCounts::default()
        });
        part
    };
    let parts = [
        part("a", "x", 5, 0.1),
        part("b", "x", 7, 0.3),
        part("c", "y", 1, 0.9),
    ];
    let shadow = merge(&parts).unwrap().shadow.unwrap();
    assert_eq!(
        (shadow.rows, shadow.flips, shadow.difference_max),
        (12, 2, 0.3)
    );
}
