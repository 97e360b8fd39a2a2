//! The three layers that settings come from, as texts by key. Gathering them is the only reading of the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

/// The settings file that is read if it is there.
const DEFAULT_FILE: &str = "hodoscope.toml";
/// What the names of environment settings begin with.
const PREFIX: &str = "HODOSCOPE_";
/// Names that begin alike but are no settings: the file's place, and words of the Makefile and of tests.
const NOT_SETTINGS: [&str; 4] = [
    "HODOSCOPE_CONFIG",
    "HODOSCOPE_BIN",
    "HODOSCOPE_DATA",
    "HODOSCOPE_NO_SKIP",
];

/// Names that other programs read, too, and the setting that each stands for. Ours win over them.
const SHARED: [(&str, &str); 3] = [
    ("MLFLOW_TRACKING_URI", "mlflow_tracking_uri"),
    ("MLFLOW_TRACKING_TOKEN", "mlflow_token"),
    ("MLFLOW_EXPERIMENT_NAME", "mlflow_experiment"),
];

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A name in the environment that other programs read, too.
    #[serde(rename = "environment")]
    Shared,
    /// `hodoscope.toml`.
    File,
    /// `HODOSCOPE_*`.
    Environment,
    /// A flag.
    Flag,
}

/// The layers.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    layers: BTreeMap<Origin, BTreeMap<String, String>>,
    errors: Vec<String>,
}

impl Sources {
    /// Reads the settings file and the environment, and adds `flags`.
    pub fn gather(file: Option<&Path>, flags: Vec<(String, String)>) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the environment"
        )]
        let environment: Vec<_> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(key, _)| key.starts_with(PREFIX) || shared(key).is_some())
            .collect();
        let from_environment = environment
            .iter()
            .find(|(key, _)| key == "HODOSCOPE_CONFIG");
        let named = file.or(from_environment.map(|(_, value)| Path::new(value)));
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        let (toml, error) = match std::fs::read_to_string(path) {
            Ok(text) => (text, None),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                (String::new(), None)
            }
            Err(error) => {
                let error = format!("failed to read {}: {error}", path.display());
                (String::new(), Some(error))
            }
        };
        let mut sources = Self::new(&toml, environment, flags);
        sources.errors.extend(error);
        sources
    }

    /// The layers from texts: a settings file, environment variables, flags by their setting's key.
    pub fn new(
        toml: &str,
        environment: Vec<(String, String)>,
        flags: Vec<(String, String)>,
    ) -> Self {
        let mut errors = Vec::new();
        let table: toml::Table = toml.parse().unwrap_or_else(|error| {
            errors.push(format!("{DEFAULT_FILE}: {error}"));
            toml::Table::new()
        });
        let mut file = BTreeMap::new();
        for (key, value) in table {
            match flat(value) {
                Some(text) => drop(file.insert(key, text)),
                None => errors.push(format!(
                    "{DEFAULT_FILE}: `{key}` is a table; settings are flat, `key = value`"
                )),
            }
        }
        let others = environment
            .iter()
            .filter_map(|(name, value)| Some((shared(name)?.to_owned(), value.clone())));
        let others = others.collect();
        let environment = environment
            .into_iter()
            .filter(|(name, _)| !NOT_SETTINGS.contains(&name.as_str()) && !is_service_link(name))
            .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_lowercase(), value)));
        Self {
            layers: BTreeMap::from([
                (Origin::Shared, others),
                (Origin::File, file),
                (Origin::Environment, environment.collect()),
                (Origin::Flag, flags.into_iter().collect()),
            ]),
            errors,
        }
    }

    /// What was wrong with the texts themselves.
    pub(super) fn errors(&self) -> &[String] {
        &self.errors
    }

    /// The value of a key in the strongest layer that has it.
    pub(super) fn find(&self, key: &str) -> Option<(&str, Origin)> {
        self.layers
            .iter()
            .rev()
            .find_map(|(origin, layer)| Some((layer.get(key)?.as_str(), *origin)))
    }

    /// Where the value of a key stands, in the words of that place.
    pub(super) fn place(&self, key: &str) -> String {
        let origin = self.find(key).map_or(Origin::Default, |(_, origin)| origin);
        place(key, origin)
    }

    /// Every key in every layer, with its place.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, String)> {
        self.layers
            .iter()
            .flat_map(|(origin, layer)| layer.keys().map(|key| (key.as_str(), place(key, *origin))))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Shared | Self::Environment => "environment",
            Self::Flag => "flag",
        })
    }
}

fn place(key: &str, origin: Origin) -> String {
    match origin {
        Origin::Default => format!("default of `{key}`"),
        Origin::Shared => {
            let name = SHARED.into_iter().find(|(_, setting)| *setting == key);
            name.map_or("the environment", |(name, _)| name).to_owned()
        }
        Origin::File => format!("{DEFAULT_FILE}: `{key}`"),
        Origin::Environment => format!("{PREFIX}{}", key.to_uppercase()),
        Origin::Flag => format!("flag `{key}`"),
    }
}

/// The setting that another program's name stands for.
fn shared(name: &str) -> Option<&'static str> {
    let found = SHARED.into_iter().find(|(shared, _)| *shared == name);
    found.map(|(_, key)| key)
}

/// A TOML value as the text that the environment would hold; `None` for a table.
fn flat(value: toml::Value) -> Option<String> {
    Some(match value {
        toml::Value::String(text) => text,
        toml::Value::Array(parts) => {
            let parts: Option<Vec<String>> = parts.into_iter().map(flat).collect();
            parts?.join(",")
        }
        toml::Value::Table(_) => return None,
        other => other.to_string(),
    })
}

/// Kubernetes sets variables for each Service of the namespace; one named `hodoscope` would look like our settings.
fn is_service_link(name: &str) -> bool {
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.contains("_PORT_")
}
