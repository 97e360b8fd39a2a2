//! A detector named on the command line: a release in the store, or a component file. Either way its bytes pass the gate
//! before anything is scored, as they do in the server.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;
use hodoscope_engine::{Detector, Engine};
use hodoscope_release::{Digest, ReleaseName};

use super::Context;
use crate::config::Config;
use crate::releases;

/// A release in the store, or a component file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `pump@1.0.0`.
    Release(ReleaseName),
    /// A path; it holds a slash, ends in `.wasm`, or has no `@`.
    File(PathBuf),
}

impl FromStr for Reference {
    type Err = hodoscope_release::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_path = text.contains('/') || text.ends_with(".wasm") || !text.contains('@');
        if is_path {
            Ok(Self::File(text.into()))
        } else {
            text.parse().map(Self::Release)
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(release) => release.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Reference {
    /// Fetches the bytes and lets them through the gate.
    pub fn load(&self, context: &Context, engine: &Engine) -> anyhow::Result<Detector> {
        let bytes = self.bytes(context)?;
        engine
            .load(&bytes)
            .with_context(|| format!("{self} was refused"))
    }

    /// The component, not yet checked.
    pub(super) fn bytes(&self, context: &Context) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::File(path) if !path.exists() => anyhow::bail!(
                "there is no file {}; name a component file, or a release of the store as `detector@version`",
                path.display()
            ),
            Self::File(path) => {
                let limit_bytes = context.config.engine.component_limit_bytes as u64;
                Ok(releases::read_component(path, limit_bytes)?.to_vec())
            }
            Self::Release(release) => context.block_on(fetch(&context.config, release))?,
        }
    }
}

async fn fetch(config: &Config, release: &ReleaseName) -> anyhow::Result<Vec<u8>> {
    let entry = releases::open_store(config).await?.index(release).await?;
    fetch_blob(config, &entry.digest).await
}

/// The component with this digest, from the configured store.
pub(crate) async fn fetch_blob(config: &Config, digest: &Digest) -> anyhow::Result<Vec<u8>> {
    let limit = config.engine.component_limit_bytes as u64;
    Ok(releases::open_store(config)
        .await?
        .blob(digest, limit)
        .await?
        .to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_release_from_a_file() {
        let release = |text: &str| matches!(text.parse(), Ok(Reference::Release(_)));
        assert!(release("pump@1.0.0"));
        for path in ["pump.wasm", "./pump@1.0.0", "pump@1.wasm", "pump"] {
            assert!(!release(path), "{path}");
        }
        assert!("pump@one".parse::<Reference>().is_err());
    }
}
