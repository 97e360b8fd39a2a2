//! Every metric in one table, in Prometheus base units, with labels of low cardinality only; and how logs are written.
//! A release's handles are looked up once, when it is loaded, so that a request only adds to numbers.

mod capture;

use std::io::IsTerminal as _;
use std::sync::{Mutex, OnceLock};

use hodoscope_release::{DetectorName, ReleaseName, Version};
use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use tracing_subscriber::EnvFilter;

use crate::capture::VerdictLine;
use crate::config::LogSettings;
pub use capture::CaptureMeters;

/// Bounds of times in seconds: 10 µs to 10 s.
const SECONDS: [f64; 13] = [
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 5e-2, 0.25, 1.0, 10.0,
];
/// Bounds of the times of a load.
const LOAD_SECONDS: [f64; 9] = [1e-3, 5e-3, 2.5e-2, 0.1, 0.5, 2.0, 10.0, 30.0, 60.0];
/// Bounds of scores and of differences of scores.
const SCORES: [f64; 13] = [
    0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9,
];
const DIFFERENCES: [f64; 8] = [1e-6, 1e-4, 1e-3, 0.01, 0.02, 0.05, 0.1, 0.2];
/// Bounds of rows in a batch.
const ROWS: [f64; 9] = [1.0, 2.0, 8.0, 32.0, 128.0, 512.0, 2048.0, 8192.0, 32768.0];

const RELEASE: &[&str] = &["detector", "version"];

/// One row of the table.
type Row = (&'static str, &'static str, &'static [&'static str]);

const REQUESTS: Row = (
    "hodoscope_requests_total",
    "Scoring requests by outcome: ok, or the word of the problem.",
    &["detector", "version", "outcome"],
);
const ROWS_SCORED: Row = ("hodoscope_rows_total", "Rows scored.", RELEASE);
const ANOMALIES: Row = (
    "hodoscope_anomalies_total",
    "Rows at or above the release's threshold.",
    RELEASE,
);
const REQUEST_SECONDS: Row = (
    "hodoscope_request_seconds",
    "From the parsed head to the answer, body included.",
    RELEASE,
);
const SCORE_SECONDS: Row = (
    "hodoscope_score_seconds",
    "In the engine, waiting for a thread included.",
    RELEASE,
);
const BATCH_ROWS: Row = ("hodoscope_batch_rows", "Rows per request.", RELEASE);
const SCORE: Row = ("hodoscope_score", "Scores given.", RELEASE);
const REJECTED: Row = (
    "hodoscope_rejected_requests_total",
    "Requests that reached no release, by the word of the problem.",
    &["outcome"],
);
const IN_FLIGHT: Row = (
    "hodoscope_in_flight_requests",
    "Requests being answered.",
    &[],
);
const SHADOW_ROWS: Row = (
    "hodoscope_shadow_rows_total",
    "Rows that a shadow scored, too.",
    RELEASE,
);
const SHADOW_FLIPS: Row = (
    "hodoscope_shadow_flips_total",
    "Rows that only one of release and shadow calls an anomaly.",
    RELEASE,
);
const SHADOW_DIFFERENCE: Row = (
    "hodoscope_shadow_score_difference",
    "Absolute difference between the scores of release and shadow.",
    RELEASE,
);
const SHADOW_FAULTS: Row = (
    "hodoscope_shadow_faults_total",
    "Copies that a shadow did not answer.",
    RELEASE,
);
const SHADOW_DROPPED: Row = (
    "hodoscope_shadow_dropped_total",
    "Copies dropped because too many waited.",
    RELEASE,
);
const RELOADS: Row = (
    "hodoscope_reloads_total",
    "Channel documents taken or refused.",
    &["outcome"],
);
const LOADS: Row = (
    "hodoscope_loads_total",
    "Releases loaded or not, by outcome: ok, or the reason's word.",
    &["detector", "outcome"],
);
const LOAD_DURATION: Row = (
    "hodoscope_load_seconds",
    "Fetch, gate and warm-up of one release.",
    &["detector"],
);
const WANTED: Row = (
    "hodoscope_wanted_info",
    "The release that the channel wants to be active.",
    &["detector", "version", "digest"],
);
const RUNNING: Row = (
    "hodoscope_running_info",
    "The release that answers.",
    &["detector", "version", "digest"],
);
const DIFFERS: Row = (
    "hodoscope_detector_differs",
    "1 if what runs is not what is wanted.",
    &["detector"],
);
const FALLBACK: Row = (
    "hodoscope_detector_fallback",
    "1 if an earlier release stands in for one that did not load.",
    &["detector"],
);
const DOCUMENT_VALID: Row = (
    "hodoscope_channel_document_valid",
    "0 while the channel's document cannot be used.",
    &[],
);
const GENERATION: Row = (
    "hodoscope_channel_generation",
    "How many channel documents this process has applied.",
    &[],
);
const APPLIED: Row = (
    "hodoscope_channel_applied_timestamp_seconds",
    "When the last channel document was applied.",
    &[],
);
const UPLOADS: Row = (
    "hodoscope_uploads_total",
    "Uploads by outcome.",
    &["outcome"],
);
const ENGINE_WAITING: Row = (
    "hodoscope_pool_waiting_calls",
    "Calls waiting for a thread of the pool.",
    &[],
);
const ENGINE_BUSY: Row = (
    "hodoscope_pool_busy_threads",
    "Threads of the pool at work.",
    &[],
);
const BREAKER: Row = (
    "hodoscope_breaker_open",
    "1 while calls of a release are stopped after repeated faults.",
    RELEASE,
);
const MEMORY: Row = (
    "hodoscope_guest_memory_peak_bytes",
    "The most memory an instance has used.",
    RELEASE,
);
const LOG_DROPPED: Row = (
    "hodoscope_guest_log_dropped_lines",
    "Lines of a guest that the rate limit dropped.",
    RELEASE,
);
const BUILD: Row = (
    "hodoscope_build_info",
    "The version of this host.",
    &["version"],
);
const RESIDENT: Row = (
    "process_resident_memory_bytes",
    "Resident memory of this process.",
    &[],
);
const OPEN_FDS: Row = (
    "process_open_fds",
    "Open file descriptors of this process.",
    &[],
);

/// The whole table, for the test that shows every change of it.
pub fn table() -> impl Iterator<Item = Row> {
    TABLE.iter().copied().chain(capture::TABLE)
}

const TABLE: &[Row] = &[
    REQUESTS,
    ROWS_SCORED,
    ANOMALIES,
    REQUEST_SECONDS,
    SCORE_SECONDS,
    BATCH_ROWS,
    SCORE,
    REJECTED,
    IN_FLIGHT,
    SHADOW_ROWS,
    SHADOW_FLIPS,
    SHADOW_DIFFERENCE,
    SHADOW_FAULTS,
    SHADOW_DROPPED,
    RELOADS,
    LOADS,
    LOAD_DURATION,
    WANTED,
    RUNNING,
    DIFFERS,
    FALLBACK,
    DOCUMENT_VALID,
    GENERATION,
    APPLIED,
    UPLOADS,
    ENGINE_WAITING,
    ENGINE_BUSY,
    BREAKER,
    MEMORY,
    LOG_DROPPED,
    BUILD,
    RESIDENT,
    OPEN_FDS,
];

/// All metrics of a host.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    requests: IntCounterVec,
    rows: IntCounterVec,
    anomalies: IntCounterVec,
    request_seconds: HistogramVec,
    score_seconds: HistogramVec,
    batch_rows: HistogramVec,
    score: HistogramVec,
    shadow: ShadowFamilies,
    wanted: IntGaugeVec,
    running: IntGaugeVec,
    differs: IntGaugeVec,
    fallback: IntGaugeVec,
    breaker: IntGaugeVec,
    memory: IntGaugeVec,
    log_dropped: IntGaugeVec,
    resident: IntGauge,
    open_fds: IntGauge,
    /// What is counted of captured traffic.
    pub capture: CaptureMeters,
    /// Requests that reached no release.
    pub rejected: IntCounterVec,
    /// Requests being answered.
    pub in_flight: IntGauge,
    /// Channel documents taken or refused.
    pub reloads: IntCounterVec,
    /// Releases loaded or not.
    pub loads: IntCounterVec,
    /// Time of loads.
    pub load_seconds: HistogramVec,
    /// Whether the document can be used.
    pub document_valid: IntGauge,
    /// Documents applied.
    pub generation: IntGauge,
    /// When the last was applied.
    pub applied: Gauge,
    /// Uploads by outcome.
    pub uploads: IntCounterVec,
    /// Calls waiting for the pool.
    pub pool_waiting: IntGauge,
    /// Busy pool threads.
    pub pool_busy: IntGauge,
    /// The text of `/metrics` is made by one at a time, since infos are set anew for it.
    rendering: Mutex<()>,
}

/// What is counted of shadows, by release.
#[derive(Debug, Clone)]
struct ShadowFamilies {
    rows: IntCounterVec,
    flips: IntCounterVec,
    difference: HistogramVec,
    faults: IntCounterVec,
    dropped: IntCounterVec,
}

/// One release's handles.
#[derive(Debug)]
pub struct Meters {
    labels: [String; 2],
    requests: IntCounterVec,
    ok: IntCounter,
    rows: IntCounter,
    anomalies: IntCounter,
    batch_rows: Histogram,
    score: Histogram,
    shadow_families: ShadowFamilies,
    shadow: OnceLock<ShadowMeters>,
    /// From the parsed head to the answer.
    pub request_seconds: Histogram,
    /// In the engine.
    pub score_seconds: Histogram,
}

/// One shadow's handles.
#[derive(Debug, Clone)]
pub struct ShadowMeters {
    /// Rows scored by both.
    pub rows: IntCounter,
    /// Rows on whose alarm they differ.
    pub flips: IntCounter,
    /// How far their scores differ.
    pub difference: Histogram,
    /// Copies without an answer.
    pub faults: IntCounter,
    /// Copies dropped.
    pub dropped: IntCounter,
}

/// What `/metrics` says of one detector in the roster.
#[derive(Debug)]
pub struct RosterLine<'a> {
    /// The detector.
    pub detector: &'a DetectorName,
    /// Version and digest that the channel wants.
    pub wanted: Option<(String, String)>,
    /// Version and digest that answer.
    pub running: Option<(String, String)>,
    /// Whether an earlier release stands in.
    pub fallback: bool,
    /// What is known of the drift job, if traffic is captured.
    pub verdict: Option<VerdictLine>,
    /// The releases in use, with their engine's numbers.
    pub releases: Vec<(Version, hodoscope_engine::DetectorStats)>,
}

impl Telemetry {
    /// Registers every metric.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let telemetry = Self {
            requests: counters(&registry, REQUESTS)?,
            rows: counters(&registry, ROWS_SCORED)?,
            anomalies: counters(&registry, ANOMALIES)?,
            request_seconds: histograms(&registry, REQUEST_SECONDS, &SECONDS)?,
            score_seconds: histograms(&registry, SCORE_SECONDS, &SECONDS)?,
            batch_rows: histograms(&registry, BATCH_ROWS, &ROWS)?,
            score: histograms(&registry, SCORE, &SCORES)?,
            shadow: ShadowFamilies {
                rows: counters(&registry, SHADOW_ROWS)?,
                flips: counters(&registry, SHADOW_FLIPS)?,
                difference: histograms(&registry, SHADOW_DIFFERENCE, &DIFFERENCES)?,
                faults: counters(&registry, SHADOW_FAULTS)?,
                dropped: counters(&registry, SHADOW_DROPPED)?,
            },
            wanted: gauges(&registry, WANTED)?,
            running: gauges(&registry, RUNNING)?,
            differs: gauges(&registry, DIFFERS)?,
            fallback: gauges(&registry, FALLBACK)?,
            breaker: gauges(&registry, BREAKER)?,
            memory: gauges(&registry, MEMORY)?,
            log_dropped: gauges(&registry, LOG_DROPPED)?,
            resident: gauge(&registry, RESIDENT)?,
            open_fds: gauge(&registry, OPEN_FDS)?,
            capture: CaptureMeters::new(&registry)?,
            rejected: counters(&registry, REJECTED)?,
            in_flight: gauge(&registry, IN_FLIGHT)?,
            reloads: counters(&registry, RELOADS)?,
            loads: counters(&registry, LOADS)?,
            load_seconds: histograms(&registry, LOAD_DURATION, &LOAD_SECONDS)?,
            document_valid: gauge(&registry, DOCUMENT_VALID)?,
            generation: gauge(&registry, GENERATION)?,
            applied: registered(&registry, Gauge::with_opts(opts(APPLIED))?)?,
            uploads: counters(&registry, UPLOADS)?,
            pool_waiting: gauge(&registry, ENGINE_WAITING)?,
            pool_busy: gauge(&registry, ENGINE_BUSY)?,
            rendering: Mutex::new(()),
            registry,
        };
        let build = gauges(&telemetry.registry, BUILD)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(telemetry)
    }

    /// The handles of a release.
    pub fn meters(&self, release: &ReleaseName) -> Meters {
        let labels = [release.detector.to_string(), release.version.to_string()];
        let [detector, version] = &labels;
        Meters {
            ok: self.requests.with_label_values(&[detector, version, "ok"]),
            requests: self.requests.clone(),
            rows: self.rows.with_label_values(&labels),
            anomalies: self.anomalies.with_label_values(&labels),
            batch_rows: self.batch_rows.with_label_values(&labels),
            score: self.score.with_label_values(&labels),
            request_seconds: self.request_seconds.with_label_values(&labels),
            score_seconds: self.score_seconds.with_label_values(&labels),
            shadow_families: self.shadow.clone(),
            shadow: OnceLock::new(),
            labels,
        }
    }

    /// The text of `/metrics`.
    pub fn render(&self, roster: &[RosterLine<'_>]) -> Result<String, prometheus::Error> {
        let _one = self.rendering.lock().unwrap_or_else(|e| e.into_inner());
        for infos in [
            &self.wanted,
            &self.running,
            &self.differs,
            &self.fallback,
            &self.breaker,
            &self.memory,
            &self.log_dropped,
        ] {
            infos.reset();
        }
        self.capture.reset_verdicts();
        for line in roster {
            self.describe(line);
        }
        if let Some((resident, fds)) = process() {
            self.resident.set(resident);
            self.open_fds.set(fds);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn describe(&self, line: &RosterLine<'_>) {
        let name = line.detector.as_str();
        for (infos, release) in [(&self.wanted, &line.wanted), (&self.running, &line.running)] {
            if let Some((version, digest)) = release {
                infos.with_label_values(&[name, version, digest]).set(1);
            }
        }
        if let Some(verdict) = line.verdict {
            self.capture.tell_verdict(line.detector, verdict);
        }
        let differs = line.wanted != line.running;
        self.differs.with_label_values(&[name]).set(differs.into());
        self.fallback
            .with_label_values(&[name])
            .set(line.fallback.into());
        for (version, stats) in &line.releases {
            let labels = [name, &version.to_string()];
            let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            self.breaker
                .with_label_values(&labels)
                .set(stats.breaker_open.into());
            self.memory
                .with_label_values(&labels)
                .set(count(stats.memory_peak_bytes as u64));
            self.log_dropped
                .with_label_values(&labels)
                .set(count(stats.log_lines_dropped));
        }
    }
}

impl Meters {
    /// Counts an answered request.
    pub fn answered(&self, scores: &[f64], anomalies: u64) {
        self.ok.inc();
        self.rows.inc_by(scores.len() as u64);
        self.batch_rows.observe(scores.len() as f64);
        if anomalies > 0 {
            self.anomalies.inc_by(anomalies);
        }
        match scores {
            [score] => self.score.observe(*score),
            _ => {
                let local = self.score.local();
                scores.iter().for_each(|score| local.observe(*score));
                local.flush();
            }
        }
    }

    /// The release's handles as a shadow; most releases never are one, and have no such series.
    pub fn shadow(&self) -> &ShadowMeters {
        let families = &self.shadow_families;
        self.shadow.get_or_init(|| ShadowMeters {
            rows: families.rows.with_label_values(&self.labels),
            flips: families.flips.with_label_values(&self.labels),
            difference: families.difference.with_label_values(&self.labels),
            faults: families.faults.with_label_values(&self.labels),
            dropped: families.dropped.with_label_values(&self.labels),
        })
    }

    /// Counts a request that ended in a problem.
    pub fn failed(&self, outcome: &str) {
        let [detector, version] = &self.labels;
        self.requests
            .with_label_values(&[detector, version, outcome])
            .inc();
    }
}

/// Starts writing logs to standard error. Does nothing if something else already does.
pub fn log(settings: &LogSettings) {
    let filter = EnvFilter::try_new(&settings.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        // Colours are for people: none in files and pipes.
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let _ = match settings.json {
        true => lines.json().flatten_event(true).try_init(),
        false => lines.try_init(),
    };
}

fn opts((name, help, _): Row) -> Opts {
    Opts::new(name, help)
}

fn registered<M: Collector + Clone + 'static>(
    registry: &Registry,
    metric: M,
) -> Result<M, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counters(registry: &Registry, row: Row) -> Result<IntCounterVec, prometheus::Error> {
    registered(registry, IntCounterVec::new(opts(row), row.2)?)
}

fn gauges(registry: &Registry, row: Row) -> Result<IntGaugeVec, prometheus::Error> {
    registered(registry, IntGaugeVec::new(opts(row), row.2)?)
}

fn gauge(registry: &Registry, row: Row) -> Result<IntGauge, prometheus::Error> {
    registered(registry, IntGauge::with_opts(opts(row))?)
}

fn histograms(
    registry: &Registry,
    row: Row,
    bounds: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    let opts = HistogramOpts::new(row.0, row.1).buckets(bounds.to_vec());
    registered(registry, HistogramVec::new(opts, row.2)?)
}

/// Resident bytes and open descriptors of this process, where the system tells them (proc(5)).
fn process() -> Option<(i64, i64)> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: i64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let fds = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some((resident.saturating_mul(4096), i64::try_from(fds).ok()?))
}
