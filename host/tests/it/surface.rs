//! What the outside sees, frozen as text: the routes, and the names of the metrics.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use hodoscope::telemetry::table;
use serde_json::Value;

use crate::host::{TestHost, forest};

/// The operations of a document, as `POST /path`.
fn described(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .keys()
            .map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    operations.collect()
}

/// The operations that a function of the router adds, read from its text: axum does not list its routes.
fn routed(function: &str) -> BTreeSet<String> {
    let source = include_str!("../../src/http/router.rs");
    let body = source.split(&format!("pub fn {function}(")).nth(1).unwrap();
    let body = body.split("finish(router").next().unwrap();
    let routes = body.split(".route(").skip(1).map(|route| {
        let path = route.split('"').nth(1).unwrap();
        let rest = route.split('"').nth(2).unwrap();
        let method = rest
            .trim_start_matches([',', ' ', '\n'])
            .split('(')
            .next()
            .unwrap()
            .trim();
        format!("{} {path}", method.to_uppercase())
    });
    routes.collect()
}

#[tokio::test]
async fn the_openapi_documents_describe_exactly_the_routes() {
    let host = TestHost::new().await;
    let data = host.get("/openapi.json").await.json();
    let admin = host
        .operate(Request::get("/openapi.json").body(Body::empty()).unwrap())
        .await
        .json();
    assert_eq!(described(&data), routed("data"));
    assert_eq!(described(&admin), routed("admin"));
    let shown: Vec<String> = described(&data)
        .into_iter()
        .map(|route| format!("data  {route}"))
        .chain(
            described(&admin)
                .into_iter()
                .map(|route| format!("admin {route}")),
        )
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[tokio::test]
async fn metric_names_are_in_base_units_and_frozen() {
    for (name, help, labels) in table() {
        assert!(help.ends_with('.'), "{name}");
        assert!(!labels.contains(&"request"), "{name}");
        assert!(!name.ends_with("_ms") && !name.ends_with("_us"), "{name}");
    }
    let shown: Vec<String> = table()
        .map(|(name, _, labels)| format!("{name} {labels:?}"))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
    let host = TestHost::with_pump().await;
    host.release("pump@1.1.0", &forest(2, 20.0, 8.0)).await;
    host.poll().await;
    host.answering().await;
    let text = host.metrics().await;
    for expected in [
        "hodoscope_requests_total{detector=\"pump\",outcome=\"ok\",version=\"1.1.0\"} 1",
        "hodoscope_rows_total{detector=\"pump\",version=\"1.1.0\"} 1",
        "hodoscope_channel_generation 2",
        "hodoscope_channel_document_valid 1",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let known: BTreeSet<&str> = table().map(|(name, _, _)| name).collect();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(known.contains(name), "{name} is not in the table");
    }
}
