//! Reloads: what a promote, a bad release, a bad document, a store that is down and a restart do to what is served.

use std::os::unix::fs::symlink;
use std::time::Duration;

use hodoscope_release::{Canary, ChannelDocument, DetectorChannel, Pin};

use crate::host::{TestHost, forest, pump};

/// A component that the gate refuses.
const BAD: &[u8] = b"\x7fELF is no component";

fn document(pins: &[(&str, DetectorChannel)]) -> String {
    let detectors = pins
        .iter()
        .map(|(name, wanted)| (name.parse().unwrap(), wanted.clone()));
    let document = ChannelDocument {
        detectors: detectors.collect(),
    };
    // The end of a line says that the document is whole.
    serde_json::to_string(&document).unwrap() + "\n"
}

fn wants(pin: &Pin) -> DetectorChannel {
    DetectorChannel::first(pin.clone())
}

#[tokio::test]
async fn a_promote_swaps_and_a_rollback_swaps_back() {
    let host = TestHost::with_pump().await;
    host.release("pump@1.1.0", &forest(2, 20.0, 8.0)).await;
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.1.0");
    let name = "pump".parse().unwrap();
    hodoscope_registry::channels::edit(host.channel(), &name, |document| document.rollback(&name))
        .unwrap();
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    assert_eq!(host.roster("pump").await["running"]["standing"], "wanted");
}

#[tokio::test]
async fn a_release_that_does_not_load_leaves_what_runs_and_says_why_everywhere() {
    let host = TestHost::with_pump().await;
    host.release("pump@1.1.0", BAD).await;
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    let line = host.roster("pump").await;
    assert_eq!(line["state"], "READY");
    assert_eq!(line["differs"], true);
    assert_eq!(line["running"]["standing"], "kept");
    assert!(
        line["reason"].as_str().unwrap().contains("not_a_component"),
        "{line}"
    );
    assert_eq!(line["releases"][0]["state"], "UNAVAILABLE");
    let metrics = host.metrics().await;
    assert!(
        metrics.contains("hodoscope_detector_differs{detector=\"pump\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("hodoscope_loads_total{detector=\"pump\",outcome=\"not_a_component\"} 1")
    );
    host.poll_after(Duration::from_secs(3600)).await;
    assert!(
        host.metrics()
            .await
            .contains("outcome=\"not_a_component\"} 1"),
        "the same bytes are not gated again"
    );
    host.release("pump@1.1.1", &forest(2, 20.0, 8.0)).await;
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.1.1");
    assert_eq!(host.roster("pump").await["reason"], serde_json::Value::Null);
}

#[tokio::test]
async fn after_a_restart_on_a_bad_pin_the_release_before_answers_as_fallback() {
    let host = TestHost::with_pump().await;
    host.release("pump@1.1.0", BAD).await;
    host.poll().await;
    let host = host.restart();
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    let line = host.roster("pump").await;
    assert_eq!(line["running"]["standing"], "fallback");
    assert!(
        host.metrics()
            .await
            .contains("hodoscope_detector_fallback{detector=\"pump\"} 1")
    );
    let index = host.post("/v2/repository/index", "").await.json();
    assert!(
        index[0]["reason"].as_str().unwrap().starts_with("FALLBACK"),
        "{index}"
    );
}

#[tokio::test]
async fn a_fresh_host_on_a_bad_pin_serves_previous_as_fallback() {
    let host = TestHost::new().await;
    host.release("pump@1.0.0", &pump()).await;
    host.release("pump@1.1.0", BAD).await;
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    assert_eq!(host.roster("pump").await["running"]["standing"], "fallback");
}

#[tokio::test]
async fn after_two_bad_promotes_and_a_restart_what_ran_still_answers() {
    let host = TestHost::with_pump().await;
    host.release("pump@1.1.0", BAD).await;
    host.release("pump@1.2.0", &[BAD, b"2"].concat()).await;
    host.poll().await;
    let host = host.restart();
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
}

#[tokio::test]
async fn without_anything_that_loads_it_answers_503_with_the_reason() {
    let host = TestHost::new().await;
    host.release("pump@1.0.0", BAD).await;
    host.poll().await;
    let answer = host.score(r#"{"rows":[[1,2]]}"#).await;
    assert_eq!(answer.problem(), (503, "not_ready".to_owned()));
    assert!(
        answer.json()["error"]
            .as_str()
            .unwrap()
            .contains("not_a_component")
    );
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(host.get("/v2/health/ready").await.status, 503);
}

#[tokio::test]
async fn follows_the_layout_of_a_mounted_config_map() {
    let host = TestHost::new().await;
    let (one, two) = (
        host.push("pump@1.0.0", &pump()).await,
        host.push("pump@1.1.0", &forest(2, 20.0, 8.0)).await,
    );
    let folder = host.channel().to_owned();
    std::fs::create_dir_all(&folder).unwrap();
    // As kubelet's atomic writer does: a new dated folder, then a rename over `..data`, then the old one goes.
    let publish = |stamp: &str, text: &str| {
        let data = folder.join(stamp);
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("channel.json"), text).unwrap();
        symlink(stamp, folder.join("..data_tmp")).unwrap();
        let before = std::fs::read_link(folder.join("..data"));
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        if let Ok(before) = before {
            std::fs::remove_dir_all(folder.join(before)).unwrap();
        }
    };
    publish("..2026_11_24_01", &document(&[("pump", wants(&one))]));
    symlink("..data/channel.json", folder.join("channel.json")).unwrap();
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    publish("..2026_11_24_02", &document(&[("pump", wants(&two))]));
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.1.0");
    publish("..2026_11_24_03", "{\"detectors\": {\"pu");
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.1.0");
    assert_eq!(host.document_state().await, "invalid");
    publish("..2026_11_24_04", &document(&[("pump", wants(&one))]));
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    assert_eq!(host.document_state().await, "valid");
}

#[tokio::test]
async fn an_editors_writes_swap_and_what_is_half_written_changes_nothing() {
    let host = TestHost::with_pump().await;
    let two = host.push("pump@1.1.0", &forest(2, 20.0, 8.0)).await;
    let file = host.channel().join("pump.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    for broken in [
        "",
        "detectors:\n  pump:\n    act",
        "detectors: [",
        "\0\0\0\0",
        "detectors:\n  pump: {}\n",
        "detectors: {}\nextra: 1\n",
    ] {
        std::fs::write(&file, broken).unwrap();
        host.poll().await;
        assert_eq!(host.answering().await, "pump@1.0.0", "{broken:?}");
        assert_eq!(host.document_state().await, "invalid", "{broken:?}");
        assert_eq!(
            host.get("/v2/health/ready").await.status,
            200,
            "a bad document never changes readiness"
        );
    }
    // Rename over, as vim does.
    let beside = host.channel().join(".pump.yaml.swp");
    std::fs::write(&beside, document(&[("pump", wants(&two))])).unwrap();
    std::fs::rename(&beside, &file).unwrap();
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.1.0");
    // Truncate and write, as nano does.
    std::fs::write(&file, good).unwrap();
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
}

#[tokio::test]
async fn a_bad_document_holds_across_a_restart() {
    let host = TestHost::with_pump().await;
    std::fs::write(host.channel().join("pump.yaml"), "detectors: [").unwrap();
    let host = host.restart();
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    assert_eq!(host.document_state().await, "invalid");
}

#[tokio::test]
async fn a_vanished_detector_stays_served_and_only_retired_unloads_it() {
    let host = TestHost::with_pump().await;
    host.release("fan@1.0.0", &forest(3, 1.0, 8.0)).await;
    host.poll().await;
    let file = host.channel().join("pump.yaml");
    let kept = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    let line = host.roster("pump").await;
    assert_eq!(line["running"]["standing"], "vanished");
    assert!(
        line["reason"].as_str().unwrap().contains("retired"),
        "{line}"
    );
    let host = host.restart();
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    std::fs::write(&file, kept).unwrap();
    host.edit("pump", |wanted| wanted.retired = true);
    host.poll().await;
    assert_eq!(
        host.score("{}").await.problem(),
        (404, "unknown_detector".to_owned())
    );
    let host = host.restart();
    host.poll().await;
    assert_eq!(host.score("{}").await.problem().0, 404);
    assert_eq!(host.get("/v2/health/ready").await.status, 200);
}

#[tokio::test]
async fn a_folder_that_is_deleted_and_made_again_unserves_nothing() {
    let host = TestHost::with_pump().await;
    let text = std::fs::read_to_string(host.channel().join("pump.yaml")).unwrap();
    std::fs::remove_dir_all(host.channel()).unwrap();
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    assert_eq!(host.document_state().await, "absent");
    std::fs::create_dir_all(host.channel()).unwrap();
    std::fs::write(host.channel().join("pump.yaml"), text).unwrap();
    host.poll().await;
    assert_eq!(host.document_state().await, "valid");
}

#[tokio::test]
async fn a_store_that_is_down_at_the_start_is_tried_again_with_growing_pauses() {
    let host = TestHost::new().await;
    host.release("pump@1.0.0", &pump()).await;
    let store = host.folder.path().join("home/store");
    let away = host.folder.path().join("away");
    std::fs::rename(&store, &away).unwrap();
    host.poll().await;
    assert_eq!(
        host.score("{}").await.problem(),
        (503, "not_ready".to_owned())
    );
    host.poll_after(Duration::from_millis(500)).await;
    let tried = |metrics: String| {
        metrics
            .lines()
            .filter(|line| line.starts_with("hodoscope_loads_total"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(
        tried(host.metrics().await)[0].ends_with(" 1"),
        "not due yet"
    );
    host.poll_after(Duration::from_secs(1)).await;
    assert!(tried(host.metrics().await)[0].ends_with(" 2"));
    std::fs::rename(&away, &store).unwrap();
    host.poll_after(Duration::from_secs(3)).await;
    assert_eq!(host.answering().await, "pump@1.0.0");
}

#[tokio::test]
async fn a_restart_while_the_store_is_down_serves_from_the_local_copy() {
    let host = TestHost::with_pump().await;
    std::fs::remove_dir_all(host.folder.path().join("home/store")).unwrap();
    let host = host.restart();
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
}

#[tokio::test]
async fn a_damaged_local_copy_is_fetched_again_and_a_damaged_store_is_refused() {
    let host = TestHost::with_pump().await;
    let copies = host.folder.path().join("home/cache/components");
    let copy = std::fs::read_dir(&copies)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let good = std::fs::read(&copy).unwrap();
    let mut flipped = good.clone();
    flipped[1000] ^= 1;
    std::fs::write(&copy, &flipped).unwrap();
    let host = host.restart();
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    assert_eq!(std::fs::read(&copy).unwrap(), good);
    let blobs = host.folder.path().join("home/store/blobs/sha256");
    let blob = std::fs::read_dir(&blobs)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::remove_file(&copy).unwrap();
    std::fs::write(&blob, &flipped).unwrap();
    let host = host.restart();
    host.poll().await;
    assert_eq!(host.score("{}").await.problem().0, 503);
    assert!(
        host.roster("pump").await["reason"]
            .as_str()
            .unwrap()
            .contains("damaged")
    );
}

#[tokio::test]
async fn a_yanked_release_is_not_loaded_but_one_that_runs_stays() {
    let host = TestHost::with_pump().await;
    host.store()
        .await
        .yank(&"pump@1.0.0".parse().unwrap(), "bad day")
        .await
        .unwrap();
    host.poll_after(Duration::from_secs(60)).await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    let host = host.restart();
    host.poll().await;
    let answer = host.score("{}").await;
    assert_eq!(answer.problem().0, 503);
    assert!(answer.json()["error"].as_str().unwrap().contains("bad day"));
}

#[tokio::test]
async fn a_detector_changes_as_a_whole_or_not_at_all() {
    let host = TestHost::with_pump().await;
    let two = host.push("pump@1.1.0", &forest(2, 20.0, 8.0)).await;
    let bad = host.push("pump@1.2.0", BAD).await;
    host.edit("pump", |wanted| {
        *wanted = wanted.promoted(two.clone());
        wanted.shadow = Some(bad.clone());
    });
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.0");
    assert!(
        host.roster("pump").await["reason"]
            .as_str()
            .unwrap()
            .contains("shadow 1.2.0 did not load")
    );
    host.edit("pump", |wanted| wanted.shadow = None);
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.1.0");
}

#[tokio::test]
async fn a_bad_detector_does_not_keep_a_good_one_from_changing() {
    let host = TestHost::with_pump().await;
    host.release("fan@1.0.0", BAD).await;
    host.release("pump@1.1.0", &forest(2, 20.0, 8.0)).await;
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.1.0");
    assert_eq!(host.roster("fan").await["state"], "UNAVAILABLE");
    assert_eq!(host.get("/v2/health/ready").await.status, 200);
}

#[tokio::test]
async fn a_canary_that_becomes_active_is_not_loaded_twice() {
    let host = TestHost::with_pump().await;
    let two = host.push("pump@1.1.0", &forest(2, 20.0, 8.0)).await;
    host.edit("pump", |wanted| {
        wanted.canary = Some(Canary {
            version: two.version.clone(),
            digest: two.digest,
            percent: 10,
        });
    });
    host.poll().await;
    host.promote("pump", &two);
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.1.0");
    assert!(
        host.metrics()
            .await
            .contains("hodoscope_loads_total{detector=\"pump\",outcome=\"ok\"} 2")
    );
}
