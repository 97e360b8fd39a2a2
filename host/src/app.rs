//! The rooms, put together: what a request may reach, and what follows the channel. Built from settings and an engine,
//! without opening a port, so that tests build the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use hodoscope_engine::Engine;
use hodoscope_registry::{S3Options, StoreOptions};
use tokio::sync::{Mutex, Semaphore};

use crate::capture::{self, Capture, Identity};
use crate::config::{Config, HttpSettings, Secret, StoreSettings};
use crate::follow::{Follower, Kept, Loader};
use crate::http::RequestIds;
use crate::roster::Roster;
use crate::shadow;
use crate::source::Source;
use crate::telemetry::Telemetry;

/// Uploads that may be received and checked at the same time.
const UPLOADS_AT_ONCE: usize = 4;

/// What a request may reach.
#[derive(Debug)]
pub struct App {
    /// The listeners' settings.
    pub http: HttpSettings,
    /// What is served.
    pub roster: Arc<Roster>,
    /// What changes it.
    pub follower: Mutex<Follower>,
    /// The gate, for uploads.
    pub engine: Arc<Engine>,
    /// The store, for uploads.
    pub source: Arc<Source>,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// Where copies for shadows go.
    pub shadows: shadow::Queue,
    /// What is captured of traffic, if anything is.
    pub capture: Option<Arc<Capture>>,
    /// Who may change things.
    pub token: Secret,
    /// Room for uploads.
    pub uploads: Semaphore,
    /// The longest component.
    pub component_limit_bytes: usize,
    /// The folder of bodies that are being received.
    pub scratch: std::path::PathBuf,
    /// What names requests that came without a name.
    pub ids: RequestIds,
    draining: AtomicBool,
}

/// What works beside requests, not started yet.
#[derive(Debug)]
pub struct Workers {
    /// Scores copies for shadows.
    pub shadow: shadow::Worker,
    /// Puts what is captured, if anything is.
    pub capture: Option<capture::Worker>,
}

impl App {
    /// Puts the rooms together. Gives also what works beside requests.
    pub fn build(
        config: &Config,
        engine: Engine,
        token: Secret,
    ) -> anyhow::Result<(Arc<Self>, Workers)> {
        let telemetry = Arc::new(Telemetry::new().context("failed to register the metrics")?);
        let roster = Arc::new(Roster::new(config.channel.clone()));
        let engine = Arc::new(engine);
        let cache = &config.engine.cache_dir;
        let source = Arc::new(source(config));
        let ids = RequestIds::new();
        let (capture, capturing) = capture(config, &ids, &roster, &telemetry).unzip();
        let loader = Loader {
            source: source.clone(),
            engine: engine.clone(),
            telemetry: telemetry.clone(),
            capture: capture.clone(),
        };
        let kept = Kept::open(cache.join("served"), &config.channel);
        let follower = Follower::new(
            roster.clone(),
            telemetry.clone(),
            loader,
            config.channel_dir.clone(),
            config.roster.poll,
            kept,
        );
        let (shadows, shadow) = shadow::queue(config.roster.shadow_queue);
        let app = Self {
            http: config.http.clone(),
            roster,
            follower: Mutex::new(follower),
            engine,
            source,
            telemetry,
            shadows,
            capture,
            token,
            uploads: Semaphore::new(UPLOADS_AT_ONCE),
            component_limit_bytes: config.engine.component_limit_bytes,
            scratch: cache.join("uploads"),
            ids,
            draining: AtomicBool::new(false),
        };
        let workers = Workers {
            shadow,
            capture: capturing,
        };
        Ok((Arc::new(app), workers))
    }

    /// Says from now on that no new requests should come.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether new requests should come.
    pub fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed) && self.roster.now().is_ready()
    }
}

/// The handle and the worker of what is captured, if the settings want anything captured.
fn capture(
    config: &Config,
    ids: &RequestIds,
    roster: &Arc<Roster>,
    telemetry: &Telemetry,
) -> Option<(Arc<Capture>, capture::Worker)> {
    let settings = &config.capture;
    settings.on.then(|| {
        capture::build(
            settings,
            store_options(&config.store),
            &Identity::of_this_machine(ids.start()),
            roster.clone(),
            telemetry.capture.clone(),
            capture::wall_clock_ms,
        )
    })
}

/// The source of releases that the settings name.
pub fn source(config: &Config) -> Source {
    Source::new(
        config.store.location.clone(),
        store_options(&config.store),
        config.engine.cache_dir.join("components"),
        config.engine.component_limit_bytes as u64,
    )
}

/// How the settings want the store to be reached.
pub fn store_options(settings: &StoreSettings) -> StoreOptions {
    StoreOptions {
        s3: S3Options {
            endpoint: settings.s3_endpoint.clone(),
            path_style: settings.s3_path_style,
            region: settings.s3_region.clone(),
            ..S3Options::default()
        },
        ..StoreOptions::default()
    }
}
