//! `hodoscope drift --dispatch` before a stand-in of GitHub on this machine: the one call that starts the training workflow,
//! and what is said where GitHub refuses it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{told, versions, worn};
use crate::binary::Folder;
use crate::repository::{git, pulls};

const TOKEN: &str = "a-token-of-this-test";
const DISPATCH: &str = "/repos/acme/channels/actions/workflows/train-model.yml/dispatches";
/// And the list of its runs.
const RUNS: &str = "/repos/acme/channels/actions/workflows/train-model.yml/runs?";

struct Call {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

/// What the stand-in knows and has seen.
struct World {
    /// The file of the channel on the base branch.
    channel: String,
    /// What a dispatch is answered with.
    answer: (u16, Value),
    /// The names of the workflow's runs.
    runs: Vec<String>,
    calls: Vec<Call>,
    ended: bool,
}

struct GitHub {
    address: String,
    world: Arc<Mutex<World>>,
}

impl GitHub {
    fn start(channel: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let world = Arc::new(Mutex::new(World {
            channel,
            answer: (204, Value::Null),
            runs: Vec::new(),
            calls: Vec::new(),
            ended: false,
        }));
        let held = world.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if held.lock().unwrap().ended {
                    return;
                }
                serve(stream.unwrap(), &held);
            }
        });
        Self { address, world }
    }

    /// The calls since the last look.
    fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.world.lock().unwrap().calls)
    }

    /// The job, told to start the workflow here.
    fn job(&self, folder: &Folder, more: &str) -> (Option<i32>, Value, String) {
        let line = format!(
            "drift --detector pump --dispatch --window 20260103T000000Z --set forge=github:acme/channels \
             --set github_url=http://{} --set github_token={TOKEN} {more}",
            self.address
        );
        let output = folder.command(&line).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!text.is_empty(), "it failed before it judged: {log}");
        let answer = serde_json::from_str(&text).unwrap_or(Value::Null);
        (output.status.code(), answer, text)
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        self.world.lock().unwrap().ended = true;
        let _ = TcpStream::connect(&self.address);
    }
}

/// Answers one call.
fn serve(stream: TcpStream, world: &Mutex<World>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let call = Call {
        method,
        path,
        headers,
        body,
    };
    let (status, said) = world.lock().unwrap().answer(call);
    let said = if said.is_null() {
        String::new()
    } else {
        said.to_string()
    };
    let length = if status == 204 {
        String::new()
    } else {
        format!("content-length: {}\r\n", said.len())
    };
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\n{length}connection: close\r\n\r\n"
    );
    let _ = (&stream).write_all((head + &said).as_bytes());
}

impl World {
    fn answer(&mut self, call: Call) -> (u16, Value) {
        let query = call.body["query"].as_str().unwrap_or_default().to_owned();
        let (dispatches, lists) = (call.path == DISPATCH, call.path.starts_with(RUNS));
        self.calls.push(call);
        if dispatches || (lists && self.answer.0 == 404) {
            return self.answer.clone();
        }
        if lists {
            let runs: Vec<Value> = self
                .runs
                .iter()
                .map(|name| json!({"display_title": name, "status": "queued", "conclusion": null}))
                .collect();
            return (
                200,
                json!({"total_count": runs.len(), "workflow_runs": runs}),
            );
        }
        if query.contains("HodoscopeState") {
            let end = json!({"oid": "1".repeat(40), "message": "Base", "tree": {"oid": "2".repeat(40)}, "parents": {"totalCount": 1}});
            let none = json!({"nodes": []});
            return (
                200,
                json!({"data": {"repository": {
                    "id": "R_1", "nameWithOwner": "acme/channels", "base": {"target": end}, "branch": null,
                    "open": none, "settled": none, "recent": none,
                }}}),
            );
        }
        let file = json!({"text": self.channel, "isTruncated": false});
        let entries = json!([{"name": "pump.yaml", "type": "blob", "object": file}]);
        (
            200,
            json!({"data": {"repository": {"object": {"entries": entries}}}}),
        )
    }
}

/// Everything but what is read.
fn writes(calls: Vec<Call>) -> Vec<Call> {
    calls
        .into_iter()
        .filter(|call| {
            assert_eq!(
                call.headers["authorization"],
                format!("Bearer {TOKEN}"),
                "{}",
                call.path
            );
            assert!(
                call.headers.contains_key("user-agent"),
                "GitHub refuses a call without one"
            );
            call.path != "/graphql" && call.method != "GET"
        })
        .collect()
}

fn scene() -> (Folder, GitHub) {
    let folder = worn();
    let channel = git(&folder, &["show", "main:registry/channels/local/pump.yaml"]);
    (folder, GitHub::start(channel + "\n"))
}

/// Neither a release, nor a pull request, nor a candidate that was refused.
fn nothing_is_made(folder: &Folder) {
    assert_eq!(versions(folder), ["1.0.0"]);
    assert_eq!(pulls(folder).len(), 1);
    assert!(!folder.path(".hodoscope/drift/pump/refused.json").exists());
}

#[test]
fn a_dispatch_starts_the_workflow_and_retrains_nothing_here() {
    let (folder, github) = scene();
    // GitHub answers with nothing, or since 2026 with the run that it started.
    let run = json!({"workflow_run_id": 1, "run_url": "https://api.github.com/1", "html_url": "https://github.com/1"});
    for answer in [(204, Value::Null), (200, run)] {
        github.world.lock().unwrap().answer = answer;
        let (code, answer, _) = github.job(&folder, "--output json");
        assert_eq!(code, Some(0), "{}", told(&answer));
        assert_eq!(
            answer[0]["report"]["verdict"],
            "drifted",
            "{}",
            told(&answer)
        );
        assert_eq!(answer[0]["dispatched"], "train-model.yml");
        assert_eq!(
            (&answer[0]["candidate"], &answer[0]["proposal"]),
            (&Value::Null, &Value::Null)
        );
        let calls = writes(github.calls());
        let [call] = &calls[..] else {
            panic!("{} calls", calls.len());
        };
        assert_eq!(
            (call.method.as_str(), call.path.as_str()),
            ("POST", DISPATCH)
        );
        assert_eq!(call.headers["accept"], "application/vnd.github+json");
        assert_eq!(call.headers["content-type"], "application/json");
        let reason = answer[0]["report"]["reasons"][0].as_str().unwrap();
        let wanted = json!({"ref": "main", "inputs": {
            "detector": "pump", "channel": "local", "window": "20260103T000000Z", "reason": reason,
            "request": "pump-20260103T000000Z",
        }});
        assert_eq!(call.body, wanted);
        nothing_is_made(&folder);
    }
    let (_, _, text) = github.job(&folder, "");
    assert!(
        text.contains("started the workflow train-model.yml"),
        "{text}"
    );
    writes(github.calls());
    // Its answer was lost, say, and the job is started again.
    github.world.lock().unwrap().runs = vec!["pump-20260103T000000Z local".to_owned()];
    let (code, _, _) = github.job(&folder, "");
    assert_eq!((code, writes(github.calls()).len()), (Some(0), 0));
}

#[test]
fn a_dispatch_that_github_refuses_names_the_fix_and_retrains_nothing_here() {
    let (folder, github) = scene();
    let unknown = "Unexpected inputs provided: [\"request\"]";
    let refusals = [
        (
            403,
            "Resource not accessible by integration",
            "`actions: write",
        ),
        (
            404,
            "Not Found",
            "put `.github/workflows/train-model.yml` on `main`, or correct `forge_workflow`",
        ),
        (404, "Not Found", "the right `actions: write"),
        (
            422,
            "Workflow does not have 'workflow_dispatch' trigger",
            "must have `on: workflow_dispatch`",
        ),
        (
            422,
            unknown,
            "with the inputs channel, detector, reason, request, window",
        ),
        (
            422,
            "No ref found for: main",
            "`.github/workflows/train-model.yml` on `main`",
        ),
    ];
    for (status, message, fix) in refusals {
        github.world.lock().unwrap().answer = (status, json!({"message": message}));
        let (code, answer, _) = github.job(&folder, "--output json");
        assert_eq!(code, Some(1), "{status} {message}");
        let error = answer[0]["error"].as_str().unwrap();
        assert!(
            error.contains(message) && error.contains(fix),
            "{status}: {error}"
        );
        assert!(error.contains("train-model.yml"), "{error}");
        let tries = writes(github.calls()).len();
        assert!(tries <= 1, "{status}: a refusal is not tried again");
        nothing_is_made(&folder);
    }
}
