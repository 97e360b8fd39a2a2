//! What MLflow takes at once, and how our texts are made to fit: names of allowed letters, values cut, and calls of
//! `runs/log-batch` with bounded counts and bytes. The limits are those of `mlflow/utils/validation.py` (3.x).

use serde::Serialize;

use super::Record;

/// The longest name of a parameter, metric or tag, in characters.
const NAME_LIMIT: usize = 250;
/// The longest value of a parameter, in characters.
const PARAMETER_LIMIT: usize = 6000;
/// The longest value of a tag, in characters; servers before 2.9 take 5,000.
const TAG_LIMIT: usize = 5000;
/// Parameters in one call.
const PARAMETERS_LIMIT: usize = 100;
/// Tags in one call.
const TAGS_LIMIT: usize = 100;
/// Metrics in one call: with the others, at most 1,000 things.
const METRICS_LIMIT: usize = 800;
/// Bytes of one call, well below MLflow's 1 MB, since names and values grow when JSON escapes them.
const BATCH_LIMIT_BYTES: usize = 400_000;

/// One call of `runs/log-batch`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Batch {
    pub(super) params: Vec<Entry>,
    pub(super) tags: Vec<Entry>,
    pub(super) metrics: Vec<Metric>,
    #[serde(skip)]
    bytes: usize,
}

/// A parameter or a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: String,
}

/// A figure; the same one sent twice is kept once, since its time is the record's.
#[derive(Debug, Serialize)]
pub(super) struct Metric {
    key: String,
    value: f64,
    timestamp: i64,
    step: i64,
}

/// Everything of a record that goes into batches, in as few as the limits allow.
pub(super) fn batches(record: &Record) -> Vec<Batch> {
    let mut filling = Filling::default();
    for (key, value) in &record.parameters {
        let entry = Entry::new(key, value, PARAMETER_LIMIT);
        filling
            .room(|batch| batch.params.len(), PARAMETERS_LIMIT, entry.bytes())
            .params
            .push(entry);
    }
    for entry in tags(record) {
        filling
            .room(|batch| batch.tags.len(), TAGS_LIMIT, entry.bytes())
            .tags
            .push(entry);
    }
    for (key, value) in record.metrics.iter().filter(|(_, value)| value.is_finite()) {
        let metric = Metric {
            key: name(key),
            value: *value,
            timestamp: record.ended_ms,
            step: 0,
        };
        let bytes = metric.key.len() + 80;
        filling
            .room(|batch| batch.metrics.len(), METRICS_LIMIT, bytes)
            .metrics
            .push(metric);
    }
    filling.end()
}

/// The record's tags and its digest.
pub(super) fn tags(record: &Record) -> Vec<Entry> {
    let digest = record.digest.map(|digest| digest.to_string());
    let digest = digest.iter().map(|digest| Entry::tag("digest", digest));
    let own = record
        .tags
        .iter()
        .map(|(key, value)| Entry::tag(key, value));
    own.chain(digest).collect()
}

/// Batches as they fill up.
#[derive(Default)]
struct Filling {
    full: Vec<Batch>,
    current: Batch,
}

impl Filling {
    /// The current batch, or a new one if that has `limit` of the counted things, or too many bytes.
    fn room(&mut self, count: impl Fn(&Batch) -> usize, limit: usize, bytes: usize) -> &mut Batch {
        let fits = self.current.bytes + bytes <= BATCH_LIMIT_BYTES;
        if count(&self.current) >= limit || !fits {
            self.full.push(std::mem::take(&mut self.current));
        }
        self.current.bytes += bytes;
        &mut self.current
    }

    fn end(mut self) -> Vec<Batch> {
        self.full.push(self.current);
        self.full.retain(|batch| batch.bytes > 0);
        self.full
    }
}

impl Entry {
    fn new(key: &str, value: &str, limit: usize) -> Self {
        Self {
            key: name(key),
            value: cut(value, limit),
        }
    }

    /// A tag that MLflow takes.
    pub(super) fn tag(key: &str, value: &str) -> Self {
        Self::new(key, value, TAG_LIMIT)
    }

    fn bytes(&self) -> usize {
        self.key.len() + self.value.len() + 30
    }
}

/// A name of letters, digits, and `_-. /:`, as every version of MLflow's server takes it, and a path without `.` parts.
fn name(text: &str) -> String {
    let plain = |c: char| {
        if c.is_alphanumeric() || "_-. /".contains(c) {
            c
        } else {
            '_'
        }
    };
    let text: String = text.chars().map(plain).take(NAME_LIMIT).collect();
    let parts = text.split('/').filter(|part| !part.is_empty());
    let parts = parts.map(|part| {
        if part.chars().all(|c| c == '.') {
            "_"
        } else {
            part
        }
    });
    match parts.collect::<Vec<_>>().join("/") {
        empty if empty.is_empty() => "_".to_owned(),
        name => name,
    }
}

/// At most `limit` characters; a text that was cut ends with an ellipsis.
fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Outcome, RunChoice};
    use super::*;

    fn record(parameters: usize, metrics: usize, value: &str) -> Record {
        let key = |index: usize| format!("key {index:04}");
        Record {
            experiment: "e".into(),
            run_name: "r".into(),
            run: RunChoice::Own,
            digest: None,
            parameters: (0..parameters)
                .map(|i| (key(i), value.to_owned()))
                .collect(),
            metrics: (0..metrics).map(|i| (key(i), i as f64)).collect(),
            tags: BTreeMap::new(),
            artifacts: Vec::new(),
            outcome: Outcome::Finished,
            version: None,
            active: None,
            started_ms: 1,
            ended_ms: 2,
        }
    }

    #[test]
    fn fills_calls_up_to_each_limit() {
        let sizes = |record: &Record| -> Vec<(usize, usize)> {
            let sizes = |batch: &Batch| (batch.params.len(), batch.metrics.len());
            batches(record).iter().map(sizes).collect()
        };
        assert_eq!(sizes(&record(0, 0, "")), []);
        assert_eq!(sizes(&record(100, 800, "v")), [(100, 800)]);
        assert_eq!(sizes(&record(101, 801, "v")), [(100, 0), (1, 800), (0, 1)]);
        let long = "é".repeat(7000);
        let batches = batches(&record(200, 1, &long));
        assert_eq!(
            batches
                .iter()
                .map(|batch| batch.params.len())
                .sum::<usize>(),
            200
        );
        for batch in batches {
            assert!(serde_json::to_vec(&batch).unwrap().len() < 1_000_000);
        }
    }

    #[test]
    fn cuts_values_and_leaves_out_what_is_not_finite() {
        let mut long = record(1, 0, &"é".repeat(PARAMETER_LIMIT + 1));
        long.metrics = [("nan".into(), f64::NAN), ("inf".into(), f64::INFINITY)].into();
        let batches = batches(&long);
        let value = &batches[0].params[0].value;
        assert_eq!(value.chars().count(), PARAMETER_LIMIT);
        assert!(value.ends_with('…'));
        assert!(batches[0].metrics.is_empty());
    }

    #[test]
    fn makes_names_that_every_server_takes() {
        for (text, expected) in [
            ("roc auc", "roc auc"),
            ("psi/flow rate", "psi/flow rate"),
            ("a:b*c\n", "a_b_c_"),
            ("/a//../b/", "a/_/b"),
            ("", "_"),
            ("température", "température"),
        ] {
            assert_eq!(name(text), expected);
        }
    }
}
