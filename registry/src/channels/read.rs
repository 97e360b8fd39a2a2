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
pub(crate) struct Reading {
    pub(crate) document: ChannelDocument,
    pub(crate) files: BTreeMap<DetectorName, PathBuf>,
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
    let mut parts = Vec::new();
    let mut rest = LIMIT_BYTES;
    for name in part_names(folder, behind)? {
        let bytes = read_file(&behind.join(&name), &folder.join(&name), rest)?;
        rest = rest.saturating_sub(bytes.len() as u64);
        parts.push((name, bytes));
    }
    assemble(folder, &parts)
}

/// Joins the files of a channel, wherever they were read. Errors speak of each as `folder` and its name: as the user
/// knows it, not of the kubelet's dated folder.
pub(crate) fn assemble(
    folder: &Path,
    parts: &[(String, Vec<u8>)],
) -> Result<Reading, ChannelError> {
    let mut reading = Reading {
        document: ChannelDocument::default(),
        files: BTreeMap::new(),
    };
    let mut rest = LIMIT_BYTES;
    for (name, bytes) in parts {
        let shown = folder.join(name);
        rest = rest
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| ChannelError::TooLarge {
                folder: folder.to_owned(),
                file: name.clone(),
            })?;
        for (detector, wanted) in parse(&shown, bytes)?.detectors {
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
        if !fs::metadata(entry.path()).is_ok_and(|data| data.is_dir()) {
            names.push(name);
        }
    }
    select(folder, names)
}

/// Those of `names` that are parts of a channel, sorted; an error if they are of both layouts, of none, or if one looks
/// like a part and would not be read.
pub(crate) fn select(folder: &Path, names: Vec<String>) -> Result<Vec<String>, ChannelError> {
    let mut parts = Vec::new();
    for name in names.into_iter().filter(|name| !name.starts_with('.')) {
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("yaml") => parts.push(name),
            Some("json") if name == DOCUMENT_FILE => parts.push(name),
            Some("yml" | "json") => {
                return Err(ChannelError::StrayFile {
                    file: folder.join(name),
                });
            }
            _ => {}
        }
    }
    parts.sort();
    let delivered = parts.iter().any(|name| name == DOCUMENT_FILE);
    match parts.iter().find(|name| *name != DOCUMENT_FILE) {
        None if !delivered => Err(ChannelError::NoDocument {
            folder: folder.to_owned(),
        }),
        Some(other) if delivered => Err(ChannelError::BothLayouts {
            folder: folder.to_owned(),
            file: other.clone(),
        }),
        _ => Ok(parts),
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
