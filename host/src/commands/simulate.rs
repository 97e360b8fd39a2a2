//! `hodoscope simulate`: a live stream against a running host, from a generator with labelled anomalies and a drift that
//! sets in, or from a file. It sends at a rate whatever the answers (an open loop), counts what is found, missed and
//! falsely alarmed, and fails if a request failed.

mod client;
mod describe;
mod latency;
mod likeness;
mod load;
mod pace;
mod record;
mod report;
mod source;
mod swaps;
mod tally;
mod telemetry;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hodoscope_release::DetectorName;
use tokio::sync::watch;

use super::Context;
use load::{Seen, Stream, lock};
use pace::{Pacer, Schedule};
use record::Recording;
use report::{Live, Summary, Swaps};
use source::{Replay, Rows, Source};
use telemetry::{SENSORS, Telemetry, Wear};

pub(crate) use client::{Address, Connection};
use pace::Rate;

/// How long a generator streams if nothing is said.
const GENERATOR_SECONDS: f64 = 30.0;

/// The arguments of `hodoscope simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The detector to send to
    #[arg(long, value_name = "NAME", required_unless_present = "generate")]
    detector: Option<DetectorName>,
    /// Rows per second, or `max`
    #[arg(long, value_name = "ROWS", default_value = "1000")]
    rate: Rate,
    /// Rows in one request
    #[arg(long, value_name = "ROWS", default_value = "10")]
    batch: NonZeroUsize,
    /// Connections; a request that finds all of them busy waits, and its latency counts the waiting
    #[arg(long, value_name = "COUNT", default_value = "8")]
    connections: NonZeroUsize,
    /// Seconds to stream [default: 30; a file: once through]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<f64>,
    /// The host [default: this configuration's data address]
    #[arg(long, value_name = "URL")]
    url: Option<Address>,
    /// Milliseconds until a request counts as failed
    #[arg(long, value_name = "MS", default_value = "5000")]
    deadline_ms: NonZeroU64,
    /// Replay this table (.csv, .csv.gz, .parquet, .ndjson)
    #[arg(long, value_name = "FILE", conflicts_with = "generator")]
    file: Option<PathBuf>,
    /// The column of the file that tells anomalies (not 0) from normal rows (0)
    #[arg(long, value_name = "COLUMN", requires = "file")]
    label: Option<String>,
    /// Start the file again at its end
    #[arg(long, requires = "file")]
    repeat: bool,
    /// Which generator [default: telemetry if the detector has its features, else golden]
    #[arg(long, value_enum)]
    generator: Option<Generator>,
    /// The generator's seed
    #[arg(long, default_value = "1")]
    seed: u64,
    /// The second of the stream at which drift sets in
    #[arg(long, value_name = "SECOND", value_parser = seconds, conflicts_with = "file")]
    drift_at: Option<f64>,
    /// Seconds from no drift to all of it
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "3")]
    drift_ramp: f64,
    /// Write the last rows that were sent, with their labels, to this table
    #[arg(long, value_name = "FILE", conflicts_with = "generate")]
    record: Option<PathBuf>,
    /// How many rows `--record` keeps
    #[arg(long, value_name = "ROWS", default_value = "50000")]
    record_last: NonZeroUsize,
    /// After `--duration`, exchange the active and the previous release so many times while requests run
    #[arg(long, value_name = "COUNT", conflicts_with = "generate")]
    swaps: Option<u32>,
    /// Send nothing: write so many rows of the telemetry generator, with their labels, to `--out`
    #[arg(long, value_name = "ROWS", requires = "out")]
    generate: Option<u64>,
    /// Where `--generate` writes: .csv, .parquet or .ndjson
    #[arg(long, value_name = "FILE", requires = "generate")]
    out: Option<PathBuf>,
}

/// The built-in generators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Generator {
    /// Pumps with eight sensors, five kinds of faults, and wear.
    Telemetry,
    /// Rows like the golden rows of the release that is served, for any detector.
    Golden,
}

/// Generates rows or streams them.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let (Some(rows), Some(out)) = (args.generate, &args.out) {
        return generate(&args, rows, out, context);
    }
    let Some(detector) = args.detector.clone() else {
        bail!("name a detector with --detector");
    };
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let summary = runtime.block_on(stream(&args, &detector, context))?;
    context.answer(&summary, &summary)?;
    Ok(if summary.total.counts.failed_requests == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn generate(args: &Args, rows: u64, out: &PathBuf, context: &Context) -> anyhow::Result<ExitCode> {
    let count = usize::try_from(rows).context("too many rows")?;
    let telemetry = Rows::Telemetry(Box::new(Telemetry::new(args.seed, args.wear()?)));
    record::write(out, &sensors(), telemetry.take(count))?;
    let written = serde_json::json!({ "rows": rows, "out": out, "label": record::LABEL });
    context.answer(
        &written,
        format_args!("wrote {rows} rows to {}", out.display()),
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn stream(
    args: &Args,
    detector: &DetectorName,
    context: &Context,
) -> anyhow::Result<Summary> {
    let address = args.address(context)?;
    let served = describe::served(&address, detector).await?;
    let rows = args.rows(&served, context).await?;
    let features = match &rows {
        Rows::Telemetry(_) => sensors(),
        Rows::Likeness(_) | Rows::File(_) => served.features.clone(),
    };
    let stream = Arc::new(Stream {
        path: format!("/v1/detectors/{detector}/score"),
        address,
        deadline: Duration::from_millis(args.deadline_ms.get()),
        source: Mutex::new(Source::new(rows, &features, args.batch.get())?),
        tally: Mutex::default(),
        recording: args
            .record
            .is_some()
            .then(|| Mutex::new(Recording::new(args.record_last.get()))),
        swapping: AtomicBool::new(false),
        budget: AtomicU64::new(args.budget()),
        seen: watch::Sender::new(Seen {
            digest: served.digest,
            sent: Instant::now(),
        }),
        pacer: Pacer::start(args.schedule()).context("failed to start the pacing thread")?,
    });
    let took = drive(args, detector, context, &stream).await?;
    let elapsed = stream.pacer.started().elapsed();
    let stream = Arc::into_inner(stream).context("a connection outlived the stream")?;
    if let (Some(path), Some(recording)) = (&args.record, stream.recording) {
        let recording = recording
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        recording.write(path, &features)?;
    }
    let tally = lock(&stream.tally);
    let swaps = took.map(|took| Swaps::of(&took, &tally));
    Ok(Summary::of(detector.to_string(), elapsed, &tally, swaps))
}

/// Runs the stream to its end, showing the live line; gives how long each swap took.
async fn drive(
    args: &Args,
    detector: &DetectorName,
    context: &Context,
    stream: &Arc<Stream>,
) -> anyhow::Result<Option<Vec<Duration>>> {
    let mut live = Live::new();
    let mut lines = tokio::time::interval(live.interval());
    lines.tick().await;
    let running = stream.run(args.connections.get());
    let phases = phases(args, detector, context, stream);
    tokio::pin!(running, phases);
    let mut took = None;
    let mut phases_done = false;
    loop {
        tokio::select! {
            () = &mut running => break,
            result = &mut phases, if !phases_done => {
                phases_done = true;
                stream.pacer.stop();
                took = result?;
            }
            _ = lines.tick() => live.show(stream.pacer.started().elapsed(), &lock(&stream.tally)),
            _ = tokio::signal::ctrl_c() => stream.pacer.stop(),
        }
    }
    live.show(stream.pacer.started().elapsed(), &lock(&stream.tally));
    live.finish();
    Ok(took)
}

/// Ends when the stream shall end.
async fn phases(
    args: &Args,
    detector: &DetectorName,
    context: &Context,
    stream: &Stream,
) -> anyhow::Result<Option<Vec<Duration>>> {
    match (args.swaps, args.seconds(), args.rate) {
        (Some(swaps), seconds, _) => {
            tokio::time::sleep(Duration::from_secs_f64(seconds.unwrap_or(5.0))).await;
            stream.swapping.store(true, Ordering::Relaxed);
            let seen = stream.seen.subscribe();
            swaps::swap(&context.config.channel_dir, detector, swaps, seen)
                .await
                .map(Some)
        }
        (None, Some(seconds), Rate::Max) => {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            Ok(None)
        }
        // A paced stream ends when its budget is spent, and a file at its end.
        (None, _, _) => std::future::pending().await,
    }
}

impl Args {
    fn address(&self, context: &Context) -> anyhow::Result<Address> {
        match &self.url {
            Some(address) => Ok(address.clone()),
            None => format!("http://{}", context.config.http.data_address)
                .parse()
                .map_err(anyhow::Error::msg),
        }
    }

    /// Seconds to stream; `None`: a file once through.
    fn seconds(&self) -> Option<f64> {
        let whole_file = self.file.is_some() && !self.repeat;
        self.duration.or((!whole_file).then_some(GENERATOR_SECONDS))
    }

    fn schedule(&self) -> Option<Schedule> {
        match self.rate {
            Rate::Rows(rows) => Some(Schedule {
                requests_per_second: rows / self.batch.get() as f64,
            }),
            Rate::Max => None,
        }
    }

    /// How many requests a paced stream sends; without limit where the clock or a file ends it.
    fn budget(&self) -> u64 {
        match (self.schedule(), self.seconds(), self.swaps) {
            (Some(schedule), Some(seconds), None) => {
                (schedule.requests_per_second * seconds).ceil() as u64
            }
            _ => u64::MAX,
        }
    }

    fn wear(&self) -> anyhow::Result<Option<Wear>> {
        match (self.drift_at, self.rate) {
            (None, _) => Ok(None),
            (Some(_), Rate::Max) => {
                bail!("--drift-at is counted in seconds of the stream; give a --rate in rows")
            }
            (Some(second), Rate::Rows(rate)) => Ok(Some(Wear {
                from_row: (second * rate) as u64,
                ramp_rows: (self.drift_ramp * rate) as u64,
            })),
        }
    }

    async fn rows(&self, served: &describe::Served, context: &Context) -> anyhow::Result<Rows> {
        let mut wanted = served.features.clone();
        if let Some(file) = &self.file {
            let limit = match (self.repeat, self.budget()) {
                (false, requests) if requests < u64::MAX => {
                    requests.saturating_mul(self.batch.get() as u64)
                }
                _ => u64::MAX,
            };
            let replay = Replay::open(file, &wanted, self.label.as_ref(), limit, self.repeat)?;
            return Ok(Rows::File(replay));
        }
        wanted.sort();
        let mut own = sensors();
        own.sort();
        let generator = match self.generator {
            Some(generator) => generator,
            None if wanted == own => Generator::Telemetry,
            None => Generator::Golden,
        };
        let wear = self.wear()?;
        match generator {
            Generator::Telemetry => Ok(Rows::Telemetry(Box::new(Telemetry::new(self.seed, wear)))),
            Generator::Golden => {
                let likeness = describe::likeness(served, context, self.seed, wear).await?;
                Ok(Rows::Likeness(Box::new(likeness)))
            }
        }
    }
}

fn sensors() -> Vec<String> {
    SENSORS.iter().map(|name| (*name).to_owned()).collect()
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && (0.0..=1e7).contains(&seconds) => Ok(seconds),
        _ => Err(format!("`{text}` is no number of seconds")),
    }
}
