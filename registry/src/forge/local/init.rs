//! Making the bare repository, on an explicit call only: built beside and renamed into its place, so that it is there
//! whole or not at all.

use std::path::Path;

use hodoscope_release::ChannelName;

use super::LocalGit;
use super::git::{Git, is_repository};
use crate::channels::NAME_FILE;
use crate::forge::{Clock, ForgeError, ForgeLocation, ForgeOptions};

impl LocalGit {
    /// Makes a bare repository at `path` whose base branch holds the folders of `channels`, each empty. Returns whether it
    /// was made; one that exists is left as it is.
    pub async fn init(
        path: &Path,
        options: &ForgeOptions,
        channels: &[ChannelName],
        clock: &dyn Clock,
    ) -> Result<bool, ForgeError> {
        if is_repository(path) {
            return Ok(false);
        }
        let forge = ForgeLocation::LocalGit(path.to_owned()).to_string();
        super::super::check(&forge, options)?;
        let failed = |action: &'static str| {
            let forge = forge.clone();
            move |cause: std::io::Error| ForgeError::Refused {
                forge,
                action,
                cause: format!("{cause}; check the path and its permissions"),
            }
        };
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(folder).map_err(failed("making the folder"))?;
        let beside = tempfile::Builder::new()
            .prefix(".forge-")
            .tempdir_in(folder)
            .map_err(failed("making the folder"))?;
        let git = Git {
            repository: beside.path().join("bare.git"),
            options: options.git.clone(),
            forge: forge.clone(),
        };
        fill(&git, options, channels, clock).await?;
        match std::fs::rename(&git.repository, path) {
            Ok(()) => Ok(true),
            // Another one made it meanwhile.
            Err(_) if is_repository(path) => Ok(false),
            Err(cause) => Err(failed("making the repository")(cause)),
        }
    }
}

async fn fill(
    git: &Git,
    options: &ForgeOptions,
    channels: &[ChannelName],
    clock: &dyn Clock,
) -> Result<(), ForgeError> {
    const ACTION: &str = "making the repository";
    let branch = format!("--initial-branch={}", options.base);
    git.run(
        ACTION,
        &["init", "--bare", "--quiet", "--template=", &branch],
        &[],
        &[],
    )
    .await?;
    let files: Vec<(String, String)> = channels
        .iter()
        .map(|channel| {
            let text = format!(
                "# Keeps the channel alive while no detector is pinned.\nname: {channel}\n"
            );
            (format!("{}/{channel}/{NAME_FILE}", options.path), text)
        })
        .collect();
    let tree = git.tree(None, &files).await?;
    let commit = git
        .commit(&tree, &[], "Begin the channels\n", clock.now())
        .await?;
    let base = format!("refs/heads/{}", options.base);
    git.run(ACTION, &["update-ref", &base, &commit, ""], &[], &[])
        .await?;
    Ok(())
}
