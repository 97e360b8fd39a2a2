//! The steps, each with what must hold.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};
use hodoscope_release::window::WindowName;
use hyper::Method;
use serde_json::Value;

use super::host::Host;
use super::shell::{Shell, number, text};

/// Rows per second of the streams: sixteen pumps, a reading every five minutes of theirs, and a day of theirs each second,
/// so that a window of whole seconds holds whole days.
const RATE: u32 = 4608;
/// Rows of a request: all pumps once.
const BATCH: u32 = 16;
/// The second at which drift sets in, and how long it grows.
const DRIFT_AT: usize = 4;
const DRIFT_GROWS: usize = 2;
/// How long the drifting stream lasts: three windows after drift has grown, wherever windows begin.
const STREAM: u64 = 15;
/// How long other streams last: three whole windows, wherever they begin.
const CALM: u64 = 9;
/// The length of a window, as in the settings below.
const WINDOW: u64 = 2;
/// How long a stream goes on after the swap was seen.
const AFTER_SWAP: Duration = Duration::from_secs(2);
/// Swaps under load; an even number ends where it began.
const SWAPS: u32 = 20;
/// What `promote`, `drift` and Argo CD work on, in the folder of the demo.
const SETTINGS: &str = r#"# Every change of the channel is a pull request; the laptop's forge is a bare git repository.
forge = "git:channels.git"
forge_promotion_hours = 0
# Sampled traffic and counts: days shrunk to seconds. In production: 0.1, one day, five minutes.
capture = true
capture_fraction = 1.0
capture_window_seconds = 2
capture_part_seconds = 1
"#;

const NORMAL: &str = r#"{"rows":[{"ambient_c":18,"rpm":2060,"flow_m3_h":113.7,"discharge_bar":3.62,"motor_a":35.4,"bearing_c":53,"vibration_mm_s":1.53,"oil_bar":2.96}]}"#;
const HOT: &str = r#"{"rows":[{"ambient_c":18,"rpm":2060,"flow_m3_h":113.7,"discharge_bar":3.62,"motor_a":35.4,"bearing_c":97,"vibration_mm_s":2.2,"oil_bar":2.2}]}"#;

/// Tells the story; the host is left running.
pub(super) async fn tell(shell: &Shell) -> anyhow::Result<Host> {
    shell.say("A day in the life of an anomaly detector. Everything lies in one folder:");
    shell.say(&format!("    {}", shell.folder().display()));
    shell.settings(SETTINGS)?;
    first_release(shell)?;
    deliver_first(shell)?;
    let mut host = serve(shell).await?;
    score(shell, &mut host).await?;
    calm(shell, &mut host).await?;
    let window = drift(shell, &mut host).await?;
    propose(shell, &window)?;
    merge_under_load(shell, &mut host).await?;
    settled(shell, &mut host).await?;
    swap_under_load(shell)?;
    roll_back(shell, &mut host).await?;
    Ok(host)
}

fn first_release(shell: &Shell) -> anyhow::Result<()> {
    shell.step(
        1,
        "Telemetry of sixteen pumps: eight sensors, 1 % faults. The labels are for measuring only.",
    );
    shell.run("simulate --generate 60000 --out pumps.csv")?;

    shell.step(2, "Train an isolation forest. The result is a WebAssembly component, made without a compiler toolchain.");
    let trained = shell
        .run("train pumps.csv --name pump --label label --contamination 0.012 --out pump-1.wasm")?;
    let auc = number(&trained, "/roc_auc")?;
    shell.say(&format!(
        "    {:.0} rows in {:.2} s, ROC-AUC {auc:.3}, {:.0} KiB",
        number(&trained, "/rows")?,
        number(&trained, "/seconds")?,
        number(&trained, "/size_bytes")? / 1024.0
    ));
    ensure!(
        auc > 0.9,
        "the first release hardly finds anything: ROC-AUC {auc}"
    );

    shell.step(
        3,
        "Look into it: all that it does is in these bytes, and the digest names them.",
    );
    let inspected = shell.run("inspect pump-1.wasm")?;
    let digest = text(&trained, "/digest")?;
    shell.say(&format!("    {digest}"));
    ensure!(
        inspected.to_string().contains(digest),
        "inspect shows another digest than train"
    );

    shell.step(4, "Push it through the gate into the store.");
    shell.run("push pump-1.wasm --version 1.0.0")?;
    Ok(())
}

fn deliver_first(shell: &Shell) -> anyhow::Result<()> {
    shell.step(
        5,
        "Promote it: a pull request that people merge. What is merged is what the hosts are to serve.",
    );
    shell.run("forge init")?;
    let change = shell.run("promote pump@1.0.0")?;
    proposed(shell, &change, "/proposal", "opened")?;
    merge(shell)
}

/// Merges the open pull request and plays Argo CD: the merged file reaches the folder that the host watches.
fn merge(shell: &Shell) -> anyhow::Result<()> {
    shell.run("forge merge pump")?;
    shell.deliver(
        "channels.git",
        "registry/channels/local/pump.yaml",
        ".hodoscope/channels/local/pump.yaml",
    )
}

fn proposed(shell: &Shell, answer: &Value, place: &str, outcome: &str) -> anyhow::Result<()> {
    let told = text(answer, &format!("{place}/told"))?;
    shell.say(&format!("    {told}"));
    let found = text(answer, &format!("{place}/outcome"))?;
    ensure!(
        found == outcome,
        "the forge answered {found}, not {outcome}: {told}"
    );
    Ok(())
}

async fn serve(shell: &Shell) -> anyhow::Result<Host> {
    shell.step(
        6,
        "Serve what the channel wants, and keep a sample of the traffic.",
    );
    let host = Host::start(shell, "pump").await?;
    shell.say(&format!("    ready on {}", host.url()));
    Ok(host)
}

async fn score(shell: &Shell, host: &mut Host) -> anyhow::Result<()> {
    shell.step(
        7,
        "Score a normal row, and one with a hot, shaking bearing.",
    );
    let url = format!("{}/v1/detectors/pump/score", host.url());
    shell.say(&format!("    $ curl '{url}?explain=true' -d '{HOT}'"));
    let normal = host
        .call(Method::POST, "/v1/detectors/pump/score", NORMAL)
        .await?;
    let hot = host
        .call(Method::POST, "/v1/detectors/pump/score?explain=true", HOT)
        .await?;
    host.sent(2.0);
    let verdict = |answer: &Value| answer.pointer("/anomalies/0").and_then(Value::as_bool);
    let reason = |place: usize| text(&hot, &format!("/explanations/0/features/{place}/feature"));
    shell.say(&format!(
        "    normal {:.3}; hot {:.3}, an anomaly, mostly because of {} and {}",
        number(&normal, "/scores/0")?,
        number(&hot, "/scores/0")?,
        reason(0)?,
        reason(1)?
    ));
    ensure!(
        verdict(&normal) == Some(false),
        "the normal row is called an anomaly: {normal}"
    );
    ensure!(
        verdict(&hot) == Some(true),
        "the hot row is not called an anomaly: {hot}"
    );
    Ok(())
}

/// Streams telemetry and waits until all of it is captured. Gives what the stream says, and the last window that lies
/// within the stream as a whole: on a slow machine the next may have begun before the job looks.
async fn stream(
    shell: &Shell,
    host: &mut Host,
    seconds: u64,
    how: &str,
) -> anyhow::Result<(Value, WindowName)> {
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let summary = shell.run(&format!(
        "simulate --detector pump --rate {RATE} --batch {BATCH} --duration {seconds} {how}"
    ))?;
    no_failures(&summary)?;
    host.sent(number(&summary, "/rows")?);
    host.captured().await?;
    let last = (began.as_secs() + seconds).saturating_sub(WINDOW);
    Ok((summary, WindowName::holding(last, WINDOW)))
}

/// What the scheduled job runs, for the windows up to this one.
fn look(shell: &Shell, window: &WindowName) -> anyhow::Result<Value> {
    shell.run(&format!(
        "drift --detector pump --retrain --propose --window {window}"
    ))
}

/// Nothing drifts. A machine that stalls moves rows of one window into the next, which is then watched.
const CALM_VERDICTS: [&str; 2] = ["stable", "watching"];

async fn calm(shell: &Shell, host: &mut Host) -> anyhow::Result<()> {
    shell.step(8, "Stream a week of telemetry, and let the scheduled job look at it: nothing drifts, nothing is proposed.");
    let (_, window) = stream(shell, host, CALM, "--seed 5").await?;
    let answer = look(shell, &window)?;
    verdict(shell, &answer, &CALM_VERDICTS)?;
    ensure!(
        answer.pointer("/0/proposal").is_some_and(Value::is_null),
        "something was proposed without drift: {answer}"
    );
    let open = shell.fails("forge show pump")?;
    ensure!(
        open.contains("no open pull request"),
        "a pull request is open without drift: {open}"
    );
    Ok(())
}

fn verdict(shell: &Shell, answer: &Value, wanted: &[&str]) -> anyhow::Result<()> {
    let verdict = text(answer, "/0/report/verdict")?;
    shell.say(&format!("    verdict: {verdict}"));
    for reason in answer
        .pointer("/0/report/reasons")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        shell.say(&format!("      {}", reason.as_str().unwrap_or_default()));
    }
    ensure!(
        wanted.contains(&verdict),
        "the verdict is {verdict}, not {}",
        wanted.join(" or ")
    );
    Ok(())
}

async fn drift(shell: &Shell, host: &mut Host) -> anyhow::Result<WindowName> {
    shell.step(
        9,
        &format!("Stream on. At second {DRIFT_AT} the pumps begin to wear: no fault, but new."),
    );
    let how = format!("--drift-at {DRIFT_AT} --drift-ramp {DRIFT_GROWS} --seed 2");
    let (summary, window) = stream(shell, host, STREAM, &how).await?;
    let before = false_alarms(&summary, 0..DRIFT_AT)?;
    let after = false_alarms(&summary, DRIFT_AT + DRIFT_GROWS..STREAM as usize)?;
    shell.say(&format!(
        "    {:.0} rows, p99 {:.1} ms, 0 failed. False alarms: {} before drift, {} after.",
        number(&summary, "/rows")?,
        number(&summary, "/latency_ms/p99")?,
        percent(before),
        percent(after)
    ));
    ensure!(
        before < 0.03,
        "too many false alarms before drift: {}",
        percent(before)
    );
    ensure!(
        after > 0.1 && after > 5.0 * before,
        "drift raised no false alarms: {}",
        percent(after)
    );
    Ok(window)
}

fn propose(shell: &Shell, window: &WindowName) -> anyhow::Result<()> {
    shell.step(
        10,
        "The scheduled job looks again: it retrains on the new rows, lets the candidate through the gates, and proposes it.",
    );
    let answer = look(shell, window)?;
    verdict(shell, &answer, &["drifted"])?;
    let version = text(&answer, "/0/candidate/version")?;
    ensure!(version == "1.1.0", "the candidate is {version}, not 1.1.0");
    proposed(shell, &answer, "/0/proposal", "opened")?;
    let gates = answer
        .pointer("/0/evidence/gates")
        .and_then(Value::as_array);
    let passed = |gate: &&Value| gate["outcome"] == "pass";
    let gates = gates.context("the evidence has no gates")?;
    let at = |side: &str| {
        number(
            &answer,
            &format!("/0/evidence/comparison/{side}/alert_rate"),
        )
    };
    let (old, new) = (at("current")?, at("candidate")?);
    shell.say(&format!(
        "    {} of {} gates pass. On rows that it did not learn from, {} alert in place of {}.",
        gates.iter().filter(passed).count(),
        gates.len(),
        percent(new),
        percent(old)
    ));
    ensure!(
        new < 0.03 && new < old / 3.0,
        "the candidate is no better: {}",
        percent(new)
    );
    let again = look(shell, window)?;
    proposed(shell, &again, "/0/proposal", "unchanged")
}

async fn merge_under_load(shell: &Shell, host: &mut Host) -> anyhow::Result<()> {
    shell.step(
        11,
        "A person reads the evidence and merges, while requests run.",
    );
    let line = format!(
        "simulate --detector pump --rate {RATE} --batch {BATCH} --drift-at 0 --drift-ramp 0 --seed 3"
    );
    shell.show(&format!("{line} &"));
    let mut stream = shell
        .command(&line)
        .args(["--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start the stream")?;
    // The stream's own second line says that it has run for a while.
    let mut lines = BufReader::new(stream.stderr.take().context("no standard error")?).lines();
    for line in lines.by_ref().take(2) {
        shell.say(&format!("    {}", line?));
    }
    merge(shell)?;
    let wanted =
        |answer: &Value| answer.get("release").and_then(Value::as_str) == Some("pump@1.1.0");
    let took = host
        .wait_until("/v1/detectors/pump", "it serves pump@1.1.0", wanted)
        .await?;
    shell.say(&format!(
        "    swapped after {:.0} ms",
        took.as_secs_f64() * 1e3
    ));
    tokio::time::sleep(AFTER_SWAP).await;
    let pid = rustix::process::Pid::from_child(&stream);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)
        .context("failed to end the stream")?;
    for line in lines {
        shell.say(&format!("    {}", line?));
    }
    let summary = finished(stream)?;
    no_failures(&summary)?;
    host.sent(number(&summary, "/rows")?);
    let rate = |version: &str| {
        number(
            &summary,
            &format!("/releases/pump@{version}/false_alarm_rate"),
        )
    };
    let (old, new) = (rate("1.0.0")?, rate("1.1.0")?);
    shell.say(&format!(
        "    0 failed requests. False alarms: {} by 1.0.0, {} by 1.1.0.",
        percent(old),
        percent(new)
    ));
    ensure!(
        old > 0.1 && new < 0.03,
        "the swap did not end the false alarms"
    );
    Ok(())
}

/// The same wear goes on, and the job looks once more.
async fn settled(shell: &Shell, host: &mut Host) -> anyhow::Result<()> {
    shell.step(
        12,
        "The wear goes on, and the job looks once more: to the new release it is normal.",
    );
    let (_, window) = stream(shell, host, CALM, "--drift-at 0 --drift-ramp 0 --seed 6").await?;
    verdict(shell, &look(shell, &window)?, &CALM_VERDICTS)
}

fn swap_under_load(shell: &Shell) -> anyhow::Result<()> {
    shell.step(
        13,
        &format!("Swap {SWAPS} times, back and forth, under load."),
    );
    let summary = shell.run(&format!(
        "simulate --detector pump --rate {RATE} --batch {BATCH} --duration 2 --drift-at 0 --drift-ramp 0 --seed 4 --swaps {SWAPS}"
    ))?;
    no_failures(&summary)?;
    shell.say(&format!(
        "    {} swaps, each seen after {:.0} ms (median), 0 failed requests; p99 {:.1} ms with, {:.1} ms without",
        number(&summary, "/swaps/done")?,
        number(&summary, "/swaps/took_ms/p50")?,
        number(&summary, "/swaps/p99_ms_with")?,
        number(&summary, "/swaps/p99_ms_without")?
    ));
    ensure!(
        number(&summary, "/swaps/done")? == f64::from(SWAPS),
        "not all swaps were seen"
    );
    Ok(())
}

async fn roll_back(shell: &Shell, host: &mut Host) -> anyhow::Result<()> {
    shell.step(14, "Roll back: a pull request too, exempt from the limits.");
    let change = shell.run("rollback pump --why demonstration")?;
    proposed(shell, &change, "/proposal", "opened")?;
    merge(shell)?;
    let wanted =
        |answer: &Value| answer.get("release").and_then(Value::as_str) == Some("pump@1.0.0");
    let took = host
        .wait_until("/v1/detectors/pump", "it serves pump@1.0.0", wanted)
        .await?;
    shell.say(&format!(
        "    pump@1.0.0 serves again after {:.0} ms",
        took.as_secs_f64() * 1e3
    ));
    shell.run("status --wait 60")?;
    Ok(())
}

/// The share of normal rows that were called anomalies in some seconds of the stream.
fn false_alarms(summary: &Value, seconds: std::ops::Range<usize>) -> anyhow::Result<f64> {
    let (mut alarms, mut normal) = (0.0, 0.0);
    for second in seconds {
        let count = |name: &str| number(summary, &format!("/timeline/{second}/{name}"));
        alarms += count("false_alarms")?;
        normal += count("rows")? - count("found")? - count("missed")?;
    }
    ensure!(normal > 0.0, "no rows were scored in that time");
    Ok(alarms / normal)
}

fn no_failures(summary: &Value) -> anyhow::Result<()> {
    let failed = number(summary, "/failed_requests")?;
    ensure!(
        failed == 0.0,
        "{failed} requests failed: {}",
        summary["failures"]
    );
    Ok(())
}

fn finished(stream: Child) -> anyhow::Result<Value> {
    let output = stream
        .wait_with_output()
        .context("failed to wait for the stream")?;
    if !output.status.success() {
        bail!(
            "the stream failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stdout)
        );
    }
    serde_json::from_slice(&output.stdout).context("the stream printed no JSON")
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
