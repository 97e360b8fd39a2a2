//! Canaries and shadows: who is answered by which release, and what is counted.

use axum::body::Body;
use axum::http::Request;
use hodoscope_release::Canary;

use crate::host::{TestHost, forest};

async fn with_canary(percent: u8) -> TestHost {
    let host = TestHost::with_pump().await;
    let pin = host.push("pump@1.1.0", &forest(2, 20.0, 8.0)).await;
    host.edit("pump", |wanted| {
        wanted.canary = Some(Canary {
            version: pin.version.clone(),
            digest: pin.digest,
            percent,
        });
    });
    host.poll().await;
    host
}

async fn answered(host: &TestHost, key: Option<&str>) -> String {
    let mut request = Request::post("/v1/detectors/pump/score");
    if let Some(key) = key {
        request = request.header("x-hodoscope-key", key);
    }
    let body = Body::from(r#"{"rows":[[1,2]]}"#);
    let answer = host.call(request.body(body).unwrap()).await;
    answer.json()["release"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_canary_answers_its_share_and_a_key_always_meets_the_same_release() {
    let host = with_canary(30).await;
    let mut canary = 0;
    for key in 0..400 {
        let key = format!("machine-{key}");
        let first = answered(&host, Some(&key)).await;
        assert_eq!(answered(&host, Some(&key)).await, first);
        canary += usize::from(first == "pump@1.1.0");
    }
    assert!((80..160).contains(&canary), "{canary} of 400");
    let mut without = 0;
    for _ in 0..400 {
        without += usize::from(answered(&host, None).await == "pump@1.1.0");
    }
    assert!((60..180).contains(&without), "{without} of 400");
}

#[tokio::test]
async fn a_canary_of_none_and_of_all() {
    let none = with_canary(0).await;
    let all = with_canary(100).await;
    for key in 0..50 {
        let key = key.to_string();
        assert_eq!(answered(&none, Some(&key)).await, "pump@1.0.0");
        assert_eq!(answered(&all, Some(&key)).await, "pump@1.1.0");
    }
}

#[tokio::test]
async fn a_shadow_is_compared_and_counted_and_never_answers() {
    let mut host = TestHost::with_pump().await;
    // Scores differ for normal rows, and rows between 10 and 20 are anomalies for the active release alone.
    let pin = host.push("pump@1.1.0", &forest(2, 20.0, 6.0)).await;
    host.edit("pump", |wanted| wanted.shadow = Some(pin.clone()));
    host.poll().await;
    let answer = host.score(r#"{"rows":[[1,0],[15,0],[50,0]]}"#).await;
    assert_eq!(answer.json()["release"], "pump@1.0.0");
    host.worker.drain().await;
    let line = host.roster("pump").await;
    assert_eq!(line["shadow"]["rows"], 3, "{line}");
    assert_eq!(line["shadow"]["flips"], 1, "{line}");
    assert_eq!(line["shadow"]["faults"], 0);
    assert!(line["shadow"]["max_difference"].as_f64().unwrap() > 0.05);
    let metrics = host.metrics().await;
    assert!(metrics.contains("hodoscope_shadow_rows_total{detector=\"pump\",version=\"1.1.0\"} 3"));
    assert!(
        metrics.contains("hodoscope_shadow_flips_total{detector=\"pump\",version=\"1.1.0\"} 1")
    );
}

#[tokio::test]
async fn copies_for_a_shadow_are_dropped_and_counted_when_too_many_wait() {
    let mut host = TestHost::with(&[("shadow_queue", "2")]).await;
    host.release("pump@1.0.0", &forest(2, 10.0, 8.0)).await;
    let pin = host.push("pump@1.1.0", &forest(2, 20.0, 8.0)).await;
    host.edit("pump", |wanted| wanted.shadow = Some(pin.clone()));
    host.poll().await;
    for _ in 0..5 {
        assert_eq!(host.answering().await, "pump@1.0.0");
    }
    host.worker.drain().await;
    let line = host.roster("pump").await;
    assert_eq!(
        (&line["shadow"]["rows"], &line["shadow"]["dropped"]),
        (&2.into(), &3.into())
    );
}

#[tokio::test]
async fn a_shadow_with_other_columns_gets_them_by_name() {
    let mut host = TestHost::with_pump().await;
    let wider = host.push("pump@1.1.0", &forest(3, 10.0, 8.0)).await;
    let narrower = host.push("pump@1.2.0", &forest(1, 10.0, 8.0)).await;
    for (pin, rows, dropped) in [(wider, 0, 1), (narrower, 1, 0)] {
        host.edit("pump", |wanted| wanted.shadow = Some(pin.clone()));
        host.poll().await;
        host.answering().await;
        host.worker.drain().await;
        let line = host.roster("pump").await;
        assert_eq!(
            (&line["shadow"]["rows"], &line["shadow"]["dropped"]),
            (&rows.into(), &dropped.into())
        );
    }
}
