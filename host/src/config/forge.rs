//! Where changes of channels are proposed.

use std::path::PathBuf;
use std::time::Duration;

use hodoscope_registry::forge::{ForgeLocation, GITHUB_URL, Limits};

use super::Secret;
use super::reader::{Kind, Reader};

/// Where changes of channels are proposed, and as whom.
#[derive(Debug, Clone)]
pub struct ForgeSettings {
    /// The repository; without one, channels are folders of this machine and are changed at once.
    pub location: Option<ForgeLocation>,
    /// The branch that pull requests are for.
    pub base: String,
    /// The folder in the repository with a folder for each channel.
    pub path: String,
    /// The API's address.
    pub github_url: String,
    /// A personal access token, or one that a workflow was given.
    pub github_token: Option<Secret>,
    /// The App's id or client id; with an installation and a key, in place of a token.
    pub github_app_id: Option<String>,
    /// The App's installation on the repository.
    pub github_app_installation_id: Option<u64>,
    /// The file with the App's private key, PEM.
    pub github_app_key_file: Option<PathBuf>,
    /// The workflow that `--dispatch` starts.
    pub workflow: String,
    /// How often the job may propose.
    pub limits: Limits,
}

impl ForgeSettings {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            location: read.maybe_value(
                "forge",
                "where changes are proposed: github:owner/repo or git:/path/to/bare.git",
            ),
            base: read.text(
                "forge_base",
                "main",
                "the branch that pull requests are for",
            ),
            path: read.text(
                "forge_path",
                "registry/channels",
                "the folder in the repository with a folder for each channel",
            ),
            github_url: read.text(
                "github_url",
                GITHUB_URL,
                "GitHub's API, or an Enterprise server's",
            ),
            github_token: read.secret("github_token", "a token for GitHub"),
            github_app_id: read.maybe("github_app_id", "the App's id, in place of a token"),
            github_app_installation_id: read.maybe_value(
                "github_app_installation_id",
                "the App's installation on the repository",
            ),
            github_app_key_file: read
                .maybe("github_app_key_file", "the file with the App's private key")
                .map(PathBuf::from),
            workflow: read.text(
                "forge_workflow",
                "train-model.yml",
                "the workflow that `drift --dispatch` starts",
            ),
            limits: limits(read),
        }
    }
}

/// A person's proposals and rollbacks pass these.
fn limits(read: &mut Reader<'_>) -> Limits {
    let default = Limits::default();
    let mut hours = |key, default: Duration, about| {
        let hours = (default.as_secs() / 3600).to_string();
        let hours: u32 = read.value(key, &hours, Kind::Plain, about);
        Duration::from_secs(u64::from(hours) * 3600)
    };
    Limits {
        between_promotions: hours(
            "forge_promotion_hours",
            default.between_promotions,
            "hours between two promotions of a detector by the job; 0 for no limit",
        ),
        cool_down: hours(
            "forge_cool_down_hours",
            default.cool_down,
            "hours after a rollback in which the job promotes nothing; 0 for none",
        ),
        pulls_per_hour: usize::from(read.positive::<u16>(
            "forge_pulls_per_hour",
            u16::try_from(default.pulls_per_hour).unwrap_or(u16::MAX),
            "pull requests that the job may open in an hour",
        )),
    }
}
