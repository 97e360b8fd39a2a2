//! Owns the folder with compiled code. An entry's name holds the component's digest and a hash of everything that shapes
//! code (wasmtime's version, settings, CPU); its last 32 bytes are a hash over name and content. It is written to a
//! temporary file and renamed; one that is damaged is a miss, never an error.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hodoscope_release::Digest;
use wasmtime::Engine;

use crate::{EngineError, Report};

/// Bytes of code that are kept when an engine starts; the entries used longest ago go first.
const KEPT_BYTES: u64 = 4 << 30;
/// Raised when the gate checks more, so that reports of earlier builds are not believed.
const GATE_EDITION: u32 = 1;
const HASH_BYTES: usize = 32;

/// The folder with compiled code, for one engine.
pub(super) struct Cache {
    dir: PathBuf,
    compatibility: u64,
}

impl Cache {
    /// Opens or makes the folder. Refuses one that others could write: its files are run as machine code.
    pub(super) fn open(dir: &Path, engine: &Engine) -> Result<Self, EngineError> {
        let error = |problem: String, fix| EngineError::Cache {
            path: dir.to_owned(),
            problem,
            fix,
        };
        let plain = |e: io::Error| error(e.to_string(), "name a folder that this user can write");
        make_private(dir).map_err(plain)?;
        if let Some(problem) = writable_by_others(dir).map_err(plain)? {
            return Err(error(
                problem,
                "run `chmod 700` on it as its owner, or name another folder",
            ));
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let cache = Self {
            dir: dir.to_owned(),
            compatibility: hasher.finish(),
        };
        if let Err(problem) = cache.prune() {
            tracing::warn!("the folder for compiled code cannot be pruned: {problem}");
        }
        Ok(cache)
    }

    /// The compiled code of the component with this digest, if there is any.
    pub(super) fn read_code(&self, digest: Digest) -> Result<Option<Vec<u8>>, String> {
        self.read(&self.name(digest, "code"))
    }

    pub(super) fn write_code(&self, digest: Digest, code: &[u8]) {
        self.write(&self.name(digest, "code"), code);
    }

    /// What the gate found out at an earlier load; a report that cannot be read is no report.
    pub(super) fn read_report(&self, digest: Digest) -> Option<Report> {
        let content = self.read(&self.report_name(digest)).ok()??;
        let report: Report = serde_json::from_slice(&content).ok()?;
        (report.digest == digest && report.passed()).then_some(report)
    }

    pub(super) fn write_report(&self, report: &Report) {
        match serde_json::to_vec(report) {
            Ok(content) => self.write(&self.report_name(report.digest), &content),
            Err(error) => tracing::warn!("a report cannot be written: {error}"),
        }
    }

    fn name(&self, digest: Digest, kind: &str) -> String {
        format!("{}-{:016x}.{kind}", digest.hex(), self.compatibility)
    }

    fn report_name(&self, digest: Digest) -> String {
        self.name(digest, &format!("gate{GATE_EDITION}"))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let mut content = match fs::read(self.dir.join(name)) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let length = content.len().checked_sub(HASH_BYTES);
        let (body, found) = length
            .and_then(|length| content.split_at_checked(length))
            .ok_or("the entry is cut off")?;
        if seal(name, body).as_bytes() != found {
            return Err("the entry is damaged".into());
        }
        let length = body.len();
        content.truncate(length);
        Ok(Some(content))
    }

    /// Writes an entry. A full disk costs the next load its time, nothing else.
    fn write(&self, name: &str, body: &[u8]) {
        let write = || -> io::Result<()> {
            let mut file = tempfile::Builder::new()
                .prefix(".writing-")
                .tempfile_in(&self.dir)?;
            file.write_all(body)?;
            file.write_all(seal(name, body).as_bytes())?;
            file.persist(self.dir.join(name)).map_err(|e| e.error)?;
            Ok(())
        };
        if let Err(error) = write() {
            tracing::warn!("compiled code is not kept: {error}");
        }
    }

    /// Deletes the oldest entries above [`KEPT_BYTES`], and what a killed process left half written.
    fn prune(&self) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                entries.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        entries.sort_by(|a, b| b.cmp(a));
        let mut kept = 0_u64;
        for (_, bytes, path) in entries {
            let half = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b".writing-"));
            kept = kept.saturating_add(bytes);
            if half || kept > KEPT_BYTES {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// The hash over an entry: its name is in it, so that an entry under another name is damaged, too.
fn seal(name: &str, body: &[u8]) -> Digest {
    let mut text = Digest::of(body).to_string();
    text.push_str(name);
    Digest::of(text.as_bytes())
}

#[cfg(unix)]
fn make_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

#[cfg(unix)]
fn writable_by_others(dir: &Path) -> io::Result<Option<String>> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::metadata(dir)?;
    let own = rustix::process::geteuid().as_raw();
    Ok(if metadata.uid() != own {
        Some(format!("it belongs to user {}, not {own}", metadata.uid()))
    } else if metadata.mode() & 0o022 != 0 {
        let mode = metadata.mode() & 0o777;
        Some(format!("others can write it (mode {mode:o})"))
    } else {
        None
    })
}
