//! From an answer to an inference response: the outputs that were asked for, as JSON or as bytes behind the JSON.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use hodoscope_engine::Answer;
use serde_json::json;

use super::super::answer;
use super::super::problem::Problem;
use super::request::Wanted;
use crate::roster::Served;

/// The header that says how long the JSON before the bytes is.
const HEADER_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// What a release can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// 0 to 1, higher is more anomalous.
    Score,
    /// Whether the score is at or above the threshold.
    Anomaly,
    /// The share of normal rows that score at least as high.
    PValue,
    /// scikit-learn's sign: the negative of the score.
    ScoreSamples,
    /// The attribution of each feature, in bits.
    Explanation,
}

impl Output {
    /// The outputs of a release.
    pub(super) fn of(served: &Served) -> impl Iterator<Item = Self> + use<> {
        let anomaly = served.threshold.map(|_| Self::Anomaly);
        let p_value = served.calibration.as_ref().map(|_| Self::PValue);
        let explanation = served.detector.explains().then_some(Self::Explanation);
        [
            Some(Self::Score),
            anomaly,
            p_value,
            Some(Self::ScoreSamples),
            explanation,
        ]
        .into_iter()
        .flatten()
    }

    /// Whether it is given to those who ask for nothing in particular.
    pub(super) const fn is_usual(self) -> bool {
        matches!(self, Self::Score | Self::Anomaly | Self::PValue)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Anomaly => "anomaly",
            Self::PValue => "p_value",
            Self::ScoreSamples => "score_samples",
            Self::Explanation => "explanation",
        }
    }

    pub(super) const fn datatype(self) -> &'static str {
        match self {
            Self::Anomaly => "BOOL",
            _ => "FP64",
        }
    }
}

/// Writes a response.
pub(super) fn write(
    served: &Served,
    answer: &Answer,
    outputs: &[Wanted],
    id: Option<&str>,
) -> Result<Response, Problem> {
    let scores = answer.scores();
    let name = served.release.detector.as_str();
    let version = served.release.version.to_string();
    let mut body = Vec::with_capacity(256 + scores.len() * 24);
    let text = |value: &str| serde_json::to_vec(value).map_err(Problem::internal);
    body.extend_from_slice(b"{\"model_name\":");
    body.extend(text(name)?);
    body.extend_from_slice(b",\"model_version\":");
    body.extend(text(&version)?);
    if let Some(id) = id {
        body.extend_from_slice(b",\"id\":");
        body.extend(text(id)?);
    }
    let facts = json!({ "digest": served.digest(), "threshold": served.threshold });
    body.extend_from_slice(b",\"parameters\":");
    body.extend_from_slice(facts.to_string().as_bytes());
    body.extend_from_slice(b",\"outputs\":[");
    let mut bytes = Vec::new();
    for (i, wanted) in outputs.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        output(&mut body, &mut bytes, served, answer, *wanted)?;
    }
    body.extend_from_slice(b"]}");
    if !outputs.iter().any(|wanted| wanted.binary) {
        return Ok(answer::json(body));
    }
    let length = HeaderValue::from(body.len());
    body.append(&mut bytes);
    let mut response = answer::json(body);
    let octets = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, octets);
    response.headers_mut().insert(HEADER_LENGTH, length);
    Ok(response)
}

fn output(
    body: &mut Vec<u8>,
    bytes: &mut Vec<u8>,
    served: &Served,
    answer: &Answer,
    Wanted { output, binary }: Wanted,
) -> Result<(), Problem> {
    let scores = answer.scores();
    let rows = scores.len();
    let shape = match output {
        Output::Explanation => format!("[{rows},{}]", served.columns.len()),
        _ => format!("[{rows}]"),
    };
    let (name, datatype) = (output.name(), output.datatype());
    let head = format!("{{\"name\":\"{name}\",\"datatype\":\"{datatype}\",\"shape\":{shape},");
    body.extend_from_slice(head.as_bytes());
    let before = bytes.len();
    if let Output::Anomaly = output {
        // `Output::of` gives this output only where there is a threshold.
        let threshold = served.threshold.unwrap_or(f64::INFINITY);
        if binary {
            bytes.extend(scores.iter().map(|score| u8::from(*score >= threshold)));
        } else {
            body.extend_from_slice(b"\"data\":");
            answer::anomalies(body, scores, threshold);
        }
    } else {
        let values = values(served, answer, output)?;
        if binary {
            bytes.extend(values.flat_map(f64::to_le_bytes));
        } else {
            body.extend_from_slice(b"\"data\":");
            answer::numbers(body, values);
        }
    }
    if binary {
        let size = bytes.len() - before;
        body.extend_from_slice(
            format!("\"parameters\":{{\"binary_data_size\":{size}}}").as_bytes(),
        );
    }
    body.push(b'}');
    Ok(())
}

fn values<'a>(
    served: &'a Served,
    answer: &'a Answer,
    output: Output,
) -> Result<Box<dyn Iterator<Item = f64> + 'a>, Problem> {
    let scores = answer.scores().iter().copied();
    Ok(match (output, answer) {
        (Output::Score | Output::Anomaly, _) => Box::new(scores),
        (Output::ScoreSamples, _) => Box::new(scores.map(|score| -score)),
        (Output::PValue, _) => match &served.calibration {
            Some(calibration) => Box::new(scores.map(|score| calibration.p_value(score))),
            None => return Err(Problem::internal("a p-value without a calibration")),
        },
        (Output::Explanation, Answer::Explanation(explanation)) => {
            Box::new(explanation.attributions.iter().copied())
        }
        (Output::Explanation, Answer::Scores(_)) => {
            return Err(Problem::internal(
                "an explanation was asked for and not made",
            ));
        }
    })
}
