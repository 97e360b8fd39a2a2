//! `hodoscope serve`: the server's life, from settings to drain.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

use super::Context;
use crate::app::{App, Workers};
use crate::config::{Config, HttpSettings, Secret};
use crate::http::{self, Front};
use crate::{gate, tasks};

/// How long the last of what was captured may take: even if requests took all of the drain's time, and at most.
const LEAST_FLUSH: Duration = Duration::from_secs(2);
const LONGEST_FLUSH: Duration = Duration::from_secs(10);
/// Random bytes in a token; twice as many hexadecimal digits.
const TOKEN_BYTES: usize = 32;

/// The arguments of `hodoscope serve`. Each is a setting, too.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where scoring is served [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    data_address: Option<String>,
    /// Where metrics, the roster and uploads are served [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    admin_address: Option<String>,
    /// Accept releases over the admin port (with the token); they are stored, never served at once
    #[arg(long)]
    accept_uploads: bool,
    /// Let load and unload act freely, whatever the channel says
    #[arg(long)]
    dev: bool,
    /// Sample scored traffic and count it, for drift, retraining and replay
    #[arg(long)]
    capture: bool,
}

impl Args {
    /// The settings among the arguments, as `(key, value)`.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let yes = |set: bool| set.then(|| "true".to_owned());
        let valued = [
            ("data_address", self.data_address.clone()),
            ("admin_address", self.admin_address.clone()),
            ("accept_uploads", yes(self.accept_uploads)),
            ("dev", yes(self.dev)),
            ("capture", yes(self.capture)),
        ];
        valued
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect()
    }
}

/// Runs the command.
pub fn run(_args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = context.config.http.threads {
        runtime.worker_threads(threads);
    }
    let runtime = runtime
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(serve(&context.config))?;
    // Work that blocks, such as a gate, is not waited for: it changes nothing that is kept.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let settings = &config.http;
    let token = token(settings)?;
    // A laptop's channel folder is made, so that it can be watched; one that is mounted is there already.
    let _ = std::fs::create_dir_all(&config.channel_dir);
    let (app, Workers { shadow, capture }) = App::build(config, gate::engine(config)?, token)?;
    let data = bind("data_address", settings.data_address).await?;
    let admin = bind("admin_address", settings.admin_address).await?;
    info!("scoring on http://{}", data.local_addr()?);
    info!(
        "metrics, roster and uploads on http://{}",
        admin.local_addr()?
    );

    let (stop, stopped) = watch::channel(false);
    let following = tasks::follow(app.clone(), stopped.clone());
    let shadowing = tasks::shadow(shadow, stopped.clone());
    if capture.is_some() {
        info!("capturing traffic to {}", config.capture.location);
    }
    let (finish, finished) = watch::channel(false);
    let capturing = capture.map(|worker| tasks::capture(worker, finished));
    let data = listen(data, &app, http::data(app.clone()), &stopped);
    let admin = listen(admin, &app, http::admin(app.clone()), &stopped);

    let ended = signalled().await?;
    info!(
        "{ended}: no new requests; those in flight have {:?}",
        settings.drain
    );
    app.drain();
    tokio::time::sleep(settings.drain_delay).await;
    stop.send_replace(true);
    let drained = async { tokio::join!(data, admin, shadowing, following) };
    let ends = Instant::now() + settings.drain;
    match tokio::time::timeout_at(ends.into(), drained).await {
        Ok(_) => info!("drained"),
        Err(_) => warn!("some requests did not end in {:?}", settings.drain),
    }
    finish.send_replace(true);
    if let Some(capturing) = capturing {
        flush(capturing, ends).await;
    }
    Ok(())
}

/// Waits for the last of what was captured, but not long: a store that is away must not hold a host that ends.
async fn flush(capturing: tokio::task::JoinHandle<()>, ends: Instant) {
    let now = Instant::now();
    let rest = ends.saturating_duration_since(now);
    let patience = rest.clamp(LEAST_FLUSH, LONGEST_FLUSH);
    match tokio::time::timeout(patience, capturing).await {
        Ok(_) => info!("what was captured is put"),
        Err(_) => warn!("some of what was captured could not be put in {patience:?}; it is lost"),
    }
}

async fn bind(key: &str, address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("failed to listen on {address}; set `{key}` to a free one"))
}

fn listen(
    listener: TcpListener,
    app: &Arc<App>,
    router: axum::Router,
    stopped: &watch::Receiver<bool>,
) -> tokio::task::JoinHandle<()> {
    let front = Front::new(app.clone(), router);
    tasks::start(http::serve(
        listener,
        front,
        app.http.read_timeout,
        stopped.clone(),
    ))
}

/// Waits for the signal that ends the process.
async fn signalled() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to wait for SIGINT")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// The admin token: the setting, else the file's, else a new one, written to the file for its owner alone.
fn token(settings: &HttpSettings) -> anyhow::Result<Secret> {
    if let Some(token) = &settings.token {
        return Ok(token.clone());
    }
    let path = &settings.token_file;
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => Ok(Secret::new(text.trim())),
        Ok(_) => anyhow::bail!(
            "the token file {} is empty; delete it, and a new one is made",
            path.display()
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let token =
                new_token(path).with_context(|| format!("failed to write {}", path.display()))?;
            info!("wrote a new admin token to {}", path.display());
            Ok(token)
        }
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

fn new_token(path: &Path) -> anyhow::Result<Secret> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    Ok(Secret::new(token))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn writes_a_token_for_its_owner_alone_and_reads_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home/token");
        let token = new_token(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            std::fs::read_to_string(&path).unwrap().trim(),
            token.reveal()
        );
        assert_eq!(token.reveal().len(), 64);
        assert!(new_token(&path).is_err());
    }
}
