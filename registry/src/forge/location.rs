//! Where changes are proposed, and how that place is reached: parsed once from the text of a setting, so that a typing
//! error is found before anything is asked. Environment variables are read by the host's configuration, never here.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

const GITHUB_SCHEME: &str = "github:";
const GIT_SCHEME: &str = "git:";

/// GitHub's own API; a GitHub Enterprise server's is `https://<host>/api/v3`.
pub const GITHUB_URL: &str = "https://api.github.com";

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForgeLocation {
    /// On GitHub or a GitHub Enterprise server, written `github:owner/repo`.
    GitHub {
        /// The user or organisation.
        owner: String,
        /// The repository's name.
        repo: String,
    },
    /// A bare repository on this machine, written `git:/path/to/bare.git`.
    LocalGit(PathBuf),
}

/// A text that is no forge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForgeLocationError {
    /// No known scheme.
    #[error("`{0}` is no forge; write `github:owner/repo` or `git:/path/to/bare.git`")]
    Scheme(String),
    /// Not `owner/repo`.
    #[error(
        "`{0}` names no repository on GitHub; write `github:owner/repo`, as in its address, without a host or `.git`"
    )]
    Repository(String),
    /// No path.
    #[error("`{0}` has no path; write for instance `git:/srv/channels.git`")]
    Path(String),
}

/// Who is asking GitHub.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum GitHubCredentials {
    /// Nobody: enough to read a public repository.
    #[default]
    None,
    /// A personal access token. Its owner is the author of the pull requests and cannot approve them.
    Token(String),
    /// A GitHub App; its tokens are made for this one repository and with no more rights than the calls need.
    App {
        /// The App's id or client id.
        app_id: String,
        /// The installation's number.
        installation_id: u64,
        /// The App's private key, PEM, RSA; never printed.
        private_key: String,
    },
}

/// How GitHub is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHubOptions {
    /// The API's address: [`GITHUB_URL`], or `https://<host>/api/v3` on an Enterprise server.
    pub url: String,
    /// Who is asking.
    pub credentials: GitHubCredentials,
    /// The longest time for connecting.
    pub connect_timeout: Duration,
    /// The longest time for one call, the answer's body included.
    pub call_timeout: Duration,
    /// The longest pause that a rate limit may demand before the job gives up and says until when it is.
    pub longest_wait: Duration,
    /// The pause between two writes; GitHub asks for at least a second.
    pub between_writes: Duration,
}

/// How a repository on this machine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalGitOptions {
    /// The executable; looked for in the usual folders if it is only a name. Version 2.38 or newer.
    pub git: PathBuf,
    /// The longest time for one run of it.
    pub call_timeout: Duration,
}

/// How often the job may propose. A proposal made [by hand](super::Proposal::by_hand) and a rollback pass all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Pull requests of the bot in one repository within an hour.
    pub pulls_per_hour: usize,
    /// The time between two promotions of one detector in one channel.
    pub between_promotions: Duration,
    /// The time after a merged rollback in which nothing is promoted, unless a person gave that pull request the label
    /// [`LIFTED_LABEL`](super::LIFTED_LABEL).
    pub cool_down: Duration,
}

/// Everything [`Forge::open`](super::Forge::open) may be told beside the location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeOptions {
    /// The branch that pull requests are for.
    pub base: String,
    /// The folder that holds the channels' folders, for instance `registry/channels`.
    pub path: String,
    /// How GitHub is reached.
    pub github: GitHubOptions,
    /// How a repository on this machine is reached.
    pub git: LocalGitOptions,
    /// How often the job may propose.
    pub limits: Limits,
}

impl Default for GitHubOptions {
    fn default() -> Self {
        Self {
            url: GITHUB_URL.to_owned(),
            credentials: GitHubCredentials::None,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            longest_wait: Duration::from_secs(15 * 60),
            between_writes: Duration::from_secs(1),
        }
    }
}

impl Default for LocalGitOptions {
    fn default() -> Self {
        Self {
            git: PathBuf::from("git"),
            call_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Limits {
    /// Two an hour, one promotion of a detector a day, and three days of rest after a rollback.
    fn default() -> Self {
        Self {
            pulls_per_hour: 2,
            between_promotions: Duration::from_secs(24 * 3600),
            cool_down: Duration::from_secs(72 * 3600),
        }
    }
}

impl Default for ForgeOptions {
    fn default() -> Self {
        Self {
            base: "main".to_owned(),
            path: "registry/channels".to_owned(),
            github: GitHubOptions::default(),
            git: LocalGitOptions::default(),
            limits: Limits::default(),
        }
    }
}

impl fmt::Debug for GitHubCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Token(_) => f.write_str("Token(…)"),
            Self::App {
                app_id,
                installation_id,
                ..
            } => f
                .debug_struct("App")
                .field("app_id", app_id)
                .field("installation_id", installation_id)
                .finish_non_exhaustive(),
        }
    }
}

impl fmt::Display for ForgeLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GitHub { owner, repo } => write!(f, "{GITHUB_SCHEME}{owner}/{repo}"),
            Self::LocalGit(path) => write!(f, "{GIT_SCHEME}{}", path.display()),
        }
    }
}

impl FromStr for ForgeLocation {
    type Err = ForgeLocationError;

    fn from_str(text: &str) -> Result<Self, ForgeLocationError> {
        if let Some(rest) = text.strip_prefix(GITHUB_SCHEME) {
            let plain = |part: &str| {
                !part.is_empty()
                    && part != "."
                    && part != ".."
                    && part
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            };
            return match rest.split_once('/') {
                Some((owner, repo)) if plain(owner) && plain(repo) && !repo.ends_with(".git") => {
                    Ok(Self::GitHub {
                        owner: owner.to_owned(),
                        repo: repo.to_owned(),
                    })
                }
                _ => Err(ForgeLocationError::Repository(text.to_owned())),
            };
        }
        match text.strip_prefix(GIT_SCHEME) {
            Some(path) if path.starts_with("//") || path.trim().is_empty() => {
                Err(ForgeLocationError::Path(text.to_owned()))
            }
            Some(path) => Ok(Self::LocalGit(PathBuf::from(path))),
            None => Err(ForgeLocationError::Scheme(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forges_and_prints_them_back() {
        for text in [
            "github:acme/channels",
            "github:Acme-1/a.b_c",
            "git:/srv/a.git",
            "git:a.git",
        ] {
            assert_eq!(text.parse::<ForgeLocation>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_forge() {
        for text in [
            "",
            "acme/channels",
            "github:",
            "github:acme",
            "github:acme/",
            "github:acme/a/b",
            "github:acme/..",
            "github:acme/a.git",
            "github:https://github.com/acme/a",
            "git:",
            "git://host/a.git",
            "gitlab:a/b",
        ] {
            assert!(text.parse::<ForgeLocation>().is_err(), "{text}");
        }
    }

    #[test]
    fn never_prints_a_secret() {
        let app = GitHubCredentials::App {
            app_id: "7".into(),
            installation_id: 8,
            private_key: "hush".into(),
        };
        assert!(!format!("{app:?}").contains("hush"));
        assert!(!format!("{:?}", GitHubCredentials::Token("hush".into())).contains("hush"));
    }
}
