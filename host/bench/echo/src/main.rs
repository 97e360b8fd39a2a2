//! The HTTP floor: a bare axum server that parses `{"rows":[[…],…]}` into typed Rust with serde_json and answers
//! `{"scores":[…]}` with one number of each row. It does all that any JSON scoring server has to do, except to score:
//! no detector, no limits, no checks, no metrics. It answers one number per row rather than the whole body, because
//! writing the body back would make the floor slower and every ratio against it better.

use std::io;
use std::net::SocketAddr;

use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Rows {
    rows: Vec<Vec<f64>>,
}

/// The row of the generated set with its features by name, as a careful author would type it.
#[derive(Deserialize)]
struct NamedRows {
    rows: Vec<std::collections::HashMap<String, f64>>,
}

#[derive(Serialize)]
struct Scores {
    scores: Vec<f64>,
}

async fn rows(Json(body): Json<Rows>) -> Json<Scores> {
    let scores = body
        .rows
        .iter()
        .map(|row| row.first().copied().unwrap_or_default())
        .collect();
    Json(Scores { scores })
}

async fn named(Json(body): Json<NamedRows>) -> Json<Scores> {
    let scores = body
        .rows
        .iter()
        .map(|row| row.values().next().copied().unwrap_or_default())
        .collect();
    Json(Scores { scores })
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0u16);
    let router = Router::new()
        .route("/rows", post(rows))
        .route("/named", post(named))
        .route("/ready", get(|| async { "ready" }));
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    axum::serve(listener, router).await
}
