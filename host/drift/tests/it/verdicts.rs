//! Each verdict and each kind of broken input, on drawn rows.

use hodoscope_drift::{DriftReport, JudgeError, Policy, Quality, Reference, Verdict, judge};
use hodoscope_release::Digest;

use crate::draws::{FEATURES, Known, Random, Row, TARGET};

const ROWS: usize = 2_000;

fn known(random: &mut Random) -> Known {
    Known::of(&random.rows(4_000, |_, _| {}))
}

type Change = fn(usize, &mut Row);

const SAME: Change = |_, _| {};
/// Every feature by one and a half standard deviations: scores follow.
const SHIFT: Change = |_, row| row.iter_mut().for_each(|value| *value += 1.5);
/// A quarter of the rows lies far out in one feature: scores follow, and no other feature drifts.
const TAIL: Change = |index, row| row[0] += 4.0 * f64::from(u8::from(index % 4 == 0));
/// Two features mirror their upper half: the distances to the middle, and so the scores, stay.
const MIRROR: Change = |_, row| {
    for value in row.iter_mut().take(2) {
        *value = 10.0 - (*value - 10.0).abs();
    }
};
const MISSING: Change = |_, row| row[1] = f64::NAN;
const FLOOD: Change = |index, row| {
    if index % 5 < 2 {
        row[1] = f64::NAN;
    }
};
const CONSTANT: Change = |_, row| row[1] = 10.25;
const STUCK_AT_ZERO: Change = |_, row| row[1] = 0.0;
const THOUSAND: Change = |_, row| row[1] *= 1_000.0;
const THOUSANDTH: Change = |_, row| row[1] /= 1_000.0;
const OFFSET: Change = |_, row| row[1] += 273.15;

fn judged(windows: &[Change]) -> DriftReport {
    let mut random = Random(11);
    let known = known(&mut random);
    let windows: Vec<Vec<Row>> = windows.iter().map(|c| random.rows(ROWS, c)).collect();
    known.judge(&windows)
}

#[test]
fn windows_give_their_verdict() {
    let cases: &[(&[Change], Verdict)] = &[
        (&[SAME], Verdict::Stable),
        (&[SAME, SAME, SAME], Verdict::Stable),
        (&[SAME, SAME, MIRROR], Verdict::Watching),
        (&[SAME, MIRROR, MIRROR], Verdict::Drifted),
        (&[MIRROR, MIRROR, SAME], Verdict::Stable),
        (&[MIRROR, SAME, MIRROR], Verdict::Watching),
        (&[SAME, SAME, MISSING], Verdict::DataQuality),
        (&[SHIFT, SHIFT, FLOOD], Verdict::DataQuality),
        (&[MISSING, MISSING, SAME], Verdict::Stable),
    ];
    for (at, (windows, verdict)) in cases.iter().enumerate() {
        let report = judged(windows);
        assert_eq!(report.verdict, *verdict, "case {at}: {:?}", report.reasons);
        assert_eq!(report.windows.len(), windows.len());
        assert!(!report.reasons.is_empty());
    }
}

/// Scores drift without an alert rate: two of three windows are needed, in any order, and the last must be one of them.
#[test]
fn scores_decide_in_two_of_three_windows() {
    let mut random = Random(12);
    let known = known(&mut random);
    let reference = Reference {
        alert_rate: None,
        ..known.reference()
    };
    let cases: &[(&[Change], Verdict)] = &[
        (&[TAIL], Verdict::Watching),
        (&[SAME, SAME, TAIL], Verdict::Watching),
        (&[TAIL, SAME, TAIL], Verdict::Drifted),
        (&[SAME, TAIL, TAIL], Verdict::Drifted),
        (&[TAIL, TAIL, SAME], Verdict::Stable),
        (&[TAIL, SAME, SAME, TAIL], Verdict::Watching),
        (&[MISSING, SAME, TAIL], Verdict::Watching),
    ];
    for (at, (changes, verdict)) in cases.iter().enumerate() {
        let days = changes.iter().enumerate();
        let windows: Vec<_> = days
            .map(|(day, change)| known.window(day + 1, &random.rows(ROWS, *change)))
            .collect();
        let report = judge(&reference, &windows, &Policy::default(), 1).unwrap();
        assert_eq!(report.verdict, *verdict, "case {at}: {:?}", report.reasons);
        assert_eq!(report.alert_rate, None);
    }
}

#[test]
fn an_alert_rate_far_from_its_target_decides_alone() {
    let mut random = Random(13);
    let known = known(&mut random);
    let rows = random.rows(ROWS, |_, _| {});
    for (alerts, rows_seen, within) in [
        (20, 2_000, true),
        (59, 2_000, true),
        (70, 2_000, true),
        (120, 2_000, false),
        (7, 2_000, true),
        (0, 2_000, false),
        (0, 500, true),
    ] {
        let mut window = known.window(1, &rows);
        (window.alerts, window.rows) = (alerts, rows_seen);
        let report = judge(&known.reference(), &[window], &Policy::default(), 1).unwrap();
        let rate = report.alert_rate.unwrap();
        assert_eq!(rate.within, within, "{alerts} of {rows_seen}");
        assert_eq!(rate.target, TARGET);
        let verdict = if within {
            Verdict::Stable
        } else {
            Verdict::Drifted
        };
        assert_eq!(report.verdict, verdict, "{alerts} of {rows_seen}");
    }
}

#[test]
fn broken_input_is_named_by_its_kind() {
    let cases: &[(Change, Quality)] = &[
        (MISSING, Quality::MissingColumn),
        (FLOOD, Quality::MissingFlood),
        (CONSTANT, Quality::Constant),
        (STUCK_AT_ZERO, Quality::UnitChange),
        (THOUSAND, Quality::UnitChange),
        (THOUSANDTH, Quality::UnitChange),
        (OFFSET, Quality::UnitChange),
    ];
    for (at, (change, kind)) in cases.iter().enumerate() {
        let report = judged(&[SAME, *change]);
        assert_eq!(report.verdict, Verdict::DataQuality, "case {at}");
        let found: Vec<_> = report
            .problems
            .iter()
            .map(|p| (p.feature.as_str(), p.kind))
            .collect();
        assert_eq!(found, [("f1", *kind)], "case {at}");
        assert!(
            report.reasons[0].starts_with("f1: "),
            "{:?}",
            report.reasons
        );
    }
}

#[test]
fn a_unit_inside_of_the_range_is_told_by_its_factor() {
    let mut random = Random(14);
    let wide: Change = |_, row| row[2] = ((row[2] - 10.0) * 1.5).exp();
    let known = Known::of(&random.rows(4_000, wide));
    let rows = random.rows(ROWS, |index, row| {
        wide(index, row);
        row[2] /= 12.0;
    });
    let report = known.judge(&[rows]);
    let [problem] = report.problems.as_slice() else {
        panic!("{:?}", report.problems);
    };
    assert_eq!(problem.kind, Quality::UnitChange);
    assert!(problem.detail.contains("0.08"), "{}", problem.detail);
}

#[test]
fn a_unit_of_counts_that_are_mostly_zero_is_told_by_the_others() {
    let mut random = Random(22);
    let counts: Change = |index, row| row[3] = if index % 10 < 8 { 0.0 } else { row[3] };
    let known = Known::of(&random.rows(4_000, counts));
    let rows = random.rows(ROWS, |index, row| {
        counts(index, row);
        row[3] *= 60.0;
    });
    let problems = known.judge(&[rows]).problems;
    assert_eq!((problems.len(), problems[0].kind), (1, Quality::UnitChange));
    let more = random.rows(ROWS, |index, row| counts(index / 2, row));
    assert!(known.judge(&[more]).problems.is_empty());
}

#[test]
fn few_rows_are_no_evidence() {
    let mut random = Random(15);
    let known = known(&mut random);
    let few = random.rows(499, SHIFT);
    let report = known.judge(&[few]);
    assert_eq!(report.verdict, Verdict::InsufficientData);
    assert_eq!(report.reasons, ["499 rows; 500 are needed"]);
    assert!(report.score.is_none() && report.features.is_empty());
    let none = known.judge(&[]);
    assert_eq!(none.verdict, Verdict::InsufficientData);
}

#[test]
fn few_sampled_rows_leave_the_scores_to_decide() {
    let mut random = Random(16);
    let known = known(&mut random);
    let mut window = known.window(1, &random.rows(ROWS, SAME));
    let sampled = known.window(1, &random.rows(200, SHIFT));
    (window.sampled_rows, window.features) = (200, sampled.features);
    let report = judge(&known.reference(), &[window], &Policy::default(), 1).unwrap();
    assert_eq!(report.verdict, Verdict::Stable);
    assert!(report.features.is_empty() && report.score.is_some());
    assert!(
        report.reasons[1].contains("200 sampled rows"),
        "{:?}",
        report.reasons
    );
}

#[test]
fn without_a_profile_nothing_is_compared() {
    let mut random = Random(17);
    let known = known(&mut random);
    let reference = Reference {
        profile: None,
        ..known.reference()
    };
    let window = known.window(1, &random.rows(ROWS, SHIFT));
    let report = judge(&reference, &[window], &Policy::default(), 1).unwrap();
    assert_eq!(report.verdict, Verdict::NoReference);
    assert!(report.score.is_none());
}

#[test]
fn windows_of_another_release_or_other_edges_are_refused() {
    let mut random = Random(18);
    let known = known(&mut random);
    let window = known.window(1, &random.rows(ROWS, SAME));
    let refused = |window| judge(&known.reference(), &[window], &Policy::default(), 1).unwrap_err();
    let mut other = window.clone();
    other.digest = Digest::of(b"other");
    assert!(matches!(refused(other), JudgeError::OtherRelease { .. }));
    let mut other = window.clone();
    other.features[4].counts.pop();
    let error = refused(other);
    assert!(matches!(error, JudgeError::OtherEdges { .. }));
    assert!(
        error.to_string().contains("f4 has 127 bins, not 128"),
        "{error}"
    );
    let mut other = window;
    other.features.pop();
    assert!(matches!(refused(other), JudgeError::OtherEdges { .. }));
}

#[test]
fn the_most_drifted_feature_comes_first_and_can_be_plotted() {
    let mut random = Random(19);
    let known = known(&mut random);
    let rows = random.rows(ROWS, |index, row| {
        row[4] += 1.0;
        if index % 5 == 0 {
            row[2] = f64::NAN;
        }
    });
    let report = known.judge(&[rows]);
    let drifted: Vec<&str> = report
        .features
        .iter()
        .filter(|feature| feature.comparison.drifted)
        .map(|feature| feature.name.as_str())
        .collect();
    assert_eq!(drifted, ["f4", "f2"]);
    assert_eq!(report.features.len(), FEATURES);
    let first = &report.features[0].comparison;
    assert!((first.means.1 - first.means.0 - 1.0).abs() < 0.1);
    assert!((first.effects.wasserstein - 1.0).abs() < 0.1);
    for shares in [&first.plot_reference, &first.plot_window] {
        assert_eq!(shares.len(), first.plot_edges.len() + 1);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
    assert!(first.plot_edges.is_sorted() && (18..=22).contains(&first.plot_edges.len()));
    assert!((report.features[1].comparison.effects.missing - 0.2).abs() < 1e-9);
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let mut random = Random(20);
    let known = known(&mut random);
    let window = known.window(1, &random.rows(600, SAME));
    let policy = Policy::default();
    let draw = |seed| {
        judge(
            &known.reference(),
            std::slice::from_ref(&window),
            &policy,
            seed,
        )
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    let json = serde_json::to_string(&draw(1).unwrap()).unwrap();
    assert_eq!(
        serde_json::from_str::<DriftReport>(&json).unwrap(),
        draw(1).unwrap()
    );
}

/// Small windows against a small reference, where chance alone exceeds the floors.
#[test]
fn windows_without_drift_seldom_look_drifted() {
    let mut random = Random(21);
    let (mut scores, mut retrains, mut features) = (0, 0, 0);
    let quarters = 4;
    for _ in 0..quarters {
        let known = Known::of(&random.rows(600, SAME));
        let windows: Vec<Vec<Row>> = (0..30).map(|_| random.rows(500, SAME)).collect();
        for three in windows.windows(3) {
            let report = known.judge(three);
            scores += usize::from(report.windows[2].score_drifted);
            retrains += usize::from(report.verdict == Verdict::Drifted);
            features += report
                .features
                .iter()
                .filter(|f| f.comparison.drifted)
                .count();
        }
    }
    let judged = quarters * 28;
    assert!(scores <= judged / 20, "{scores} of {judged} windows");
    assert!(features <= judged * FEATURES / 50, "{features} features");
    assert!(retrains <= 1, "{retrains} of {judged} windows");
}
