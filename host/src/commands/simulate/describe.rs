//! What a host serves under a detector's name: its features, and the digest by which its golden rows are found.

use anyhow::{Context as _, bail};
use hodoscope_release::{DetectorName, Digest};
use serde::Deserialize;

use super::client::{Address, ask};
use super::likeness::Likeness;
use super::telemetry::Wear;
use crate::commands::Context;
use crate::commands::reference::fetch_blob;
use crate::gate::engine;

/// What a host serves.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) features: Vec<String>,
    pub(super) digest: String,
}

#[derive(Debug, Deserialize)]
struct Description {
    digest: String,
    features: Vec<Feature>,
}

#[derive(Debug, Deserialize)]
struct Feature {
    name: String,
}

/// Asks the host.
pub(super) async fn served(address: &Address, detector: &DetectorName) -> anyhow::Result<Served> {
    let answer = ask(address, &format!("/v1/detectors/{detector}")).await?;
    let description: Description = serde_json::from_value(answer)
        .with_context(|| format!("{address} describes {detector} in an unknown way"))?;
    Ok(Served {
        features: description
            .features
            .into_iter()
            .map(|feature| feature.name)
            .collect(),
        digest: description.digest,
    })
}

/// A generator from the golden rows of what is served; the component comes from the store.
pub(super) async fn likeness(
    served: &Served,
    context: &Context,
    seed: u64,
    wear: Option<Wear>,
) -> anyhow::Result<Likeness> {
    let digest: Digest = served.digest.parse()?;
    let component = fetch_blob(&context.config, &digest)
        .await
        .context("failed to fetch the release that is served; replay a file with --file instead")?;
    let inspection = engine(&context.config)?.inspect(&component)?;
    let golden = inspection.sections.golden.as_ref();
    match golden.and_then(|golden| Likeness::new(&golden.rows, &golden.scores, seed, wear)) {
        Some(likeness) => Ok(likeness),
        None => bail!("the release that is served has no golden rows; replay a file with --file"),
    }
}
