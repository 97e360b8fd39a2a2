//! Where the bytes of a release come from: the store, and a cache of components on the local disk, so that a host can
//! start again while the store is down. Bytes are named by their digest, and checked at every read, here and there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use hodoscope_registry::{Store, StoreError, StoreLocation, StoreOptions};
use hodoscope_release::{Digest, ReleaseName};
use tokio::sync::OnceCell;
use tracing::warn;

use crate::tasks;

/// How long the question whether a cached release was yanked may take: an answer is welcome, but not waited for.
const YANK_PATIENCE: Duration = Duration::from_secs(2);

/// The store and the cache in front of it.
#[derive(Debug)]
pub struct Source {
    location: StoreLocation,
    options: StoreOptions,
    store: OnceCell<Store>,
    cache: PathBuf,
    limit_bytes: u64,
}

/// Why the bytes of a release cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The store's own reason.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The release was taken out of use.
    #[error("{release} was yanked: {reason}; promote another release")]
    Yanked {
        /// Which.
        release: ReleaseName,
        /// What the person who yanked it wrote.
        reason: String,
    },
    /// The store knows the release with other bytes than the channel pins.
    #[error("{release} is {stored} in the store, but the channel pins {pinned}; promote it again")]
    Differs {
        /// Which.
        release: ReleaseName,
        /// What the store has.
        stored: Digest,
        /// What the channel wants.
        pinned: Digest,
    },
}

impl SourceError {
    /// A fixed word for metrics and logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Store(error) => error.kind(),
            Self::Yanked { .. } => "yanked",
            Self::Differs { .. } => "differs",
        }
    }

    /// Whether asking again later may succeed. A store is tried again whatever it said: rights and contents change.
    pub const fn is_worth_a_retry(&self) -> bool {
        matches!(self, Self::Store(_))
    }
}

impl Source {
    /// A source with a store that is opened when it is first asked.
    pub fn new(
        location: StoreLocation,
        options: StoreOptions,
        cache: PathBuf,
        limit_bytes: u64,
    ) -> Self {
        Self {
            location,
            options,
            store: OnceCell::new(),
            cache,
            limit_bytes,
        }
    }

    /// The store.
    pub async fn store(&self) -> Result<&Store, StoreError> {
        let open = || Store::open(&self.location, &self.options);
        self.store.get_or_try_init(open).await
    }

    /// The bytes that a channel pins: from the cache, else from the store by way of its index.
    pub async fn fetch(&self, release: &ReleaseName, pinned: Digest) -> Result<Bytes, SourceError> {
        let path = self.cache.join(pinned.hex());
        let cached = tasks::blocking(move || read_verified(&path, pinned))
            .await
            .flatten();
        if let Some(bytes) = cached {
            match tokio::time::timeout(YANK_PATIENCE, self.refuse_yanked(release)).await {
                Ok(Err(yanked @ SourceError::Yanked { .. })) => return Err(yanked),
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    warn!(%release, %error, "the store does not answer; using the local copy")
                }
                Err(_) => warn!(%release, "the store is slow; using the local copy"),
            }
            return Ok(bytes);
        }
        let store = self.store().await?;
        let entry = store.index(release).await?;
        if entry.digest != pinned {
            return Err(SourceError::Differs {
                release: release.clone(),
                stored: entry.digest,
                pinned,
            });
        }
        self.refuse_yanked(release).await?;
        let bytes = store.blob(&pinned, self.limit_bytes).await?;
        self.keep(pinned, bytes.clone()).await;
        Ok(bytes)
    }

    async fn refuse_yanked(&self, release: &ReleaseName) -> Result<(), SourceError> {
        match self.store().await?.yanked(release).await? {
            None => Ok(()),
            Some(marker) => Err(SourceError::Yanked {
                release: release.clone(),
                reason: marker.reason,
            }),
        }
    }

    /// Keeps a copy. Failing to is no failure of the load: only a later restart would need it.
    async fn keep(&self, digest: Digest, bytes: Bytes) {
        let folder = self.cache.clone();
        let write = move || write_atomically(&folder, &digest.hex(), &bytes);
        if let Some(Err(error)) = tasks::blocking(write).await {
            warn!(release.digest = %digest, %error, "failed to keep a copy in {}", self.cache.display());
        }
    }
}

/// The bytes of a file if their digest is the one in its name; a damaged copy is taken away.
fn read_verified(path: &Path, expected: Digest) -> Option<Bytes> {
    let bytes = std::fs::read(path).ok()?;
    if Digest::of(&bytes) == expected {
        return Some(bytes.into());
    }
    warn!(release.digest = %expected, "the local copy {} is damaged; fetching it again", path.display());
    let _ = std::fs::remove_file(path);
    None
}

/// Writes a file so that it is there whole or not at all, also after a crash.
pub(crate) fn write_atomically(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name))?;
    Ok(())
}
