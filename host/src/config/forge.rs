//! Where changes of channels are proposed.

use std::path::PathBuf;

use hodoscope_registry::forge::{ForgeLocation, GITHUB_URL};

use super::Secret;
use super::reader::Reader;

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
        }
    }
}
