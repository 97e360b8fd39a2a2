//! The forge as the settings want it: who we are there, and what a proposal answers with.

use anyhow::{Context as _, bail};
use hodoscope_registry::forge::{
    Forge, ForgeOptions, GitHubCredentials, GitHubOptions, MachineClock, Outcome, Proposal,
};

use crate::config::{Config, ForgeSettings};

/// Opens the forge of the settings; `None` if they name none. Nothing is asked of it yet.
pub fn open(config: &Config) -> anyhow::Result<Option<Forge>> {
    match &config.forge.location {
        Some(location) => Ok(Some(Forge::open(location, options(config)?)?)),
        None => Ok(None),
    }
}

/// What the settings say to the forge.
pub fn options(config: &Config) -> anyhow::Result<ForgeOptions> {
    let settings = &config.forge;
    Ok(ForgeOptions {
        base: settings.base.clone(),
        path: settings.path.clone(),
        github: GitHubOptions {
            url: settings.github_url.clone(),
            credentials: credentials(settings)?,
            ..GitHubOptions::default()
        },
        limits: settings.limits.clone(),
        ..ForgeOptions::default()
    })
}

/// Opens the forge, which must be set.
pub fn required(config: &Config, verb: &str) -> anyhow::Result<Forge> {
    open(config)?.with_context(|| {
        format!("{verb} needs a forge; set `forge` to github:owner/repo or git:/path/to/bare.git")
    })
}

/// Proposes, by the machine's clock.
pub async fn propose(forge: &Forge, proposal: &Proposal) -> anyhow::Result<Outcome> {
    Ok(forge.propose(proposal, &MachineClock).await?)
}

fn credentials(settings: &ForgeSettings) -> anyhow::Result<GitHubCredentials> {
    let app = (
        &settings.github_app_id,
        settings.github_app_installation_id,
        &settings.github_app_key_file,
    );
    match (app, &settings.github_token) {
        ((Some(app_id), Some(installation_id), Some(file)), None) => {
            let key = std::fs::read_to_string(file).with_context(|| {
                format!(
                    "failed to read the App's key, `github_app_key_file` {}",
                    file.display()
                )
            })?;
            Ok(GitHubCredentials::App {
                app_id: app_id.clone(),
                installation_id,
                private_key: key,
            })
        }
        ((None, None, None), Some(token)) => {
            Ok(GitHubCredentials::Token(token.reveal().to_owned()))
        }
        ((None, None, None), None) => Ok(GitHubCredentials::None),
        ((Some(_), Some(_), Some(_)), Some(_)) => {
            bail!(
                "both a token and an App are set; keep `github_token` or the three `github_app_*`"
            )
        }
        _ => bail!(
            "an App needs all three of `github_app_id`, `github_app_installation_id` and `github_app_key_file`"
        ),
    }
}
