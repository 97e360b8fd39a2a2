//! What the judge says, as the page and the text show it: every drifted feature with its plot, nothing wider than promised.

use hodoscope_drift::{DriftReport, page, page_after, plots, text, text_after};

use crate::draws::{Known, Random, Row};

const ROWS: usize = 2_000;

fn judged(change: fn(usize, &mut Row)) -> DriftReport {
    let mut random = Random(17);
    let known = Known::of(&random.rows(4_000, |_, _| {}));
    let windows: Vec<Vec<Row>> = (0..3).map(|_| random.rows(ROWS, change)).collect();
    known.judge(&windows)
}

#[test]
fn every_drifted_feature_of_a_judged_report_has_its_plot() {
    let changes: [fn(usize, &mut Row); 4] = [
        |_, row| row.iter_mut().for_each(|value| *value += 1.5),
        |index, row| row[0] += 4.0 * f64::from(u8::from(index % 4 == 0)),
        |_, row| row[1] = row[1].round(),
        |_, row| row[2] = 10.0 + (row[2] - 10.0) * 3.0,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let report = judged(change);
        let page = page(&report, &[]);
        let drifted = report
            .features
            .iter()
            .filter(|feature| feature.comparison.drifted)
            .count();
        assert!(drifted > 0, "case {at}");
        assert_eq!(
            page.matches("<svg class=\"histogram\"").count(),
            drifted + 1,
            "case {at}"
        );
        assert_eq!(
            plots(&report, 99).matches("  reference  ").count(),
            drifted + 1,
            "case {at}"
        );
        assert!(
            text(&report)
                .lines()
                .all(|line| line.chars().count() <= 100),
            "case {at}"
        );
    }
}

#[test]
fn broken_input_is_shown_first_and_names_the_feature() {
    let report = judged(|_, row| row[1] = f64::NAN);
    let page = page(&report, &[]);
    assert!(page.find("id=\"problems\"") < page.find("id=\"windows\""));
    assert!(page.contains("missing column"));
    assert!(text(&report).contains("Broken input\n  ! "));
}

#[test]
fn what_was_done_already_stands_in_place_of_what_to_do() {
    let report = judged(|_, row| row.iter_mut().for_each(|value| *value += 1.5));
    let retrain = "Retrain on the new traffic";
    assert!(page(&report, &[]).contains(retrain) && text(&report).contains(retrain));
    let done = "Merge <pull request> 7.";
    let (page, text) = (page_after(&report, done, &[]), text_after(&report, done));
    assert!(page.contains("Merge &lt;pull request&gt; 7."), "escaped");
    assert!(text.contains(done));
    assert!(!page.contains(retrain) && !text.contains(retrain));
}
