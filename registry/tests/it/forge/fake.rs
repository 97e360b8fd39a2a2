//! A GitHub of one repository, in memory, on loopback: the semantics of refs, pull requests, labels and comments, faults
//! on chosen requests, and a gate that lets racing jobs take turns as a seed wants it. One request for each connection;
//! nothing sleeps: a hanging answer hangs until the client goes away.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use serde_json::{Value, json};

use super::Hands;
pub(crate) use core::{Core, State};

mod core;
mod graphql;
mod rest;

pub(crate) const REPOSITORY: &str = "acme/channels";

/// What happens to a request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Answered so, without effect; with these headers.
    Answer(u16, Vec<(&'static str, String)>, Value),
    /// Done, but answered so.
    After(u16, Value),
    /// The connection is cut before or after the effect.
    Cut,
    CutAfter,
    /// No answer, with the effect.
    HangAfter,
    /// A reading of a moment ago.
    Stale,
}

/// A request as the rules see it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) job: String,
    pub(crate) method: String,
    /// Without the Enterprise prefix; for GraphQL the operation's name.
    pub(crate) what: String,
    pub(crate) body: Value,
    pub(crate) writes: bool,
}

/// Decides about a request; may change the world as people do.
pub(crate) type Rule = Box<dyn FnMut(&Seen, &mut Core) -> Option<Fault> + Send>;

pub(crate) struct World {
    pub(crate) core: Core,
    /// The world before the last change.
    before: Core,
    pub(crate) rule: Option<Rule>,
    pub(crate) seen: Vec<Seen>,
    /// Who may ask: `None` = any token.
    pub(crate) tokens: Option<BTreeSet<String>>,
    gate: Option<Gate>,
    stopped: bool,
    record: Option<std::fs::File>,
    templates: Value,
}

/// Racing jobs, by the token that each one has.
struct Gate {
    active: BTreeSet<String>,
    waiting: BTreeSet<String>,
    granted: Option<String>,
    random: Random,
}

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

struct Shared {
    world: Mutex<World>,
    turn: Condvar,
}

pub(crate) struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Fake {
    pub(crate) fn new(clock: &Arc<Hands>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let core = Core::new(clock.clone());
        let world = World {
            before: core.clone(),
            core,
            rule: None,
            seen: Vec::new(),
            tokens: None,
            gate: None,
            stopped: false,
            record: record(),
            templates: templates(),
        };
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            turn: Condvar::new(),
        });
        let fake = Self {
            address: listener.local_addr().unwrap(),
            shared: shared.clone(),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.world.lock().unwrap().stopped {
                    return;
                }
                let shared = shared.clone();
                thread::spawn(move || serve(&shared, stream.unwrap()));
            }
        });
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().unwrap()
    }

    /// From now on these jobs take turns.
    pub(crate) fn race(&self, jobs: impl IntoIterator<Item = String>, seed: u64) {
        self.world().gate = Some(Gate {
            active: jobs.into_iter().collect(),
            waiting: BTreeSet::new(),
            granted: None,
            random: Random(seed),
        });
    }

    /// A job ended; the others go on without it.
    pub(crate) fn done(&self, job: &str) {
        let mut world = self.world();
        if let Some(gate) = &mut world.gate {
            gate.active.remove(job);
            gate.grant();
        }
        drop(world);
        self.shared.turn.notify_all();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Ok(mut world) = self.shared.world.lock() {
            world.stopped = true;
        }
        let _ = TcpStream::connect(self.address);
    }
}

impl Gate {
    fn grant(&mut self) {
        if self.granted.is_some() || self.waiting.is_empty() || self.waiting != self.active {
            return;
        }
        let chosen = self.random.below(self.waiting.len() as u64) as usize;
        self.granted = self.waiting.iter().nth(chosen).cloned();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how verify/forge/run asks for a record of all that is said"
)]
fn record() -> Option<std::fs::File> {
    let path = std::env::var("HODOSCOPE_FORGE_RECORD").ok()?;
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    Some(file.unwrap())
}

/// GitHub's own examples, into which the answers are put, so that they are as long as real ones.
#[expect(
    clippy::disallowed_methods,
    reason = "how verify/forge/run hands over what it read from the description"
)]
fn templates() -> Value {
    let Ok(path) = std::env::var("HODOSCOPE_FORGE_TEMPLATES") else {
        return json!({});
    };
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

impl Reply {
    pub(super) fn new(status: u16, body: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }

    pub(super) fn error(status: u16, message: &str) -> Self {
        Self::new(
            status,
            json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string()}),
        )
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        target,
        headers,
        body,
    })
}

fn serve(shared: &Shared, mut stream: TcpStream) {
    let Some(request) = read(&stream) else { return };
    let job = request
        .headers
        .get("authorization")
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default()
        .to_owned();
    let mut world = turn(shared, &job);
    let (reply, fault) = world.handle(&request, &job);
    let hangs = matches!(fault, Some(Fault::HangAfter));
    let cut = matches!(fault, Some(Fault::Cut | Fault::CutAfter));
    if !cut && !hangs {
        world.record(&request, &reply, fault.is_some());
    }
    // The answer is under way before the next job has its turn.
    if !cut && !hangs {
        write(&mut stream, &reply);
    } else if cut {
        drop(stream);
        release(shared, world, &job);
        return;
    }
    release(shared, world, &job);
    if hangs {
        // Until the client goes away.
        let _ = stream.read(&mut [0]);
    }
}

fn turn<'a>(shared: &'a Shared, job: &str) -> MutexGuard<'a, World> {
    let mut world = shared.world.lock().unwrap();
    if let Some(gate) = &mut world.gate
        && gate.active.contains(job)
    {
        gate.waiting.insert(job.to_owned());
        gate.grant();
        shared.turn.notify_all();
    }
    shared
        .turn
        .wait_while(world, |world| {
            world.gate.as_ref().is_some_and(|gate| {
                gate.active.contains(job) && gate.granted.as_deref() != Some(job)
            })
        })
        .unwrap()
}

fn release(shared: &Shared, mut world: MutexGuard<'_, World>, job: &str) {
    if let Some(gate) = &mut world.gate
        && gate.granted.as_deref() == Some(job)
    {
        gate.waiting.remove(job);
        gate.granted = None;
    }
    drop(world);
    shared.turn.notify_all();
}

fn write(stream: &mut TcpStream, reply: &Reply) {
    let body = match &reply.body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut head = format!(
        "HTTP/1.1 {} x\r\nconnection: close\r\ncontent-type: application/json\r\n",
        reply.status
    );
    if reply.status != 204 {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
}

impl World {
    fn handle(&mut self, request: &Request, job: &str) -> (Reply, Option<Fault>) {
        let target = request
            .target
            .strip_prefix("/api/v3")
            .unwrap_or(&request.target);
        let graphql = matches!(target, "/graphql" | "/api/graphql");
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let what = if graphql {
            graphql::operation(&body)
        } else {
            target.to_owned()
        };
        let query = body["query"].as_str().unwrap_or_default();
        let writes = request.method != "GET" && (!graphql || query.starts_with("mutation"));
        let seen = Seen {
            job: job.to_owned(),
            method: request.method.clone(),
            what,
            body,
            writes,
        };
        self.seen.push(seen.clone());
        assert_eq!(
            request.headers.get("accept").map(String::as_str),
            Some("application/vnd.github+json")
        );
        let app = target.starts_with("/app/");
        if !app
            && self
                .tokens
                .as_ref()
                .is_some_and(|known| !known.contains(job))
        {
            return (Reply::error(401, "Bad credentials"), None);
        }
        let fault = match self.rule.take() {
            Some(mut rule) => {
                let fault = rule(&seen, &mut self.core);
                self.rule = Some(rule);
                fault
            }
            None => None,
        };
        match &fault {
            Some(Fault::Answer(status, headers, body)) => {
                let reply = Reply {
                    status: *status,
                    headers: headers.clone(),
                    body: body.clone(),
                };
                return (reply, fault);
            }
            Some(Fault::Cut) => return (Reply::new(0, Value::Null), fault),
            _ => {}
        }
        let stale = matches!(fault, Some(Fault::Stale)).then(|| self.before.clone());
        let held = self.core.clone();
        let reply = match (graphql, stale) {
            (true, Some(mut core)) => graphql::answer(&mut core, &seen),
            (true, None) => graphql::answer(&mut self.core, &seen),
            (false, _) if app => self.issue(&seen),
            (false, _) => rest::answer(&mut self.core, &seen, &self.templates),
        };
        if writes {
            self.before = held;
        }
        match &fault {
            Some(Fault::After(status, body)) => (Reply::new(*status, body.clone()), fault),
            _ => (reply, fault),
        }
    }

    /// An installation's token, for a signed request of its App.
    fn issue(&mut self, seen: &Seen) -> Reply {
        let Some(key) = self.core.app_key.clone() else {
            return Reply::error(404, "Integration not found");
        };
        use octocrab::jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["iss", "exp"]);
        let claims = decode::<Value>(&seen.job, &DecodingKey::from_rsa_der(&key), &validation);
        let Ok(claims) = claims else {
            return Reply::error(401, "A JSON web token could not be decoded");
        };
        let now = self.core.now().as_second();
        let (iat, exp) = (
            claims.claims["iat"].as_i64().unwrap(),
            claims.claims["exp"].as_i64().unwrap(),
        );
        assert_eq!(claims.claims["iss"], "4711");
        assert!(
            iat <= now && now < exp && exp - iat <= 600,
            "{iat} {now} {exp}"
        );
        assert_eq!(seen.what, "/app/installations/99/access_tokens");
        let permissions = &seen.body["permissions"];
        if let Some(missing) = permissions
            .as_object()
            .unwrap()
            .keys()
            .find(|name| !self.core.granted.contains(*name))
        {
            return Reply::error(
                422,
                &format!(
                    "The permissions requested are not granted to this installation: {missing}"
                ),
            );
        }
        self.core.issued += 1;
        let token = format!("ghs_{}", self.core.issued);
        self.tokens.get_or_insert_default().insert(token.clone());
        let expires = self
            .core
            .now()
            .checked_add(std::time::Duration::from_secs(3600))
            .unwrap();
        let own = json!({
            "token": token, "expires_at": expires.to_string(), "permissions": permissions, "repository_selection": "selected",
        });
        Reply::new(
            201,
            rest::filled(&self.templates, "installation-token", own),
        )
    }

    fn record(&mut self, request: &Request, reply: &Reply, fault: bool) {
        let Some(file) = &mut self.record else { return };
        let line = json!({
            "method": request.method,
            "target": request.target,
            "headers": request.headers.iter().filter(|(name, _)| *name != "authorization").collect::<BTreeMap<_, _>>(),
            "body": serde_json::from_slice::<Value>(&request.body).unwrap_or(Value::Null),
            "status": reply.status,
            "reply": reply.body,
            "fault": fault,
        });
        // One write for the whole line: other worlds append to the same file, and a written `Value` is many writes.
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
