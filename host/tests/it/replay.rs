//! Capture by the executable as a person runs it: before a bucket that hangs, killed, and replayed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hodoscope::capture::table;
use hodoscope::rows::Values;
use parquet::basic::Type as Physical;
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use crate::binary::{Folder, Server};
use crate::capture::{Row, files, parts, rows, rows_of};

/// What a request and the end of a host may take on a busy machine. The store below hangs for as long as a put may take,
/// which is 30 seconds for each of four files: whatever waited for it would take longer.
const REQUEST_PATIENCE: Duration = Duration::from_secs(20);
const END_PATIENCE: Duration = Duration::from_secs(60);

/// A server that takes connections and never says a word.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn post(url: &str, id: &str, body: &str) -> serde_json::Value {
    let mut answer = ureq::post(format!("{url}/v1/detectors/pump/score"))
        .header("x-request-id", id)
        .send(body)
        .unwrap();
    answer.body_mut().read_json().unwrap()
}

fn promoted() -> Folder {
    let folder = Folder::new();
    folder.pump("pump", 3000, 7);
    folder.run("push pump.wasm --version 1.0.0");
    folder.run("promote pump@1.0.0");
    folder
}

fn one_row(folder: &Folder) -> String {
    let text = folder.read("pump.csv");
    let mut lines = text.lines();
    let names = lines.next().unwrap().split(',');
    let row = names.zip(lines.next().unwrap().split(','));
    let fields: Vec<String> = row
        .filter(|(name, _)| *name != "label" && *name != "time")
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{\"rows\":[{{{}}}]}}", fields.join(","))
}

/// The whole host before a bucket that never answers: the put hangs, no request does, and the host ends in time.
#[test]
fn a_store_that_hangs_for_ever_costs_no_answer_and_no_drain() {
    let folder = promoted();
    let (_listener, url) = silent();
    let mut server = Server::with(
        &folder,
        &[
            ("HODOSCOPE_CAPTURE", "true"),
            ("HODOSCOPE_CAPTURE_FRACTION", "1"),
            ("HODOSCOPE_CAPTURE_PART_SECONDS", "1"),
            ("HODOSCOPE_CAPTURE_LOCATION", "s3://bucket/captured"),
            ("HODOSCOPE_S3_ENDPOINT", &url),
            ("HODOSCOPE_S3_PATH_STYLE", "true"),
            ("HODOSCOPE_DRAIN_SECONDS", "1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
        ],
    );
    let body = one_row(&folder);
    let deadline = Instant::now() + Duration::from_secs(120);
    let (mut slowest, mut requests) = (Duration::ZERO, 0);
    loop {
        let started = Instant::now();
        assert!(post(&server.url, &format!("r{requests}"), &body)["scores"][0].is_f64());
        slowest = slowest.max(started.elapsed());
        requests += 1;
        let mut metrics = ureq::get(format!("{}/metrics", server.admin))
            .call()
            .unwrap();
        let metrics = metrics.body_mut().read_to_string().unwrap();
        let waiting = metrics
            .lines()
            .find_map(|line| line.strip_prefix("hodoscope_capture_backlog_files "))
            .unwrap();
        if waiting.parse::<u32>().unwrap() >= 4 {
            break;
        }
        assert!(Instant::now() < deadline, "{metrics}");
    }
    assert!(
        slowest < REQUEST_PATIENCE,
        "a request waited {slowest:?} of {requests}"
    );
    let started = Instant::now();
    assert!(server.end().success());
    assert!(started.elapsed() < END_PATIENCE, "{:?}", started.elapsed());
}

#[test]
fn a_host_that_is_killed_loses_only_what_its_open_part_held() {
    let folder = promoted();
    let settings = [
        ("HODOSCOPE_CAPTURE", "true"),
        ("HODOSCOPE_CAPTURE_FRACTION", "1"),
        ("HODOSCOPE_CAPTURE_PART_SECONDS", "1"),
        ("HODOSCOPE_CAPTURE_ROWS_PER_WINDOW", "10000000"),
    ];
    let mut server = Server::with(&folder, &settings);
    let body = one_row(&folder);
    let root = folder.path(".hodoscope/capture");
    let deadline = Instant::now() + Duration::from_secs(120);
    let (mut answered, mut seen) = (0, 0);
    while seen < 3 {
        post(&server.url, &format!("r{answered}"), &body);
        answered += 1;
        seen = files(&root.join("profiles"), ".json").len();
        assert!(
            Instant::now() < deadline,
            "{seen} parts after {answered} answers"
        );
    }
    server.kill();
    let parts = parts(&root);
    let counted: u64 = parts.iter().map(|part| part.rows).sum();
    let kept = rows(&root, &[]);
    assert!(counted <= answered, "{counted} of {answered}");
    assert!(parts.len() >= 3 && counted > 0);
    // Rows are put before their part, so the last file of rows may have none.
    assert!(kept.len() as u64 >= counted, "{} and {counted}", kept.len());
    // Only the end is lost: there is no hole before the last row that was kept.
    let mut numbers: Vec<u64> = kept
        .iter()
        .map(|(id, ..)| id[1..].parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..kept.len() as u64));
    // The next start of the host writes under a name of its own.
    let mut server = Server::with(&folder, &settings);
    post(&server.url, "after", &body);
    assert!(server.end().success());
    let boots: BTreeSet<String> = crate::capture::parts(&root)
        .into_iter()
        .map(|part| part.boot)
        .collect();
    assert_eq!(boots.len(), 2);
    let counted: u64 = crate::capture::parts(&root)
        .iter()
        .map(|part| part.rows)
        .sum();
    let kept = rows(&root, &[]);
    assert!(kept.iter().any(|(id, ..)| id == "after"));
    assert!(counted <= answered + 1);
}

/// Runs `hodoscope replay` with everything sampled; gives its exit code and what it printed.
fn replay(folder: &Folder, arguments: &str) -> (Option<i32>, String) {
    let mut command = folder.command(&format!("replay {arguments}"));
    let output = command
        .env("HODOSCOPE_CAPTURE_FRACTION", "1")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// The file with the rows of this request; each hour has its own.
fn holding(folder: &Folder, id: &str) -> PathBuf {
    let files = files(&folder.path(".hodoscope/capture/capture"), ".parquet");
    let mut holding = files
        .into_iter()
        .filter(|path| rows_of(path, &[]).iter().any(|row| row.0 == id));
    holding.next().unwrap()
}

/// The file again, with the scores of one request one step higher.
fn doctor(path: &Path, names: &[String], id: &str) {
    let origin = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let pairs = origin
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap()
        .clone();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|pair| (pair.key.as_str(), pair.value.clone().unwrap()))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows = rows_of(path, &names);
    let mut columns = Vec::new();
    let mut cells = Vec::new();
    let mut add = |name: &str, physical, values| {
        columns.push(hodoscope::rows::column_type(name, physical, false).unwrap());
        cells.push(hodoscope::rows::Cells::full(values));
    };
    for (index, name) in names.iter().enumerate() {
        let column = rows.iter().map(|row| row.3[index]).collect();
        add(name, Physical::DOUBLE, Values::Double(column));
    }
    let ids = rows.iter().map(|row| row.0.as_str().into()).collect();
    add(table::REQUEST, Physical::BYTE_ARRAY, Values::Bytes(ids));
    let numbers = rows.iter().map(|row| row.1).collect();
    add(table::ROW, Physical::INT32, Values::Int32(numbers));
    add(
        table::TIME,
        Physical::INT64,
        Values::Int64(vec![0; rows.len()]),
    );
    let score = |row: &Row| if row.0 == id { row.2.next_up() } else { row.2 };
    add(
        table::SCORE,
        Physical::DOUBLE,
        Values::Double(rows.iter().map(score).collect()),
    );
    let bytes = hodoscope::rows::parquet_bytes(&columns, cells, &pairs).unwrap();
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_captured_request_replays_bit_for_bit_and_another_score_is_named() {
    let folder = promoted();
    let settings = [
        ("HODOSCOPE_CAPTURE", "true"),
        ("HODOSCOPE_CAPTURE_FRACTION", "1"),
    ];
    let mut server = Server::with(&folder, &settings);
    let body = one_row(&folder);
    let row = body
        .trim_start_matches("{\"rows\":[")
        .trim_end_matches("]}");
    post(&server.url, "mine-1", &body);
    post(
        &server.url,
        "mine-3",
        &format!("{{\"rows\":[{row},{row},{row}]}}"),
    );
    let given = ureq::post(format!("{}/v1/detectors/pump/score", server.url))
        .send(&body)
        .unwrap();
    let given = given.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(server.end().success());

    for (id, rows) in [("mine-1", 1), ("mine-3", 3), (given.as_str(), 1)] {
        let replayed = folder.run(&format!("replay {id}"));
        assert_eq!(replayed["equal"], true, "{replayed}");
        assert_eq!(replayed["release"], "pump@1.0.0");
        assert_eq!(
            replayed["rows"].as_array().unwrap().len(),
            rows,
            "{replayed}"
        );
    }
    let path = holding(&folder, "mine-3");
    let day = path.to_string_lossy().split("dt=").nth(1).unwrap()[..10].to_owned();
    let (code, said) = replay(&folder, &format!("mine-3 --detector pump --day {day}"));
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("all 3 captured rows got the same score"),
        "{said}"
    );
    for (arguments, expected) in [
        ("mine-1 --day 1999-01-01", "no captured row of 1999-01-01"),
        ("mine-1 --detector other", "no captured row"),
        ("yours", "among the sampled ones"),
        ("0123456789abcdef-7", "no captured row in"),
    ] {
        let (code, said) = replay(&folder, arguments);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    let output = folder
        .command("replay unchosen")
        .env("HODOSCOPE_CAPTURE_FRACTION", "0")
        .output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(said.contains("it was not sampled"), "{said}");
    assert_eq!(replay(&folder, "mine-1 --day yesterday").0, Some(2));

    let names = folder.read("pump.csv").lines().next().unwrap().to_owned();
    let names: Vec<String> = names.split(',').map(str::to_owned).collect();
    let names: Vec<String> = names
        .into_iter()
        .filter(|name| name != "label" && name != "time")
        .collect();
    doctor(&path, &names, "mine-3");
    let (code, said) = replay(&folder, "mine-3");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("DIFFERENT") && said.contains("3 of 3"),
        "{said}"
    );
    assert_eq!(replay(&folder, "mine-1").0, Some(0));
}
