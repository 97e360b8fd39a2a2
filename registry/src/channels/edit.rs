//! Changing one detector of a channel folder. Writers take turns by a lock on `.lock`; the file is written beside,
//! synced and renamed over, so that a reader sees the old or the new one, and a crash leaves one of the two.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hodoscope_release::{
    ChannelDocument, ChannelError as DocumentError, DetectorChannel, DetectorName,
};

use super::read::{Reading, read};
use super::{ChannelError, DOCUMENT_FILE};

/// The file whose lock the writers share; hidden, so that no reader takes it for a part of the channel.
const LOCK_FILE: &str = ".lock";
/// What a machine-owned file starts with.
const HEADER: &str =
    "# Owned by `hodoscope promote`, `rollback` and `retire`; comments and layout are not kept.\n";

/// What an edit did.
#[derive(Debug, Clone, PartialEq)]
pub struct Edited {
    /// What was wanted of the detector before; `None` for a new one.
    pub before: Option<DetectorChannel>,
    /// What is wanted of it now.
    pub after: Option<DetectorChannel>,
    /// The file that holds it.
    pub file: PathBuf,
}

/// Applies `change` to the channel in `folder` and writes what became of `detector` to `<detector>.yaml`. The folder is
/// created if it does not exist. Changes of other detectors are not written. Nothing is written if nothing changed.
pub fn edit(
    folder: &Path,
    detector: &DetectorName,
    change: impl FnOnce(&mut ChannelDocument) -> Result<(), DocumentError>,
) -> Result<Edited, ChannelError> {
    let file = folder.join(format!("{detector}.yaml"));
    let io = |action| {
        move |cause| ChannelError::Io {
            action,
            file: folder.to_owned(),
            cause,
        }
    };
    if folder.join(DOCUMENT_FILE).exists() {
        return Err(ChannelError::Delivered {
            folder: folder.to_owned(),
        });
    }
    fs::create_dir_all(folder).map_err(io("creating"))?;
    let _lock = lock(folder).map_err(io("locking"))?;
    let Reading {
        mut document,
        files,
    } = match read(folder) {
        Err(error) if error.is_absent() => Reading {
            document: ChannelDocument::default(),
            files: Default::default(),
        },
        reading => reading?,
    };
    own_file(detector, &file, &files)?;
    let before = document.detectors.get(detector).cloned();
    change(&mut document)?;
    document.validate()?;
    let after = document.detectors.get(detector).cloned();
    if before != after {
        let write = |cause| ChannelError::Io {
            action: "writing",
            file: file.clone(),
            cause,
        };
        replace(folder, &file, &render(detector, after.as_ref())?).map_err(write)?;
    }
    Ok(Edited {
        before,
        after,
        file,
    })
}

/// The text of `<detector>.yaml`: the one way in which a machine writes it, in a folder and in a pull request. `None`
/// makes a file that wants nothing.
pub fn render(
    detector: &DetectorName,
    wanted: Option<&DetectorChannel>,
) -> Result<String, ChannelError> {
    let own = ChannelDocument {
        detectors: wanted
            .map(|wanted| (detector.clone(), wanted.clone()))
            .into_iter()
            .collect(),
    };
    let body = serde_saphyr::to_string(&own).map_err(|cause| ChannelError::Io {
        action: "writing",
        file: PathBuf::from(format!("{detector}.yaml")),
        cause: io::Error::other(cause),
    })?;
    Ok(format!("{HEADER}{body}"))
}

/// Whether `file` may be rewritten for `detector`: it must stand there or nowhere, and alone, or the rewrite would lose
/// another one.
pub(crate) fn own_file(
    detector: &DetectorName,
    file: &Path,
    files: &BTreeMap<DetectorName, PathBuf>,
) -> Result<(), ChannelError> {
    let strange = files
        .iter()
        .find(|(name, found)| (*name == detector) != (*found == file));
    match strange {
        None => Ok(()),
        Some((name, found)) => Err(ChannelError::NotOwnFile {
            detector: name.clone(),
            file: found.clone(),
        }),
    }
}

/// The lock ends with the file's handle, also when the process is killed.
fn lock(folder: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK_FILE))?;
    file.lock()?;
    Ok(file)
}

fn replace(folder: &Path, file: &Path, text: &str) -> io::Result<()> {
    let mut beside = tempfile::Builder::new()
        .prefix(".edit-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.as_file().sync_all()?;
    beside.persist(file).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}
