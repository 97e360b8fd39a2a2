//! A host in a temporary folder, with everything real but the sockets; and small forests to serve.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use hodoscope::app::{App, Workers};
use hodoscope::capture;
use hodoscope::config::{Config, Secret, Sources};
use hodoscope::gate;
use hodoscope::http::{self, Front};
use hodoscope::shadow::Worker;
use hodoscope_engine::{Compiler, Engine};
use hodoscope_isolation_forest::{Feature, Forest, Node, Sections, Tree, emit};
use hodoscope_registry::{Store, StoreOptions, channels};
use hodoscope_release::sections::{Calibration, SCHEMA};
use hodoscope_release::{DetectorChannel, DetectorName, Digest, Pin, ReleaseName};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A running host without sockets.
pub(crate) struct TestHost {
    pub(crate) folder: TempDir,
    pub(crate) app: Arc<App>,
    pub(crate) data: Front,
    pub(crate) admin: Front,
    pub(crate) worker: Worker,
    pub(crate) capture: Option<capture::Worker>,
    pub(crate) config: Config,
    settings: Vec<(String, String)>,
    now: Mutex<Instant>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&self.bytes)))
    }

    /// Status and the word of the problem.
    pub(crate) fn problem(&self) -> (u16, String) {
        let json = self.json();
        assert!(
            json["error"].is_string() && json["request_id"].is_string(),
            "{json}"
        );
        (
            self.status.as_u16(),
            json["code"].as_str().unwrap().to_owned(),
        )
    }
}

/// A forest that calls a row an anomaly if its first feature is above `limit`. `depth` moves its scores.
pub(crate) fn forest(width: usize, limit: f32, depth: f64) -> Vec<u8> {
    let features = (0..width).map(|i| Feature {
        name: format!("f{i}"),
        unit: (i == 0).then(|| "bar".to_owned()),
    });
    let split = Node::Split {
        feature: 0,
        threshold: limit,
        left: 1,
        right: 2,
        expected: (depth + 1.0) / 2.0,
    };
    let nodes = vec![
        split,
        Node::Leaf { length: depth },
        Node::Leaf { length: 1.0 },
    ];
    let forest = Forest {
        features: features.collect(),
        trees: vec![Tree { nodes }],
        normaliser: 10.0,
        threshold: Some(0.8),
        metadata: vec![("made-by".to_owned(), "a test".to_owned())],
    };
    let row = |value: f64| {
        (0..width)
            .map(|i| if i == 0 { value } else { 0.5 })
            .collect()
    };
    let sections = Sections {
        golden_rows: vec![row(f64::from(limit) - 1.0), row(f64::from(limit) + 1.0)],
        calibration: Some(Calibration {
            schema: SCHEMA,
            rows: 999,
            alert_rate: 0.01,
            tail: vec![1.0, 0.5, 0.01, 0.001],
            scores: vec![0.1, 0.5, 0.8, 0.95],
        }),
        ..Sections::default()
    };
    emit(&forest, &sections).unwrap()
}

/// What most tests serve: two features, an anomaly if `f0` is above 10.
pub(crate) fn pump() -> Vec<u8> {
    forest(2, 10.0, 8.0)
}

impl TestHost {
    /// A host that serves nothing yet.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// The same with settings.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Self::start(
            tempfile::tempdir().unwrap(),
            settings.iter().map(own).collect(),
        )
    }

    /// A host that serves `pump@1.0.0`.
    pub(crate) async fn with_pump() -> Self {
        let host = Self::new().await;
        host.release("pump@1.0.0", &pump()).await;
        host.poll().await;
        host
    }

    fn start(folder: TempDir, settings: Vec<(String, String)>) -> Self {
        let home = folder.path().join("home").display().to_string();
        let mut flags = vec![
            ("home".to_owned(), home),
            // A test whose machine is busy may stand still for longer than the second of the default.
            ("deadline_ms".to_owned(), "30000".to_owned()),
        ];
        flags.extend(settings.clone());
        let config = Config::read(&Sources::new("", Vec::new(), flags)).unwrap();
        let mut engine = gate::engine_config(&config).unwrap();
        engine.compiler = Compiler::InProcess;
        engine.pool_threads = 2;
        engine.cache_dir = Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled"));
        let engine = Engine::new(engine).unwrap();
        let (app, workers) = App::build(&config, engine, Secret::new(TOKEN)).unwrap();
        let Workers { shadow, capture } = workers;
        Self {
            data: Front::new(app.clone(), http::data(app.clone())),
            admin: Front::new(app.clone(), http::admin(app.clone())),
            app,
            worker: shadow,
            capture,
            config,
            folder,
            settings,
            now: Mutex::new(Instant::now()),
        }
    }

    /// The host that starts in the same folder after this one ended.
    pub(crate) fn restart(self) -> Self {
        let Self {
            folder,
            settings,
            app,
            data,
            admin,
            worker,
            capture,
            ..
        } = self;
        drop((app, data, admin, worker, capture));
        Self::start(folder, settings)
    }

    pub(crate) fn channel(&self) -> &std::path::Path {
        &self.config.channel_dir
    }

    pub(crate) async fn store(&self) -> Store {
        Store::open(&self.config.store.location, &StoreOptions::default())
            .await
            .unwrap()
    }

    /// Puts a component into the store, whatever the gate would say.
    pub(crate) async fn push(&self, release: &str, component: &[u8]) -> Pin {
        let release: ReleaseName = release.parse().unwrap();
        let bytes = component.to_vec().into();
        self.store()
            .await
            .push(&release, bytes, Vec::new())
            .await
            .unwrap();
        Pin {
            version: release.version,
            digest: Digest::of(component),
        }
    }

    /// Changes the channel's document as `promote` does.
    pub(crate) fn edit(&self, detector: &str, change: impl FnOnce(&mut DetectorChannel)) {
        let name: DetectorName = detector.parse().unwrap();
        channels::edit(self.channel(), &name, |document| {
            change(document.detectors.get_mut(&name).unwrap());
            Ok(())
        })
        .unwrap();
    }

    pub(crate) fn promote(&self, detector: &str, pin: &Pin) {
        let name: DetectorName = detector.parse().unwrap();
        channels::edit(self.channel(), &name, |document| {
            document.promote(&name, pin.clone());
            Ok(())
        })
        .unwrap();
    }

    /// Pushes and promotes.
    pub(crate) async fn release(&self, release: &str, component: &[u8]) -> Pin {
        let pin = self.push(release, component).await;
        self.promote(release.split('@').next().unwrap(), &pin);
        pin
    }

    /// Lets the follower look once.
    pub(crate) async fn poll(&self) {
        let now = *self.now.lock().unwrap();
        self.app.follower.lock().await.poll(now).await;
    }

    /// Lets time pass, and the follower look once.
    pub(crate) async fn poll_after(&self, duration: Duration) {
        *self.now.lock().unwrap() += duration;
        self.poll().await;
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.call(Request::post(path).body(body.into()).unwrap())
            .await
    }

    pub(crate) async fn score(&self, body: &str) -> Answer {
        self.post("/v1/detectors/pump/score", body.to_owned()).await
    }

    /// Calls the data port.
    pub(crate) async fn call(&self, request: Request<Body>) -> Answer {
        read(self.data.call(request).await).await
    }

    /// Calls the admin port.
    pub(crate) async fn operate(&self, request: Request<Body>) -> Answer {
        read(self.admin.call(request).await).await
    }

    /// Posts to the admin port with the token.
    pub(crate) async fn command(&self, path: &str, body: &str) -> Answer {
        let request = Request::post(path).header("authorization", format!("Bearer {TOKEN}"));
        self.operate(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    /// The detector's lines in `/roster`.
    pub(crate) async fn roster(&self, detector: &str) -> Value {
        let roster = self
            .operate(Request::get("/roster").body(Body::empty()).unwrap())
            .await
            .json();
        let detectors = roster["detectors"].as_array().unwrap().clone();
        detectors
            .into_iter()
            .find(|line| line["name"] == detector)
            .unwrap_or(Value::Null)
    }

    pub(crate) async fn document_state(&self) -> String {
        let roster = self
            .operate(Request::get("/roster").body(Body::empty()).unwrap())
            .await
            .json();
        roster["document"]["state"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn metrics(&self) -> String {
        let answer = self
            .operate(Request::get("/metrics").body(Body::empty()).unwrap())
            .await;
        String::from_utf8(answer.bytes).unwrap()
    }

    /// The version that answers a score.
    pub(crate) async fn answering(&self) -> String {
        let answer = self.score(r#"{"rows":[[1,2]]}"#).await;
        answer.json()["release"]
            .as_str()
            .unwrap_or("none")
            .to_owned()
    }
}

pub(crate) async fn read(response: axum::response::Response) -> Answer {
    let (head, body) = response.into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        bytes: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}
