//! The GraphQL documents and the shapes of their answers. One query reads the refs, the pull requests and the limits'
//! evidence at one moment; a second one reads a folder of a commit, which never changes; a third one reads settled pull
//! requests by their ids, where those of forks fill the first one's page.

use jiff::Timestamp;
use serde::Deserialize;

use crate::forge::state::PullState;
use crate::forge::text::Mark;

/// Everything that a decision needs, except the channel's files. Open pull requests are asked of the branch itself: by its
/// name one also finds those of forks, of which anybody may open as many as fill a page. To be sent with [`PULL`].
pub(super) const STATE: &str = "\
query HodoscopeState($owner: String!, $name: String!, $base: String!, $branch: String!, $head: String!) {
  repository(owner: $owner, name: $name) {
    id
    nameWithOwner
    base: ref(qualifiedName: $base) { target { ...end } }
    branch: ref(qualifiedName: $branch) {
      target { ...end }
      open: associatedPullRequests(states: [OPEN], first: 10) {
        nodes { ...pull comments(last: 100) { nodes { fullDatabaseId body } } }
      }
    }
    settled: pullRequests(headRefName: $head, states: [CLOSED, MERGED], first: 30, orderBy: {field: CREATED_AT, direction: DESC}) {
      nodes { ...pull }
      pageInfo { hasNextPage }
    }
    recent: pullRequests(first: 100, orderBy: {field: CREATED_AT, direction: DESC}) {
      nodes { createdAt headRefName isCrossRepository }
    }
  }
}
fragment end on GitObject {
  oid
  ... on Commit { message tree { oid } parents(first: 2) { totalCount } }
}
";

/// Pull requests by their ids. To be sent with [`PULL`].
pub(super) const PULLS: &str = "\
query HodoscopePulls($pulls: [ID!]!) {
  nodes(ids: $pulls) { ...pull }
}
";

/// What is read of each pull request.
pub(super) const PULL: &str = "\
fragment pull on PullRequest {
  id number url state isDraft title body createdAt mergedAt baseRefName headRefOid isCrossRepository
  labels(first: 100) { nodes { name } }
  commits(last: 1) { nodes { commit { oid message tree { oid } parents(first: 2) { totalCount } } } }
}
";

/// The files of one folder; the expression is `<commit>:<path>`.
pub(super) const FOLDER: &str = "\
query HodoscopeFolder($owner: String!, $name: String!, $expression: String!) {
  repository(owner: $owner, name: $name) {
    object(expression: $expression) {
      ... on Tree { entries { name type object { ... on Blob { text isTruncated } } } }
    }
  }
}
";

/// Moves a ref if it is where it was read; `0…0` before = create, after = delete. REST's forced update does not compare.
pub(super) const MOVE: &str = "\
mutation HodoscopeMove($repository: ID!, $name: GitRefname!, $before: GitObjectID!, $after: GitObjectID!) {
  updateRefs(input: {repositoryId: $repository, refUpdates: [{name: $name, beforeOid: $before, afterOid: $after, force: true}]}) {
    clientMutationId
  }
}
";

/// REST cannot change the draft state.
pub(super) const TO_DRAFT: &str = "\
mutation HodoscopeDraft($pull: ID!) {
  convertPullRequestToDraft(input: {pullRequestId: $pull}) { pullRequest { id isDraft } }
}
";

/// The other way round.
pub(super) const TO_READY: &str = "\
mutation HodoscopeReady($pull: ID!) {
  markPullRequestReadyForReview(input: {pullRequestId: $pull}) { pullRequest { id isDraft } }
}
";

#[derive(Debug, Deserialize)]
pub(super) struct StateData {
    pub(super) repository: Option<Repository>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Repository {
    pub(super) id: String,
    pub(super) name_with_owner: String,
    pub(super) base: Option<Ref>,
    pub(super) branch: Option<Ref>,
    pub(super) settled: Nodes<PullNode>,
    pub(super) recent: Nodes<RecentNode>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Ref {
    pub(super) target: Option<End>,
    /// Asked of the bot's branch only.
    pub(super) open: Option<Nodes<PullNode>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PullsData {
    pub(super) nodes: Vec<Option<PullNode>>,
}

/// What matters of a pull request in a list of REST's.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) node_id: String,
}

/// A commit; the members beside `oid` are missing if the ref points to something else.
#[derive(Debug, Deserialize)]
pub(super) struct End {
    pub(super) oid: String,
    #[serde(default)]
    message: String,
    pub(super) tree: Option<Oid>,
    parents: Option<Total>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Oid {
    pub(super) oid: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Total {
    total_count: u64,
}

/// GraphQL allows each node to be null.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: Deserialize<'de>", rename_all = "camelCase")]
pub(super) struct Nodes<T> {
    #[serde(default = "Vec::new")]
    nodes: Vec<Option<T>>,
    page_info: Option<PageInfo>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
}

impl<T> Nodes<T> {
    pub(super) fn into_all(self) -> impl Iterator<Item = T> {
        self.nodes.into_iter().flatten()
    }

    fn all(&self) -> impl Iterator<Item = &T> {
        self.nodes.iter().flatten()
    }

    /// Whether there are more than were asked for.
    pub(super) fn is_cut(&self) -> bool {
        self.page_info
            .as_ref()
            .is_some_and(|page| page.has_next_page)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PullNode {
    id: String,
    number: u64,
    url: String,
    state: String,
    is_draft: bool,
    title: String,
    body: String,
    created_at: Timestamp,
    merged_at: Option<Timestamp>,
    base_ref_name: String,
    head_ref_oid: String,
    /// A fork may have a branch of the same name; nobody's but ours counts.
    is_cross_repository: bool,
    labels: Option<Nodes<Label>>,
    commits: Nodes<PullCommit>,
    comments: Option<Nodes<CommentNode>>,
}

#[derive(Debug, Deserialize)]
struct Label {
    name: String,
}

#[derive(Debug, Deserialize)]
struct PullCommit {
    commit: End,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommentNode {
    full_database_id: Option<String>,
    body: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecentNode {
    pub(super) created_at: Timestamp,
    pub(super) head_ref_name: String,
    pub(super) is_cross_repository: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct FolderData {
    pub(super) repository: Option<FolderRepository>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FolderRepository {
    pub(super) object: Option<Tree>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Tree {
    #[serde(default)]
    pub(super) entries: Option<Vec<Entry>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) object: Option<Blob>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob {
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) is_truncated: bool,
}

impl End {
    /// The bot's trailers, if the commit is its own.
    pub(super) fn mark(&self) -> Option<Mark> {
        let tree = self.tree.as_ref()?;
        let single = self.parents.as_ref()?.total_count == 1;
        Mark::read(&self.message, &tree.oid).filter(|_| single)
    }
}

impl PullNode {
    /// `None` for a pull request from a fork.
    pub(super) fn state(self) -> Option<PullState> {
        if self.is_cross_repository {
            return None;
        }
        let mark = self
            .commits
            .all()
            .map(|one| &one.commit)
            .find(|commit| commit.oid == self.head_ref_oid)
            .and_then(End::mark);
        Some(PullState {
            number: self.number,
            url: self.url,
            node: self.id,
            open: self.state == "OPEN",
            created_at: self.created_at,
            merged_at: self.merged_at,
            title: self.title,
            body: self.body,
            draft: self.is_draft,
            labels: self
                .labels
                .into_iter()
                .flat_map(Nodes::into_all)
                .map(|label| label.name)
                .collect(),
            base: self.base_ref_name,
            head: self.head_ref_oid,
            mark,
            comments: self
                .comments
                .into_iter()
                .flat_map(Nodes::into_all)
                .filter_map(|one| Some((one.full_database_id?.parse().ok()?, one.body)))
                .collect(),
        })
    }
}
