//! Swapping while requests run: each swap is a `rollback` in the channel, which exchanges the active and the previous
//! release, and counts once an answer to a request that was sent after it comes from the other bytes.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hodoscope_registry::channels::edit;
use hodoscope_release::DetectorName;
use tokio::sync::watch;

use super::load::Seen;

/// A host that has not swapped by then does not follow this channel.
const DEADLINE: Duration = Duration::from_secs(30);

/// Swaps `count` times; gives how long each took, from the edit to the first answer.
pub(super) async fn swap(
    channel: &Path,
    detector: &DetectorName,
    count: u32,
    mut seen: watch::Receiver<Seen>,
) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::new();
    for number in 1..=count {
        let wanted = exchange(channel, detector)?;
        let edited = Instant::now();
        let arrived = seen.wait_for(|seen| seen.digest == wanted && seen.sent >= edited);
        match tokio::time::timeout(DEADLINE, arrived).await {
            Ok(Ok(_)) => took.push(edited.elapsed()),
            Ok(Err(_)) => bail!("the stream ended at swap {number}"),
            Err(_) => bail!(
                "swap {number}: no answer from {wanted} within {} s; does this host follow {}?",
                DEADLINE.as_secs(),
                channel.display()
            ),
        }
    }
    Ok(took)
}

/// Exchanges active and previous; gives the digest that is active now.
fn exchange(channel: &Path, detector: &DetectorName) -> anyhow::Result<String> {
    let edited = edit(channel, detector, |document| document.rollback(detector))
        .with_context(|| "failed to swap; promote two releases first".to_owned())?;
    let active = edited.after.map(|after| after.active.digest.to_string());
    active.context("the channel lost the detector")
}
