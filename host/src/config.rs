//! Every setting: its key, default, check and meaning, declared once, in [`Config::read`]. `hodoscope.toml` yields to
//! `HODOSCOPE_*`, which yields to flags. Unknown keys are errors, and all errors are reported together. This is the only
//! place that reads the environment (the AWS SDK's own credentials apart).

mod capture;
mod forge;
mod reader;
mod sources;
mod tracking;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hodoscope_registry::StoreLocation;
use hodoscope_release::{ChannelName, DetectorName, Digest};
use serde::Serialize;

pub use capture::CaptureSettings;
pub use forge::ForgeSettings;
use reader::{Kind, Reader};
pub use sources::{Origin, Sources};
pub use tracking::TrackingSettings;

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where local state lies.
    pub home: PathBuf,
    /// Where releases lie.
    pub store: StoreSettings,
    /// The channel that is served or changed.
    pub channel: ChannelName,
    /// The folder with the channel's document or documents.
    pub channel_dir: PathBuf,
    /// Where changes of channels are proposed.
    pub forge: ForgeSettings,
    /// What the two listeners do.
    pub http: HttpSettings,
    /// How the roster follows its channel.
    pub roster: RosterSettings,
    /// What detectors may use.
    pub engine: EngineSettings,
    /// What is captured of traffic.
    pub capture: CaptureSettings,
    /// The folder with the rows that owners of detectors want flagged or passed.
    pub expectations_dir: PathBuf,
    /// Where trainings and releases are recorded.
    pub tracking: TrackingSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Each setting with its value and origin, secrets masked.
    pub shown: Vec<Shown>,
}

/// Where releases lie, and how S3 is reached.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// A folder or `s3://bucket/prefix`.
    pub location: StoreLocation,
    /// Another S3 than Amazon's.
    pub s3_endpoint: Option<String>,
    /// The region, if the SDK's chain shall not find it.
    pub s3_region: Option<String>,
    /// Buckets as the first segment of the path, which most S3 servers other than Amazon's need.
    pub s3_path_style: bool,
}

/// What the two listeners do.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Where scoring is served.
    pub data_address: SocketAddr,
    /// Where metrics, the roster and uploads are served.
    pub admin_address: SocketAddr,
    /// Whether the admin port takes releases.
    pub accept_uploads: bool,
    /// Whether load and unload act freely.
    pub dev: bool,
    /// The admin token, if it is given rather than kept in a file.
    pub token: Option<Secret>,
    /// The file with the admin token; written at the first start.
    pub token_file: PathBuf,
    /// The longest body of a scoring request.
    pub body_limit_bytes: usize,
    /// How long a client may take to send its headers, and then its body.
    pub read_timeout: Duration,
    /// How long a scoring request may take in the detector.
    pub deadline: Duration,
    /// How long requests are still taken after a signal, while readiness already says no: a balancer needs a while.
    pub drain_delay: Duration,
    /// How long in-flight requests may take to end after that.
    pub drain: Duration,
    /// Threads that serve requests; `None`: one per core.
    pub threads: Option<usize>,
}

/// How the roster follows its channel.
#[derive(Debug, Clone)]
pub struct RosterSettings {
    /// How often the channel's folder is looked at, whether or not the system reported a change.
    pub poll: Duration,
    /// How many copies of calls wait for a shadow before they are dropped and counted.
    pub shadow_queue: usize,
}

/// What detectors may use. `None` leaves the engine's own default.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The longest component.
    pub component_limit_bytes: usize,
    /// The most memory one instance may use.
    pub memory_limit_bytes: usize,
    /// CPU seconds that compiling one component may take.
    pub compile_cpu_seconds: u64,
    /// Threads of the scoring pool; `None`: one per core.
    pub pool_threads: Option<usize>,
    /// Calls of one detector that may wait for the pool.
    pub queue_capacity: usize,
    /// Digests whose instances may be reused although their code is not built into this host.
    pub reuse: BTreeSet<Digest>,
    /// Where compiled code is kept.
    pub cache_dir: PathBuf,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A filter as `tracing` reads it: `info`, `hodoscope=debug`.
    pub filter: String,
    /// One JSON object per line, in place of text.
    pub json: bool,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// One setting, as `hodoscope config` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The key in `hodoscope.toml`; `HODOSCOPE_<KEY>` in the environment.
    pub key: &'static str,
    /// The value; masked if it is a secret.
    pub value: String,
    /// Where the value comes from.
    pub origin: Origin,
    /// What the setting means.
    pub about: &'static str,
}

/// All that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad configuration:\n  {}", .0.join("\n  "))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Reads every setting and reports all errors together. Reads no file besides what `sources` already holds.
    pub fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let mut read = Reader::new(sources);
        let home = PathBuf::from(read.text("home", "./.hodoscope", "where local state lies"));
        let store = StoreSettings::read(&mut read, &home);
        let channel: ChannelName = read.value(
            "channel",
            "local",
            Kind::Plain,
            "whose wanted state is served",
        );
        let folder = home.join("channels").join(channel.as_str());
        let config = Self {
            store,
            channel_dir: read.path(
                "channel_dir",
                folder,
                "the folder with the channel's documents",
            ),
            channel,
            forge: ForgeSettings::read(&mut read),
            http: HttpSettings::read(&mut read, &home),
            roster: RosterSettings::read(&mut read),
            engine: EngineSettings::read(&mut read, &home),
            capture: CaptureSettings::read(&mut read, &home),
            expectations_dir: read.path(
                "expectations",
                home.join("expectations"),
                "the folder with <detector>.csv: rows that a retrained release must flag or pass",
            ),
            tracking: TrackingSettings::read(&mut read),
            log: LogSettings::read(&mut read),
            home,
            shown: Vec::new(),
        };
        let shown = read.finish()?;
        Ok(Self { shown, ..config })
    }

    /// The file with the rows that the owner of a detector wants flagged or passed; it need not exist.
    pub fn expectations(&self, detector: &DetectorName) -> PathBuf {
        self.expectations_dir.join(format!("{detector}.csv"))
    }
}

impl StoreSettings {
    fn read(read: &mut Reader<'_>, home: &std::path::Path) -> Self {
        let folder = home.join("store").display().to_string();
        Self {
            location: read.value(
                "store",
                &folder,
                Kind::Plain,
                "a folder or s3://bucket/prefix",
            ),
            s3_endpoint: read.maybe("s3_endpoint", "another S3 than Amazon's, as a URL"),
            s3_region: read.maybe("s3_region", "the region; else the AWS SDK's usual chain"),
            s3_path_style: read.value(
                "s3_path_style",
                "false",
                Kind::Plain,
                "bucket in the path, not in the host name",
            ),
        }
    }
}

impl HttpSettings {
    fn read(read: &mut Reader<'_>, home: &std::path::Path) -> Self {
        Self {
            data_address: read.value("data_address", "127.0.0.1:8080", Kind::Plain, "scoring"),
            admin_address: read.value(
                "admin_address",
                "127.0.0.1:8081",
                Kind::Plain,
                "metrics, roster, uploads",
            ),
            accept_uploads: read.value(
                "accept_uploads",
                "false",
                Kind::Plain,
                "whether the admin port takes releases",
            ),
            dev: read.value("dev", "false", Kind::Plain, "load and unload act freely"),
            token: read.secret("token", "the admin token, in place of the file's"),
            token_file: read.path(
                "token_file",
                home.join("token"),
                "the admin token; written at the first start",
            ),
            body_limit_bytes: read.positive(
                "body_limit_bytes",
                8 << 20,
                "the longest scoring body",
            ),
            read_timeout: Duration::from_millis(read.positive(
                "read_timeout_ms",
                10_000,
                "to send headers, then a body",
            )),
            deadline: Duration::from_millis(read.positive(
                "deadline_ms",
                1000,
                "how long a detector may take for one request",
            )),
            drain_delay: Duration::from_millis(read.value(
                "drain_delay_ms",
                "0",
                Kind::Plain,
                "how long requests are taken after a signal",
            )),
            drain: read.seconds(
                "drain_seconds",
                25,
                "how long requests may end after a signal",
            ),
            threads: read.maybe_positive("threads", "threads that serve; default one per core"),
        }
    }
}

impl RosterSettings {
    fn read(read: &mut Reader<'_>) -> Self {
        Self {
            poll: read.seconds(
                "poll_seconds",
                15,
                "how often the channel's folder is looked at",
            ),
            shadow_queue: read.positive("shadow_queue", 1024, "waiting copies for shadows"),
        }
    }
}

impl EngineSettings {
    fn read(read: &mut Reader<'_>, home: &std::path::Path) -> Self {
        Self {
            component_limit_bytes: read.positive(
                "component_limit_bytes",
                32 << 20,
                "the longest component",
            ),
            memory_limit_bytes: read.positive(
                "memory_limit_bytes",
                128 << 20,
                "the most memory of one instance",
            ),
            compile_cpu_seconds: read.positive(
                "compile_cpu_seconds",
                60,
                "CPU time to compile one component",
            ),
            pool_threads: read.maybe_positive("pool_threads", "scoring pool; default one per core"),
            queue_capacity: read.positive("queue_capacity", 64, "waiting calls of one detector"),
            reuse: read.list("reuse", "digests whose instances may be reused"),
            cache_dir: read.path(
                "cache_dir",
                home.join("cache"),
                "compiled code and components",
            ),
        }
    }
}

impl LogSettings {
    fn read(read: &mut Reader<'_>) -> Self {
        Self {
            filter: read.text("log", "info", "what is logged: info, hodoscope=debug"),
            json: read.one_of("log_format", &["text", "json"], "how lines are written") == "json",
        }
    }
}

impl Secret {
    /// Keeps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; for comparing and writing to its file, never for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        toml: &str,
        environment: &[(&str, &str)],
        flags: &[(&str, &str)],
    ) -> Result<Config, ConfigError> {
        let own = |pairs: &[(&str, &str)]| {
            let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            pairs.iter().map(pair).collect::<Vec<_>>()
        };
        Config::read(&Sources::new(toml, own(environment), own(flags)))
    }

    #[test]
    fn an_empty_configuration_serves_the_local_channel_from_a_folder() {
        let config = read("", &[], &[]).unwrap();
        assert_eq!(config.http.data_address.to_string(), "127.0.0.1:8080");
        assert_eq!(config.store.location.to_string(), "./.hodoscope/store");
        assert_eq!(
            config.channel_dir,
            PathBuf::from("./.hodoscope/channels/local")
        );
        assert!(
            config
                .shown
                .iter()
                .all(|shown| shown.origin == Origin::Default)
        );
    }

    #[test]
    fn flags_win_over_the_environment_which_wins_over_the_file() {
        let toml = "channel = \"a\"\npoll_seconds = 1\ndev = true";
        let config = read(
            toml,
            &[("HODOSCOPE_CHANNEL", "b"), ("HODOSCOPE_POLL_SECONDS", "2")],
            &[("channel", "c")],
        )
        .unwrap();
        assert_eq!(config.channel.as_str(), "c");
        assert_eq!(config.roster.poll, Duration::from_secs(2));
        assert!(config.http.dev);
        let origin = |key| {
            config
                .shown
                .iter()
                .find(|shown| shown.key == key)
                .unwrap()
                .origin
        };
        assert_eq!(origin("channel"), Origin::Flag);
        assert_eq!(origin("poll_seconds"), Origin::Environment);
        assert_eq!(origin("dev"), Origin::File);
    }

    #[test]
    fn reports_all_errors_together() {
        let error = read(
            "chanel = \"x\"\ndev = \"maybe\"\n[serve]\nx = 1",
            &[
                ("HODOSCOPE_DATA_ADDRESS", "nowhere"),
                ("HODOSCOPE_POLL", "1"),
            ],
            &[
                ("channel", "No Such"),
                ("log_format", "xml"),
                ("threads", "0"),
            ],
        )
        .unwrap_err();
        for key in [
            "chanel",
            "dev",
            "serve",
            "HODOSCOPE_DATA_ADDRESS",
            "HODOSCOPE_POLL",
            "flag `channel`",
            "log_format",
            "threads",
        ] {
            assert!(
                error.0.iter().any(|line| line.contains(key)),
                "{key}: {error}"
            );
        }
        assert_eq!(error.0.len(), 8, "{error}");
    }

    #[test]
    fn says_what_an_unknown_key_may_have_meant() {
        let error = read("chanel = \"x\"", &[], &[]).unwrap_err();
        assert!(
            error.to_string().contains("did you mean `channel`"),
            "{error}"
        );
    }

    #[test]
    fn never_shows_a_secret() {
        let config = read("", &[("HODOSCOPE_TOKEN", "hunter2hunter2hunter2")], &[]).unwrap();
        assert_eq!(
            config.http.token.as_ref().unwrap().reveal(),
            "hunter2hunter2hunter2"
        );
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn names_of_mlflow_count_and_ours_win() {
        let shared = ("MLFLOW_TRACKING_URI", "http://ann:hush@ml:5000/a");
        let uri = |config: &Config| {
            config
                .tracking
                .uri
                .as_ref()
                .map(|uri| uri.reveal().to_owned())
        };
        let config = read("", &[shared, ("MLFLOW_TRACKING_TOKEN", "t0ken")], &[]).unwrap();
        assert_eq!(uri(&config).as_deref(), Some(shared.1));
        assert_eq!(config.tracking.token.as_ref().unwrap().reveal(), "t0ken");
        let printed = serde_json::to_string(&config.shown).unwrap();
        assert!(printed.contains("http://ml:5000/a"), "{printed}");
        assert!(
            !printed.contains("hush") && !printed.contains("t0ken"),
            "{printed}"
        );
        let config = read("mlflow_tracking_uri = \"http://own\"", &[shared], &[]).unwrap();
        assert_eq!(uri(&config).as_deref(), Some("http://own"));
        let config = read("", &[shared, ("HODOSCOPE_MLFLOW_TRACKING_URI", "")], &[]).unwrap();
        assert_eq!(uri(&config), None);
    }

    #[test]
    fn an_address_that_only_mlflow_can_open_is_an_error_where_it_was_meant_for_us() {
        assert!(read("", &[("MLFLOW_TRACKING_URI", "databricks")], &[]).is_ok());
        let error = read("", &[("HODOSCOPE_MLFLOW_TRACKING_URI", "databricks")], &[]);
        assert!(error.unwrap_err().to_string().contains("Databricks"));
    }

    #[test]
    fn ignores_the_service_links_of_kubernetes() {
        let links = [
            ("HODOSCOPE_SERVICE_HOST", "10.0.0.1"),
            ("HODOSCOPE_SERVICE_PORT_HTTP", "8080"),
            ("HODOSCOPE_PORT", "tcp://10.0.0.1:8080"),
            ("HODOSCOPE_ADMIN_PORT_8081_TCP_ADDR", "10.0.0.1"),
        ];
        assert!(read("", &links, &[]).is_ok());
    }
}
