//! The friendly routes and their problems.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use crate::host::{TestHost, forest};

#[tokio::test]
async fn scores_named_rows_and_says_which_release_answered() {
    let host = TestHost::with_pump().await;
    let answer = host
        .score(r#"{"rows":[{"f0":5,"f1":1},{"f1":1,"f0":50}]}"#)
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let json = answer.json();
    assert_eq!(json["anomalies"], serde_json::json!([false, true]));
    let scores: Vec<f64> = serde_json::from_value(json["scores"].clone()).unwrap();
    assert!((scores[0] - 2_f64.powf(-0.8)).abs() < 1e-9, "{scores:?}");
    assert!((scores[1] - 2_f64.powf(-0.1)).abs() < 1e-9, "{scores:?}");
    assert_eq!(json["release"], "pump@1.0.0");
    assert_eq!(json["threshold"], 0.8);
    assert!(json["digest"].as_str().unwrap().starts_with("sha256:"));
    let p_values: Vec<f64> = serde_json::from_value(json["p_values"].clone()).unwrap();
    assert!(p_values[0] > 0.01 && p_values[1] < 0.01, "{p_values:?}");
    assert!(json.get("explanations").is_none());
}

#[tokio::test]
async fn explains_which_feature_made_a_row_anomalous_and_the_sum_rule_holds() {
    let host = TestHost::with_pump().await;
    let answer = host
        .post(
            "/v1/detectors/pump/score?explain=true",
            r#"{"rows":[{"f0":50,"f1":1}]}"#,
        )
        .await;
    let json = answer.json();
    let explanation = &json["explanations"][0];
    assert_eq!(explanation["features"][0]["feature"], "f0");
    let attributed = explanation["features"][0]["attribution"].as_f64().unwrap();
    assert!(attributed > 0.0);
    let sum = explanation["baseline"].as_f64().unwrap() + attributed;
    assert!((sum - json["scores"][0].as_f64().unwrap().log2()).abs() < 1e-9);
}

#[tokio::test]
async fn serves_only_versions_in_the_roster() {
    let host = TestHost::with_pump().await;
    let path = |version: &str| format!("/v1/detectors/pump/versions/{version}/score");
    let answer = host.post(&path("1.0.0"), r#"{"rows":[[1,2]]}"#).await;
    assert_eq!(answer.json()["release"], "pump@1.0.0");
    let answer = host.post(&path("2.0.0"), r#"{"rows":[[1,2]]}"#).await;
    assert_eq!(answer.problem(), (404, "unknown_version".to_owned()));
    assert_eq!(answer.json()["known"], serde_json::json!(["1.0.0"]));
    let answer = host.get("/v1/detectors/pump/versions/1.0.0").await;
    assert_eq!(answer.json()["release"], "pump@1.0.0");
}

#[tokio::test]
async fn lists_and_describes_detectors() {
    let host = TestHost::with_pump().await;
    let list = host.get("/v1/detectors").await.json();
    assert_eq!(list["detectors"][0]["name"], "pump");
    assert_eq!(list["detectors"][0]["state"], "READY");
    let detector = host.get("/v1/detectors/pump").await.json();
    assert_eq!(
        detector["features"][0],
        serde_json::json!({"name": "f0", "unit": "bar"})
    );
    assert_eq!(detector["metadata"]["made-by"], "a test");
    assert_eq!(detector["trusted"], true);
    assert_eq!(detector["unproven"], false);
}

#[tokio::test]
async fn names_every_problem_of_a_request() {
    let host = TestHost::with(&[("body_limit_bytes", "100000")]).await;
    host.release("pump@1.0.0", &forest(2, 10.0, 8.0)).await;
    host.poll().await;
    let path = "/v1/detectors/pump/score";
    let json = "application/json";
    let large = format!("{{\"rows\":[[{}", "1,".repeat(100_000));
    let deep = "[".repeat(90_000);
    let deep_row = format!("{{\"rows\":[[{deep}");
    let table: &[(&str, &str, &str, u16, &str)] = &[
        (path, json, "", 400, "malformed"),
        (path, json, "{", 400, "malformed"),
        (path, json, "\u{0}", 400, "malformed"),
        (path, json, &deep, 400, "malformed"),
        (path, json, &deep_row, 400, "too_deep"),
        (path, json, &large, 413, "too_large"),
        (path, json, r#"{"rows":[]}"#, 422, "empty_batch"),
        (path, json, r#"{"rows":[[1,2,3]]}"#, 422, "wrong_width"),
        (path, json, r#"{"rows":[{"f0":1}]}"#, 422, "missing_feature"),
        (
            path,
            json,
            r#"{"rows":[{"f0":1,"f1":2,"f2":3}]}"#,
            422,
            "unknown_feature",
        ),
        (
            path,
            json,
            r#"{"rows":[{"f0":1,"f0":2,"f1":3}]}"#,
            422,
            "duplicate_feature",
        ),
        (
            path,
            json,
            r#"{"rows":[{"f0":"1","f1":2}]}"#,
            422,
            "not_a_number",
        ),
        (
            path,
            json,
            r#"{"rows":[{"f0":1e400,"f1":2}]}"#,
            422,
            "not_a_number",
        ),
        (
            path,
            json,
            r#"{"rows":[[1,2]],"rows":[]}"#,
            400,
            "duplicate_key",
        ),
        (path, json, r#"{"row":[[1,2]]}"#, 400, "unknown_key"),
        (path, "image/png", "x", 415, "unsupported_content_type"),
        (
            "/v1/detectors/pumpe/score",
            json,
            r#"{"rows":[[1,2]]}"#,
            404,
            "unknown_detector",
        ),
        (
            "/v1/detectors/..%2fpump/score",
            json,
            r#"{"rows":[[1,2]]}"#,
            404,
            "unknown_detector",
        ),
        (
            "/v1/detectors/%ff/score",
            json,
            r#"{"rows":[[1,2]]}"#,
            400,
            "malformed",
        ),
        (
            "/v1/detectors/pump/score?explian=true",
            json,
            r#"{"rows":[[1,2]]}"#,
            400,
            "unknown_key",
        ),
        (
            "/v1/detectors/pump/score?explain=maybe",
            json,
            r#"{"rows":[[1,2]]}"#,
            400,
            "malformed",
        ),
        (
            "/v1/detectors/pump/scores",
            json,
            r#"{"rows":[[1,2]]}"#,
            404,
            "not_found",
        ),
        ("/v1/detectors", json, "", 405, "method_not_allowed"),
    ];
    for (path, kind, body, status, code) in table {
        let request = Request::post(*path).header("content-type", *kind);
        let answer = host
            .call(request.body(Body::from((*body).to_owned())).unwrap())
            .await;
        let short: String = body.chars().take(60).collect();
        assert_eq!(
            answer.problem(),
            (*status, (*code).to_owned()),
            "{path} {short}"
        );
    }
    let request = Request::post(path).header("content-encoding", "gzip");
    let answer = host.call(request.body(Body::from("x")).unwrap()).await;
    assert_eq!(answer.problem(), (415, "unsupported_encoding".to_owned()));
    assert_eq!(host.answering().await, "pump@1.0.0");
}

#[tokio::test]
async fn a_problem_names_row_and_feature() {
    let host = TestHost::with_pump().await;
    let answer = host
        .score(r#"{"rows":[{"f0":1,"f1":2},{"f0":1,"f1":"hot"}]}"#)
        .await;
    let json = answer.json();
    assert_eq!(
        (&json["row"], &json["column"], &json["feature"]),
        (&1.into(), &1.into(), &"f1".into())
    );
    let answer = host.score(r#"{"rows":[{"f0":1}]}"#).await;
    assert_eq!(answer.json()["features"], serde_json::json!(["f1"]));
    let answer = host.get("/v1/detectors/fan").await;
    assert_eq!(answer.json()["known"], serde_json::json!(["pump"]));
}

#[tokio::test]
async fn a_body_that_is_said_to_be_too_long_is_not_read() {
    let host = TestHost::with_pump().await;
    let body = Body::new(Never);
    let request = Request::post("/v1/detectors/pump/score").header("content-length", "10000000");
    let answer = host.call(request.body(body).unwrap()).await;
    assert_eq!(answer.problem(), (413, "too_large".to_owned()));
}

#[tokio::test]
async fn a_body_that_never_comes_ends_in_time() {
    let host = TestHost::with(&[("read_timeout_ms", "20")]).await;
    host.release("pump@1.0.0", &forest(2, 10.0, 8.0)).await;
    host.poll().await;
    let body = Body::new(Never);
    let answer = host
        .call(
            Request::post("/v1/detectors/pump/score")
                .body(body)
                .unwrap(),
        )
        .await;
    assert_eq!(answer.problem(), (408, "read_timeout".to_owned()));
}

#[tokio::test]
async fn a_missing_value_is_null_and_scores_as_missing() {
    let host = TestHost::with_pump().await;
    let answer = host.score(r#"{"rows":[{"f0":null,"f1":1}]}"#).await;
    // The forest sends what is missing to the right, as above every value.
    assert_eq!(answer.json()["anomalies"], serde_json::json!([true]));
}

#[tokio::test]
async fn keeps_the_callers_request_id_and_makes_one_if_it_is_not_plain() {
    let host = TestHost::with_pump().await;
    let ask = |id: &'static str| {
        let request = Request::get("/v1/detectors/none").header("x-request-id", id);
        host.call(
            request
                .header(
                    "traceparent",
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                )
                .body(Body::empty())
                .unwrap(),
        )
    };
    let answer = ask("abc-1").await;
    assert_eq!(answer.headers["x-request-id"], "abc-1");
    assert_eq!(answer.json()["request_id"], "abc-1");
    let answer = ask("a b").await;
    assert_ne!(answer.headers["x-request-id"], "a b");
}

/// A body that never sends anything.
struct Never;

impl hyper::body::Body for Never {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, std::io::Error>>> {
        std::task::Poll::Pending
    }
}
