//! A store in a folder of this machine. A file appears under its key whole or not at all: it is written beside, synced,
//! and renamed without replacing; the folders up to the root are synced before a write is acknowledged. A process that
//! is killed on the way leaves at most a file in `tmp/`, which a later push sweeps away.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hodoscope_release::Digest;
use tokio::sync::Semaphore;

use super::{Creation, StoreError};
use crate::key::Key;
use crate::location::Probe;

/// Where files are written before they have a name; in the store, so that a rename never crosses file systems.
const TEMPORARY: &str = "tmp";
/// Files in [`TEMPORARY`] older than this belong to nobody any more.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);
/// Operations that may wait for the disk at once. One that hangs keeps its thread, whether or not anybody waits for it
/// still; so many are the most that a dead disk can hold.
const TURNS: usize = 16;
/// Stored files are never written again, and say so.
const READ_ONLY: u32 = 0o444;

/// The steps of one write, in their order; after each of them a crash must leave a sound store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The folders exist.
    Prepared,
    /// The temporary file exists and is empty.
    Opened,
    /// Half of the bytes are in it.
    HalfWritten,
    /// All bytes are in it.
    Written,
    /// They are on the disk.
    Synced,
    /// The file has its name.
    Named,
    /// The folders are on the disk; the write may be acknowledged.
    Settled,
}

/// A folder.
#[derive(Debug, Clone)]
pub struct FolderStore {
    root: Arc<Path>,
    probe: Probe,
    turns: Arc<Semaphore>,
}

impl FolderStore {
    pub(super) fn new(root: &Path, probe: Probe) -> Self {
        Self {
            root: root.into(),
            probe,
            turns: Arc::new(Semaphore::new(TURNS)),
        }
    }

    pub(super) async fn create(&self, key: &Key, bytes: Bytes) -> Result<Creation, StoreError> {
        let (store, key) = (self.clone(), key.clone());
        self.blocking(move || {
            store
                .create_now(&key, &bytes)
                .map_err(|error| store.write_error(&key, error))
        })
        .await
    }

    pub(super) async fn read(
        &self,
        key: &Key,
        limit_bytes: u64,
        digest: Option<Digest>,
    ) -> Result<Bytes, StoreError> {
        let (store, key) = (self.clone(), key.clone());
        self.blocking(move || store.read_now(&key, limit_bytes, digest))
            .await
    }

    /// So many bytes from `start` on; fewer are an error.
    pub(crate) async fn range(
        &self,
        key: &Key,
        start: u64,
        length: usize,
    ) -> Result<Bytes, StoreError> {
        let (store, key) = (self.clone(), key.clone());
        self.blocking(move || {
            store
                .range_now(&key, start, length)
                .map_err(|cause| store.read_error(&key, cause))
        })
        .await
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let found = self.list_sized(prefix).await?;
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }

    /// Every key in a folder and the folders in it, with its length.
    pub(crate) async fn list_sized(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        self.blocking(move || {
            let mut keys = Vec::new();
            store
                .list_into(&mut keys, prefix.trim_end_matches('/'))
                .map_err(|cause| store.io_error("listing", &prefix, cause))?;
            keys.sort();
            Ok(keys)
        })
        .await
    }

    /// Writes a key that may be there already; a reader sees the old bytes or the new ones.
    pub(crate) async fn replace(&self, key: &Key, bytes: Bytes) -> Result<(), StoreError> {
        let (store, key) = (self.clone(), key.clone());
        self.blocking(move || {
            store
                .replace_now(&key, &bytes)
                .map_err(|error| store.write_error(&key, error))
        })
        .await
    }

    /// Deletes keys, and folders that are empty then. What is gone already is no error.
    pub(crate) async fn remove(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        let store = self.clone();
        self.blocking(move || {
            keys.iter().try_for_each(|key| {
                store
                    .remove_now(key)
                    .map_err(|cause| store.io_error("deleting", key.as_str(), cause))
            })
        })
        .await
    }

    fn create_now(&self, key: &Key, bytes: &[u8]) -> io::Result<Creation> {
        let target = self.root.join(key.as_str());
        let parent = target.parent().unwrap_or(&self.root);
        self.prepare(parent)?;
        let creation = if target.try_exists()? {
            Creation::Exists
        } else {
            match self.write_beside(bytes)?.persist_noclobber(&target) {
                Ok(_) => Creation::Created,
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                    Creation::Exists
                }
                Err(error) => return Err(error.error),
            }
        };
        self.reached(Step::Named)?;
        // Also when another process named the file: it may not have got to this point.
        self.sync_folders(parent)?;
        self.reached(Step::Settled)?;
        Ok(creation)
    }

    fn replace_now(&self, key: &Key, bytes: &[u8]) -> io::Result<()> {
        let target = self.root.join(key.as_str());
        let parent = target.parent().unwrap_or(&self.root);
        self.prepare(parent)?;
        self.write_beside(bytes)?
            .persist(&target)
            .map_err(|error| error.error)?;
        self.reached(Step::Named)?;
        self.sync_folders(parent)?;
        self.reached(Step::Settled)
    }

    fn remove_now(&self, key: &Key) -> io::Result<()> {
        let target = self.root.join(key.as_str());
        match fs::remove_file(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let above = target.ancestors().skip(1);
        // A folder that holds something still is not removed, and neither are those above it.
        above
            .take_while(|folder| folder.starts_with(&self.root) && **folder != *self.root)
            .take_while(|folder| fs::remove_dir(folder).is_ok())
            .for_each(drop);
        Ok(())
    }

    fn prepare(&self, parent: &Path) -> io::Result<()> {
        let temporary = self.root.join(TEMPORARY);
        fs::create_dir_all(parent)?;
        fs::create_dir_all(&temporary)?;
        sweep(&temporary);
        self.reached(Step::Prepared)
    }

    /// A file that has its bytes, but not its name.
    fn write_beside(&self, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::Builder::new()
            .prefix("push-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(self.root.join(TEMPORARY))?;
        self.reached(Step::Opened)?;
        let (first, second) = bytes
            .split_at_checked(bytes.len() / 2)
            .unwrap_or((bytes, &[]));
        file.write_all(first)?;
        self.reached(Step::HalfWritten)?;
        file.write_all(second)?;
        self.reached(Step::Written)?;
        file.as_file()
            .set_permissions(Permissions::from_mode(READ_ONLY))?;
        file.as_file().sync_all()?;
        self.reached(Step::Synced)?;
        Ok(file)
    }

    fn sync_folders(&self, from: &Path) -> io::Result<()> {
        for folder in from
            .ancestors()
            .take_while(|folder| folder.starts_with(&self.root))
        {
            File::open(folder)?.sync_all()?;
        }
        match self.root.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    }

    fn read_now(
        &self,
        key: &Key,
        limit_bytes: u64,
        digest: Option<Digest>,
    ) -> Result<Bytes, StoreError> {
        let failed = |cause| self.read_error(key, cause);
        let file = File::open(self.root.join(key.as_str())).map_err(failed)?;
        let size_bytes = file.metadata().map_err(failed)?.len();
        let too_large = |size_bytes| StoreError::TooLarge {
            store: self.to_string(),
            key: key.to_string(),
            size_bytes,
            limit_bytes,
        };
        if size_bytes > limit_bytes {
            return Err(too_large(size_bytes));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or(0) + 1);
        file.take(limit_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > limit_bytes {
            return Err(too_large(bytes.len() as u64));
        }
        match digest {
            Some(expected) => super::check(&self.to_string(), key, bytes.into(), expected),
            None => Ok(bytes.into()),
        }
    }

    fn range_now(&self, key: &Key, start: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        let file = File::open(self.root.join(key.as_str()))?;
        file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }

    fn list_into(&self, keys: &mut Vec<(String, u64)>, prefix: &str) -> io::Result<()> {
        let entries = match fs::read_dir(self.root.join(prefix)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let key = format!("{prefix}/{name}");
            if entry.file_type()?.is_dir() {
                self.list_into(keys, &key)?;
                continue;
            }
            match entry.metadata() {
                Ok(data) => keys.push((key, data.len())),
                // Retention deleted it since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// File systems block: such work runs on the runtime's threads for it, in turn.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.turns.clone().acquire_owned().await;
        let working = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        match working.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(self.io_error("waiting for", "", io::Error::other(error))),
            },
        }
    }

    fn reached(&self, step: Step) -> io::Result<()> {
        tracing::trace!(store = %self, ?step, "writing a file");
        self.probe.0.map_or(Ok(()), |probe| probe(step))
    }

    fn write_error(&self, key: &Key, cause: io::Error) -> StoreError {
        match cause.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => StoreError::Full {
                folder: self.root.to_path_buf(),
                key: key.to_string(),
                cause,
            },
            _ => self.io_error("writing", key.as_str(), cause),
        }
    }

    fn read_error(&self, key: &Key, cause: io::Error) -> StoreError {
        match cause.kind() {
            io::ErrorKind::NotFound => StoreError::Missing {
                store: self.to_string(),
                key: key.to_string(),
            },
            _ => self.io_error("reading", key.as_str(), cause),
        }
    }

    fn io_error(&self, action: &'static str, key: &str, cause: io::Error) -> StoreError {
        StoreError::Io {
            store: self.to_string(),
            key: key.to_owned(),
            action,
            cause,
        }
    }
}

impl fmt::Display for FolderStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root.display())
    }
}

/// Removes what killed pushes left; failing to is no reason to fail a push.
fn sweep(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else {
        return;
    };
    for entry in entries.flatten() {
        let age = entry
            .metadata()
            .and_then(|data| data.modified())
            .ok()
            .and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > ABANDONED) {
            let path: PathBuf = entry.path();
            if let Err(error) = fs::remove_file(&path) {
                tracing::debug!(path = %path.display(), %error, "an abandoned file stays");
            }
        }
    }
}
