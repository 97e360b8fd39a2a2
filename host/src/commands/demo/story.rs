//! The steps, each with what must hold.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, bail, ensure};
use hyper::Method;
use serde_json::Value;

use super::host::Host;
use super::shell::{Shell, number, text};

/// Rows per second of the streams: enough to see a day of a pump every second, light on a laptop.
const RATE: u32 = 4000;
/// The second at which drift sets in, and how long it grows.
const DRIFT_AT: usize = 5;
const DRIFT_GROWS: usize = 3;
/// How long the drifting stream lasts.
const STREAM: usize = 14;
/// Rows recorded from the end of that stream: all of them after drift has grown.
const RECENT: usize = (STREAM - DRIFT_AT - DRIFT_GROWS) * RATE as usize;
/// Swaps under load; an even number ends where it began.
const SWAPS: u32 = 20;

const NORMAL: &str = r#"{"rows":[{"ambient_c":18,"rpm":2060,"flow_m3_h":113.7,"discharge_bar":3.62,"motor_a":35.4,"bearing_c":53,"vibration_mm_s":1.53,"oil_bar":2.96}]}"#;
const HOT: &str = r#"{"rows":[{"ambient_c":18,"rpm":2060,"flow_m3_h":113.7,"discharge_bar":3.62,"motor_a":35.4,"bearing_c":97,"vibration_mm_s":2.2,"oil_bar":2.2}]}"#;

/// Tells the story; the host is left running.
pub(super) async fn tell(shell: &Shell) -> anyhow::Result<Host> {
    shell.say("A day in the life of an anomaly detector. Everything lies in one folder:");
    shell.say(&format!("    {}", shell.folder().display()));
    first_release(shell)?;
    let mut host = serve(shell).await?;
    score(shell, &host).await?;
    drift(shell)?;
    second_release(shell)?;
    promote_under_load(shell, &mut host).await?;
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

    shell.step(
        4,
        "Push it through the gate into the store, and let the local channel want it.",
    );
    shell.run("push pump-1.wasm --version 1.0.0")?;
    shell.run("promote pump@1.0.0")?;
    Ok(())
}

async fn serve(shell: &Shell) -> anyhow::Result<Host> {
    shell.step(5, "Serve what the channel wants.");
    let host = Host::start(shell, "pump").await?;
    shell.say(&format!("    ready on {}", host.url()));
    Ok(host)
}

async fn score(shell: &Shell, host: &Host) -> anyhow::Result<()> {
    shell.step(
        6,
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

fn drift(shell: &Shell) -> anyhow::Result<()> {
    shell.step(7, &format!("Stream live telemetry. At second {DRIFT_AT} the pumps begin to wear: no fault, but new."));
    let summary = shell.run(&format!(
        "simulate --detector pump --rate {RATE} --batch 20 --duration {STREAM} --drift-at {DRIFT_AT} --drift-ramp \
         {DRIFT_GROWS} --seed 2 --record recent.csv --record-last {RECENT}"
    ))?;
    no_failures(&summary)?;
    let before = false_alarms(&summary, 0..DRIFT_AT)?;
    let after = false_alarms(&summary, DRIFT_AT + DRIFT_GROWS..STREAM)?;
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
    Ok(())
}

fn second_release(shell: &Shell) -> anyhow::Result<()> {
    shell.step(
        8,
        "Train again on what was just seen, push it as 1.1.0, and compare both on those rows.",
    );
    shell.run(
        "train recent.csv --name pump --label label --contamination 0.012 --out pump-2.wasm",
    )?;
    shell.run("push pump-2.wasm --version 1.1.0")?;
    let evidence = shell.run("evaluate pump@1.0.0 pump@1.1.0 --rows recent.csv --label label")?;
    let old = number(&evidence, "/current/false_alarm_rate")?;
    let new = number(&evidence, "/candidate/false_alarm_rate")?;
    let found = number(&evidence, "/candidate/recall")?;
    shell.say(&format!(
        "    false alarms {} -> {}, anomalies found {} -> {}, {} of the verdicts flip",
        percent(old),
        percent(new),
        percent(number(&evidence, "/current/recall")?),
        percent(found),
        percent(number(&evidence, "/flip_rate")?)
    ));
    ensure!(
        new < 0.03 && new < old / 3.0,
        "the new release is no better: {}",
        percent(new)
    );
    ensure!(
        found > 0.5,
        "the new release finds too little: {}",
        percent(found)
    );
    Ok(())
}

async fn promote_under_load(shell: &Shell, host: &mut Host) -> anyhow::Result<()> {
    shell.step(9, "Promote it while requests run.");
    let line = format!(
        "simulate --detector pump --rate {RATE} --batch 20 --duration 9 --drift-at 0 --drift-ramp 0 --seed 3"
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
    shell.run("promote pump@1.1.0")?;
    let wanted =
        |answer: &Value| answer.get("release").and_then(Value::as_str) == Some("pump@1.1.0");
    let took = host
        .wait_until("/v1/detectors/pump", "it serves pump@1.1.0", wanted)
        .await?;
    shell.say(&format!(
        "    swapped after {:.0} ms",
        took.as_secs_f64() * 1e3
    ));
    for line in lines {
        shell.say(&format!("    {}", line?));
    }
    let summary = finished(stream)?;
    no_failures(&summary)?;
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

fn swap_under_load(shell: &Shell) -> anyhow::Result<()> {
    shell.step(
        10,
        &format!("Swap {SWAPS} times, back and forth, under load."),
    );
    let summary = shell.run(&format!(
        "simulate --detector pump --rate {RATE} --batch 20 --duration 2 --drift-at 0 --drift-ramp 0 --seed 4 --swaps {SWAPS}"
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
    shell.step(11, "Roll back: one command, one edit of the channel.");
    shell.run("rollback pump")?;
    let wanted =
        |answer: &Value| answer.get("release").and_then(Value::as_str) == Some("pump@1.0.0");
    let took = host
        .wait_until("/v1/detectors/pump", "it serves pump@1.0.0", wanted)
        .await?;
    shell.say(&format!(
        "    pump@1.0.0 serves again after {:.0} ms",
        took.as_secs_f64() * 1e3
    ));
    shell.run("status")?;
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
