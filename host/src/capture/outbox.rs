//! Files that wait to be put: bounded, so that a store that is away costs memory up to a limit and then files, which are
//! counted. Sampled rows go first, the oldest before the others: counts are small and worth more.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::open::File;

/// Bytes that may wait.
const LIMIT_BYTES: usize = 64 << 20;
/// Files that may wait.
const LIMIT_FILES: usize = 4096;

/// The files that wait.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    files: Mutex<VecDeque<File>>,
    pub(super) more: Notify,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Backlog {
    pub(super) files: usize,
    pub(super) bytes: usize,
}

impl Outbox {
    /// Adds files; gives those that had to go for them.
    pub(super) fn push(&self, files: Vec<File>) -> Vec<File> {
        let mut waiting = self.lock();
        waiting.extend(files);
        let mut dropped = Vec::new();
        while Backlog::of(&waiting).is_too_much() {
            let oldest_rows = waiting.iter().position(|file| file.rows > 0);
            dropped.extend(waiting.remove(oldest_rows.unwrap_or(0)));
        }
        drop(waiting);
        self.more.notify_one();
        dropped
    }

    /// The file that is to be put next. It stays until it is [`Self::done`].
    pub(super) fn next(&self) -> Option<File> {
        self.lock().front().cloned()
    }

    /// Takes a file away, wherever it stands now.
    pub(super) fn done(&self, file: &File) {
        self.lock().retain(|waiting| waiting.key != file.key);
    }

    pub(super) fn backlog(&self) -> Backlog {
        Backlog::of(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog {
    fn of(files: &VecDeque<File>) -> Self {
        Self {
            files: files.len(),
            bytes: files.iter().map(|file| file.bytes.len()).sum(),
        }
    }

    const fn is_too_much(self) -> bool {
        self.files > LIMIT_FILES || self.bytes > LIMIT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use hodoscope_registry::capture::{CaptureKey, Writer};
    use hodoscope_release::DetectorName;

    use super::*;

    fn file(sequence: u64, rows: u64, length: usize) -> File {
        let detector: DetectorName = "pump".parse().unwrap();
        let writer = Writer {
            host: "a",
            boot: "b",
            sequence,
        };
        File {
            key: CaptureKey::rows(&detector, 0, writer),
            bytes: vec![0; length].into(),
            version: "1.0.0".parse().unwrap(),
            detector,
            rows,
        }
    }

    #[test]
    fn what_does_not_fit_goes_rows_first_and_the_oldest_before_the_others() {
        let outbox = Outbox::default();
        let third = LIMIT_BYTES / 3;
        let files = [(0, 0), (1, 9), (2, 9)];
        let files = files.map(|(sequence, rows)| file(sequence, rows, third));
        assert!(outbox.push(files.to_vec()).is_empty());
        let dropped = outbox.push(vec![file(3, 0, third)]);
        assert_eq!(
            dropped.iter().map(|file| &file.key).collect::<Vec<_>>(),
            [&files[1].key]
        );
        outbox.push(vec![file(4, 0, third)]);
        let dropped = outbox.push(vec![file(5, 0, third)]);
        assert_eq!(
            dropped[0].key, files[0].key,
            "without rows the oldest part goes"
        );
        assert_eq!(outbox.backlog().files, 3);
        let next = outbox.next().unwrap();
        assert_eq!(next.key, file(3, 0, 0).key);
        outbox.done(&next);
        assert_eq!(
            outbox.backlog(),
            Backlog {
                files: 2,
                bytes: 2 * third
            }
        );
    }
}
