//! Traffic to retrain on: clouds of eight correlated features in units of their own, with what a test puts into them, as
//! captured files have them; and champions that learned them.

use std::path::{Path, PathBuf};

use hodoscope::evidence::Frame;
use hodoscope::gates::{Inputs, run_gates};
use hodoscope::retrain::{RetrainPolicy, Retrained, Source, retrain};
use hodoscope::rows::{Cells, Values, Writer, column_type};
use hodoscope_engine::{Compiler, Detector, Engine, EngineConfig, Limits};
use hodoscope_isolation_forest::{Divided, TrainOptions, emit, train_divided};
use hodoscope_release::evidence::{Gate, GatePolicy};
use parquet::basic::Type;

pub(crate) const WIDTH: usize = 8;

/// Random numbers that are the same on every machine (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Rows of three hidden causes and some noise; the first four features are moved by `shift` of their spreads.
pub(crate) fn cloud(seed: u64, rows: usize, shift: f64) -> Frame {
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let mut values = Vec::with_capacity(rows * WIDTH);
    for _ in 0..rows {
        let causes = [random.normal(), random.normal(), random.normal()];
        for feature in 0..WIDTH {
            let own = causes[feature % 3] * 0.8 + random.normal() * 0.6;
            let moved = if feature < 4 { own + shift } else { own };
            values.push(moved * 10f64.powi(feature as i32 % 4) + 5.0 * feature as f64);
        }
    }
    Frame::new(names(), values)
}

/// A tight cluster far from the cloud: three features `distance` spreads out.
pub(crate) fn attack(seed: u64, rows: usize, distance: f64) -> Frame {
    let mut frame = Frame::new(names(), Vec::new());
    let mut random = Random(seed ^ 0x00a7_7ac4);
    let base = cloud(seed, rows, 0.0);
    for at in 0..rows {
        let mut row = base.row(at).to_vec();
        for feature in [1, 3, 5] {
            let place = distance + 0.1 * random.normal();
            row[feature] = place * 10f64.powi(feature as i32 % 4) + 5.0 * feature as f64;
        }
        frame.push(&row);
    }
    frame
}

/// Both, evenly mixed.
pub(crate) fn mixed(normal: &Frame, other: &Frame) -> Frame {
    let mut frame = Frame::new(names(), Vec::new());
    let mut given = 0;
    for at in 0..normal.rows() {
        frame.push(normal.row(at));
        while given * normal.rows() < other.rows() * (at + 1) {
            frame.push(other.row(given));
            given += 1;
        }
    }
    frame
}

pub(crate) fn names() -> Vec<String> {
    (0..WIDTH).map(|feature| format!("f{feature}")).collect()
}

/// An engine, a folder, and what is done with them.
pub(crate) struct Lab {
    pub(crate) engine: Engine,
    pub(crate) folder: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let config = EngineConfig {
            trusted_kernels: hodoscope_isolation_forest::kernel_digests(),
            compiler: Compiler::InProcess,
            pool_threads: 1,
            cache_dir: Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled")),
            ..EngineConfig::default()
        };
        Self {
            engine: Engine::new(config).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// A release that learned half of the rows and was calibrated on the other.
    pub(crate) fn champion(&self, rows: &Frame, options: &TrainOptions) -> Detector {
        let (trees, held_out): (Vec<usize>, Vec<usize>) =
            (0..rows.rows()).partition(|row| row % 2 == 0);
        let (trees, held_out) = (rows.pick(&trees), rows.pick(&held_out));
        let data = Divided {
            features: rows.names(),
            trees: trees.values(),
            held_out: held_out.values(),
            rows: rows.rows() as u64,
            digest: None,
        };
        let mut trained = train_divided(data, options).unwrap();
        trained.forest.features[0].unit = Some("bar".to_owned());
        let pair = ("name".to_owned(), "pump".to_owned());
        trained.forest.metadata.insert(0, pair);
        self.load(&emit(&trained.forest, &trained.sections).unwrap())
    }

    pub(crate) fn load(&self, component: &[u8]) -> Detector {
        self.engine.load(component).unwrap()
    }

    /// Writes rows as capture does: the features and columns of its own.
    pub(crate) fn write(&self, file: &str, rows: &Frame, labels: Option<&[i32]>) -> PathBuf {
        let path = self.path(file);
        let mut types = Vec::new();
        let mut columns = Vec::new();
        for (feature, name) in rows.names().iter().enumerate() {
            types.push(column_type(name, Type::DOUBLE, false).unwrap());
            columns.push(Cells::full(Values::Double(rows.column(feature).collect())));
        }
        types.push(column_type("hodoscope.row", Type::INT64, false).unwrap());
        let numbers = (0..rows.rows() as i64).collect();
        columns.push(Cells::full(Values::Int64(numbers)));
        if let Some(labels) = labels {
            types.push(column_type("hodoscope.label", Type::INT32, false).unwrap());
            columns.push(Cells::full(Values::Int32(labels.to_vec())));
        }
        let mut writer = Writer::create(&path, &types).unwrap();
        writer.write(rows.rows(), columns).unwrap();
        writer.finish().unwrap();
        path
    }

    /// Retrains on one frame.
    pub(crate) fn retrain(&self, champion: &Detector, rows: &Frame) -> Retrained {
        self.retrain_with(champion, rows, &RetrainPolicy::default())
    }

    pub(crate) fn retrain_with(
        &self,
        champion: &Detector,
        rows: &Frame,
        policy: &RetrainPolicy,
    ) -> Retrained {
        let path = self.write("window.parquet", rows, None);
        retrain(champion, &source(&[&path]), policy).unwrap()
    }

    /// Gates a retrained candidate.
    pub(crate) fn gates(&self, run: &Run<'_>) -> Vec<Gate> {
        let limits = Limits::default();
        run_gates(&Inputs {
            candidate: run.candidate,
            champion: Some(run.champion),
            anchor: run.anchor,
            held_out: &run.retrained.held_out,
            labels: run.retrained.labels.as_deref(),
            unseen: run.unseen,
            expectations: run.expectations,
            halves: run.retrained.halves,
            sisters: &run.retrained.sisters,
            shadow: None,
            limits: &limits,
            policy: run.policy,
        })
    }
}

/// What [`Lab::gates`] looks at.
pub(crate) struct Run<'a> {
    pub(crate) candidate: &'a Detector,
    pub(crate) champion: &'a Detector,
    pub(crate) anchor: Option<&'a Detector>,
    pub(crate) retrained: &'a Retrained,
    pub(crate) unseen: Option<&'a Frame>,
    pub(crate) expectations: Option<&'a Path>,
    pub(crate) policy: &'a GatePolicy,
}

pub(crate) fn source(files: &[&Path]) -> Source {
    Source {
        files: files.iter().map(|file| file.to_path_buf()).collect(),
        windows: Vec::new(),
    }
}

/// The share of rows at or above the detector's threshold.
pub(crate) fn alert_rate(detector: &Detector, rows: &Frame) -> f64 {
    let threshold = detector.description().threshold.unwrap();
    let scores = rows.score(detector).unwrap();
    let alerts = scores.iter().filter(|score| **score >= threshold).count();
    alerts as f64 / scores.len() as f64
}
