//! All work in the background starts here and nowhere else: what runs beside requests, and what must leave the request
//! threads because it takes long (compiling, gating, reading files).

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use crate::app::App;
use crate::capture;
use crate::shadow;

/// How long the folder must be left alone after a change before it is read: an editor's several writes are one change.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Starts work that runs beside requests.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
pub fn start<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(work)
}

/// Runs work that blocks, away from the request threads. `None` if it panicked, which the panic hook has told.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Waits until `stop` says so, or until nobody is left who could.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Follows the channel until `stop`: at once, at each hint of a change, when a retry is due, and at the polling interval.
pub fn follow(app: Arc<App>, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    start(async move {
        let hint = Arc::new(Notify::new());
        let mut watched = Watched::default();
        loop {
            let pause = {
                let mut follower = app.follower.lock().await;
                watched.renew(follower.folder(), &hint);
                follower.poll(Instant::now()).await;
                follower.pause(Instant::now())
            };
            tokio::select! {
                () = hint.notified() => tokio::time::sleep(DEBOUNCE).await,
                () = tokio::time::sleep(pause) => {}
                () = stopped(&mut stop) => return,
            }
        }
    })
}

/// Scores the copies that wait for shadows, until `stop`.
pub fn shadow(mut worker: shadow::Worker, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    start(async move {
        tokio::select! {
            () = worker.run() => {}
            () = stopped(&mut stop) => {}
        }
    })
}

/// Puts what is captured, until `finish`; then what is left of it.
pub fn capture(worker: capture::Worker, finish: watch::Receiver<bool>) -> JoinHandle<()> {
    start(worker.run(finish))
}

/// The system's watch on the channel's folder. It only hints: events may be late, doubled or missing, and a folder that is
/// deleted and made again is another folder.
#[derive(Default)]
struct Watched {
    watcher: Option<notify::RecommendedWatcher>,
    folder: Option<(PathBuf, u64, u64)>,
}

impl Watched {
    /// Watches the folder that is now at this path, if it is not watched yet.
    fn renew(&mut self, path: &std::path::Path, hint: &Arc<Notify>) {
        use std::os::unix::fs::MetadataExt as _;
        let now = std::fs::metadata(path)
            .ok()
            .map(|folder| (path.to_owned(), folder.dev(), folder.ino()));
        if now == self.folder {
            return;
        }
        self.watcher = None;
        self.folder = now;
        if self.folder.is_some() {
            match watch(path, hint.clone()) {
                Ok(watcher) => self.watcher = Some(watcher),
                Err(error) => {
                    warn!(%error, "failed to watch {}; it is polled only", path.display())
                }
            }
        }
    }
}

fn watch(path: &std::path::Path, hint: Arc<Notify>) -> notify::Result<notify::RecommendedWatcher> {
    use notify::Watcher as _;
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the folder is an event, too; hearing of it would never end.
        if !matches!(&event, Ok(event) if event.kind.is_access()) {
            debug!(?event, "the channel folder changed");
            hint.notify_one();
        }
    })?;
    watcher.watch(path, notify::RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
