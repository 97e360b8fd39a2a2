//! Running the `git` executable on one bare repository: nothing of the user's or the machine's configuration, no hooks, no
//! prompt, every run with a deadline after which the process is killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::forge::{ForgeError, LocalGitOptions};

/// Where `git` is looked for if it is only a name: the environment is not passed on.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin";
/// Who makes the bot's commits.
const NAME: &str = "hodoscope";
const MAIL: &str = "hodoscope@localhost";

/// Settings that hold whatever the repository's own configuration says. What is written is on the disk before it counts.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.fsync=committed,reference",
    "core.filesRefLockTimeout=2000",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "protocol.allow=never",
];

/// A repository and how git is run on it.
#[derive(Debug)]
pub(super) struct Git {
    pub(super) repository: PathBuf,
    pub(super) options: LocalGitOptions,
    pub(super) forge: String,
}

/// What a run of git said.
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// An object as `cat-file --batch` tells it.
pub(super) struct Object {
    pub(super) kind: String,
    pub(super) bytes: Vec<u8>,
}

impl Git {
    /// Runs git and returns what it said, whatever its exit status.
    pub(super) async fn say(
        &self,
        action: &'static str,
        args: &[&str],
        input: &[u8],
        extra: &[(&str, &str)],
    ) -> Result<Said, ForgeError> {
        let mut command = Command::new(&self.options.git);
        command
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_AUTHOR_NAME", NAME)
            .env("GIT_AUTHOR_EMAIL", MAIL)
            .env("GIT_COMMITTER_NAME", NAME)
            .env("GIT_COMMITTER_EMAIL", MAIL)
            .envs(extra.iter().copied());
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command
            .arg("--git-dir")
            .arg(&self.repository)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let unavailable = |cause: String| ForgeError::Unavailable {
            forge: self.forge.clone(),
            action,
            cause,
        };
        tracing::trace!(forge = %self.forge, ?args, "{action}");
        let mut child = command.spawn().map_err(|cause| ForgeError::Setting {
            forge: self.forge.clone(),
            cause: format!(
                "`{}` could not be started ({cause}); install git 2.38 or newer",
                self.options.git.display()
            ),
        })?;
        let stdin = child.stdin.take();
        let all = async {
            let write = async {
                if let Some(mut stdin) = stdin {
                    // A git that ended early does not read; its exit status tells why.
                    let _ = stdin.write_all(input).await;
                }
            };
            tokio::join!(write, child.wait_with_output()).1
        };
        let timeout = self.options.call_timeout;
        let output = tokio::time::timeout(timeout, all)
            .await
            .map_err(|_| unavailable(format!("git did not end within {}", seconds(timeout))))?
            .map_err(|cause| unavailable(cause.to_string()))?;
        Ok(Said {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Runs git, which must succeed.
    pub(super) async fn run(
        &self,
        action: &'static str,
        args: &[&str],
        input: &[u8],
        extra: &[(&str, &str)],
    ) -> Result<Vec<u8>, ForgeError> {
        let said = self.say(action, args, input, extra).await?;
        if said.code == Some(0) {
            Ok(said.stdout)
        } else {
            Err(self.refused(action, &said))
        }
    }

    /// The error for a run that failed.
    pub(super) fn refused(&self, action: &'static str, said: &Said) -> ForgeError {
        let cause = match said.code {
            _ if !said.stderr.is_empty() => said.stderr.chars().take(400).collect(),
            Some(code) => format!("git ended with status {code}"),
            None => "git was killed".to_owned(),
        };
        let forge = self.forge.clone();
        if let Some(file) = lock(&said.stderr) {
            let file = file.to_owned();
            return ForgeError::Locked {
                forge,
                action,
                file,
            };
        }
        // A git that was killed may be luckier next time.
        if said.code.is_none() {
            return ForgeError::Unavailable {
                forge,
                action,
                cause,
            };
        }
        ForgeError::Refused {
            forge,
            action,
            cause,
        }
    }

    /// One line of output, which is an object's name.
    pub(super) async fn object_name(
        &self,
        action: &'static str,
        args: &[&str],
        input: &[u8],
        extra: &[(&str, &str)],
    ) -> Result<String, ForgeError> {
        let stdout = self.run(action, args, input, extra).await?;
        let name = String::from_utf8_lossy(&stdout)
            .lines()
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        if name.len() >= 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(name);
        }
        Err(self.unexpected(action, &name))
    }

    pub(super) fn unexpected(&self, action: &'static str, cause: &str) -> ForgeError {
        ForgeError::Answer {
            forge: self.forge.clone(),
            action,
            cause: cause.chars().take(200).collect(),
        }
    }

    /// The names of `refs` that exist, with what they point to.
    pub(super) async fn refs(&self, refs: &[&str]) -> Result<Vec<(String, String)>, ForgeError> {
        let mut args = vec!["for-each-ref", "--format=%(objectname) %(refname)"];
        args.extend(refs);
        let stdout = self.run("reading refs", &args, &[], &[]).await?;
        Ok(String::from_utf8_lossy(&stdout)
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(_, name)| refs.contains(name))
            .map(|(oid, name)| (name.to_owned(), oid.to_owned()))
            .collect())
    }

    /// The files directly in `folder` of a commit: name and blob.
    pub(super) async fn files(
        &self,
        commit: &str,
        folder: &str,
    ) -> Result<Vec<(String, String)>, ForgeError> {
        let folder = format!("{folder}/");
        let args = ["ls-tree", "-z", commit, "--", &folder];
        let stdout = self.run("reading a folder", &args, &[], &[]).await?;
        Ok(String::from_utf8_lossy(&stdout)
            .split('\0')
            .filter_map(|entry| {
                let (about, path) = entry.split_once('\t')?;
                let mut about = about.split(' ');
                let (_mode, kind, oid) = (about.next()?, about.next()?, about.next()?);
                let name = path.strip_prefix(&folder)?;
                (kind == "blob").then(|| (name.to_owned(), oid.to_owned()))
            })
            .collect())
    }

    /// The objects of these names, in their order; `None` for one that is missing.
    pub(super) async fn objects(&self, names: &[&str]) -> Result<Vec<Option<Object>>, ForgeError> {
        const ACTION: &str = "reading objects";
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let input = names.join("\n") + "\n";
        let stdout = self
            .run(ACTION, &["cat-file", "--batch"], input.as_bytes(), &[])
            .await?;
        let mut rest = stdout.as_slice();
        let mut found = Vec::new();
        for _ in names {
            let (object, left) =
                object(rest).ok_or_else(|| self.unexpected(ACTION, "a cut answer"))?;
            rest = left;
            found.push(object);
        }
        Ok(found)
    }

    /// Writes the tree of `parent` with these files put into it; nothing but objects changes.
    pub(super) async fn tree(
        &self,
        parent: Option<&str>,
        files: &[(String, String)],
    ) -> Result<String, ForgeError> {
        const ACTION: &str = "writing a tree";
        let folder = tempfile::tempdir().map_err(|cause| ForgeError::Unavailable {
            forge: self.forge.clone(),
            action: ACTION,
            cause: cause.to_string(),
        })?;
        let index = folder.path().join("index");
        let index = index.to_string_lossy();
        let extra = [("GIT_INDEX_FILE", index.as_ref())];
        if let Some(parent) = parent {
            self.run(ACTION, &["read-tree", parent], &[], &extra)
                .await?;
        }
        let mut lines = String::new();
        for (path, text) in files {
            let args = ["hash-object", "-w", "--stdin"];
            let blob = self
                .object_name("writing a file", &args, text.as_bytes(), &[])
                .await?;
            lines.push_str(&format!("100644 {blob}\t{path}\n"));
        }
        let args = ["update-index", "--add", "--index-info"];
        self.run(ACTION, &args, lines.as_bytes(), &extra).await?;
        self.object_name(ACTION, &["write-tree"], &[], &extra).await
    }

    /// Writes a commit; nothing points to it yet.
    pub(super) async fn commit(
        &self,
        tree: &str,
        parents: &[&str],
        message: &str,
        now: Timestamp,
    ) -> Result<String, ForgeError> {
        let date = format!("@{} +0000", now.as_second());
        let mut args = vec!["commit-tree", tree];
        for parent in parents {
            args.extend(["-p", parent]);
        }
        let extra = [
            ("GIT_AUTHOR_DATE", date.as_str()),
            ("GIT_COMMITTER_DATE", date.as_str()),
        ];
        self.object_name("writing a commit", &args, message.as_bytes(), &extra)
            .await
    }
}

/// The lock that git found in its way: `Unable to create '<path>.lock': File exists.`
fn lock(stderr: &str) -> Option<&str> {
    let (_, rest) = stderr.split_once("Unable to create '")?;
    let (file, _) = rest.split_once("': File exists")?;
    file.ends_with(".lock").then_some(file)
}

/// Reads one answer of `cat-file --batch`.
fn object(bytes: &[u8]) -> Option<(Option<Object>, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let rest = bytes.get(end + 1..)?;
    if head.ends_with(" missing") || head.ends_with(" ambiguous") {
        return Some((None, rest));
    }
    let mut words = head.split(' ');
    let (_oid, kind, size) = (words.next()?, words.next()?, words.next()?);
    let size: usize = size.parse().ok()?;
    let object = Object {
        kind: kind.to_owned(),
        bytes: rest.get(..size)?.to_vec(),
    };
    Some((Some(object), rest.get(size + 1..)?))
}

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

/// What of a commit matters here: its tree, its parents, its message.
pub(super) fn commit_parts(object: &Object) -> Option<(String, Vec<String>, String)> {
    if object.kind != "commit" {
        return None;
    }
    let text = String::from_utf8_lossy(&object.bytes);
    let (head, message) = text.split_once("\n\n")?;
    let values = |name: &str| {
        head.lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let tree = values("tree").into_iter().next()?;
    Some((tree, values("parent"), message.to_owned()))
}

/// Whether the path is a bare repository, as far as one can see.
pub(super) fn is_repository(path: &Path) -> bool {
    path.join("HEAD").is_file() && path.join("objects").is_dir()
}
