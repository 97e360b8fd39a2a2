//! The store: where releases lie, create-only. A push writes the component, then its documents, then the index entry;
//! the entry's creation is the one moment at which the release exists, so whatever dies before it leaves nothing to be
//! seen. Every component and document is checked against its digest at every read.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use hodoscope_release::{DetectorName, Digest, INDEX_SCHEMA, IndexEntry, ReleaseName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::key::{Family, Key};
use crate::location::{StoreLocation, StoreOptions};

mod error;
mod folder;
pub(crate) mod s3;

pub use error::StoreError;
pub use folder::Step;

/// The longest index entry or yank marker that is read.
const ENTRY_LIMIT_BYTES: u64 = 256 << 10;
/// The longest document that is read or written.
pub const DOCUMENT_LIMIT_BYTES: u64 = 16 << 20;
/// The shape of yank markers that this version writes and reads.
const YANK_SCHEMA: u32 = 1;

/// A store of releases. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Store {
    /// A folder of this machine.
    Folder(folder::FolderStore),
    /// A bucket.
    S3(s3::S3Store),
}

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pushed {
    /// The release exists now and did not before.
    Created,
    /// The same release was there already; nothing was changed.
    Unchanged,
}

/// Why a release was taken out of use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Yank {
    /// The shape of the marker.
    pub schema: u32,
    /// What the person who yanked it wrote.
    pub reason: String,
}

/// One release of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its index entry.
    #[serde(flatten)]
    pub entry: IndexEntry,
    /// The marker, if it was yanked.
    pub yanked: Option<Yank>,
}

/// The releases of a store, by detector and version, and the entries that could not be read.
#[derive(Debug, Default)]
pub struct Listing {
    /// Every release whose entry is sound.
    pub releases: Vec<Listed>,
    /// One error for each entry that is not.
    pub broken: Vec<StoreError>,
}

/// Whether a create-only write wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creation {
    Created,
    Exists,
    /// The key exists, and an earlier attempt of this very write may have made it.
    Unsure,
}

impl Store {
    /// Opens a store. A folder need not exist yet; S3 is not asked anything before the first operation.
    pub async fn open(
        location: &StoreLocation,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        match location {
            StoreLocation::Folder(path) => {
                Ok(Self::Folder(folder::FolderStore::new(path, options.probe)))
            }
            StoreLocation::S3 { bucket, prefix } => {
                let store = s3::S3Store::open(bucket, prefix, &options.s3).await?;
                Ok(Self::S3(store))
            }
        }
    }

    /// Pushes a release. The same component and documents again are [`Pushed::Unchanged`] (a document may be left out,
    /// and whatever had been lost of the release's bytes is written again); another component is
    /// [`StoreError::Taken`], another document [`StoreError::DocumentTaken`].
    pub async fn push(
        &self,
        release: &ReleaseName,
        component: Bytes,
        documents: Vec<(String, Bytes)>,
    ) -> Result<Pushed, StoreError> {
        let key = Key::index(release);
        let entry = self.entry(release, &component, &documents)?;
        let stored = match self.index(release).await {
            Ok(stored) => Some(stored),
            Err(error) if error.is_missing() => None,
            Err(error) => return Err(error),
        };
        if let Some(stored) = &stored {
            self.compare(&entry, stored)?;
        }
        self.ensure(&Key::blob(&entry.digest), entry.digest, component)
            .await?;
        for (_, bytes) in documents {
            let digest = Digest::of(&bytes);
            self.ensure(&Key::document(&digest), digest, bytes).await?;
        }
        if stored.is_some() {
            return Ok(Pushed::Unchanged);
        }
        let bytes = self.encode(&key, &entry)?;
        match self.create_reconciled(&key, bytes).await? {
            Creation::Created => Ok(Pushed::Created),
            Creation::Exists | Creation::Unsure => {
                self.compare(&entry, &self.index(release).await?)?;
                Ok(Pushed::Unchanged)
            }
        }
    }

    /// The entry of a release.
    pub async fn index(&self, release: &ReleaseName) -> Result<IndexEntry, StoreError> {
        let key = Key::index(release);
        let entry: IndexEntry = self.decode(&key, &self.read(&key, ENTRY_LIMIT_BYTES).await?)?;
        if entry.schema != INDEX_SCHEMA {
            return Err(self.invalid(
                &key,
                format!("schema {} instead of {INDEX_SCHEMA}", entry.schema),
            ));
        }
        if entry.release() != *release {
            return Err(self.invalid(&key, format!("it names {}", entry.release())));
        }
        Ok(entry)
    }

    /// The component with this digest, checked. `limit_bytes` is enforced before anything is read.
    pub async fn blob(&self, digest: &Digest, limit_bytes: u64) -> Result<Bytes, StoreError> {
        self.read_named(&Key::blob(digest), digest, limit_bytes)
            .await
    }

    /// The document with this digest, checked; at most [`DOCUMENT_LIMIT_BYTES`].
    pub async fn document(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        self.read_named(&Key::document(digest), digest, DOCUMENT_LIMIT_BYTES)
            .await
    }

    /// Marks a release as out of use; nothing is deleted. A second yank keeps the first reason.
    pub async fn yank(&self, release: &ReleaseName, reason: &str) -> Result<Pushed, StoreError> {
        self.index(release).await?;
        let key = Key::yanked(release);
        let marker = Yank {
            schema: YANK_SCHEMA,
            reason: reason.to_owned(),
        };
        let bytes = self.encode(&key, &marker)?;
        match self.create_reconciled(&key, bytes).await? {
            Creation::Created => Ok(Pushed::Created),
            Creation::Exists | Creation::Unsure => Ok(Pushed::Unchanged),
        }
    }

    /// The marker of a yanked release. A caller who may not list sees 403 for "there is none", so that is read as
    /// `None`: whoever may read `index/` must be given `yanked/` too.
    pub async fn yanked(&self, release: &ReleaseName) -> Result<Option<Yank>, StoreError> {
        let key = Key::yanked(release);
        match self.read(&key, ENTRY_LIMIT_BYTES).await {
            Ok(bytes) => self.decode(&key, &bytes).map(Some),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The releases of one detector or of all. Only for `hodoscope list`: a host never lists.
    pub async fn list(&self, detector: Option<&DetectorName>) -> Result<Listing, StoreError> {
        let yanked = self.names(Family::Yanked, detector).await?;
        let mut listing = Listing::default();
        for release in self.names(Family::Index, detector).await? {
            let marker = match yanked.contains(&release) {
                true => self.yanked(&release).await,
                false => Ok(None),
            };
            match (self.index(&release).await, marker) {
                (Ok(entry), Ok(yanked)) => listing.releases.push(Listed { entry, yanked }),
                (Err(error), _) | (_, Err(error)) => listing.broken.push(error),
            }
        }
        Ok(listing)
    }

    async fn names(
        &self,
        family: Family,
        detector: Option<&DetectorName>,
    ) -> Result<std::collections::BTreeSet<ReleaseName>, StoreError> {
        let prefix = family.prefix(detector);
        let keys = match self {
            Self::Folder(folder) => folder.list(&prefix).await?,
            Self::S3(s3) => s3.list(&prefix).await?,
        };
        Ok(keys.iter().filter_map(|key| family.release(key)).collect())
    }

    fn entry(
        &self,
        release: &ReleaseName,
        component: &[u8],
        documents: &[(String, Bytes)],
    ) -> Result<IndexEntry, StoreError> {
        let mut digests = BTreeMap::new();
        for (name, bytes) in documents {
            let size_bytes = bytes.len() as u64;
            if size_bytes > DOCUMENT_LIMIT_BYTES {
                let (store, key) = (self.to_string(), format!("document {name}"));
                return Err(StoreError::TooLarge {
                    store,
                    key,
                    size_bytes,
                    limit_bytes: DOCUMENT_LIMIT_BYTES,
                });
            }
            if digests.insert(name.clone(), Digest::of(bytes)).is_some() {
                let cause = format!("document `{name}` is given twice; give each name once");
                return Err(self.invalid(&Key::index(release), cause));
            }
        }
        Ok(IndexEntry {
            schema: INDEX_SCHEMA,
            detector: release.detector.clone(),
            version: release.version.clone(),
            digest: Digest::of(component),
            size_bytes: component.len() as u64,
            documents: digests,
        })
    }

    fn compare(&self, pushed: &IndexEntry, stored: &IndexEntry) -> Result<(), StoreError> {
        let (store, release) = (self.to_string(), pushed.release());
        if stored.digest != pushed.digest {
            return Err(StoreError::Taken {
                store,
                release,
                stored: stored.digest,
                pushed: pushed.digest,
            });
        }
        for (name, digest) in &pushed.documents {
            let known = stored.documents.get(name);
            if known != Some(digest) {
                return Err(StoreError::DocumentTaken {
                    store,
                    release,
                    document: name.clone(),
                    stored: known.map_or_else(|| "absent".to_owned(), Digest::to_string),
                    pushed: *digest,
                });
            }
        }
        Ok(())
    }

    /// Creates `key`, or finds the same bytes there already.
    async fn ensure(&self, key: &Key, digest: Digest, bytes: Bytes) -> Result<(), StoreError> {
        let size_bytes = bytes.len() as u64;
        match self.create_reconciled(key, bytes).await? {
            Creation::Created => Ok(()),
            Creation::Exists | Creation::Unsure => {
                match self.read_named(key, &digest, size_bytes).await {
                    // A longer object under this name can only be damage.
                    Err(StoreError::TooLarge {
                        store,
                        key,
                        size_bytes,
                        ..
                    }) => {
                        let cause =
                            format!("it has {size_bytes} bytes, which cannot have this digest");
                        Err(StoreError::Invalid { store, key, cause })
                    }
                    read => read.map(|_| ()),
                }
            }
        }
    }

    /// After an answer that leaves open whether the write happened, the state itself is asked: the write is
    /// create-only, so finding our bytes there means that it is done, whoever did it.
    pub(crate) async fn create_reconciled(
        &self,
        key: &Key,
        bytes: Bytes,
    ) -> Result<Creation, StoreError> {
        let unsure = match self.create(key, bytes.clone()).await {
            Ok(Creation::Unsure) => None,
            Err(error) if error.is_transient() => Some(error),
            settled => return settled,
        };
        match (self.read(key, bytes.len() as u64).await, unsure) {
            (Ok(stored), _) if stored == bytes => Ok(Creation::Created),
            (Ok(_) | Err(StoreError::TooLarge { .. }), _) => Ok(Creation::Exists),
            (Err(_), Some(error)) | (Err(error), None) => Err(error),
        }
    }

    async fn read_named(
        &self,
        key: &Key,
        digest: &Digest,
        limit_bytes: u64,
    ) -> Result<Bytes, StoreError> {
        match self {
            Self::Folder(folder) => folder.read(key, limit_bytes, Some(*digest)).await,
            Self::S3(s3) => s3.read(key, limit_bytes, Some(*digest)).await,
        }
    }

    pub(crate) async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Bytes, StoreError> {
        match self {
            Self::Folder(folder) => folder.read(key, limit_bytes, None).await,
            Self::S3(s3) => s3.read(key, limit_bytes, None).await,
        }
    }

    async fn create(&self, key: &Key, bytes: Bytes) -> Result<Creation, StoreError> {
        match self {
            Self::Folder(folder) => folder.create(key, bytes).await,
            Self::S3(s3) => s3.create(key, bytes).await,
        }
    }

    fn encode<T: Serialize>(&self, key: &Key, value: &T) -> Result<Bytes, StoreError> {
        let mut text = serde_json::to_vec_pretty(value)
            .map_err(|error| self.invalid(key, error.to_string()))?;
        text.push(b'\n');
        Ok(text.into())
    }

    fn decode<T: DeserializeOwned>(&self, key: &Key, bytes: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(bytes).map_err(|error| self.invalid(key, error.to_string()))
    }

    fn invalid(&self, key: &Key, cause: String) -> StoreError {
        StoreError::Invalid {
            store: self.to_string(),
            key: key.to_string(),
            cause,
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.fmt(f),
            Self::S3(s3) => s3.fmt(f),
        }
    }
}

/// The one place where bytes are believed: their digest is the one in their name.
fn check(store: &str, key: &Key, bytes: Bytes, expected: Digest) -> Result<Bytes, StoreError> {
    let found = Digest::of(&bytes);
    if found == expected {
        return Ok(bytes);
    }
    Err(StoreError::Damaged {
        store: store.to_owned(),
        key: key.to_string(),
        expected,
        found,
    })
}
