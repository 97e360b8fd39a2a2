//! Training and pushing with MLflow's address set, as a person types it: a server that never answers, one that is not
//! there, and no address.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than the deadline of one second by what a busy machine may add.
const PATIENCE: Duration = Duration::from_secs(30);

fn run(home: &Path, words: &str, address: Option<&str>) -> Output {
    let address = address.map(|address| ("MLFLOW_TRACKING_URI", address));
    Command::new(env!("CARGO_BIN_EXE_hodoscope"))
        .args(words.split(' '))
        .current_dir(home)
        .env_clear() // nobody else's settings
        .envs(address)
        .env("HODOSCOPE_MLFLOW_DEADLINE_SECONDS", "1")
        .output()
        .unwrap()
}

fn answer(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The states of the local records.
fn states(home: &Path) -> Vec<Value> {
    let Ok(folder) = std::fs::read_dir(home.join(".hodoscope/tracking")) else {
        return Vec::new();
    };
    let text = |path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    folder
        .map(|entry| text(entry.unwrap().path())["state"].clone())
        .collect()
}

#[test]
fn train_and_push_do_their_work_whatever_mlflow_does() {
    let home = tempfile::tempdir().unwrap();
    let rows = (0..3000).map(|row| format!("{},{}\n", row % 17, row % 5));
    let table = "a,b\n".to_owned() + &rows.collect::<String>();
    std::fs::write(home.path().join("t.csv"), table).unwrap();
    let train = "train t.csv --name pump --output json";

    let quiet = answer(&run(home.path(), train, None));
    assert_eq!(quiet["warnings"], serde_json::json!([]));
    assert!(states(home.path()).is_empty());

    // It takes connections, and answers none.
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = format!("http://{}", hangs.local_addr().unwrap());
    // Nobody is given this port by chance.
    let nobody = "http://127.0.0.1:1";
    for (index, address) in [&hanging, nobody].into_iter().enumerate() {
        let started = Instant::now();
        let trained = answer(&run(home.path(), train, Some(address)));
        assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
        assert_eq!(trained["digest"], quiet["digest"]);
        let warnings = trained["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].as_str().unwrap().contains("waits in"),
            "{warnings:?}"
        );
        assert_eq!(states(home.path()), vec![Value::from("pending"); index + 1]);
    }
    let pushed = answer(&run(
        home.path(),
        "push pump.wasm --version 1.0.0 --output json",
        Some(nobody),
    ));
    assert_eq!(
        (&pushed["pushed"], states(home.path()).len()),
        (&Value::from("created"), 3)
    );
}
