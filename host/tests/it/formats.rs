//! The same rows in every format give the same answer, byte for byte.

use axum::body::Body;
use axum::http::Request;

use crate::host::{Answer, TestHost};

/// Headers and a body.
type Sent<'a> = (&'a [(&'a str, &'a str)], Vec<u8>);

async fn send(host: &TestHost, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut request = Request::post("/v1/detectors/pump/score");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    host.call(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn json_ndjson_csv_and_binary_give_one_answer() {
    let host = TestHost::with_pump().await;
    let values = [5.0_f64, 1.0, 50.0, 1.0];
    let doubles: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let floats: Vec<u8> = values
        .iter()
        .flat_map(|value| (*value as f32).to_le_bytes())
        .collect();
    let expected = host.score(r#"{"rows":[[5,1],[50,1]]}"#).await.bytes;
    let table: [Sent<'_>; 7] = [
        (
            &[("content-type", "application/x-www-form-urlencoded")],
            br#"{"rows":[{"f0":5,"f1":1},{"f0":50,"f1":1}]}"#.to_vec(),
        ),
        (
            &[("content-type", "application/json; charset=utf-8")],
            br#"{"columns":["f1","f0"],"rows":[[1,5],[1,50]]}"#.to_vec(),
        ),
        (
            &[("content-type", "application/x-ndjson")],
            b"{\"f0\":5,\"f1\":1}\n{\"f1\":1,\"f0\":50}\n".to_vec(),
        ),
        (
            &[("content-type", "text/csv")],
            b"f1,f0\n1,5\n1,50\n".to_vec(),
        ),
        (
            &[("content-type", "application/octet-stream")],
            doubles.clone(),
        ),
        (
            &[
                ("content-type", "application/octet-stream"),
                ("x-hodoscope-values", "f64"),
            ],
            doubles,
        ),
        (
            &[
                ("content-type", "application/octet-stream"),
                ("x-hodoscope-values", "f32"),
            ],
            floats,
        ),
    ];
    for (headers, body) in table {
        let answer = send(&host, headers, body).await;
        assert_eq!(
            String::from_utf8_lossy(&answer.bytes),
            String::from_utf8_lossy(&expected),
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn each_format_names_its_problems() {
    let host = TestHost::with_pump().await;
    for (kind, body, code) in [
        ("text/csv", "f0\n1\n", "missing_feature"),
        ("text/csv", "f0,f1\n1,hot\n", "not_a_number"),
        ("application/x-ndjson", "{\"f0\":1}\n", "missing_feature"),
        ("application/octet-stream", "123", "wrong_width"),
        ("application/octet-stream", "", "empty_batch"),
    ] {
        let answer = send(&host, &[("content-type", kind)], body.as_bytes().to_vec()).await;
        assert_eq!(answer.problem(), (422, code.to_owned()), "{kind} {body}");
    }
}
