//! Traffic as a host would have captured it: the counts of a window and its rows, laid where the job looks.

use hodoscope::capture::table;
use hodoscope::evidence::Frame;
use hodoscope::rows::{Cells, Values, column_type, parquet_bytes};
use hodoscope_engine::{Compiler, Detector, Engine, EngineConfig};
use hodoscope_registry::capture::{CaptureKey, Writer};
use hodoscope_release::window::{Counts, SCHEMA, WindowName, WindowPart};
use parquet::basic::Type as Physical;

use crate::binary::Folder;

const DAY_SECONDS: u64 = 86_400;

/// What a window holds.
pub(super) struct Window<'a> {
    day: WindowName,
    rows: &'a str,
    /// A feature that is missing in every row.
    pub(super) missing: Option<usize>,
}

/// A release, to score with.
pub(super) struct Traffic(Detector);

impl<'a> Window<'a> {
    /// A day of the rows of a CSV file.
    pub(super) fn of(day: &str, rows: &'a str) -> Self {
        Self {
            day: day.parse().unwrap(),
            rows,
            missing: None,
        }
    }
}

impl Traffic {
    /// Traffic of the release in this file.
    pub(super) fn new(folder: &Folder, component: &str) -> Self {
        let mut config = EngineConfig {
            compiler: Compiler::InProcess,
            trusted_kernels: hodoscope_isolation_forest::kernel_digests(),
            ..EngineConfig::default()
        };
        config.pool_threads = 1;
        let component = std::fs::read(folder.path(component)).unwrap();
        Self(Engine::new(config).unwrap().load(&component).unwrap())
    }

    /// Lays a window's counts and rows.
    pub(super) fn lay(&self, folder: &Folder, window: &Window<'_>) {
        let detector = &self.0;
        let description = detector.description();
        let names: Vec<String> = description
            .features
            .iter()
            .map(|f| f.name.clone())
            .collect();
        let (frame, _) = Frame::read(&folder.path(window.rows), &names, None).unwrap();
        let width = names.len();
        let mut values = frame.values().to_vec();
        if let Some(missing) = window.missing {
            values
                .iter_mut()
                .skip(missing)
                .step_by(width)
                .for_each(|value| *value = f64::NAN);
        }
        let frame = Frame::new(names.clone(), values);
        let scores = frame.score(detector).unwrap();
        let part = self.part(window, &frame, &scores);
        put(
            folder,
            CaptureKey::part(&part).as_str(),
            &serde_json::to_vec(&part).unwrap(),
        );

        let start = window.day.start_seconds();
        let writer = Writer {
            host: "host",
            boot: "boot",
            sequence: 0,
        };
        let key = CaptureKey::rows(&part.detector, start + DAY_SECONDS / 2, writer);
        let mut columns = Vec::new();
        let mut cells = Vec::new();
        for (at, name) in names.iter().enumerate() {
            columns.push(column_type(name, Physical::DOUBLE, true).unwrap());
            let column: Vec<f64> = frame.column(at).collect();
            let levels = column
                .iter()
                .map(|value| i16::from(!value.is_nan()))
                .collect();
            let present = column.into_iter().filter(|value| !value.is_nan()).collect();
            cells.push(Cells {
                values: Values::Double(present),
                levels: Some(levels),
            });
        }
        columns.push(column_type(table::TIME, Physical::INT64, false).unwrap());
        let time = |row| {
            i64::try_from((start + row as u64 * DAY_SECONDS / frame.rows() as u64) * 1000).unwrap()
        };
        let times = (0..frame.rows()).map(time).collect();
        cells.push(Cells {
            values: Values::Int64(times),
            levels: None,
        });
        let file = parquet_bytes(&columns, cells, &[]).unwrap();
        put(folder, key.as_str(), &file);
    }

    fn part(&self, window: &Window<'_>, frame: &Frame, scores: &[f64]) -> WindowPart {
        let description = self.0.description();
        let profile = self.0.sections().profile.as_ref().unwrap();
        let count = |histogram: &hodoscope_release::sections::Histogram,
                     values: &mut dyn Iterator<Item = f64>| {
            let mut counts = Counts::on(histogram.edges.len());
            values.for_each(|value| counts.add(&histogram.edges, histogram.range, value));
            counts
        };
        let threshold = description.threshold;
        let alerts = scores
            .iter()
            .filter(|score| threshold.is_some_and(|threshold| **score >= threshold));
        WindowPart {
            schema: SCHEMA,
            detector: "pump".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            digest: self.0.digest(),
            window: window.day.clone(),
            window_seconds: DAY_SECONDS,
            host: "host".to_owned(),
            boot: "boot".to_owned(),
            sequence: 0,
            threshold,
            rows: scores.len() as u64,
            alerts: alerts.count() as u64,
            scores: count(&profile.scores, &mut scores.iter().copied()),
            sampled_rows: scores.len() as u64,
            sample_fraction: 1.0,
            dropped_rows: 0,
            features: profile
                .features
                .iter()
                .enumerate()
                .map(|(at, histogram)| count(histogram, &mut frame.column(at)))
                .collect(),
            shadow: None,
        }
    }
}

fn put(folder: &Folder, key: &str, bytes: &[u8]) {
    let path = folder.path(".hodoscope/capture").join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
