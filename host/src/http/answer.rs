//! Writing answers: JSON with numbers in their shortest exact form, put together without a tree.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hodoscope_engine::{Answer, Explanation};

use crate::roster::Served;

/// A JSON answer.
pub(super) fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A value as a JSON answer.
pub(super) fn value(value: &impl serde::Serialize) -> Result<Response, super::Problem> {
    let body = serde_json::to_vec(value).map_err(super::Problem::internal)?;
    Ok(json(body))
}

/// The friendly answer: `scores, anomalies, p_values, explanations, threshold, release, digest`.
pub(super) fn scored(served: &Served, answer: &Answer) -> Response {
    let scores = answer.scores();
    let mut body = Vec::with_capacity(256 + scores.len() * 48);
    body.extend_from_slice(b"{\"scores\":");
    numbers(&mut body, scores.iter().copied());
    body.extend_from_slice(b",\"anomalies\":");
    match served.threshold {
        Some(threshold) => anomalies(&mut body, scores, threshold),
        None => body.extend_from_slice(b"null"),
    }
    if let Some(calibration) = &served.calibration {
        body.extend_from_slice(b",\"p_values\":");
        numbers(
            &mut body,
            scores.iter().map(|score| calibration.p_value(*score)),
        );
    }
    if let Answer::Explanation(explanation) = answer {
        body.extend_from_slice(b",\"explanations\":");
        explanations(&mut body, served, explanation);
    }
    body.push(b',');
    body.extend_from_slice(&served.identity);
    body.push(b'}');
    json(body)
}

/// An array of numbers. The engine lets only finite scores through; anything else would be `null`, never bad JSON.
pub(super) fn numbers(body: &mut Vec<u8>, values: impl Iterator<Item = f64>) {
    let mut digits = zmij::Buffer::new();
    body.push(b'[');
    for (i, value) in values.enumerate() {
        if i > 0 {
            body.push(b',');
        }
        number(body, &mut digits, value);
    }
    body.push(b']');
}

fn number(body: &mut Vec<u8>, digits: &mut zmij::Buffer, value: f64) {
    let text = match value.is_finite() {
        true => digits.format_finite(value),
        false => "null",
    };
    body.extend_from_slice(text.as_bytes());
}

/// An array of true and false.
pub(super) fn anomalies(body: &mut Vec<u8>, scores: &[f64], threshold: f64) {
    body.push(b'[');
    for (i, score) in scores.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        let word: &[u8] = if *score >= threshold {
            b"true"
        } else {
            b"false"
        };
        body.extend_from_slice(word);
    }
    body.push(b']');
}

/// For each row the features that matter, the one that makes it most anomalous first; features without effect are left out.
fn explanations(body: &mut Vec<u8>, served: &Served, explanation: &Explanation) {
    let mut digits = zmij::Buffer::new();
    let width = served.columns.len().max(1);
    body.push(b'[');
    for (i, row) in explanation.attributions.chunks_exact(width).enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(b"{\"baseline\":");
        number(body, &mut digits, explanation.baseline);
        body.extend_from_slice(b",\"features\":[");
        let mut ranked: Vec<(usize, f64)> = row
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, value)| *value != 0.0)
            .collect();
        ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        for (place, (column, attribution)) in ranked.into_iter().enumerate() {
            body.extend_from_slice(if place > 0 {
                b",{\"feature\":"
            } else {
                b"{\"feature\":"
            });
            body.extend_from_slice(served.columns.quoted(column).unwrap_or(b"null"));
            body.extend_from_slice(b",\"attribution\":");
            number(body, &mut digits, attribution);
            body.push(b'}');
        }
        body.extend_from_slice(b"]}");
    }
    body.push(b']');
}
