//! GraphQL of the fake: the six documents that the client sends, by their names. That they fit GitHub's schema is checked
//! by verify/forge.

use serde_json::{Value, json};

use super::core::{Core, FakePull, State};
use super::{Reply, Seen};

pub(super) fn operation(body: &Value) -> String {
    let query = body["query"].as_str().unwrap_or_default();
    let name = query.split(['(', '{']).next().unwrap_or_default();
    name.split_whitespace()
        .last()
        .unwrap_or_default()
        .to_owned()
}

pub(super) fn answer(core: &mut Core, seen: &Seen) -> Reply {
    let variables = &seen.body["variables"];
    let text = |name: &str| variables[name].as_str().unwrap_or_default().to_owned();
    let data = match seen.what.as_str() {
        "HodoscopeState" => {
            let asked = format!("{}/{}", text("owner"), text("name"));
            // GitHub follows a renamed repository.
            if asked != super::REPOSITORY {
                return errors("NOT_FOUND", "Could not resolve to a Repository");
            }
            let query = seen.body["query"].as_str().unwrap_or_default();
            state(core, query, &text("base"), &text("branch"), &text("head"))
        }
        "HodoscopePulls" => {
            let ids: Vec<String> = serde_json::from_value(variables["pulls"].clone()).unwrap();
            let found = |wanted: &String| core.pulls.iter().find(|pull| id(pull) == *wanted);
            let nodes = ids.iter().filter_map(found);
            json!({"nodes": nodes.map(|pull| node(core, pull, false)).collect::<Vec<_>>()})
        }
        "HodoscopeFolder" => folder(core, &text("expression")),
        "HodoscopeMove" => {
            if let Err(message) = core.update(&text("name"), &text("before"), &text("after")) {
                return errors("UNPROCESSABLE", &message);
            }
            json!({"updateRefs": {"clientMutationId": null}})
        }
        "HodoscopeDraft" | "HodoscopeReady" => {
            let draft = seen.what == "HodoscopeDraft";
            let node = text("pull");
            let Some(pull) = core.pulls.iter_mut().find(|pull| id(pull) == node) else {
                return errors("NOT_FOUND", "Could not resolve to a node");
            };
            pull.draft = draft;
            let name = if draft {
                "convertPullRequestToDraft"
            } else {
                "markPullRequestReadyForReview"
            };
            json!({name: {"pullRequest": {"id": node, "isDraft": draft}}})
        }
        other => panic!("unknown document {other}"),
    };
    Reply::new(200, json!({"data": data}))
}

fn errors(kind: &str, message: &str) -> Reply {
    Reply::new(
        200,
        json!({"data": null, "errors": [{"type": kind, "message": message, "path": []}]}),
    )
}

pub(super) fn id(pull: &FakePull) -> String {
    format!("PR_{}", pull.number)
}

fn commit(core: &Core, oid: &str) -> Value {
    let commit = &core.commits[oid];
    json!({
        "oid": oid, "message": commit.message, "tree": {"oid": commit.tree},
        "parents": {"totalCount": commit.parents.len()},
    })
}

/// How many the list of this name wants.
fn first(query: &str, list: &str) -> usize {
    let (_, arguments) = query.split_once(&format!("{list}: ")).unwrap();
    let (_, number) = arguments.split_once("first: ").unwrap();
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

fn state(core: &Core, query: &str, base: &str, branch: &str, head: &str) -> Value {
    let end = |name: &str| {
        core.refs
            .get(name)
            .map_or(Value::Null, |oid| json!({"target": commit(core, oid)}))
    };
    let newest = core.pulls.iter().rev();
    let newest = newest.filter(|pull| pull.branch == head);
    let (open, settled): (Vec<&FakePull>, Vec<&FakePull>) =
        newest.partition(|pull| pull.state == State::Open);
    let page = |pulls: &[&FakePull], list: &str, open: bool| {
        let first = first(query, list);
        let nodes = pulls.iter().take(first);
        let nodes: Vec<Value> = nodes.map(|pull| node(core, pull, open)).collect();
        let mut page = json!({"nodes": nodes});
        if !open {
            page["pageInfo"] = json!({"hasNextPage": pulls.len() > first});
        }
        page
    };
    // A branch knows its own only, a name those of forks, too.
    let own: Vec<&FakePull> = open.into_iter().filter(|pull| !pull.cross).collect();
    let mut bot = end(branch);
    if bot.is_object() {
        bot["open"] = page(&own, "open", true);
    }
    let recent: Vec<Value> = core
        .pulls
        .iter()
        .rev()
        .map(|pull| {
            json!({
                "createdAt": pull.created_at.to_string(), "headRefName": pull.branch, "isCrossRepository": pull.cross,
            })
        })
        .collect();
    json!({"repository": {
        "id": "R_1", "nameWithOwner": core.name, "base": end(base), "branch": bot,
        "settled": page(&settled, "settled", false), "recent": {"nodes": recent},
    }})
}

fn node(core: &Core, pull: &FakePull, open: bool) -> Value {
    let state = match pull.state {
        State::Open => "OPEN",
        State::Closed => "CLOSED",
        State::Merged => "MERGED",
    };
    let labels: Vec<Value> = pull
        .labels
        .iter()
        .map(|name| json!({"name": name}))
        .collect();
    let mut node = json!({
        "id": id(pull), "number": pull.number, "url": url(pull), "state": state, "isDraft": pull.draft,
        "title": pull.title, "body": pull.body, "createdAt": pull.created_at.to_string(),
        "mergedAt": pull.merged_at.map(|at| at.to_string()), "baseRefName": pull.base, "headRefOid": pull.head,
        "isCrossRepository": pull.cross, "labels": {"nodes": labels},
        "commits": {"nodes": [{"commit": commit(core, &pull.head)}]},
    });
    if open {
        let comments: Vec<Value> = pull
            .comments
            .iter()
            .map(|(id, body)| json!({"fullDatabaseId": id.to_string(), "body": body}))
            .collect();
        node["comments"] = json!({"nodes": comments});
    }
    node
}

pub(super) fn url(pull: &FakePull) -> String {
    format!(
        "https://github.com/{}/pull/{}",
        super::REPOSITORY,
        pull.number
    )
}

fn folder(core: &Core, expression: &str) -> Value {
    let (commit, folder) = expression.split_once(':').unwrap();
    let prefix = format!("{folder}/");
    let entries: Vec<Value> = core
        .files(commit)
        .iter()
        .filter_map(|(path, text)| Some((path.strip_prefix(&prefix)?, text)))
        .map(|(name, text)| json!({"name": name, "type": "blob", "object": {"text": text, "isTruncated": false}}))
        .collect();
    let object = if entries.is_empty() {
        Value::Null
    } else {
        json!({"entries": entries})
    };
    json!({"repository": {"object": object}})
}
