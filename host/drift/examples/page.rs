//! Writes a report's page, text and plots beside each other, to look at them:
//! `cargo run -p hodoscope-drift --example page -- REPORT.json FOLDER [--gates]` (with a proposal's table).

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use hodoscope_drift::{Cell, DriftReport, Section, page, plots, text};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(report), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: page REPORT.json FOLDER [--gates]".into());
    };
    let report = PathBuf::from(report);
    let folder = PathBuf::from(folder);
    let name = report
        .file_stem()
        .ok_or("the report has no name")?
        .to_owned();
    let report: DriftReport = serde_json::from_slice(&fs::read(report)?)?;
    let extra = match arguments.next() {
        Some(flag) if flag == "--gates" => vec![gates()],
        _ => Vec::new(),
    };
    fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    fs::write(path.with_extension("html"), page(&report, &extra))?;
    fs::write(path.with_extension("txt"), text(&report))?;
    fs::write(path.with_extension("plots.txt"), plots(&report, 3))?;
    Ok(())
}

/// What the caller of a proposal adds.
fn gates() -> Section {
    let row =
        |name: &str, class: &str, outcome: Cell, measured: &str, limit: &str, reason: &str| {
            vec![
                Cell::Code(name.into()),
                Cell::Text(class.into()),
                outcome,
                Cell::Figure(measured.into()),
                Cell::Figure(limit.into()),
                Cell::Text(reason.into()),
            ]
        };
    let pass = || Cell::Pass("pass".into());
    Section {
        title: "Gates of pump 1.5.0".into(),
        note: "All integrity gates hold; a similarity gate asks for a person.".into(),
        columns: ["Gate", "Class", "Outcome", "Measured", "Limit", "Reason"]
            .map(String::from)
            .to_vec(),
        rows: vec![
            row(
                "conformance",
                "integrity",
                pass(),
                "64 / 64",
                "64",
                "golden rows are equal",
            ),
            row(
                "injected_anomalies",
                "integrity",
                pass(),
                "0.97",
                "≥ 0.93",
                "recall of five kinds, at an equal alert rate",
            ),
            row(
                "rank_agreement",
                "similarity",
                Cell::Fail("fail".into()),
                "0.71",
                "≥ 0.80",
                "Spearman's correlation with the champion on the anchor rows <script>alert(6)</script>",
            ),
            row(
                "labelled_backtest",
                "similarity",
                Cell::Neutral("n/a".into()),
                "–",
                "–",
                "12 labelled anomalies; 50 are needed",
            ),
        ],
    }
}
