//! Where captured traffic lies: sampled rows, counts of windows and the last verdicts, in a folder or a bucket. Every
//! write but that of a verdict is create-only. A file appears whole or not at all, and every operation has a deadline or,
//! in a folder, a bounded number of turns, so that a disk that hangs holds few threads and not all.

mod key;

use std::fmt;

use bytes::Bytes;

use crate::location::{StoreLocation, StoreOptions};
use crate::store::{Creation, Store, StoreError};

pub use key::{CaptureKey, CaptureKind, Writer};

/// A place for captured traffic. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CaptureStore(Store);

/// One file of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Its key.
    pub key: CaptureKey,
    /// Its length.
    pub size_bytes: u64,
}

/// What retention deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl CaptureStore {
    /// Opens a place. A folder need not exist yet; S3 is not asked anything before the first operation.
    pub async fn open(
        location: &StoreLocation,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        Store::open(location, options).await.map(Self)
    }

    /// Writes a new file. The same bytes under the same key again are no error, so that an attempt whose answer was lost
    /// may be repeated; other bytes are [`StoreError::Occupied`].
    pub async fn put_new(&self, key: &CaptureKey, bytes: Bytes) -> Result<(), StoreError> {
        let length = bytes.len() as u64;
        let occupied = || StoreError::Occupied {
            store: self.to_string(),
            key: key.to_string(),
        };
        let settled = match self.0.create_reconciled(key.key(), bytes.clone()).await {
            Ok(Creation::Created) => return Ok(()),
            Ok(Creation::Exists | Creation::Unsure) => self.0.read(key.key(), length).await,
            Err(error) => Err(error),
        };
        match settled {
            Ok(stored) if stored == bytes => Ok(()),
            Ok(_) | Err(StoreError::TooLarge { .. }) => Err(occupied()),
            // Something is there, and a host that may write but not read is not told what. Its name holds a random start
            // and a number that is used once, so it is what an earlier attempt of this very write left.
            Err(StoreError::MissingOrForbidden { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes a verdict, over an earlier one. Any other key is [`StoreError::Occupied`]: those are create-only.
    pub async fn put(&self, key: &CaptureKey, bytes: Bytes) -> Result<(), StoreError> {
        if !matches!(key.kind(), CaptureKind::Verdict { .. }) {
            return Err(StoreError::Occupied {
                store: self.to_string(),
                key: key.to_string(),
            });
        }
        match &self.0 {
            Store::Folder(folder) => folder.replace(key.key(), bytes).await,
            Store::S3(s3) => s3.replace(key.key(), bytes).await,
        }
    }

    /// The bytes under a key, at most `limit_bytes`, which is enforced before anything is read.
    pub async fn get(&self, key: &CaptureKey, limit_bytes: u64) -> Result<Bytes, StoreError> {
        self.0.read(key.key(), limit_bytes).await
    }

    /// So many bytes under a key from `start` on; fewer are an error. For files whose end tells where their parts lie.
    pub async fn range(
        &self,
        key: &CaptureKey,
        start: u64,
        length: usize,
    ) -> Result<Bytes, StoreError> {
        match &self.0 {
            Store::Folder(folder) => folder.range(key.key(), start, length).await,
            Store::S3(s3) => s3.range(key.key(), start, length).await,
        }
    }

    /// Every file under a prefix of [`CaptureKey::all_rows`], [`CaptureKey::rows_of`] or [`CaptureKey::parts_of`], by key. What this version did
    /// not write is left out.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Captured>, StoreError> {
        let found = match &self.0 {
            Store::Folder(folder) => folder.list_sized(prefix).await?,
            Store::S3(s3) => s3.list_sized(prefix).await?,
        };
        let known = found.into_iter().filter_map(|(key, size_bytes)| {
            let key = CaptureKey::read(&key)?;
            Some(Captured { key, size_bytes })
        });
        Ok(known.collect())
    }

    /// Deletes from a folder what began before `oldest_seconds` (since 1970), and then the oldest rows until no more than
    /// `limit_bytes` are left; verdicts and files of others stay. A bucket has lifecycle rules for that: nothing is done.
    pub async fn prune(&self, oldest_seconds: u64, limit_bytes: u64) -> Result<Pruned, StoreError> {
        let Store::Folder(folder) = &self.0 else {
            return Ok(Pruned::default());
        };
        let mut kept = Vec::new();
        let mut old = Vec::new();
        for prefix in CaptureKey::KEPT_FOR_A_WHILE {
            for found in self.list(prefix).await? {
                match found.key.start_seconds() {
                    Some(start) if start < oldest_seconds => old.push(found),
                    Some(start) => kept.push((start, found)),
                    None => {}
                }
            }
        }
        let mut left: u64 = kept.iter().map(|(_, found)| found.size_bytes).sum();
        kept.sort_by(|(a, one), (b, other)| (a, &one.key).cmp(&(b, &other.key)));
        for (_, found) in kept {
            if left <= limit_bytes {
                break;
            }
            if found.key.is_rows() {
                left -= found.size_bytes;
                old.push(found);
            }
        }
        let pruned = Pruned {
            files: old.len() as u64,
            bytes: old.iter().map(|found| found.size_bytes).sum(),
        };
        let keys = old.into_iter().map(|found| found.key.key().clone());
        folder.remove(keys.collect()).await?;
        Ok(pruned)
    }
}

impl fmt::Display for CaptureStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
