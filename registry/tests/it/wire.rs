//! A wire with faults: a small HTTP server on loopback that answers like S3 from memory, or passes requests on to a real
//! server, and breaks chosen requests in chosen ways. One request for each connection; nothing sleeps: a hanging answer
//! hangs until the client goes away.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hodoscope_registry::{S3Credentials, S3Options, Store, StoreLocation, StoreOptions};
use hodoscope_release::Digest;

/// What `verify/s3/run` gives its server; the memory takes any key.
pub(crate) const KEY: &str = "hodoscope-verify";
const SECRET: &str = "no-secret-on-loopback";

/// How a request is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server answers this status and code and does nothing.
    Answer(u16, &'static str),
    /// The server does it, but answers this.
    AnswerAfter(u16, &'static str),
    /// The connection is cut before anything happens.
    Cut,
    /// The connection is cut after it happened.
    CutAfter,
    /// No answer, and nothing happens.
    Hang,
    /// It happens, without an answer.
    HangAfter,
    /// Half of the body, then the connection is cut.
    HalfBody,
    /// Half of the body, then nothing more.
    StallBody,
    /// One bit of the answer's body is another.
    FlipAnswer,
    /// One bit of the request's body is another.
    FlipRequest,
    /// A body without an announced length, longer than anybody wants.
    Endless,
}

/// Where requests that are not broken go.
#[derive(Debug, Clone)]
enum Behind {
    Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>),
    Server(SocketAddr),
    Function(Function),
}

/// Answers requests that are not S3's.
#[derive(Clone)]
struct Function(Arc<dyn Fn(&Request) -> Answer + Send + Sync>);

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Function")
    }
}

/// The faults to come: the first one whose method and part of a path fit a request is used up by it.
type Script = Arc<Mutex<Vec<(&'static str, &'static str, Fault)>>>;

#[derive(Clone)]
pub(crate) struct Wire {
    address: SocketAddr,
    behind: Behind,
    script: Script,
    seen: Arc<Mutex<Vec<String>>>,
}

pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    raw_head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Answer {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Wire {
    pub(crate) fn memory() -> Self {
        Self::start(Behind::Memory(Arc::default()))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn before(server: SocketAddr) -> Self {
        Self::start(Behind::Server(server))
    }

    /// A server of another kind.
    pub(crate) fn answering(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(Behind::Function(Function(Arc::new(answer))))
    }

    fn start(behind: Behind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Self {
            address,
            behind,
            script: Arc::default(),
            seen: Arc::default(),
        };
        let server = wire.clone();
        // The thread ends with the process: a test binary owns no wire longer than that.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        wire
    }

    /// Breaks the next request with this method and this text in its path.
    pub(crate) fn fault(&self, method: &'static str, path: &'static str, fault: Fault) -> &Self {
        self.script.lock().unwrap().push((method, path, fault));
        self
    }

    pub(crate) fn faults(
        &self,
        count: usize,
        method: &'static str,
        path: &'static str,
        fault: Fault,
    ) -> &Self {
        for _ in 0..count {
            self.fault(method, path, fault);
        }
        self
    }

    /// Forgets faults that no request used up, and says how many they were.
    pub(crate) fn heal(&self) -> usize {
        std::mem::take(&mut *self.script.lock().unwrap()).len()
    }

    /// Puts an object into the memory, as another client would.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        let Behind::Memory(objects) = &self.behind else {
            panic!("only into the memory")
        };
        objects
            .lock()
            .unwrap()
            .insert(path.to_owned(), bytes.to_vec());
    }

    /// The requests so far, as `METHOD path`.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn options(&self) -> S3Options {
        options(format!("http://{}", self.address), KEY)
    }

    pub(crate) async fn store(&self, location: &str) -> Store {
        self.store_with(location, self.options()).await
    }

    pub(crate) async fn store_with(&self, location: &str, s3: S3Options) -> Store {
        let location: StoreLocation = location.parse().unwrap();
        Store::open(
            &location,
            &StoreOptions {
                s3,
                ..StoreOptions::default()
            },
        )
        .await
        .unwrap()
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let Ok(mut request) = read_request(&mut reader) else {
            return;
        };
        self.seen
            .lock()
            .unwrap()
            .push(format!("{} {}", request.method, request.path));
        let fault = self.take_fault(&request);
        // A client that went away is what some faults are about.
        let _gone = self.answer(stream, &mut request, fault);
    }

    fn take_fault(&self, request: &Request) -> Option<Fault> {
        let mut script = self.script.lock().unwrap();
        let fits = |(method, path, _): &(&str, &str, Fault)| {
            *method == request.method && request.path.contains(path)
        };
        let index = script.iter().position(fits)?;
        Some(script.remove(index).2)
    }

    fn answer(
        &self,
        mut stream: TcpStream,
        request: &mut Request,
        fault: Option<Fault>,
    ) -> io::Result<()> {
        match fault {
            Some(Fault::Cut) => return cut(stream),
            Some(Fault::Hang) => return hang(stream),
            Some(Fault::Answer(status, code)) => return send(&mut stream, &error(status, code)),
            Some(Fault::Endless) => return endless(stream),
            Some(Fault::FlipRequest) => flip(&mut request.body),
            _ => {}
        }
        let mut answer = match &self.behind {
            Behind::Memory(objects) => from_memory(objects, request),
            Behind::Server(server) => from_server(*server, request)?,
            Behind::Function(Function(answer)) => answer(request),
        };
        match fault {
            Some(Fault::CutAfter) => cut(stream),
            Some(Fault::HangAfter) => hang(stream),
            Some(Fault::AnswerAfter(status, code)) => send(&mut stream, &error(status, code)),
            Some(Fault::FlipAnswer) => {
                flip(&mut answer.body);
                send(&mut stream, &answer)
            }
            Some(Fault::HalfBody | Fault::StallBody) => {
                answer.body.truncate(answer.body.len() / 2);
                send(&mut stream, &answer)?;
                if fault == Some(Fault::HalfBody) {
                    cut(stream)
                } else {
                    hang(stream)
                }
            }
            _ => send(&mut stream, &answer),
        }
    }
}

/// Options for a server on loopback, with pauses too short to notice and deadlines too long to meet by chance.
pub(crate) fn options(endpoint: String, id: &str) -> S3Options {
    S3Options {
        endpoint: Some(endpoint),
        path_style: true,
        region: Some("us-east-1".to_owned()),
        credentials: S3Credentials::Fixed {
            id: id.to_owned(),
            secret: SECRET.to_owned(),
        },
        attempts: 3,
        first_pause: Duration::from_millis(1),
        attempt_timeout: Duration::from_secs(20),
        ..S3Options::default()
    }
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Request> {
    let (raw_head, lines) = read_head(reader)?;
    let mut first = lines[0].split(' ').map(str::to_owned);
    let headers = headers(&lines);
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request {
        method: first.next().unwrap(),
        path: first.next().unwrap(),
        headers,
        raw_head,
        body,
    })
}

fn read_head(reader: &mut impl BufRead) -> io::Result<(Vec<u8>, Vec<String>)> {
    let (mut raw, mut lines) = (Vec::new(), Vec::new());
    loop {
        let start = raw.len();
        if reader.read_until(b'\n', &mut raw)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&raw[start..]).trim_end().to_owned();
        if line.is_empty() {
            return Ok((raw, lines));
        }
        lines.push(line);
    }
}

fn headers(lines: &[String]) -> BTreeMap<String, String> {
    let pairs = lines
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    pairs
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect()
}

fn from_memory(objects: &Mutex<BTreeMap<String, Vec<u8>>>, request: &Request) -> Answer {
    let mut objects = objects.lock().unwrap();
    let path = decoded(request.path.split('?').next().unwrap());
    let signed = request
        .headers
        .get("x-amz-content-sha256")
        .map(String::as_str);
    match (
        request.method.as_str(),
        request.path.contains("list-type=2"),
    ) {
        ("PUT", _) if signed != Some(&Digest::of(&request.body).hex()) => {
            error(400, "XAmzContentSHA256Mismatch")
        }
        ("PUT", _) if !request.headers.contains_key("x-amz-checksum-sha256") => {
            error(400, "MissingChecksum")
        }
        // Verdicts are the one kind of key that is overwritten.
        ("PUT", _) if path.contains("/verdicts/") => {
            objects.insert(path, request.body.clone());
            ok(Vec::new())
        }
        ("PUT", _) if request.headers.get("if-none-match").map(String::as_str) != Some("*") => {
            error(400, "Unconditional")
        }
        ("PUT", _) if objects.contains_key(&path) => error(412, "PreconditionFailed"),
        ("PUT", _) => {
            objects.insert(path, request.body.clone());
            ok(Vec::new())
        }
        ("GET", true) => ok(listing(&objects, request).into_bytes()),
        ("GET", false) => objects.get(&path).map_or_else(
            || error(404, "NoSuchKey"),
            |bytes| ok(ranged(bytes, request).to_vec()),
        ),
        _ => error(405, "MethodNotAllowed"),
    }
}

/// What a request's range asks for of these bytes.
fn ranged<'a>(bytes: &'a [u8], request: &Request) -> &'a [u8] {
    let range = request.headers.get("range").and_then(|range| {
        let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some((start.parse().unwrap(), end.parse::<usize>().unwrap() + 1))
    });
    range.map_or(bytes, |(start, end): (usize, usize)| {
        &bytes[start.min(bytes.len())..end.min(bytes.len())]
    })
}

/// A path without the escapes that the SDK makes.
fn decoded(text: &str) -> String {
    ["%2F/", "%3D=", "%40@"]
        .iter()
        .fold(text.to_owned(), |text, escape| {
            text.replace(&escape[..3], &escape[3..])
        })
}

/// Two keys a page, so that every listing has pages.
fn listing(objects: &BTreeMap<String, Vec<u8>>, request: &Request) -> String {
    let (bucket, query) = request.path.split_once('?').unwrap();
    let argument = |name: &str| {
        let found = query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default()
    };
    let argument = |name: &str| decoded(argument(name));
    let (prefix, after) = (argument("prefix"), argument("continuation-token"));
    let root = format!("{}/", bucket.trim_end_matches('/'));
    let keys = objects
        .iter()
        .filter_map(|(path, bytes)| Some((path.strip_prefix(&root)?, bytes.len())));
    let mut rest = keys.filter(|(key, _)| key.starts_with(&prefix) && *key > after.as_str());
    let page: Vec<_> = rest.by_ref().take(2).collect();
    let contents: String = page
        .iter()
        .map(|(key, size)| format!("<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"))
        .collect();
    let more = match (rest.next(), page.last()) {
        (Some(_), Some((last, _))) => {
            format!(
                "<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>"
            )
        }
        _ => "<IsTruncated>false</IsTruncated>".to_owned(),
    };
    format!("<ListBucketResult>{contents}{more}</ListBucketResult>")
}

/// The request as it came (its signature covers the host's name), and the whole answer.
fn from_server(server: SocketAddr, request: &Request) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(&request.raw_head)?;
    stream.write_all(&request.body)?;
    let mut reader = BufReader::new(stream);
    let (head, lines) = read_head(&mut reader)?;
    let mut body = Vec::new();
    match headers(&lines).get("content-length") {
        Some(length) => drop(
            reader
                .take(length.parse().unwrap())
                .read_to_end(&mut body)?,
        ),
        None => panic!("the server answered without a length: {lines:?}"),
    }
    Ok(Answer {
        head: with_close(&head),
        body,
    })
}

/// One request for each connection, so that a fault hits the request it is meant for.
fn with_close(head: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(head);
    let kept = text
        .lines()
        .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("connection:"));
    kept.chain(["connection: close", ""])
        .map(|line| format!("{line}\r\n"))
        .collect::<String>()
        .into_bytes()
}

pub(crate) fn ok(body: Vec<u8>) -> Answer {
    with_status(200, body)
}

pub(crate) fn with_status(status: u16, body: Vec<u8>) -> Answer {
    let head = format!(
        "HTTP/1.1 {status} Status\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    Answer {
        head: head.into_bytes(),
        body,
    }
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>said the wire</Message></Error>");
    with_status(status, body.into_bytes())
}

fn send(stream: &mut TcpStream, answer: &Answer) -> io::Result<()> {
    stream.write_all(&answer.head)?;
    stream.write_all(&answer.body)
}

fn cut(stream: TcpStream) -> io::Result<()> {
    stream.shutdown(std::net::Shutdown::Both)
}

fn hang(mut stream: TcpStream) -> io::Result<()> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).map(drop)
}

fn endless(mut stream: TcpStream) -> io::Result<()> {
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n")?;
    loop {
        stream.write_all(b"1000\r\n")?;
        stream.write_all(&[b'x'; 0x1000])?;
        stream.write_all(b"\r\n")?;
    }
}

fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
}
