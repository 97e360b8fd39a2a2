//! Reading a channel folder. The kubelet swaps a whole folder by one rename of the link `..data` and then deletes the
//! old one; so the files are read behind the link's target, and once more if the link moved meanwhile. Editors leave
//! hidden files, `*~` and `*.swp`, which are no part of a channel.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hodoscope_release::{ChannelDocument, DetectorName};

use super::document::parse;
use super::{ChannelError, DOCUMENT_FILE, LIMIT_BYTES};

/// The link that the kubelet swaps.
const KUBELET_LINK: &str = "..data";
/// How often a folder that changes while it is read is read again.
const ATTEMPTS: u32 = 64;

/// One sound reading: the document, and the file in which each detector stands.
pub(super) struct Reading {
    pub(super) document: ChannelDocument,
    pub(super) files: BTreeMap<DetectorName, PathBuf>,
}

/// Reads a channel folder whole. Any bad file fails the reading.
pub fn read_folder(folder: &Path) -> Result<ChannelDocument, ChannelError> {
    read(folder).map(|reading| reading.document)
}

pub(super) fn read(folder: &Path) -> Result<Reading, ChannelError> {
    for _ in 0..ATTEMPTS {
        let link = fs::read_link(folder.join(KUBELET_LINK)).ok();
        let behind = link
            .as_ref()
            .map_or_else(|| folder.to_owned(), |target| folder.join(target));
        let reading = read_once(folder, &behind);
        let still = fs::read_link(folder.join(KUBELET_LINK)).ok() == link;
        match reading {
            // A file, or the folder behind the link, went away between listing and opening.
            Err(ChannelError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {}
            reading if still => return reading,
            _ => {}
        }
    }
    Err(ChannelError::Restless {
        folder: folder.to_owned(),
    })
}

fn read_once(folder: &Path, behind: &Path) -> Result<Reading, ChannelError> {
    let names = part_names(folder, behind)?;
    let mut reading = Reading {
        document: ChannelDocument::default(),
        files: BTreeMap::new(),
    };
    let mut rest = LIMIT_BYTES;
    for name in names {
        // Errors speak of the file as the user knows it, not of the kubelet's dated folder.
        let shown = folder.join(&name);
        let bytes = read_file(&behind.join(&name), &shown, rest)?;
        rest = rest
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| ChannelError::TooLarge {
                folder: folder.to_owned(),
                file: name.clone(),
            })?;
        for (detector, wanted) in parse(&shown, &bytes)?.detectors {
            if let Some(first) = reading.files.insert(detector.clone(), shown.clone()) {
                return Err(ChannelError::Duplicate {
                    detector,
                    first,
                    second: shown,
                });
            }
            reading.document.detectors.insert(detector, wanted);
        }
    }
    Ok(reading)
}

/// The names of the files that make up the channel, sorted.
fn part_names(folder: &Path, behind: &Path) -> Result<Vec<String>, ChannelError> {
    let failed = |cause| ChannelError::Io {
        action: "reading",
        file: folder.to_owned(),
        cause,
    };
    let entries = match fs::read_dir(behind) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.exists() => {
            return Err(ChannelError::NoFolder {
                folder: folder.to_owned(),
            });
        }
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with('.') || fs::metadata(entry.path()).is_ok_and(|data| data.is_dir()) {
            continue;
        }
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("yaml") => names.push(name),
            Some("json") if name == DOCUMENT_FILE => names.push(name),
            Some("yml" | "json") => {
                return Err(ChannelError::StrayFile {
                    file: folder.join(name),
                });
            }
            _ => {}
        }
    }
    names.sort();
    let delivered = names.iter().any(|name| name == DOCUMENT_FILE);
    match names.iter().find(|name| *name != DOCUMENT_FILE) {
        None if !delivered => Err(ChannelError::NoDocument {
            folder: folder.to_owned(),
        }),
        Some(other) if delivered => Err(ChannelError::BothLayouts {
            folder: folder.to_owned(),
            file: other.clone(),
        }),
        _ => Ok(names),
    }
}

/// At most one byte more than `rest`, so that a longer file is noticed without being read.
fn read_file(file: &Path, shown: &Path, rest: u64) -> Result<Vec<u8>, ChannelError> {
    let failed = |cause| ChannelError::Io {
        action: "reading",
        file: shown.to_owned(),
        cause,
    };
    let mut bytes = Vec::new();
    File::open(file)
        .map_err(failed)?
        .take(rest + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}
