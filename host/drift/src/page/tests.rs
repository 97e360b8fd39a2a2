//! The page: whole, in the right order, and nothing but text where text came from outside.

use super::*;

fn fixture(name: &str) -> DriftReport {
    let path = format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

const FIXTURES: [&str; 6] = [
    "drifted",
    "stable",
    "watching",
    "data_quality",
    "insufficient_data",
    "hostile",
];

fn without_style(page: &str) -> String {
    let (before, rest) = page.split_once("<style>").unwrap();
    let (_, after) = rest.split_once("</style>").unwrap();
    let (start, hash) = before.split_once("sha256-").unwrap();
    let (_, end) = hash.split_once('\'').unwrap();
    format!("{start}sha256-[of the style]'{end}<style>[style]</style>{after}").replace("><", ">\n<")
}

#[test]
fn a_small_page_is_as_it_was() {
    insta::assert_snapshot!(without_style(&page(&fixture("insufficient_data"), &[])));
}

#[test]
fn a_page_refers_to_nothing_outside_and_carries_no_script() {
    for name in FIXTURES {
        let page = page(&fixture(name), &[]).to_lowercase();
        for active in [
            "<script",
            "<img",
            "<link",
            "<iframe",
            "<form",
            "<image",
            "<use",
            " onerror=",
            " onload=",
            " src=",
            "@import",
            "url(",
        ] {
            let inert = page.replace("&lt;img src=x onerror=", "");
            assert!(!inert.contains(active), "{name}: {active}");
        }
        for link in page.split("href=\"").skip(1) {
            assert!(
                link.starts_with('#'),
                "{name}: {}",
                link.chars().take(40).collect::<String>()
            );
        }
        assert_eq!(
            page.matches("style=").count(),
            0,
            "{name}: the policy forbids styles in attributes"
        );
    }
}

#[test]
fn names_from_outside_are_text() {
    let extra = Section {
        title: "<h1>\u{202e}".into(),
        note: "<i>".into(),
        columns: vec!["<b>".into()],
        rows: vec![vec![Cell::Code("<u>".into()), Cell::Fail("<s>".into())]],
    };
    let page = page(&fixture("hostile"), &[extra]);
    for text in [
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&quot;&gt;&lt;img src=x onerror=alert(2)&gt;",
        "&lt;/style&gt;&lt;style&gt;*{display:none}&lt;/style&gt;",
        "a\\u{202e}gnp.exe",
        "line\\u{a}break\\u{d}\\u{2028}more",
        "\\u{1b}[31mred",
        "&amp;lt;b&amp;gt;",
        "&lt;h1&gt;\\u{202e}",
        "&lt;i&gt;",
        "&lt;b&gt;",
        "&lt;u&gt;",
        "✕ &lt;s&gt;",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'));
}

#[test]
fn the_parts_come_in_order_and_broken_input_first() {
    let order = |page: &str, parts: &[&str]| {
        let found: Vec<usize> = parts
            .iter()
            .map(|part| page.find(part).unwrap_or_else(|| panic!("{part}")))
            .collect();
        assert!(found.is_sorted(), "{parts:?}: {found:?}");
    };
    let gates = Section {
        title: "Gates".into(),
        ..Section::default()
    };
    let page_of = |name| page(&fixture(name), std::slice::from_ref(&gates));
    let rest = [
        "id=\"section-1\"",
        "id=\"windows\"",
        "id=\"scores\"",
        "id=\"features\"",
        "id=\"limits\"",
    ];
    order(&page_of("drifted"), &[&["<h1>"], rest.as_slice()].concat());
    order(
        &page_of("data_quality"),
        &[&["<h1>", "id=\"problems\""], rest.as_slice()].concat(),
    );
}

#[test]
fn ids_are_unique_and_labels_find_theirs() {
    for name in FIXTURES {
        let page = page(&fixture(name), &[]);
        let mut ids: Vec<&str> = page
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        for labels in page.split("aria-labelledby=\"").skip(1) {
            for label in labels.split('"').next().unwrap().split(' ') {
                assert!(ids.contains(&label), "{name}: {label}");
            }
        }
        let before = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), before, "{name}");
    }
}

#[test]
fn no_figure_of_the_world_breaks_the_page() {
    let mut report = fixture("drifted");
    for feature in &mut report.features {
        let comparison = &mut feature.comparison;
        comparison.effects.psi = f64::INFINITY;
        comparison.effects.ks = f64::NAN;
        comparison.limits.wasserstein = 0.0;
        comparison.means = (f64::NAN, f64::NEG_INFINITY);
        comparison.p_adjusted = f64::NAN;
        comparison.plot_window.clear();
    }
    report.windows.iter_mut().for_each(|window| window.rows = 0);
    if let Some(rate) = &mut report.alert_rate {
        (rate.target, rate.window) = (0.0, 0.0);
    }
    let page = page(&report, &[]);
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}

#[test]
fn base64_is_rfc_4648s() {
    for (bytes, text) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(base64(bytes.as_bytes()), text);
    }
}
