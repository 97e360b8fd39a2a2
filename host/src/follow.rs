//! Follows a channel: reads its folder, loads what is wanted beside what runs, and replaces the roster's snapshot once
//! per change. A failed load changes nothing but the reason shown, and a document that cannot be read changes nothing
//! but the document's state. The clock is an argument, so that tests drive it by hand.

mod keep;
mod load;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hodoscope_registry::channels::{self, ChannelError};
use hodoscope_release::{ChannelDocument, DetectorName, Pin};
use tracing::{info, warn};

use crate::roster::{
    DocumentState, Entry, Failure, Findings, Key, Roster, Served, Snapshot, settle,
};
use crate::tasks;
use crate::telemetry::Telemetry;
pub use keep::Kept;
pub use load::{LoadError, Loader};

/// The pause before the first retry of a failed load; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between retries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What follows the channel. There is one per process, and only it changes the roster.
#[derive(Debug)]
pub struct Follower {
    roster: Arc<Roster>,
    telemetry: Arc<Telemetry>,
    loader: Loader,
    folder: PathBuf,
    poll: Duration,
    /// The last document that could be used.
    document: ChannelDocument,
    /// The last failure to read one, so that it is told once.
    trouble: Option<String>,
    /// What is loaded, and why the rest is not.
    findings: Findings,
    /// When those that are not are due again.
    retries: BTreeMap<Key, Retry>,
    /// Whether the document has changed since the snapshot was made.
    unsettled: bool,
    /// What is on disk about the life before this one.
    kept: Kept,
    /// What an operator decided, against the channel; only with `--dev`.
    overruled: BTreeMap<DetectorName, Option<Pin>>,
}

/// When a load that failed is due again.
#[derive(Debug)]
struct Retry {
    /// `None`: only when the document changes, for the bytes will not.
    at: Option<Instant>,
    pause: Duration,
}

impl Follower {
    /// A follower that has read nothing yet but what the host kept from its life before.
    pub fn new(
        roster: Arc<Roster>,
        telemetry: Arc<Telemetry>,
        loader: Loader,
        folder: PathBuf,
        poll: Duration,
        kept: Kept,
    ) -> Self {
        Self {
            document: kept.document().clone(),
            roster,
            telemetry,
            loader,
            folder,
            poll,
            trouble: None,
            findings: Findings::default(),
            retries: BTreeMap::new(),
            unsettled: true,
            kept,
            overruled: BTreeMap::new(),
        }
    }

    /// The folder that is followed.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks at the folder and makes of it what can be made at this moment.
    pub async fn poll(&mut self, now: Instant) {
        let folder = self.folder.clone();
        let read = tasks::blocking(move || channels::read_folder(&folder)).await;
        let state = match read {
            Some(Ok(document)) => self.take(document),
            Some(Err(error)) => self.refuse(&error),
            None => return,
        };
        let valid = state == DocumentState::Valid;
        self.telemetry.document_valid.set(valid.into());
        let due = self.retries.values().any(|retry| retry.is_due(now));
        let told = self.roster.now().document != state;
        if told || due || self.unsettled {
            self.apply(state, now).await;
        }
    }

    /// How long nothing is due.
    pub fn pause(&self, now: Instant) -> Duration {
        let retries = self.retries.values().filter_map(|retry| retry.at);
        let next = retries
            .min()
            .map(|retry| retry.saturating_duration_since(now));
        next.map_or(self.poll, |next| next.min(self.poll))
    }

    /// Fetches and checks the active release of a detector again and, if it passes, lets the fresh one answer.
    pub async fn reload(&mut self, name: &DetectorName, now: Instant) -> Result<(), LoadError> {
        let wanted = self.wanted(name).filter(|wanted| !wanted.retired);
        let pin = wanted
            .ok_or_else(|| LoadError::NotWanted(name.clone()))?
            .active;
        self.load_anew(name, &pin).await?;
        self.apply(self.state(), now).await;
        Ok(())
    }

    /// Serves a release whatever the channel says, or (`None`) nothing. Holds until the document changes.
    pub async fn overrule(
        &mut self,
        name: &DetectorName,
        pin: Option<Pin>,
        now: Instant,
    ) -> Result<(), LoadError> {
        if let Some(pin) = &pin {
            self.load_anew(name, pin).await?;
        }
        self.overruled.insert(name.clone(), pin);
        self.apply(self.state(), now).await;
        Ok(())
    }

    async fn load_anew(&mut self, name: &DetectorName, pin: &Pin) -> Result<(), LoadError> {
        let key = (pin.release(name), pin.digest);
        let served = self.loader.load(key.clone()).await.inspect_err(|error| {
            warn!(detector.name = %name, %error, "failed to load {} again", key.0);
        })?;
        self.retries.remove(&key);
        self.findings.failed.remove(&key);
        self.findings.loaded.insert(key, served);
        Ok(())
    }

    fn state(&self) -> DocumentState {
        self.roster.now().document.clone()
    }

    /// Takes a document that could be read.
    fn take(&mut self, document: ChannelDocument) -> DocumentState {
        if self.trouble.take().is_some() {
            info!("the channel's document can be used again");
        }
        let first = self.roster.now().document == DocumentState::Unread;
        if first || document != self.document {
            info!(
                detectors = document.detectors.len(),
                "read a channel document from {}",
                self.folder.display()
            );
            self.telemetry.reloads.with_label_values(&["ok"]).inc();
            self.findings.failed.clear();
            self.retries.clear();
            self.overruled.clear();
            self.document = document;
            self.unsettled = true;
        }
        DocumentState::Valid
    }

    /// Remembers why a document cannot be used; the last good one holds.
    fn refuse(&mut self, error: &ChannelError) -> DocumentState {
        let reason = error.to_string();
        if self.trouble.as_ref() != Some(&reason) {
            if error.is_absent() {
                info!("{reason}");
            } else {
                warn!(
                    kind = error.kind(),
                    "{reason}; keeping the last good document"
                );
            }
            self.telemetry
                .reloads
                .with_label_values(&[error.kind()])
                .inc();
            self.trouble = Some(reason.clone());
        }
        match error.is_absent() {
            true => DocumentState::Absent(reason),
            false => DocumentState::Invalid(reason),
        }
    }

    /// What the document, or an operator, wants of a detector.
    fn wanted(&self, name: &DetectorName) -> Option<hodoscope_release::DetectorChannel> {
        match self.overruled.get(name) {
            Some(Some(pin)) => Some(hodoscope_release::DetectorChannel::first(pin.clone())),
            Some(None) => None,
            None => self.document.detectors.get(name).cloned(),
        }
    }

    /// Loads what is wanted and replaces the snapshot, once.
    async fn apply(&mut self, state: DocumentState, now: Instant) {
        let missing = self.missing(self.targets(), now);
        if !missing.is_empty() {
            self.announce(&state);
            self.load(missing, now).await;
        }
        let stand_ins = self.missing(self.stand_ins(), now);
        if !stand_ins.is_empty() {
            self.load(stand_ins, now).await;
        }
        self.swap(state);
        self.forget();
    }

    /// Shows what is about to be loaded. What answers stays as it is.
    fn announce(&self, state: &DocumentState) {
        let mut next = Snapshot::clone(&self.roster.now());
        next.document = state.clone();
        for name in self.names() {
            let current = next.detectors.get(name.as_str());
            let wanted = self.wanted(&name);
            let settled = settle(
                &name,
                wanted.as_ref(),
                current.map(|e| &**e),
                None,
                &self.findings,
            );
            let entry = match (current, settled) {
                (Some(current), Some(settled)) if current.running.is_some() => Entry {
                    releases: settled.releases,
                    ..Entry::clone(current)
                },
                (_, Some(settled)) if settled.running.is_none() => settled,
                _ => continue,
            };
            next.detectors.insert(name.to_string(), Arc::new(entry));
        }
        self.roster.replace(next);
    }

    /// Replaces the snapshot by what is wanted and loaded.
    fn swap(&mut self, state: DocumentState) {
        let current = self.roster.now();
        let mut next = Snapshot {
            channel: current.channel.clone(),
            document: state,
            generation: current.generation + u64::from(self.unsettled),
            detectors: BTreeMap::new(),
        };
        for name in self.names() {
            let before = current.detectors.get(name.as_str()).map(|entry| &**entry);
            let entry = match self.overruled.get(&name) {
                Some(None) => Some(Entry::unloaded(&name)),
                _ => {
                    let kept = self.kept.running().get(&name);
                    settle(
                        &name,
                        self.wanted(&name).as_ref(),
                        before,
                        kept,
                        &self.findings,
                    )
                }
            };
            if let Some(entry) = entry {
                next.detectors.insert(name.to_string(), Arc::new(entry));
            }
        }
        if self.unsettled {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            self.telemetry
                .applied
                .set(now.unwrap_or_default().as_secs_f64());
        }
        self.unsettled = false;
        let generation = i64::try_from(next.generation).unwrap_or(i64::MAX);
        self.telemetry.generation.set(generation);
        self.kept.remember(&self.document, &next);
        self.roster.replace(next);
        // Told once it is true: who reads "serving" may call.
        for (name, entry) in &self.roster.now().detectors {
            tell(current.detectors.get(name).map(|before| &**before), entry);
        }
    }

    /// Lets go of what is neither wanted nor in use. Calls that still run keep theirs until they end.
    fn forget(&mut self) {
        let wanted = self.targets();
        let roster = self.roster.now();
        let in_use: BTreeSet<Key> = roster
            .detectors
            .values()
            .flat_map(|entry| entry.in_use().map(|served| served.key()))
            .collect();
        self.findings
            .loaded
            .retain(|key, _| wanted.contains(key) || in_use.contains(key));
        // What nobody asks for any more is not due again, or the follower would never rest.
        let stand_ins = self.stand_ins();
        let asked = |key: &Key| wanted.contains(key) || stand_ins.contains(key);
        self.retries.retain(|key, _| asked(key));
        self.findings.failed.retain(|key, _| asked(key));
    }

    /// Every detector that the document, an operator, the roster or the life before this one knows.
    fn names(&self) -> BTreeSet<DetectorName> {
        let roster = self.roster.now();
        let served = roster.detectors.values().map(|entry| entry.name.clone());
        let documented = self.document.detectors.keys().chain(self.overruled.keys());
        documented
            .chain(self.kept.running().keys())
            .cloned()
            .chain(served)
            .collect()
    }

    /// The releases that the channel wants to be loaded.
    fn targets(&self) -> BTreeSet<Key> {
        let names: BTreeSet<&DetectorName> = self
            .document
            .detectors
            .keys()
            .chain(self.overruled.keys())
            .collect();
        names
            .into_iter()
            .filter_map(|name| Some((name, self.wanted(name)?)))
            .filter(|(_, wanted)| !wanted.retired)
            .flat_map(|(name, wanted)| {
                let canary = wanted.canary.as_ref().map(hodoscope_release::Canary::pin);
                let pins = [Some(wanted.active), wanted.shadow, canary];
                pins.into_iter()
                    .flatten()
                    .map(|pin| (pin.release(name), pin.digest))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The releases that may stand in where nothing answers and the active one did not load, and those that ran before a
    /// restart and that the document no longer names.
    fn stand_ins(&self) -> BTreeSet<Key> {
        let roster = self.roster.now();
        let idle = |name: &DetectorName| {
            let entry = roster.detectors.get(name.as_str());
            entry.is_none_or(|entry| entry.running.is_none()) && !self.overruled.contains_key(name)
        };
        let mut keys = BTreeSet::new();
        for (name, pin) in self.kept.running() {
            let vanished = !self.document.detectors.contains_key(name);
            if vanished && idle(name) {
                keys.insert((pin.release(name), pin.digest));
            }
        }
        for (name, wanted) in &self.document.detectors {
            let active = (wanted.active.release(name), wanted.active.digest);
            if wanted.retired || self.findings.loaded.contains_key(&active) || !idle(name) {
                continue;
            }
            let earlier = [self.kept.running().get(name), wanted.previous.as_ref()];
            let pins = earlier
                .into_iter()
                .flatten()
                .map(|pin| (pin.release(name), pin.digest));
            keys.extend(pins);
        }
        keys
    }

    /// Those of `keys` that are not loaded, and have not failed for good or for now.
    fn missing(&self, keys: BTreeSet<Key>, now: Instant) -> Vec<Key> {
        let open = |key: &Key| self.retries.get(key).is_none_or(|retry| retry.is_due(now));
        keys.into_iter()
            .filter(|key| !self.findings.loaded.contains_key(key) && open(key))
            .collect()
    }

    async fn load(&mut self, keys: Vec<Key>, now: Instant) {
        for (key, loaded) in self.loader.load_all(keys).await {
            match loaded {
                Ok(served) => {
                    info!(detector.name = %key.0.detector, release.digest = %key.1, "loaded {}", key.0);
                    self.retries.remove(&key);
                    self.findings.failed.remove(&key);
                    self.findings.loaded.insert(key, served);
                }
                Err(error) => {
                    warn!(detector.name = %key.0.detector, release.digest = %key.1, kind = error.kind(), "failed to load {}: {error}", key.0);
                    let before = self.retries.get(&key).map(|retry| retry.pause);
                    let pause = before.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
                    let at = error.is_worth_a_retry().then(|| now + pause);
                    let failure = Failure {
                        reason: error.to_string(),
                        refused: at.is_none(),
                    };
                    self.findings.failed.insert(key.clone(), failure);
                    self.retries.insert(key, Retry { at, pause });
                }
            }
        }
    }
}

impl Retry {
    fn is_due(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

/// Logs what changed of what answers.
fn tell(before: Option<&Entry>, after: &Entry) {
    let digest = |served: &Arc<Served>| served.digest();
    let old = before.and_then(|entry| entry.running.as_ref());
    let name = &after.name;
    match (old, &after.running) {
        (_, Some(new)) if old.map(digest) != Some(new.digest()) => {
            info!(detector.name = %name, release.digest = %new.digest(), standing = ?after.standing, "serving {}", new.release);
        }
        (Some(old), None) => {
            info!(detector.name = %name, release.digest = %old.digest(), "stopped serving {}", old.release);
        }
        _ => {}
    }
    let complained = before.and_then(|entry| entry.reason.as_ref());
    if let Some(reason) = after
        .reason
        .as_ref()
        .filter(|reason| complained != Some(reason))
    {
        warn!(detector.name = %name, standing = ?after.standing, "{name}: {reason}");
    }
}
