//! Releases, for the commands that name them: the store as the settings want it, a release with its component checked
//! against its digest, and a component's file read up to the limit.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hodoscope_registry::{Store, Yank};
use hodoscope_release::{IndexEntry, ReleaseName};

use crate::app;
use crate::config::Config;

/// A release as the store has it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its index entry.
    pub entry: IndexEntry,
    /// Its component, checked against the entry's digest.
    pub component: Bytes,
    /// The marker, if it was yanked.
    pub yanked: Option<Yank>,
}

/// Opens the store of the settings. Nothing is asked of it yet.
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let options = app::store_options(&config.store);
    Ok(Store::open(&config.store.location, &options).await?)
}

/// Fetches a release: its entry, whether it was yanked, and its component.
pub async fn fetch(
    store: &Store,
    release: &ReleaseName,
    limit_bytes: u64,
) -> anyhow::Result<Stored> {
    let entry = match store.index(release).await {
        Err(error) if error.is_missing() => {
            return Err(error).context(format!(
                "{release} was not found; `hodoscope list` shows what is in the store"
            ));
        }
        entry => entry?,
    };
    let yanked = store.yanked(release).await?;
    let component = store.blob(&entry.digest, limit_bytes).await?;
    Ok(Stored {
        entry,
        component,
        yanked,
    })
}

/// Reads a file of at most `limit_bytes`; a longer one is refused before it is read.
pub fn read_component(file: &Path, limit_bytes: u64) -> anyhow::Result<Bytes> {
    let failed = || format!("failed to read `{}`", file.display());
    let opened = File::open(file).with_context(failed)?;
    let size_bytes = opened.metadata().with_context(failed)?.len();
    let mut bytes = Vec::new();
    if size_bytes <= limit_bytes {
        opened
            .take(limit_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .with_context(failed)?;
    }
    let size_bytes = size_bytes.max(bytes.len() as u64);
    if size_bytes > limit_bytes {
        bail!(
            "`{}` has {size_bytes} bytes, more than the limit of {limit_bytes}; make it smaller, or raise the setting \
             `component_limit_bytes`",
            file.display()
        );
    }
    Ok(bytes.into())
}
