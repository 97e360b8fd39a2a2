//! The text: as wide as promised, without anything that acts, and as it was.

use super::*;

fn fixture(name: &str) -> DriftReport {
    let path = format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_drifted_report_reads_as_it_did() {
    insta::assert_snapshot!(text(&fixture("drifted")));
}

#[test]
fn broken_input_reads_as_it_did() {
    insta::assert_snapshot!(text(&fixture("data_quality")));
}

#[test]
fn the_plots_of_a_pull_request_are_as_they_were() {
    insta::assert_snapshot!(plots(&fixture("drifted"), 2));
}

#[test]
fn no_line_is_wider_than_promised_or_acts() {
    for name in [
        "drifted",
        "stable",
        "watching",
        "data_quality",
        "insufficient_data",
        "hostile",
    ] {
        let report = fixture(name);
        for (limit, text) in [(TERMINAL, text(&report)), (BLOCK, plots(&report, 99))] {
            for line in text.lines() {
                assert!(
                    line.width() <= limit,
                    "{name}: {} columns: {line}",
                    line.width()
                );
                assert!(
                    !line.chars().any(char::is_control) && !line.contains('\u{202e}'),
                    "{name}: {line:?}"
                );
            }
        }
    }
}

#[test]
fn no_name_ends_the_code_block_of_a_pull_request() {
    let plots = plots(&fixture("hostile"), 99);
    assert!(!plots.contains('`') && !plots.contains("~~~"), "{plots}");
    assert!(plots.contains("\\u{60}\\u{60}\\u{60}\\u{a}# heading"));
}

#[test]
fn long_text_is_wrapped_under_its_start_and_cut_by_columns() {
    let mut out = String::new();
    wrapped(&mut out, "  - ", &"word ".repeat(30));
    assert!(
        out.lines().count() == 2 && out.lines().nth(1).unwrap().starts_with("    word"),
        "{out}"
    );
    assert_eq!(cut("温度センサー", 5), "温度…");
    assert_eq!(cut("short", 5), "short");
}
