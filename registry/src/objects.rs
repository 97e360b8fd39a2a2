//! Training input in S3: one object, or all objects below a folder, brought to temporary files one at a time, so that
//! the space needed is that of the largest and not of all.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use aws_sdk_s3::Client;
use tempfile::TempPath;
use tokio::io::AsyncWriteExt;

use crate::location::{LocationError, S3Options, StoreLocation};
use crate::store::StoreError;
use crate::store::s3::connect::{self, Found};
use crate::store::s3::fault::{Action, Place};
use crate::store::s3::patience::Patience;

/// Pages of a listing that are read before it is given up: 1,000 objects each.
const PAGE_LIMIT: usize = 1_000;

/// A bucket and a key or folder in it, written `s3://bucket/key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectLocation {
    bucket: String,
    key: String,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key in the bucket.
    pub key: String,
    /// Its length, as the listing said.
    pub size_bytes: u64,
}

/// The objects at a location.
#[derive(Debug, Clone)]
pub struct Objects {
    client: Client,
    patience: Patience,
    location: ObjectLocation,
}

impl Objects {
    /// Connects; nothing is asked before the first listing.
    pub async fn open(location: &ObjectLocation, options: &S3Options) -> Result<Self, StoreError> {
        Ok(Self {
            client: connect::client(options, &location.store()).await?,
            patience: Patience::from(options),
            location: location.clone(),
        })
    }

    /// The object with exactly this key, or else all objects in the folder of this name, by key. Names that start with
    /// `_` or `.` are markers of the programs that wrote the folder, and left out.
    pub async fn list(&self) -> Result<Vec<Object>, StoreError> {
        let ObjectLocation { bucket, key } = &self.location;
        let place = self.place(key, Action::List);
        let found = connect::list(
            &self.client,
            &self.patience,
            &place,
            bucket,
            key,
            PAGE_LIMIT,
        )
        .await?;
        let object = |found: Found| Object {
            key: found.key,
            size_bytes: found.size_bytes,
        };
        if let Some(exact) = found.iter().find(|found| found.key == *key) {
            return Ok(vec![object(exact.clone())]);
        }
        let folder = if key.is_empty() {
            String::new()
        } else {
            format!("{key}/")
        };
        let objects: Vec<_> = found
            .into_iter()
            .filter(|found| is_input(&folder, &found.key))
            .map(object)
            .collect();
        match objects.is_empty() {
            true => Err(StoreError::Missing {
                store: place.store,
                key: place.key,
            }),
            false => Ok(objects),
        }
    }

    /// Brings an object to a file in `folder` that is removed when the path is dropped; its name ends as the key does.
    /// `limit_bytes` bounds the space.
    pub async fn download(
        &self,
        object: &Object,
        folder: &Path,
        limit_bytes: u64,
    ) -> Result<TempPath, StoreError> {
        let place = self.place(&object.key, Action::Read);
        self.patience
            .attempt(&place, |_| self.download_once(&place, folder, limit_bytes))
            .await
    }

    async fn download_once(
        &self,
        place: &Place,
        folder: &Path,
        limit_bytes: u64,
    ) -> Result<TempPath, StoreError> {
        let request = self
            .client
            .get_object()
            .bucket(&self.location.bucket)
            .key(&place.key);
        let mut answer = request
            .send()
            .await
            .map_err(|error| place.explain(&error))?;
        let announced = answer
            .content_length()
            .and_then(|length| u64::try_from(length).ok());
        let too_large = |size_bytes| StoreError::TooLarge {
            store: place.store.clone(),
            key: place.key.clone(),
            size_bytes,
            limit_bytes,
        };
        if let Some(size_bytes) = announced.filter(|size| *size > limit_bytes) {
            return Err(too_large(size_bytes));
        }
        let full = |cause: io::Error| full(folder, place, cause);
        let name = place.key.rsplit('/').next().unwrap_or_default();
        let beside = tempfile::Builder::new()
            .prefix("input-")
            .suffix(&suffix(name))
            .tempfile_in(folder);
        let (file, path) = beside.map_err(full)?.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        let mut received = 0;
        while let Some(chunk) = self
            .patience
            .chunk(place, &mut answer.body, received)
            .await?
        {
            received += chunk.len() as u64;
            if received > limit_bytes {
                return Err(too_large(received));
            }
            file.write_all(&chunk).await.map_err(full)?;
        }
        file.flush().await.map_err(full)?;
        match announced {
            Some(size) if size != received => {
                Err(place.incomplete(received, format!("{size} were announced")))
            }
            _ => Ok(path),
        }
    }

    fn place(&self, key: &str, action: Action) -> Place {
        Place {
            store: self.location.store(),
            key: key.to_owned(),
            action,
        }
    }
}

impl ObjectLocation {
    fn store(&self) -> String {
        format!("s3://{}", self.bucket)
    }
}

impl fmt::Display for ObjectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl FromStr for ObjectLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        match text.parse()? {
            StoreLocation::S3 { bucket, prefix } => Ok(Self {
                bucket,
                key: prefix,
            }),
            StoreLocation::Folder(_) => Err(LocationError::Scheme(text.to_owned())),
        }
    }
}

fn is_input(folder: &str, key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or_default();
    key.starts_with(folder) && !name.is_empty() && !name.starts_with(['_', '.'])
}

/// Everything from the first dot on: readers tell `.csv.gz` from `.parquet` by it.
fn suffix(name: &str) -> String {
    name.find('.')
        .and_then(|dot| name.get(dot..))
        .unwrap_or_default()
        .to_owned()
}

fn full(folder: &Path, place: &Place, cause: io::Error) -> StoreError {
    let (folder, key) = (folder.to_owned(), place.key.clone());
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::Full { folder, key, cause }
        }
        _ => StoreError::Io {
            store: folder.display().to_string(),
            key,
            action: "writing",
            cause,
        },
    }
}
