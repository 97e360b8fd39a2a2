//! REST of the fake: the calls that the client makes, with the statuses and words of GitHub.

use serde_json::{Value, json};

use super::core::{Core, FakeCommit, FakePull, State};
use super::graphql::{id, url};
use super::{Reply, Seen};

pub(super) fn answer(core: &mut Core, seen: &Seen, templates: &Value) -> Reply {
    let prefix = format!("/repos/{}/", super::REPOSITORY);
    let Some(rest) = seen.what.strip_prefix(&prefix) else {
        return Reply::error(404, "Not Found");
    };
    if core.name != super::REPOSITORY {
        let mut reply = Reply::error(301, "Moved Permanently");
        reply.headers.push((
            "location",
            format!("https://api.github.com/repositories/1/{rest}"),
        ));
        return reply;
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parts: Vec<&str> = rest.split('/').collect();
    let body = &seen.body;
    match (seen.method.as_str(), parts.as_slice()) {
        ("GET", ["pulls"]) => closed(core, query, templates),
        ("POST", ["git", "trees"]) => tree(core, body, templates),
        ("POST", ["git", "commits"]) => commit(core, body, templates),
        ("POST", ["pulls"]) => open(core, body, templates),
        ("PATCH", ["pulls", number]) => edit(core, number.parse().unwrap(), body, templates),
        ("POST", ["labels"]) => label(core, body, templates),
        ("POST", ["issues", number, "labels"]) => {
            add_labels(core, number.parse().unwrap(), body, templates)
        }
        ("DELETE", ["issues", number, "labels", name]) => {
            remove_label(core, number.parse().unwrap(), name, templates)
        }
        ("POST", ["issues", number, "comments"]) => {
            comment(core, number.parse().unwrap(), body, templates)
        }
        ("DELETE", ["issues", "comments", id]) => uncomment(core, id.parse().unwrap()),
        ("POST", ["actions", "workflows", workflow, "dispatches"]) => {
            if *workflow != "train-model.yml" {
                return Reply::error(404, "Not Found");
            }
            core.dispatched.push(((*workflow).to_owned(), body.clone()));
            Reply::new(204, Value::Null)
        }
        ("GET", ["actions", "workflows", "train-model.yml", "runs"]) => {
            assert_eq!(argument(query, "event"), "workflow_dispatch");
            runs(core, templates)
        }
        ("GET", ["actions", "workflows", _, "runs"]) => Reply::error(404, "Not Found"),
        other => panic!("unknown call {other:?}"),
    }
}

/// The answer with all the members that GitHub's own example has.
pub(super) fn filled(templates: &Value, name: &str, own: Value) -> Value {
    let mut whole = templates.get(name).cloned().unwrap_or_else(|| json!({}));
    over(&mut whole, own);
    whole
}

fn over(whole: &mut Value, own: Value) {
    match (whole, own) {
        (Value::Object(whole), Value::Object(own)) => {
            for (name, value) in own {
                over(whole.entry(name).or_insert(Value::Null), value);
            }
        }
        (whole, own) => *whole = own,
    }
}

fn invalid(message: &str) -> Reply {
    Reply::new(
        422,
        json!({
            "message": "Validation Failed", "documentation_url": "https://docs.github.com/rest",
            "errors": [{"resource": "PullRequest", "code": "custom", "message": message}],
        }),
    )
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {body}"))
}

fn tree(core: &mut Core, body: &Value, templates: &Value) -> Reply {
    let Some(mut files) = core.trees.get(text(body, "base_tree")).cloned() else {
        return Reply::error(404, "base_tree not found");
    };
    for entry in body["tree"].as_array().unwrap() {
        files.insert(
            text(entry, "path").to_owned(),
            text(entry, "content").to_owned(),
        );
    }
    let sha = core.tree(files);
    Reply::new(201, filled(templates, "git-tree", json!({"sha": sha})))
}

fn commit(core: &mut Core, body: &Value, templates: &Value) -> Reply {
    assert!(
        body.get("author").is_none() && body.get("committer").is_none(),
        "unsigned: {body}"
    );
    let tree = text(body, "tree").to_owned();
    let parents: Vec<String> = serde_json::from_value(body["parents"].clone()).unwrap();
    if !core.trees.contains_key(&tree)
        || !parents
            .iter()
            .all(|parent| core.commits.contains_key(parent))
    {
        return Reply::error(422, "Tree SHA does not exist");
    }
    let sha = core.commit(FakeCommit {
        tree,
        parents,
        message: text(body, "message").to_owned(),
    });
    Reply::new(201, filled(templates, "git-commit", json!({"sha": sha})))
}

fn shown(pull: &FakePull, templates: &Value) -> Value {
    let open = pull.state == State::Open;
    let own = json!({
        "number": pull.number, "title": pull.title, "body": pull.body, "draft": pull.draft,
        "state": if open { "open" } else { "closed" }, "html_url": url(pull),
        "head": {"ref": pull.branch, "sha": pull.head}, "base": {"ref": pull.base},
    });
    filled(templates, "pull-request", own)
}

fn open(core: &mut Core, body: &Value, templates: &Value) -> Reply {
    let draft = body["draft"] == true;
    let opened = core.open(
        text(body, "title"),
        text(body, "body"),
        text(body, "head"),
        text(body, "base"),
        draft,
    );
    match opened {
        Ok(number) => Reply::new(201, shown(core.pull(number).unwrap(), templates)),
        Err(message) => invalid(&message),
    }
}

/// The value of an argument of the query.
fn argument(query: &str, name: &str) -> String {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let value = value.unwrap_or_else(|| panic!("no {name} in {query}"));
    value.replace("%2F", "/").replace("%3A", ":")
}

/// The closed ones of one owner's branch, the newest first.
fn closed(core: &Core, query: &str, templates: &Value) -> Reply {
    assert_eq!(argument(query, "state"), "closed");
    let (head, limit) = (argument(query, "head"), argument(query, "per_page"));
    let newest = core.pulls.iter().rev();
    let owner = |pull: &FakePull| if pull.cross { "mallory" } else { "acme" };
    let found: Vec<Value> = newest
        .filter(|pull| pull.state != State::Open && head == format!("{}:{}", owner(pull), pull.branch))
        .take(limit.parse().unwrap())
        .map(|pull| {
            let own = json!({
                "number": pull.number, "node_id": id(pull), "title": pull.title, "body": pull.body, "state": "closed",
            });
            filled(templates, "pull-request-simple", own)
        })
        .collect();
    Reply::new(200, json!(found))
}

/// The runs of the workflow, named as `.github/workflows/train-model.yml` names them.
fn runs(core: &Core, templates: &Value) -> Reply {
    let run = |(_, body): &(String, Value)| {
        let input = |name: &str| body["inputs"][name].as_str().unwrap_or_default().to_owned();
        let title = format!(
            "train {} for {} {}",
            input("detector"),
            input("channel"),
            input("request")
        );
        let status = if core.concluded.is_some() {
            "completed"
        } else {
            "queued"
        };
        let own = json!({"display_title": title, "status": status, "conclusion": core.concluded});
        filled(templates, "workflow-run", own)
    };
    let runs: Vec<Value> = core.dispatched.iter().rev().map(run).collect();
    Reply::new(
        200,
        json!({"total_count": runs.len(), "workflow_runs": runs}),
    )
}

fn edit(core: &mut Core, number: u64, body: &Value, templates: &Value) -> Reply {
    let Some(pull) = core.pull(number) else {
        return Reply::error(404, "Not Found");
    };
    for (name, value) in body.as_object().unwrap() {
        match (name.as_str(), value.as_str().unwrap()) {
            ("title", text) => pull.title = text.to_owned(),
            ("body", text) => pull.body = text.to_owned(),
            ("state", "closed") if pull.state == State::Open => pull.state = State::Closed,
            ("state", "closed") => {}
            other => panic!("{other:?}"),
        }
    }
    Reply::new(200, shown(pull, templates))
}

fn labels(names: &[String], templates: &Value) -> Value {
    names
        .iter()
        .map(|name| filled(templates, "label", json!({"name": name})))
        .collect()
}

fn label(core: &mut Core, body: &Value, templates: &Value) -> Reply {
    let name = text(body, "name").to_owned();
    if spelled(core, &name).is_some() {
        return invalid("already_exists");
    }
    core.labels.insert(name.clone());
    Reply::new(201, filled(templates, "label", json!({"name": name})))
}

/// The repository's label of this name, whatever its case.
fn spelled(core: &Core, name: &str) -> Option<String> {
    let mut labels = core.labels.iter();
    labels
        .find(|label| label.eq_ignore_ascii_case(name))
        .cloned()
}

fn add_labels(core: &mut Core, number: u64, body: &Value, templates: &Value) -> Reply {
    let names: Vec<String> = serde_json::from_value(body["labels"].clone()).unwrap();
    if core.strict_labels && names.iter().any(|name| spelled(core, name).is_none()) {
        return Reply::error(404, "Label does not exist");
    }
    let spelling = |name: String| spelled(core, &name).unwrap_or(name);
    let names: Vec<String> = names.into_iter().map(spelling).collect();
    core.labels.extend(names.iter().cloned());
    let Some(pull) = core.pull(number) else {
        return Reply::error(404, "Not Found");
    };
    pull.labels.extend(names);
    pull.labels.sort();
    pull.labels.dedup();
    Reply::new(200, labels(&pull.labels.clone(), templates))
}

fn remove_label(core: &mut Core, number: u64, name: &str, templates: &Value) -> Reply {
    let name = name.replace("%20", " ");
    let Some(pull) = core.pull(number) else {
        return Reply::error(404, "Not Found");
    };
    let is = |label: &String| label.eq_ignore_ascii_case(&name);
    if !pull.labels.iter().any(is) {
        return Reply::error(404, "Label does not exist");
    }
    pull.labels.retain(|label| !is(label));
    Reply::new(200, labels(&pull.labels.clone(), templates))
}

fn comment(core: &mut Core, number: u64, body: &Value, templates: &Value) -> Reply {
    let id = core.number() + 10_000;
    let text = text(body, "body").to_owned();
    let Some(pull) = core.pull(number) else {
        return Reply::error(404, "Not Found");
    };
    pull.comments.push((id, text.clone()));
    Reply::new(
        201,
        filled(templates, "issue-comment", json!({"id": id, "body": text})),
    )
}

fn uncomment(core: &mut Core, id: u64) -> Reply {
    for pull in &mut core.pulls {
        let before = pull.comments.len();
        pull.comments.retain(|(found, _)| *found != id);
        if pull.comments.len() < before {
            return Reply::new(204, Value::Null);
        }
    }
    Reply::error(404, "Not Found")
}
