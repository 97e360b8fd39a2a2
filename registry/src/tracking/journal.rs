//! The folder of local records, and the delivery of what lies there: a record is a file before MLflow is asked, and is
//! marked as delivered after. So what a server that is down or slow did not take is delivered by a later command, once:
//! a lock on the file says who is at it, and the run is found again by its record's name.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::{Attempt, Record, Tracked, Tracking, TrackingError};

mod file;

use file::{Held, State};

/// Records of earlier commands that one command delivers at most.
const BACKLOG_LIMIT: usize = 5;

/// Where records go, and for how long a command may try.
#[derive(Clone)]
pub struct Destination {
    /// The server's address.
    pub uri: String,
    /// The token, if the server wants one.
    pub token: Option<String>,
    /// The folder of local records; it is made if it is not there.
    pub folder: PathBuf,
    /// The longest time for everything, earlier records included.
    pub deadline: Duration,
}

/// What became of a record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// The record in MLflow, if it got there.
    pub tracked: Option<Tracked>,
    /// How many earlier records got there, too.
    pub delivered: usize,
    /// What a person should know; each is one sentence.
    pub warnings: Vec<String>,
}

/// Keeps a record locally and writes it to MLflow, with up to five that earlier commands could not deliver. Never fails:
/// it warns. Returns within the deadline, plus the time that the local folder's disk takes.
pub async fn track(destination: &Destination, record: &Record) -> Told {
    let until = Instant::now() + destination.deadline;
    let mut told = Told::default();
    let kept = match file::keep(&destination.folder, record) {
        Ok(kept) => Some(kept),
        Err(error) => {
            told.warn(format!(
                "tracking: failed to keep a local record in {}: {error}",
                destination.folder.display()
            ));
            None
        }
    };
    let outcome = match Tracking::open(&destination.uri, destination.token.as_deref()) {
        Ok(tracking) => {
            let key = match &kept {
                Some(kept) => kept.key.clone(),
                None => file::stem(record),
            };
            let failed = deliver_backlog(&tracking, destination, &key, until, &mut told).await;
            let attempt = Attempt {
                key: &key,
                resumed: false,
            };
            let outcome = tracking.write(record, attempt, until).await;
            // It was not the server.
            if let (Some(mut held), Ok(_)) = (failed, &outcome) {
                let counted = held.count_attempt();
                told.mark_failed(&held, counted);
            }
            outcome
        }
        Err(error) => Err(error),
    };
    settle(kept, outcome, destination, &mut told);
    told
}

/// Earlier records first, for a push adds to the run of its training; within half of the time, and up to the first
/// failure, which it returns: the record of this command is not to suffer.
async fn deliver_backlog(
    tracking: &Tracking,
    destination: &Destination,
    own: &str,
    until: Instant,
    told: &mut Told,
) -> Option<Held> {
    let until = until - destination.deadline / 2;
    let mut pending = file::pending(&destination.folder);
    pending.retain(|pending| pending.key != own);
    for pending in pending.into_iter().take(BACKLOG_LIMIT) {
        let outdated = pending.outdated;
        // Another command is at it, or has just done it.
        let Some((mut held, mut record)) = pending.take() else {
            continue;
        };
        // What was active then need not be active now, and a newer record may have moved the alias.
        record.active = None;
        if let Some(version) = record.version.as_mut().filter(|_| outdated) {
            version.alias = None;
        }
        let attempt = Attempt {
            key: &held.key,
            resumed: true,
        };
        let outcome = tracking.write(&record, attempt, until).await;
        let marked = match &outcome {
            Ok(tracked) => held.mark(State::Delivered(tracked.clone())),
            Err(error) if error.is_final() => held.mark(State::Refused(error.to_string())),
            Err(_) => return Some(held),
        };
        told.mark_failed(&held, marked);
        match outcome {
            Ok(tracked) => {
                told.delivered += 1;
                told.warn_all(&tracked.warnings);
            }
            Err(error) => told.warn(refused(&error, &held)),
        }
    }
    None
}

fn settle(
    kept: Option<Held>,
    outcome: Result<Tracked, TrackingError>,
    destination: &Destination,
    told: &mut Told,
) {
    match (kept, outcome) {
        (kept, Ok(tracked)) => {
            if let Some(mut held) = kept {
                let marked = held.mark(State::Delivered(tracked.clone()));
                told.mark_failed(&held, marked);
            }
            told.warn_all(&tracked.warnings);
            told.tracked = Some(tracked);
        }
        (Some(mut held), Err(error)) if error.is_final() => {
            let marked = held.mark(State::Refused(error.to_string()));
            told.mark_failed(&held, marked);
            told.warn(refused(&error, &held));
        }
        (Some(held), Err(error)) => told.warn(format!(
            "tracking: {error}; the record waits in {} for the next command that tracks",
            held.path.display()
        )),
        (None, Err(error)) => told.warn(format!("tracking: {error}; the record is lost")),
    }
    let folder = destination.folder.display();
    match file::prune(&destination.folder) {
        Ok(0) => {}
        Ok(lost) => told.warn(format!(
            "tracking: dropped the {lost} oldest of the records that wait in {folder}, which may be {} or {} MiB; does \
             `mlflow_tracking_uri` lead to a server that takes them?",
            file::WAITING_LIMIT,
            file::WAITING_LIMIT_BYTES >> 20
        )),
        Err(error) => told.warn(format!(
            "tracking: failed to remove old local records from {folder}: {error}"
        )),
    }
}

fn refused(error: &TrackingError, held: &Held) -> String {
    format!(
        "tracking: {error}; the record stays in {} and is not tried again",
        held.path.display()
    )
}

impl Told {
    fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Adds warnings that are not there yet: earlier records often meet the same obstacle.
    fn warn_all(&mut self, warnings: &[String]) {
        let there: BTreeSet<String> = self.warnings.iter().cloned().collect();
        let new = warnings
            .iter()
            .map(|warning| format!("tracking: {warning}"));
        self.warnings
            .extend(new.filter(|warning| !there.contains(warning)));
    }

    fn mark_failed(&mut self, held: &Held, marked: std::io::Result<()>) {
        if let Err(error) = marked {
            self.warn(format!(
                "tracking: failed to mark the local record {}: {error}",
                held.path.display()
            ));
        }
    }
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Destination")
            .field("folder", &self.folder)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
