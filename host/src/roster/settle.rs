//! The decision what to serve of one detector, from what is wanted, what runs, and what could be loaded. A pure function:
//! the follower loads, and this says what that is good for.

use std::collections::BTreeMap;
use std::sync::Arc;

use hodoscope_release::{DetectorChannel, DetectorName, Pin};

use super::{Entry, Key, Role, Served, Shadowing, Standing, State, WantedRelease};
use crate::shadow::Tally;

/// What the follower found out about releases.
#[derive(Debug, Default)]
pub struct Findings {
    /// Loaded releases.
    pub loaded: BTreeMap<Key, Arc<Served>>,
    /// Why others could not be loaded.
    pub failed: BTreeMap<Key, Failure>,
}

/// Why a release could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In words.
    pub reason: String,
    /// Whether trying again is in vain: the bytes were refused, and they do not change.
    pub refused: bool,
}

/// What to serve of `name`. `None`: nothing, and nothing to say either.
///
/// `kept` is the release that this host served before it was restarted. A change is taken as a whole or not at all: if a
/// wanted shadow or canary does not load, an active release that runs stays with the shadow and canary that it had.
pub fn settle(
    name: &DetectorName,
    wanted: Option<&DetectorChannel>,
    current: Option<&Entry>,
    kept: Option<&Pin>,
    findings: &Findings,
) -> Option<Entry> {
    let Some(wanted) = wanted else {
        return vanished(name, current, kept, findings);
    };
    let releases = states(name, wanted, findings);
    let mut entry = Entry {
        name: name.clone(),
        wanted: Some(wanted.clone()),
        running: None,
        standing: Standing::Wanted,
        shadow: None,
        canary: None,
        reason: None,
        releases,
    };
    if wanted.retired {
        entry.releases.clear();
        entry.reason = Some("it is retired; promote a release to bring it back".to_owned());
        return Some(entry);
    }
    entry.reason = complaints(&entry.releases);
    let complete = entry
        .releases
        .iter()
        .all(|release| release.state == State::Ready);
    let before = current.and_then(|current| Some((current, current.running.as_ref()?)));
    match (complete, before) {
        (false, Some((current, running))) => keep(&mut entry, current, running, wanted),
        _ => start(&mut entry, current, wanted, kept, findings),
    }
    Some(entry)
}

/// A detector that is not in the document: what ran goes on, also after a restart.
fn vanished(
    name: &DetectorName,
    current: Option<&Entry>,
    kept: Option<&Pin>,
    findings: &Findings,
) -> Option<Entry> {
    let running = current.and_then(|current| current.running.clone());
    let running = running.or_else(|| findings.find(name, kept?))?;
    Some(Entry {
        name: name.clone(),
        wanted: None,
        running: Some(running),
        standing: Standing::Vanished,
        shadow: None,
        canary: current.and_then(|current| current.canary.clone()),
        releases: Vec::new(),
        reason: Some(
            "it is no longer in the channel's document; it stays served until the channel says `retired: true`"
                .to_owned(),
        ),
    })
}

/// What runs stays as it is.
fn keep(entry: &mut Entry, current: &Entry, running: &Arc<Served>, wanted: &DetectorChannel) {
    entry.standing = match current.standing {
        _ if running.pin() == wanted.active => Standing::Wanted,
        Standing::Fallback => Standing::Fallback,
        _ => Standing::Kept,
    };
    entry.running = Some(running.clone());
    entry.shadow = current.shadow.clone();
    entry.canary = current.canary.clone();
}

/// All that is wanted and loaded takes over; without the active release, an earlier one stands in.
fn start(
    entry: &mut Entry,
    current: Option<&Entry>,
    wanted: &DetectorChannel,
    kept: Option<&Pin>,
    findings: &Findings,
) {
    let name = entry.name.clone();
    let find = |pin: &Pin| findings.find(&name, pin);
    if let Some(active) = find(&wanted.active) {
        entry.shadow = wanted.shadow.as_ref().and_then(find).map(|served| {
            let tally = tally(current, &active, &served);
            Shadowing { served, tally }
        });
        let canary = wanted.canary.as_ref();
        entry.canary = canary.and_then(|canary| Some((find(&canary.pin())?, canary.percent)));
        entry.running = Some(active);
        return;
    }
    let earlier = [kept, wanted.previous.as_ref()].into_iter().flatten();
    if let Some(served) = earlier.filter_map(find).next() {
        entry.standing = Standing::Fallback;
        entry.running = Some(served);
    }
}

/// The comparison goes on as long as both sides stay the same.
fn tally(current: Option<&Entry>, active: &Served, shadow: &Served) -> Arc<Tally> {
    let before = current.and_then(|current| {
        let same = current.running.as_ref()?.key() == active.key()
            && current.shadow.as_ref()?.served.key() == shadow.key();
        same.then(|| current.shadow.as_ref().map(|s| s.tally.clone()))?
    });
    before.unwrap_or_default()
}

fn states(
    name: &DetectorName,
    wanted: &DetectorChannel,
    findings: &Findings,
) -> Vec<WantedRelease> {
    let roles = [
        (Role::Active, Some(wanted.active.clone())),
        (Role::Shadow, wanted.shadow.clone()),
        (
            Role::Canary,
            wanted.canary.as_ref().map(hodoscope_release::Canary::pin),
        ),
    ];
    let with_pin = roles
        .into_iter()
        .filter_map(|(role, pin)| Some((role, pin?)));
    with_pin
        .map(|(role, pin)| {
            let key = (pin.release(name), pin.digest);
            let failure = findings.failed.get(&key);
            let state = match (findings.loaded.contains_key(&key), failure) {
                (true, _) => State::Ready,
                (false, Some(_)) => State::Unavailable,
                (false, None) => State::Loading,
            };
            let failure = failure.filter(|_| state != State::Ready);
            WantedRelease {
                role,
                pin,
                state,
                reason: failure.map(|failure| failure.reason.clone()),
                refused: failure.is_some_and(|failure| failure.refused),
            }
        })
        .collect()
}

fn complaints(releases: &[WantedRelease]) -> Option<String> {
    let told: Vec<String> = releases
        .iter()
        .filter_map(|release| {
            let reason = release.reason.as_ref()?;
            let role = match release.role {
                Role::Active => "",
                Role::Shadow => "shadow ",
                Role::Canary => "canary ",
            };
            Some(format!(
                "{role}{} did not load: {reason}",
                release.pin.version
            ))
        })
        .collect();
    (!told.is_empty()).then(|| told.join("; "))
}

impl Findings {
    fn find(&self, name: &DetectorName, pin: &Pin) -> Option<Arc<Served>> {
        self.loaded.get(&(pin.release(name), pin.digest)).cloned()
    }
}
