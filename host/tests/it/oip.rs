//! The Open Inference Protocol and Triton's extensions, byte for byte where bytes matter.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::host::{Answer, TestHost, forest};

async fn infer(host: &TestHost, body: &Value) -> Answer {
    host.post("/v2/models/pump/infer", body.to_string()).await
}

fn rows(data: Value) -> Value {
    json!({ "name": "rows", "shape": [2, 2], "datatype": "FP64", "data": data })
}

#[tokio::test]
async fn tells_what_it_is_and_what_is_ready() {
    let host = TestHost::new().await;
    assert_eq!(host.get("/v2/health/ready").await.status, 503);
    host.release("pump@1.0.0", &forest(2, 10.0, 8.0)).await;
    host.poll().await;
    assert_eq!(
        host.get("/v2/health/live").await.json(),
        json!({ "live": true })
    );
    assert_eq!(
        host.get("/v2/health/ready").await.json(),
        json!({ "live": true, "ready": true })
    );
    let server = host.get("/v2").await.json();
    assert_eq!(
        server["extensions"],
        json!(["binary_tensor_data", "model_repository"])
    );
    let model = host.get("/v2/models/pump").await.json();
    assert_eq!(model["versions"], json!(["1.0.0"]));
    assert_eq!(model["inputs"][0]["shape"], json!([-1, 2]));
    assert_eq!(
        model["inputs"][0]["parameters"]["features"],
        json!(["f0", "f1"])
    );
    assert_eq!(host.get("/v2/models/pump/ready").await.status, 200);
    assert_eq!(
        host.get("/v2/models/pump/versions/1.0.0/ready")
            .await
            .status,
        200
    );
    assert_eq!(
        host.get("/v2/models/pump/versions/9.0.0/ready")
            .await
            .status,
        404
    );
    assert_eq!(host.get("/v2/models/fan/ready").await.status, 404);
}

#[tokio::test]
async fn infers_from_flat_nested_and_per_feature_tensors() {
    let host = TestHost::with_pump().await;
    let expected = infer(&host, &json!({ "inputs": [rows(json!([5, 1, 50, 1]))] }))
        .await
        .json();
    assert_eq!(expected["model_name"], "pump");
    assert_eq!(expected["model_version"], "1.0.0");
    assert_eq!(expected["outputs"][0]["name"], "score");
    assert_eq!(expected["outputs"][1]["data"], json!([false, true]));
    let column = |name: &str, datatype: &str, data: Value| json!({ "name": name, "shape": [2, 1], "datatype": datatype, "data": data });
    for inputs in [
        json!([rows(json!([[5, 1], [50, 1]]))]),
        json!([
            column("f1", "INT8", json!([1, 1])),
            column("f0", "UINT16", json!([5, 50]))
        ]),
        json!([
            column("f0", "FP32", json!([[5.0], [50.0]])),
            column("f1", "BOOL", json!([true, true]))
        ]),
    ] {
        let answer = infer(&host, &json!({ "inputs": inputs })).await.json();
        assert_eq!(answer, expected, "{inputs}");
    }
}

#[tokio::test]
async fn gives_the_outputs_that_are_asked_for_and_echoes_the_id() {
    let host = TestHost::with_pump().await;
    let names = [
        "score",
        "score_samples",
        "anomaly",
        "p_value",
        "explanation",
    ];
    let outputs: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    let body = json!({ "id": "a\"b", "inputs": [rows(json!([5, 1, 50, 1]))], "outputs": outputs });
    let answer = infer(&host, &body).await.json();
    assert_eq!(answer["id"], "a\"b");
    let data = |i: usize| {
        serde_json::from_value::<Vec<f64>>(answer["outputs"][i]["data"].clone()).unwrap()
    };
    assert_eq!(
        data(0),
        data(1).iter().map(|score| -score).collect::<Vec<_>>()
    );
    assert_eq!(answer["outputs"][4]["shape"], json!([2, 2]));
    assert!(data(4)[2] > 0.0 && data(4)[3] == 0.0);
}

#[tokio::test]
async fn understands_the_binary_tensor_extension_both_ways() {
    let host = TestHost::with_pump().await;
    let head = json!({
        "inputs": [{ "name": "rows", "shape": [2, 2], "datatype": "FP32", "parameters": { "binary_data_size": 16 } }],
        "outputs": [{ "name": "score", "parameters": { "binary_data": true } }, { "name": "anomaly", "parameters": { "binary_data": true } }],
    })
    .to_string();
    let mut body = head.clone().into_bytes();
    body.extend(
        [5.0_f32, 1.0, 50.0, 1.0]
            .iter()
            .flat_map(|value| value.to_le_bytes()),
    );
    let send = |length: usize, body: Vec<u8>| {
        let request = Request::post("/v2/models/pump/infer")
            .header("Inference-Header-Content-Length", length);
        host.call(
            request
                .header("content-type", "application/octet-stream")
                .body(Body::from(body))
                .unwrap(),
        )
    };
    let answer = send(head.len(), body.clone()).await;
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.bytes)
    );
    let length: usize = answer.headers["inference-header-content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    let (json, bytes) = answer.bytes.split_at(length);
    let json: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], 16);
    assert_eq!(json["outputs"][1]["parameters"]["binary_data_size"], 2);
    assert!(json["outputs"][0].get("data").is_none());
    let plain = infer(&host, &json!({ "inputs": [rows(json!([5, 1, 50, 1]))] }))
        .await
        .json();
    let scores: Vec<f64> = serde_json::from_value(plain["outputs"][0]["data"].clone()).unwrap();
    let mut expected: Vec<u8> = scores
        .iter()
        .flat_map(|score| score.to_le_bytes())
        .collect();
    expected.extend([0, 1]);
    assert_eq!(bytes, expected);
    for (length, body) in [
        (head.len() + 17, body.clone()),
        (head.len() - 1, body.clone()),
        (head.len(), body[..body.len() - 1].to_vec()),
        (head.len(), [body.clone(), vec![0]].concat()),
    ] {
        assert_eq!(
            send(length, body).await.problem(),
            (400, "malformed".to_owned())
        );
    }
}

#[tokio::test]
async fn names_what_is_wrong_with_a_request() {
    let host = TestHost::with_pump().await;
    let tensor = |shape: Value, datatype: &str, data: Value| json!({ "inputs": [{ "name": "x", "shape": shape, "datatype": datatype, "data": data }] });
    let deep: Value = (0..100).fold(json!(1), |inner, _| json!([inner]));
    for (body, status, code) in [
        (json!({}), 400, "malformed"),
        (json!({ "inputs": [] }), 400, "malformed"),
        (
            tensor(json!([1, 2]), "BYTES", json!([1, 2])),
            400,
            "unsupported_datatype",
        ),
        (
            tensor(json!([1, 2]), "FP64", json!(["a", "b"])),
            400,
            "malformed",
        ),
        (
            tensor(json!([2, 2]), "FP64", json!([1, 2])),
            400,
            "malformed",
        ),
        (
            tensor(json!([-1, 2]), "FP64", json!([1, 2])),
            400,
            "malformed",
        ),
        (
            tensor(json!([i64::MAX, i64::MAX]), "FP64", json!([1, 2])),
            400,
            "malformed",
        ),
        (
            tensor(json!([1, 1, 2]), "FP64", json!([1, 2])),
            400,
            "malformed",
        ),
        (
            tensor(json!([1, 3]), "FP64", json!([1, 2, 3])),
            422,
            "wrong_width",
        ),
        (tensor(json!([0, 2]), "FP64", json!([])), 422, "empty_batch"),
        (tensor(json!([1]), "FP64", deep), 422, "wrong_width"),
        (
            json!({ "inputs": [rows(json!([1, 2, 3, 4]))], "outputs": [{ "name": "scores" }] }),
            400,
            "unknown_output",
        ),
        (
            json!({ "inputs": [{ "name": "f0", "shape": [1], "datatype": "FP64", "data": [1] }] }),
            422,
            "missing_feature",
        ),
    ] {
        let answer = infer(&host, &body).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{body}");
    }
    let nested = format!(
        "{{\"inputs\":[{{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP64\",\"data\":{}",
        "[".repeat(100_000)
    );
    assert_eq!(
        host.post("/v2/models/pump/infer", nested).await.problem().0,
        400
    );
}

#[tokio::test]
async fn the_index_lists_each_release_with_state_and_reason() {
    let host = TestHost::with_pump().await;
    host.release("pump@1.1.0", b"not a component").await;
    host.poll().await;
    let index = host.post("/v2/repository/index", "").await.json();
    assert_eq!(index[0]["version"], "1.0.0");
    assert_eq!(index[0]["state"], "READY");
    assert_eq!(index[1]["version"], "1.1.0");
    assert_eq!(index[1]["state"], "UNAVAILABLE");
    assert!(
        index[1]["reason"]
            .as_str()
            .unwrap()
            .contains("not_a_component"),
        "{index}"
    );
    let ready = host
        .post("/v2/repository/index", r#"{"ready":true}"#)
        .await
        .json();
    assert_eq!(ready.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn under_a_channel_load_gates_again_and_unload_is_refused() {
    let host = TestHost::with_pump().await;
    let load = "/v2/repository/models/pump/load";
    let unload = "/v2/repository/models/pump/unload";
    let bare = Request::post(load).body(Body::empty()).unwrap();
    assert_eq!(
        host.operate(bare).await.problem(),
        (401, "unauthorized".to_owned())
    );
    let wrong = Request::post(load)
        .header("authorization", "Bearer nope")
        .body(Body::empty())
        .unwrap();
    assert_eq!(host.operate(wrong).await.problem().0, 401);
    assert_eq!(host.command(load, "").await.status, 200);
    assert_eq!(
        host.command(unload, "").await.problem(),
        (409, "channel_owned".to_owned())
    );
    assert_eq!(
        host.command("/v2/repository/models/fan/load", "")
            .await
            .problem(),
        (404, "unknown_detector".to_owned())
    );
    assert_eq!(
        host.command(load, r#"{"parameters":{"version":"1.0.0"}}"#)
            .await
            .problem()
            .0,
        409
    );
    assert_eq!(host.answering().await, "pump@1.0.0");
}

#[tokio::test]
async fn with_dev_load_and_unload_act_freely_until_the_channel_changes() {
    let host = TestHost::with(&[("dev", "true")]).await;
    host.release("pump@1.0.0", &forest(2, 10.0, 8.0)).await;
    host.push("pump@2.0.0", &forest(2, 20.0, 8.0)).await;
    host.poll().await;
    let load = "/v2/repository/models/pump/load";
    assert_eq!(
        host.command(load, r#"{"parameters":{"version":"2.0.0"}}"#)
            .await
            .status,
        200
    );
    assert_eq!(host.answering().await, "pump@2.0.0");
    assert_eq!(
        host.command("/v2/repository/models/pump/unload", "")
            .await
            .status,
        200
    );
    assert_eq!(
        host.score("{}").await.problem(),
        (503, "not_ready".to_owned())
    );
    host.poll().await;
    assert_eq!(host.score("{}").await.problem().0, 503);
    host.release("pump@1.0.1", &forest(2, 11.0, 8.0)).await;
    host.poll().await;
    assert_eq!(host.answering().await, "pump@1.0.1");
}
