//! Uploads: taken only when allowed, checked before they are stored, and never served by themselves.

use axum::body::Body;
use axum::http::Request;

use crate::host::{Answer, TOKEN, TestHost, forest, pump};

async fn put(host: &TestHost, path: &str, token: &str, body: Vec<u8>) -> Answer {
    let request = Request::put(path).header("authorization", format!("Bearer {token}"));
    host.operate(request.body(Body::from(body)).unwrap()).await
}

const PATH: &str = "/v1/detectors/fan/versions/0.1.0";

#[tokio::test]
async fn an_upload_is_gated_stored_and_not_served() {
    let host = TestHost::with(&[("accept_uploads", "true")]).await;
    host.poll().await;
    let answer = put(&host, PATH, TOKEN, pump()).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    let json = answer.json();
    assert_eq!(json["release"], "fan@0.1.0");
    assert_eq!(json["report"]["trusted"], true);
    let entry = host
        .store()
        .await
        .index(&"fan@0.1.0".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(entry.digest.to_string(), json["digest"]);
    assert_eq!(put(&host, PATH, TOKEN, pump()).await.status, 200);
    let other = put(&host, PATH, TOKEN, forest(2, 11.0, 8.0)).await;
    assert_eq!(other.problem(), (409, "version_taken".to_owned()));
    host.poll().await;
    assert_eq!(host.get("/v1/detectors/fan").await.status, 404);
    let folder = host.folder.path().join("home/cache/uploads");
    assert_eq!(
        std::fs::read_dir(folder).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[tokio::test]
async fn refuses_without_the_token_without_the_switch_and_what_the_gate_refuses() {
    let host = TestHost::with(&[
        ("accept_uploads", "true"),
        ("component_limit_bytes", "1000000"),
    ])
    .await;
    for token in ["", "wrong", &TOKEN[1..]] {
        let answer = put(&host, PATH, token, pump()).await;
        assert_eq!(answer.problem(), (401, "unauthorized".to_owned()));
        assert!(answer.headers.contains_key("www-authenticate"));
    }
    let answer = put(&host, PATH, TOKEN, b"hello".to_vec()).await;
    assert_eq!(answer.problem(), (422, "component_refused".to_owned()));
    for member in ["reason", "found", "supported", "fix"] {
        assert!(answer.json()[member].is_string(), "{member}");
    }
    let answer = put(&host, PATH, TOKEN, vec![0; 1_000_001]).await;
    assert_eq!(answer.problem(), (413, "too_large".to_owned()));
    for path in [
        "/v1/detectors/Fan/versions/0.1.0",
        "/v1/detectors/fan/versions/1",
        "/v1/detectors/fan/versions/1.0.0%2Bx",
        "/v1/detectors/..%2ffan/versions/1.0.0",
    ] {
        assert_eq!(
            put(&host, path, TOKEN, pump()).await.problem(),
            (400, "malformed".to_owned()),
            "{path}"
        );
    }
    let closed = TestHost::new().await;
    assert_eq!(
        put(&closed, PATH, TOKEN, pump()).await.problem(),
        (403, "uploads_off".to_owned())
    );
    assert_eq!(put(&closed, PATH, "", pump()).await.problem().0, 401);
    let data = Request::put(PATH).body(Body::empty()).unwrap();
    assert_eq!(
        closed.call(data).await.problem(),
        (405, "method_not_allowed".to_owned())
    );
}
