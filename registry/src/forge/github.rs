//! GitHub and its Enterprise server as a forge. Objects are made by REST, without an author, so that GitHub signs what an
//! App commits; refs are moved by GraphQL's `updateRefs`, which compares with what was read, and never through a state in
//! which branch and base are equal, for then GitHub closes the pull request.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use hodoscope_release::ChannelName;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::location::{ForgeLocation, ForgeOptions};
use super::proposal::Base;
use super::state::{Branch, PullState, Setback, Snapshot};
use super::{BRANCH_PREFIX, Clock, ForgeError};
use crate::channels::{ChannelError, assemble, select};
use credentials::Rights;
use patience::{Fault, Patience};
use transport::{Address, Answer, Transport};

mod credentials;
mod dispatch;
mod patience;
mod queries;
mod transport;
mod write;

/// A repository on GitHub.
#[derive(Debug)]
pub struct GitHub {
    owner: String,
    repo: String,
    forge: String,
    options: ForgeOptions,
    patience: Patience,
    /// The folder that was read last: a commit and path never change what they hold.
    folder: Mutex<Option<(String, Parts)>>,
}

/// Settled pull requests of one branch that are read where a page does not hold all: the newest, as many as one call tells.
/// At one promotion a day that is a quarter of a year, in which the base left behind what was rejected before.
const OWN_LIMIT: u32 = 100;

/// Files by name.
type Parts = Vec<(String, Vec<u8>)>;

impl GitHub {
    pub(super) fn open(owner: &str, repo: &str, options: ForgeOptions) -> Result<Self, ForgeError> {
        let forge = ForgeLocation::GitHub {
            owner: owner.to_owned(),
            repo: repo.to_owned(),
        }
        .to_string();
        let address = Address::parse(&options.github.url).map_err(|cause| ForgeError::Setting {
            forge: forge.clone(),
            cause,
        })?;
        let transport = Transport::new(address, options.github.clone());
        let patience = Patience::new(
            forge.clone(),
            repo.to_owned(),
            transport,
            options.github.clone(),
        )?;
        Ok(Self {
            owner: owner.to_owned(),
            repo: repo.to_owned(),
            forge,
            options,
            patience,
            folder: Mutex::new(None),
        })
    }

    pub(super) const fn options(&self) -> &ForgeOptions {
        &self.options
    }

    pub(super) async fn snapshot(
        &self,
        channel: &ChannelName,
        branch: &str,
        clock: &dyn Clock,
    ) -> Result<Snapshot, ForgeError> {
        const ACTION: &str = "reading the repository's state";
        let base = &self.options.base;
        let variables = json!({
            "owner": self.owner,
            "name": self.repo,
            "base": format!("refs/heads/{base}"),
            "branch": format!("refs/heads/{branch}"),
            "head": branch,
        });
        let data: queries::StateData = self
            .patience
            .graphql(ACTION, true, &whole(queries::STATE), variables, clock)
            .await
            .map_err(|fault| self.fatal(ACTION, fault))?;
        let found = data.repository.ok_or_else(|| self.no_repository())?;
        let name = format!("{}/{}", self.owner, self.repo);
        if !found.name_with_owner.eq_ignore_ascii_case(&name) {
            return Err(ForgeError::Moved {
                forge: self.forge.clone(),
                to: found.name_with_owner,
            });
        }
        let end = found
            .base
            .and_then(|base| base.target)
            .ok_or_else(|| ForgeError::NoBase {
                forge: self.forge.clone(),
                branch: base.clone(),
            })?;
        let folder = format!("{}/{channel}", self.options.path);
        let (base, places) = self.base(&end.oid, &folder, clock).await?;
        let (end_of_branch, open) = match found.branch {
            Some(branch) => (branch.target, branch.open),
            None => (None, None),
        };
        let mut pulls: Vec<PullState> = open
            .into_iter()
            .flat_map(queries::Nodes::into_all)
            .filter_map(queries::PullNode::state)
            .collect();
        if found.settled.is_cut() {
            pulls.extend(self.settled(&found.name_with_owner, branch, clock).await?);
        } else {
            let settled = found.settled.into_all();
            pulls.extend(settled.filter_map(queries::PullNode::state));
        }
        // One that was closed between the two lists stands in both; the later one is right.
        pulls.reverse();
        pulls.sort_by_key(|pull| pull.number);
        pulls.dedup_by_key(|pull| pull.number);
        Ok(Snapshot {
            branch: end_of_branch.map(|end| Branch {
                mark: end.mark(),
                head: end.oid,
            }),
            recent: found
                .recent
                .into_all()
                .filter(|one| {
                    !one.is_cross_repository && one.head_ref_name.starts_with(BRANCH_PREFIX)
                })
                .map(|one| one.created_at)
                .collect(),
            pulls,
            version: None,
            repository: found.id,
            base_tree: end.tree.map(|tree| tree.oid).unwrap_or_default(),
            base,
            places,
        })
    }

    /// The settled pull requests of this repository's own branch. REST can leave out those of forks, by the owner of the
    /// branch, but does not tell the commits.
    async fn settled(
        &self,
        name: &str,
        branch: &str,
        clock: &dyn Clock,
    ) -> Result<Vec<PullState>, ForgeError> {
        const ACTION: &str = "reading the closed pull requests";
        let owner = name.split('/').next().unwrap_or_default();
        let head = escaped(&format!("{owner}:{branch}"));
        let path = self.path(&format!(
            "pulls?state=closed&head={head}&sort=created&direction=desc&per_page={OWN_LIMIT}"
        ));
        let answer = self
            .patience
            .rest("GET", &path, None, ACTION, Rights::Propose, clock)
            .await
            .map_err(|fault| self.fatal(ACTION, fault))?;
        let listed: Vec<queries::Listed> = answer.json(&self.forge, ACTION)?;
        let ids: Vec<String> = listed.into_iter().map(|one| one.node_id).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let variables = json!({"pulls": ids});
        let data: queries::PullsData = self
            .patience
            .graphql(ACTION, true, &whole(queries::PULLS), variables, clock)
            .await
            .map_err(|fault| self.fatal(ACTION, fault))?;
        let nodes = data.nodes.into_iter().flatten();
        Ok(nodes.filter_map(queries::PullNode::state).collect())
    }

    /// The channel on the base, by the same reading as a channel folder.
    async fn base(
        &self,
        commit: &str,
        folder: &str,
        clock: &dyn Clock,
    ) -> Result<(Base, super::state::Places), ForgeError> {
        let parts = self.parts(commit, folder, clock).await?;
        let channel = |cause| ForgeError::Channel {
            forge: self.forge.clone(),
            cause,
        };
        let reading = assemble(Path::new(folder), &parts).map_err(channel)?;
        let files = parts
            .into_iter()
            .map(|(name, bytes)| {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (format!("{folder}/{name}"), text)
            })
            .collect();
        let base = Base {
            commit: commit.to_owned(),
            document: reading.document,
            files,
        };
        Ok((base, reading.files))
    }

    async fn parts(
        &self,
        commit: &str,
        folder: &str,
        clock: &dyn Clock,
    ) -> Result<Parts, ForgeError> {
        const ACTION: &str = "reading the channel";
        let expression = format!("{commit}:{folder}");
        let mut kept = self.folder.lock().await;
        if let Some((of, parts)) = kept.as_ref()
            && *of == expression
        {
            return Ok(parts.clone());
        }
        let variables = json!({"owner": self.owner, "name": self.repo, "expression": expression});
        let data: queries::FolderData = self
            .patience
            .graphql(ACTION, true, queries::FOLDER, variables, clock)
            .await
            .map_err(|fault| self.fatal(ACTION, fault))?;
        let entries = data
            .repository
            .ok_or_else(|| self.no_repository())?
            .object
            .and_then(|tree| tree.entries)
            .unwrap_or_default();
        let parts = self.texts(folder, entries)?;
        *kept = Some((expression, parts.clone()));
        Ok(parts)
    }

    /// Those entries that are parts of a channel, with their texts.
    fn texts(&self, folder: &str, entries: Vec<queries::Entry>) -> Result<Parts, ForgeError> {
        let channel = |cause| ForgeError::Channel {
            forge: self.forge.clone(),
            cause,
        };
        let mut blobs: BTreeMap<String, Option<queries::Blob>> = entries
            .into_iter()
            .filter(|entry| entry.kind == "blob")
            .map(|entry| (entry.name, entry.object))
            .collect();
        let names = match select(Path::new(folder), blobs.keys().cloned().collect()) {
            Err(ChannelError::NoDocument { .. }) => Vec::new(),
            names => names.map_err(channel)?,
        };
        names
            .into_iter()
            .map(|name| {
                let blob = blobs.remove(&name).flatten();
                match blob
                    .filter(|blob| !blob.is_truncated)
                    .and_then(|blob| blob.text)
                {
                    Some(text) => Ok((name, text.into_bytes())),
                    None => Err(ForgeError::Answer {
                        forge: self.forge.clone(),
                        action: "reading the channel",
                        cause: format!("{folder}/{name} is no text, or too long"),
                    }),
                }
            })
            .collect()
    }

    async fn write(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
        action: &'static str,
        clock: &dyn Clock,
    ) -> Result<Answer, Fault> {
        self.patience
            .rest(method, path, body, action, Rights::Propose, clock)
            .await
    }

    fn path(&self, rest: &str) -> String {
        format!("/repos/{}/{}/{rest}", self.owner, self.repo)
    }

    fn refused(&self, action: &'static str, status: u16, message: &str) -> ForgeError {
        ForgeError::Refused {
            forge: self.forge.clone(),
            action,
            cause: format!("{status} {message}"),
        }
    }

    fn no_repository(&self) -> ForgeError {
        ForgeError::NoRepository {
            forge: self.forge.clone(),
        }
    }

    /// What was refused may be so because the state moved: it is read again, a few times.
    fn setback(&self, action: &'static str, fault: Fault) -> Setback {
        match fault {
            Fault::Setback(setback) => setback,
            Fault::Status { status, message } => {
                Setback::Unclear(self.refused(action, status, &message))
            }
        }
    }

    fn fatal(&self, action: &'static str, fault: Fault) -> ForgeError {
        match fault {
            Fault::Status { status: 404, .. } => self.no_repository(),
            Fault::Status { status, message } => self.refused(action, status, &message),
            Fault::Setback(Setback::Lost) => self.refused(action, 409, "another one was first"),
            Fault::Setback(
                Setback::Fatal(error) | Setback::Unclear(error) | Setback::Stuck(error),
            ) => error,
        }
    }
}

impl fmt::Display for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.forge)
    }
}

/// A document with the fragment that it uses.
fn whole(query: &str) -> String {
    [query, queries::PULL].concat()
}

/// A segment of a path, or a value of a query.
fn escaped(text: &str) -> String {
    let mut segment = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}
