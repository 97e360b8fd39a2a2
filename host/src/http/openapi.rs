//! The description of the routes, kept by hand in `openapi.json`, where each operation names its ports; a test compares
//! it with the router, and schemathesis compares it with what is answered.

use std::sync::OnceLock;

use axum::body::Bytes;
use axum::response::Response;
use serde_json::{Map, Value};

use super::answer;

const SOURCE: &str = include_str!("openapi.json");
/// The member of an operation that names the ports on which it is served.
const PORTS: &str = "x-hodoscope-ports";

/// `GET /openapi.json` on the data port
pub(super) async fn data() -> Response {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    answer::json(TEXT.get_or_init(|| describe("data")).clone())
}

/// `GET /openapi.json` on the admin port
pub(super) async fn admin() -> Response {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    answer::json(TEXT.get_or_init(|| describe("admin")).clone())
}

fn describe(port: &str) -> Bytes {
    let mut document: Value = serde_json::from_str(SOURCE).unwrap_or_default();
    if let Some(info) = document.get_mut("info").and_then(Value::as_object_mut) {
        info.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    }
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for item in paths.values_mut().filter_map(Value::as_object_mut) {
            keep_port(item, port);
        }
        paths.retain(|_, item| {
            item.as_object()
                .is_some_and(|item| item.keys().any(|key| key != "parameters"))
        });
    }
    document.to_string().into()
}

fn keep_port(item: &mut Map<String, Value>, port: &str) {
    item.retain(
        |_, operation| match operation.get(PORTS).and_then(Value::as_array) {
            Some(ports) => ports.iter().any(|named| named == port),
            None => true,
        },
    );
    for operation in item.values_mut().filter_map(Value::as_object_mut) {
        operation.remove(PORTS);
    }
}
