//! MLflow from memory: as much of its REST API as the client uses, with its words for errors as the server of 3.17 gives
//! them (`verify/mlflow/run` asks the real one).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::wire::{Answer, Request, Wire, ok, with_status};

const API: &str = "/team/api/2.0/mlflow/";
const ARTIFACTS: &str = "/team/api/2.0/mlflow-artifacts/artifacts/";

/// What the server holds.
#[derive(Default)]
pub(crate) struct Mlflow {
    /// Names, by id - 1.
    pub(crate) experiments: Vec<String>,
    pub(crate) runs: Vec<Run>,
    pub(crate) artifacts: BTreeMap<String, Vec<u8>>,
    /// For each detector its versions, as their tags.
    pub(crate) models: BTreeMap<String, Vec<BTreeMap<String, String>>>,
    pub(crate) aliases: BTreeMap<String, String>,
    /// How often an alias was set.
    pub(crate) moves: usize,
    pub(crate) authorization: Option<String>,
    /// Another client makes experiments and models between our look and our create.
    pub(crate) races: bool,
    /// Where runs keep artifacts, in place of the server.
    pub(crate) artifact_root: Option<String>,
}

#[derive(Default, Clone)]
pub(crate) struct Run {
    pub(crate) experiment: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) tags: BTreeMap<String, String>,
}

type Said = Result<Value, (u16, &'static str, &'static str)>;

const MISSING: (u16, &str, &str) = (404, "RESOURCE_DOES_NOT_EXIST", "no such thing");
const THERE: (u16, &str, &str) = (400, "RESOURCE_ALREADY_EXISTS", "it is there");

/// A server below the prefix `/team`, and what it holds.
pub(crate) fn server() -> (Wire, Arc<Mutex<Mlflow>>) {
    let mlflow = Arc::<Mutex<Mlflow>>::default();
    let held = mlflow.clone();
    let wire = Wire::answering(move |request| held.lock().unwrap().answer(request));
    (wire, mlflow)
}

impl Mlflow {
    fn answer(&mut self, request: &Request) -> Answer {
        self.authorization = request.headers.get("authorization").cloned();
        if let Some(path) = request.path.strip_prefix(ARTIFACTS) {
            self.artifacts.insert(path.to_owned(), request.body.clone());
            return ok(Vec::new());
        }
        let Some(path) = request.path.strip_prefix(API) else {
            return with_status(404, b"<!doctype html>".to_vec());
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let said = match (request.method.as_str(), path) {
            ("GET", "experiments/get-by-name") => self.experiment(&argument(query)),
            ("POST", "experiments/create") => self.make_experiment(text(&body, "name")),
            ("POST", "runs/create") => self.make_run(&body),
            ("POST", "runs/search") => self.find_runs(&body),
            ("POST", "runs/log-batch") => self.log(&body),
            ("POST", "runs/update") => self.end(&body),
            ("GET", "registered-models/get") => self.model(&argument(query)),
            ("POST", "registered-models/create") => self.make_model(text(&body, "name")),
            ("GET", "model-versions/search") => Ok(self.versions(query)),
            ("POST", "model-versions/create") => Ok(self.make_version(&body)),
            ("GET", "registered-models/alias") => self.aliased(query),
            ("POST", "registered-models/alias") => {
                self.moves += 1;
                let alias = format!("{}@{}", text(&body, "name"), text(&body, "alias"));
                self.aliases.insert(alias, text(&body, "version"));
                Ok(json!({}))
            }
            _ => Err((405, "METHOD_NOT_ALLOWED", "")),
        };
        match said {
            Ok(body) => ok(body.to_string().into_bytes()),
            Err((status, code, message)) => {
                let body = json!({ "error_code": code, "message": message });
                with_status(status, body.to_string().into_bytes())
            }
        }
    }

    fn experiment(&mut self, name: &str) -> Said {
        match self.experiments.iter().position(|there| there == name) {
            Some(index) => Ok(json!({ "experiment": {
                "experiment_id": (index + 1).to_string(),
                "lifecycle_stage": if name.contains("trash") { "deleted" } else { "active" },
            }})),
            None => {
                if self.races {
                    self.experiments.push(name.to_owned());
                }
                Err(MISSING)
            }
        }
    }

    fn make_experiment(&mut self, name: String) -> Said {
        if self.experiments.contains(&name) {
            return Err(THERE);
        }
        self.experiments.push(name);
        Ok(json!({ "experiment_id": self.experiments.len().to_string() }))
    }

    fn make_run(&mut self, body: &Value) -> Said {
        self.runs.push(Run {
            experiment: text(body, "experiment_id"),
            name: text(body, "run_name"),
            status: "RUNNING".to_owned(),
            tags: pairs(&body["tags"]),
            ..Run::default()
        });
        Ok(json!({ "run": self.run(self.runs.len() - 1) }))
    }

    fn run(&self, index: usize) -> Value {
        let root = self.artifact_root.as_deref().unwrap_or("mlflow-artifacts:");
        let uri = format!("{root}/{}/{index}/artifacts", self.runs[index].experiment);
        json!({ "info": { "run_id": index.to_string(), "artifact_uri": uri } })
    }

    /// The newest run whose tag is as the filter says: tags.`key` = 'value'.
    fn find_runs(&self, body: &Value) -> Said {
        let filter = text(body, "filter");
        let (key, value) = filter.split_once(" = ").unwrap();
        let key = key.strip_prefix("tags.`").unwrap().trim_end_matches('`');
        let fits =
            |run: &Run| run.tags.get(key).map(String::as_str) == Some(value.trim_matches('\''));
        let found = self.runs.iter().rposition(fits);
        Ok(json!({ "runs": found.map(|index| self.run(index)).into_iter().collect::<Vec<_>>() }))
    }

    fn log(&mut self, body: &Value) -> Said {
        let run = &mut self.runs[text(body, "run_id").parse::<usize>().unwrap()];
        for (key, value) in pairs(&body["params"]) {
            if run
                .parameters
                .get(&key)
                .is_some_and(|there| *there != value)
            {
                return Err((
                    400,
                    "INVALID_PARAMETER_VALUE",
                    "Changing param values is not allowed",
                ));
            }
            run.parameters.insert(key, value);
        }
        for metric in body["metrics"].as_array().unwrap() {
            run.metrics
                .insert(text(metric, "key"), metric["value"].as_f64().unwrap());
        }
        run.tags.extend(pairs(&body["tags"]));
        Ok(json!({}))
    }

    fn end(&mut self, body: &Value) -> Said {
        self.runs[text(body, "run_id").parse::<usize>().unwrap()].status = text(body, "status");
        Ok(json!({}))
    }

    fn model(&mut self, name: &str) -> Said {
        if self.models.contains_key(name) {
            return Ok(json!({}));
        }
        if self.races {
            self.models.insert(name.to_owned(), Vec::new());
        }
        Err(MISSING)
    }

    fn aliased(&self, query: &str) -> Said {
        let (name, alias) = query.split_once('&').unwrap();
        let (name, alias) = (argument(name), argument(alias));
        let versions = self.models.get(&name).ok_or(MISSING)?;
        let number = self.aliases.get(&format!("{name}@{alias}"));
        let number = number.ok_or((400, "INVALID_PARAMETER_VALUE", "alias not found"))?;
        let tags = &versions[number.parse::<usize>().unwrap() - 1];
        Ok(json!({ "model_version": version_text(number.clone(), tags) }))
    }

    fn make_model(&mut self, name: String) -> Said {
        if self.models.contains_key(&name) {
            return Err(THERE);
        }
        self.models.insert(name, Vec::new());
        Ok(json!({}))
    }

    fn versions(&self, query: &str) -> Value {
        let found = self
            .models
            .iter()
            .filter(|(name, _)| query.contains(&format!("%27{name}%27")));
        let versions = found.flat_map(|(_, versions)| versions.iter().enumerate());
        let version = |(index, tags): (usize, &BTreeMap<String, String>)| {
            version_text((index + 1).to_string(), tags)
        };
        json!({ "model_versions": versions.map(version).collect::<Vec<_>>() })
    }

    fn make_version(&mut self, body: &Value) -> Value {
        let versions = self.models.get_mut(&text(body, "name")).unwrap();
        let mut tags = pairs(&body["tags"]);
        tags.insert("source".to_owned(), text(body, "source"));
        versions.push(tags);
        json!({ "model_version": { "version": versions.len().to_string() } })
    }
}

fn version_text(number: String, tags: &BTreeMap<String, String>) -> Value {
    let tags = tags.iter();
    let tags: Vec<Value> = tags
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    json!({ "version": number, "tags": tags })
}

fn text(body: &Value, key: &str) -> String {
    body[key]
        .as_str()
        .unwrap_or_else(|| panic!("`{key}` of {body}"))
        .to_owned()
}

fn pairs(entries: &Value) -> BTreeMap<String, String> {
    let entries = entries.as_array().unwrap().iter();
    entries
        .map(|entry| (text(entry, "key"), text(entry, "value")))
        .collect()
}

/// The one argument of a query.
fn argument(query: &str) -> String {
    query.split_once('=').unwrap().1.replace("%2F", "/")
}
