//! The command line: one variant and one file per verb. A command gets its own arguments and the [`Context`], and
//! answers with an exit code: 0 done, 1 refused or failed, 2 wrong usage (clap), 64 bad configuration.

pub mod build;
pub mod compile;
pub mod config;
pub mod demo;
pub mod drift;
pub mod evaluate;
pub mod forge;
pub mod healthcheck;
pub mod import;
pub mod inspect;
pub mod list;
pub mod new;
pub mod promote;
pub mod push;
pub mod reference;
pub mod replay;
pub mod retire;
pub mod retune;
pub mod rollback;
pub mod score;
pub mod serve;
pub mod simulate;
pub mod status;
pub mod test;
pub mod train;
pub mod yank;

use std::fmt::Display;
use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::config::{Config, LogSettings, Origin, Sources};
use crate::telemetry;

/// The exit code of a bad configuration (`EX_USAGE` of sysexits.h, as linkerd uses it).
pub const EXIT_CONFIG: u8 = 64;

/// Anomaly detectors as sandboxed components, pinned by digest, swapped while requests run.
#[derive(Debug, Parser)]
#[command(name = "hodoscope", version, max_term_width = 120)]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command takes. Each setting flag wins over the environment and over `hodoscope.toml`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct Flags {
    /// The settings file [default: ./hodoscope.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where local state lies: store, channels, cache, token [default: ./.hodoscope]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub home: Option<String>,
    /// Where releases lie: a folder or s3://bucket/prefix [default: HOME/store]
    #[arg(long, global = true, value_name = "PLACE")]
    pub store: Option<String>,
    /// The channel whose wanted state is read or changed [default: local]
    #[arg(long, global = true, value_name = "NAME")]
    pub channel: Option<String>,
    /// Any setting by its key, as `hodoscope config` prints them; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How answers are printed
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Output,
}

/// How a command prints its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a detector of your own in Rust, Python or JavaScript
    New(new::Args),
    /// Make a component of a detector's source folder or of a compiled module
    Build(build::Args),
    /// Make every check that a push makes, and print the report
    Test(test::Args),
    /// Train an isolation forest and write it as a component
    Train(train::Args),
    /// Turn a scikit-learn isolation forest (ONNX) into a component
    Import(import::Args),
    /// Give a release another threshold, with the same trees
    Retune(retune::Args),
    /// Show what a component is: contract, features, limits, digest
    Inspect(inspect::Args),
    /// Check a component and put it into the store as a release
    Push(push::Args),
    /// List the releases in the store
    List(list::Args),
    /// Mark a release as not to be used any more
    Yank(yank::Args),
    /// Make a release the active one of a channel
    Promote(promote::Args),
    /// Return a detector to its previous release
    Rollback(rollback::Args),
    /// Take a detector out of service
    Retire(retire::Args),
    /// Judge the traffic of a channel; retrain and propose what no longer fits
    Drift(drift::Args),
    /// Show, merge, close or hold the pull request of a detector
    Forge(forge::Args),
    /// Serve the detectors of a channel over HTTP
    Serve(serve::Args),
    /// Show what a running host was asked to serve, what it serves, and why they differ
    Status(status::Args),
    /// Ask the host of this machine whether it is ready, by the exit code
    Healthcheck(healthcheck::Args),
    /// Score a file offline, on all cores
    Score(score::Args),
    /// Compare two releases on the same rows
    Evaluate(evaluate::Args),
    /// Score a captured request again with the same release, bit for bit
    Replay(replay::Args),
    /// Send a live stream with anomalies and a drift to a host
    Simulate(simulate::Args),
    /// Tell the whole story in a folder of its own: train, serve, drift, retrain, swap, roll back
    Demo(demo::Args),
    /// Print every setting with its origin
    Config(config::Args),
    /// Body of the compiling child process: a component on standard input, compiled code on standard output
    #[command(hide = true)]
    Compile(compile::Args),
}

/// What every command may use: the settings, and how to print.
#[derive(Debug, Clone)]
pub struct Context {
    /// All settings, checked.
    pub config: Config,
    /// How answers are printed.
    pub output: Output,
    /// One for the whole command: clients of the store and the forge keep tasks on the runtime that they began on.
    runtime: Arc<OnceLock<Runtime>>,
}

impl Context {
    /// Prints a command's answer on standard output: `value` as JSON with `--output json`, else `text`.
    pub fn answer(&self, value: &impl Serialize, text: impl Display) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let written = match self.output {
            Output::Text => writeln!(out, "{text}"),
            Output::Json => {
                let json = serde_json::to_string_pretty(value).context("failed to write JSON")?;
                writeln!(out, "{json}")
            }
        };
        match written {
            // A reader that has seen enough (`| head`) is no failure.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("failed to write to standard output"),
        }
    }

    /// Runs a future to its end on the command's small runtime, for commands that speak with the store and the forge.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> anyhow::Result<T> {
        let runtime = match self.runtime.get() {
            Some(runtime) => runtime,
            None => {
                let made = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .context("failed to start the runtime")?;
                self.runtime.get_or_init(|| made)
            }
        };
        Ok(runtime.block_on(future))
    }
}

impl Cli {
    /// Runs the command and gives the exit code of the process.
    pub fn run(self) -> ExitCode {
        // The compiling child reads no settings: it inherits its limits, and nothing else.
        if let Command::Compile(args) = self.command {
            return compile::run(args);
        }
        let mut settings = self.flags.settings();
        if let Command::Serve(args) = &self.command {
            settings.extend(args.settings());
        }
        let sources = Sources::gather(self.flags.config.as_deref(), settings);
        let config = match Config::read(&sources) {
            Ok(config) => config,
            Err(error) => {
                complain(&error);
                return ExitCode::from(EXIT_CONFIG);
            }
        };
        telemetry::log(&self.command.log(&config));
        let context = Context {
            config,
            output: self.flags.output,
            runtime: Arc::default(),
        };
        self.command.run(&context).unwrap_or_else(|error| {
            complain(&format_args!("error: {error:#}"));
            ExitCode::FAILURE
        })
    }
}

impl Command {
    /// How this command logs. One that works for long says what it does; one that answers at once says only what is
    /// wrong, unless the setting asks for more.
    fn log(&self, config: &Config) -> LogSettings {
        let mut log = config.log.clone();
        let mut settings = config.shown.iter();
        let is_set = settings.any(|one| one.key == "log" && one.origin != Origin::Default);
        if !is_set && !matches!(self, Self::Serve(_) | Self::Drift(_)) {
            "warn".clone_into(&mut log.filter);
        }
        log
    }

    fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::New(args) => new::run(args, context),
            Self::Build(args) => build::run(args, context),
            Self::Test(args) => test::run(args, context),
            Self::Train(args) => train::run(args, context),
            Self::Import(args) => import::run(args, context),
            Self::Retune(args) => retune::run(args, context),
            Self::Inspect(args) => inspect::run(args, context),
            Self::Push(args) => push::run(args, context),
            Self::List(args) => list::run(args, context),
            Self::Yank(args) => yank::run(args, context),
            Self::Promote(args) => promote::run(args, context),
            Self::Rollback(args) => rollback::run(args, context),
            Self::Retire(args) => retire::run(args, context),
            Self::Drift(args) => drift::run(args, context),
            Self::Forge(args) => forge::run(args, context),
            Self::Serve(args) => serve::run(args, context),
            Self::Status(args) => status::run(args, context),
            Self::Healthcheck(args) => healthcheck::run(args, context),
            Self::Score(args) => score::run(args, context),
            Self::Demo(args) => demo::run(args, context),
            Self::Evaluate(args) => evaluate::run(args, context),
            Self::Replay(args) => replay::run(args, context),
            Self::Simulate(args) => simulate::run(args, context),
            Self::Config(args) => config::run(args, context),
            Self::Compile(args) => Ok(compile::run(args)),
        }
    }
}

impl Flags {
    /// The settings among the flags, as `(key, value)`.
    fn settings(&self) -> Vec<(String, String)> {
        let named = [
            ("home", &self.home),
            ("store", &self.store),
            ("channel", &self.channel),
        ];
        let named = named
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)));
        let free = self.set.iter().map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key.trim().to_owned(), value.to_owned()),
            None => (pair.clone(), String::new()),
        });
        named.chain(free).collect()
    }
}

/// The exit code of a command that did what was asked, or did not.
fn exit(done: bool) -> ExitCode {
    match done {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Writes an error for people on standard error; if even that fails there is nobody left to tell.
fn complain(text: &impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
