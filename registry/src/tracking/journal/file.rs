//! One file for each local record, `<time>-<digest>.json`: replaced as a whole and never half written, locked by whoever
//! delivers it. Delivered ones are kept without their artifacts. Of those that are settled, and of those that wait, the
//! newest are kept, up to a number, so that a server that is away for good costs no disk.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use hodoscope_release::DetectorName;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::{Record, Tracked, Version};

/// The shape that this version writes and reads.
const SCHEMA: u32 = 1;
/// The longest file that is read: artifacts are reports.
const FILE_LIMIT_BYTES: u64 = 64 << 20;
/// Records that are kept after they were delivered or refused.
const SETTLED_LIMIT: usize = 200;
/// Records that may wait.
pub(super) const WAITING_LIMIT: usize = 200;
/// Bytes of all records that wait: each command reads them.
pub(super) const WAITING_LIMIT_BYTES: u64 = 32 << 20;
/// Digits of the digest in a file's name.
const DIGEST_DIGITS: usize = 12;
/// Names that are tried when two records of one component are of the same millisecond.
const NAME_ATTEMPTS: u32 = 100;

/// A record as it lies in its file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    schema: u32,
    state: State,
    /// Deliveries that failed while the server took another record.
    attempts: u32,
    record: Record,
}

/// How far a record is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Not in MLflow yet, or not whole.
    Pending,
    /// In MLflow.
    Delivered(Tracked),
    /// MLflow will never take it; why.
    Refused(String),
}

/// What is read of every file: no more than tells what to do with it.
#[derive(Debug, Deserialize)]
struct Glance {
    schema: u32,
    state: State,
    attempts: u32,
    record: About,
}

#[derive(Debug, Deserialize)]
struct About {
    version: Option<Version>,
    active: Option<Version>,
}

/// A file that waits.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) key: String,
    path: PathBuf,
    attempts: u32,
    /// Whether a newer record moves the alias that this one would move.
    pub(super) outdated: bool,
}

/// A record that this process delivers.
#[derive(Debug)]
pub(super) struct Held {
    /// The file's name without its ending; unique in its folder.
    pub(super) key: String,
    pub(super) path: PathBuf,
    text: Text,
    /// Held until the record is settled.
    _lock: Lock,
}

/// A lock on a file; `None` where the file system knows no locks.
#[derive(Debug)]
struct Lock(Option<File>);

/// Writes a new record and holds it.
pub(super) fn keep(folder: &Path, record: &Record) -> io::Result<Held> {
    fs::create_dir_all(folder)?;
    let mut record = record.clone();
    record.metrics.retain(|_, value| value.is_finite());
    let stem = stem(&record);
    let text = Text {
        schema: SCHEMA,
        state: State::Pending,
        attempts: 0,
        record,
    };
    for attempt in 0..NAME_ATTEMPTS {
        let key = match attempt {
            0 => stem.clone(),
            more => format!("{stem}-{more}"),
        };
        let path = folder.join(format!("{key}.json"));
        let beside = beside(folder, &text)?;
        let lock = lock(beside.as_file())?;
        match beside.persist_noclobber(&path) {
            Ok(_) => {
                return Ok(Held {
                    key,
                    path,
                    text,
                    _lock: lock,
                });
            }
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The records that wait, by time; those last that failed while others did not, and so may fail again. What cannot be read
/// is left alone.
pub(super) fn pending(folder: &Path) -> Vec<Pending> {
    let mut waiting = Vec::new();
    let mut moved = BTreeSet::new();
    for (key, path) in names(folder).unwrap_or_default().into_iter().rev() {
        let Ok(glance) = glance(&path) else { continue };
        let Glance {
            state,
            attempts,
            record,
            ..
        } = glance;
        if state == State::Pending {
            waiting.push(Pending {
                key,
                path,
                attempts,
                outdated: record
                    .version
                    .as_ref()
                    .and_then(claim)
                    .is_some_and(|claim| moved.contains(&claim)),
            });
        }
        // The alias of a release that is active moves with a record in time only.
        let active = record
            .active
            .filter(|_| matches!(state, State::Delivered(_)));
        let version = record
            .version
            .filter(|_| !matches!(state, State::Refused(_)));
        moved.extend(active.iter().chain(&version).filter_map(claim));
    }
    waiting.sort_by(|a, b| (a.attempts, &a.key).cmp(&(b.attempts, &b.key)));
    waiting
}

/// The alias that a record moves: there is one of each for each detector.
fn claim(version: &Version) -> Option<(DetectorName, &'static str)> {
    Some((version.release.detector.clone(), version.alias?.as_str()))
}

/// Removes the oldest settled records beyond the number that is kept, and the oldest of those that wait beyond their limits;
/// answers how many of the latter are lost. The newest always stays.
pub(super) fn prune(folder: &Path) -> io::Result<usize> {
    let names = names(folder)?;
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |about| about.len());
    let limit = SETTLED_LIMIT.min(WAITING_LIMIT);
    let bytes: u64 = names.iter().map(|(_, path)| size(path)).sum();
    if names.len() <= limit && bytes <= WAITING_LIMIT_BYTES {
        return Ok(0);
    }
    let (mut settled, mut waiting) = (Vec::new(), Vec::new());
    for (_, path) in names {
        match glance(&path).map(|glance| glance.state) {
            Ok(State::Pending) => waiting.push((size(&path), path)),
            Ok(_) => settled.push(path),
            Err(_) => {}
        }
    }
    let surplus = settled.len().saturating_sub(SETTLED_LIMIT);
    for path in settled.iter().take(surplus) {
        remove(path)?;
    }
    let mut bytes: u64 = waiting.iter().map(|(size, _)| size).sum();
    let mut left = waiting.len();
    let mut lost = 0;
    for (size, path) in &waiting {
        if left <= 1 || (left <= WAITING_LIMIT && bytes <= WAITING_LIMIT_BYTES) {
            break;
        }
        left -= 1;
        bytes -= size;
        // Another command delivers it at this moment.
        let Ok(_lock) = File::open(path).and_then(|file| lock(&file)) else {
            continue;
        };
        remove(path)?;
        lost += 1;
    }
    Ok(lost)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Another command was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Pending {
    /// Takes the record for delivering; `None` if another process holds it or has settled it.
    pub(super) fn take(self) -> Option<(Held, Record)> {
        let lock = lock(&File::open(&self.path).ok()?).ok()?;
        // Read after locking: the file that was listed may have been replaced meanwhile.
        let text = read(&self.path).ok()?;
        if text.state != State::Pending {
            return None;
        }
        let record = text.record.clone();
        let held = Held {
            key: self.key,
            path: self.path,
            text,
            _lock: lock,
        };
        Some((held, record))
    }
}

impl Held {
    /// Settles the record.
    pub(super) fn mark(&mut self, state: State) -> io::Result<()> {
        if matches!(state, State::Delivered(_)) {
            self.text.record.artifacts.clear();
        }
        self.text.state = state;
        self.replace()
    }

    /// Remembers that it failed while others did not, so that they are tried before it next time.
    pub(super) fn count_attempt(&mut self) -> io::Result<()> {
        self.text.attempts = self.text.attempts.saturating_add(1);
        self.replace()
    }

    fn replace(&self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let file = beside(folder, &self.text)?.persist(&self.path);
        file.map(drop).map_err(|error| error.error)
    }
}

/// `20261124T235900.123Z-<digest>`, so that names sort by time.
pub(super) fn stem(record: &Record) -> String {
    let time = jiff::Timestamp::from_millisecond(record.ended_ms).unwrap_or_default();
    let about = match &record.digest {
        Some(digest) => digest.hex().chars().take(DIGEST_DIGITS).collect(),
        None => "none".to_owned(),
    };
    format!("{}-{about}", time.strftime("%Y%m%dT%H%M%S.%3fZ"))
}

/// The records of a folder by name, and so by time.
fn names(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if let Some(stem) = stem
            && path
                .extension()
                .is_some_and(|extension| extension == "json")
            && !stem.starts_with('.')
        {
            names.push((stem.to_owned(), path));
        }
    }
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> io::Result<Text> {
    let text: Text = parsed(path)?;
    of_schema(text.schema).map(|()| text)
}

fn glance(path: &Path) -> io::Result<Glance> {
    let glance: Glance = parsed(path)?;
    of_schema(glance.schema).map(|()| glance)
}

fn parsed<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    if fs::metadata(path)?.len() > FILE_LIMIT_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn of_schema(schema: u32) -> io::Result<()> {
    match schema {
        SCHEMA => Ok(()),
        other => Err(io::Error::other(format!("schema {other}"))),
    }
}

fn beside(folder: &Path, text: &Text) -> io::Result<tempfile::NamedTempFile> {
    let mut beside = tempfile::Builder::new()
        .prefix(".record-")
        .tempfile_in(folder)?;
    beside.write_all(&serde_json::to_vec_pretty(text)?)?;
    beside.as_file().sync_all()?;
    Ok(beside)
}

/// Locks a file for this process: an error if another one holds it.
fn lock(file: &File) -> io::Result<Lock> {
    let own = file.try_clone()?;
    match own.try_lock() {
        Ok(()) => Ok(Lock(Some(own))),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            Ok(Lock(None))
        }
        Err(error) => Err(error.into()),
    }
}

impl Drop for Lock {
    /// Closing the file is not enough: a child of this process that is being started has a copy of it.
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_though_a_copy_of_the_file_lives() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let held = lock(file.as_file()).unwrap();
        let again = || lock(&File::open(file.path()).unwrap());
        assert!(again().is_err());
        drop(held);
        again().unwrap();
    }
}
