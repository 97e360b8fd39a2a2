//! From the bytes of one file to a document, strictly: unknown keys and a detector named twice are errors, with the line
//! where the parser stood. (serde would let the second of two equal keys of a JSON map win in silence.)

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use hodoscope_release::{ChannelDocument, ChannelName, DetectorChannel, DetectorName};
use serde::de::{self, DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{ChannelError, DOCUMENT_FILE, NAME_FILE};

/// [`ChannelDocument`], with the keys of its map checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    #[serde(deserialize_with = "distinct")]
    detectors: BTreeMap<DetectorName, DetectorChannel>,
}

/// What [`NAME_FILE`] holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "name")]
    _name: ChannelName,
}

/// Reads the bytes of `file`, whose last part tells what they must be.
pub(super) fn parse(file: &Path, bytes: &[u8]) -> Result<ChannelDocument, ChannelError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ChannelError::Empty {
            file: file.to_owned(),
        });
    }
    let named = |name: &str| file.file_name().is_some_and(|found| found == name);
    if named(NAME_FILE) {
        yaml::<Named>(file, bytes)?;
        return Ok(ChannelDocument::default());
    }
    let strict: Strict = if named(DOCUMENT_FILE) {
        json(file, bytes)?
    } else {
        yaml(file, bytes)?
    };
    let document = ChannelDocument {
        detectors: strict.detectors,
    };
    match document.validate() {
        Ok(()) => Ok(document),
        Err(error) => Err(invalid(file, None, error.to_string())),
    }
}

fn json<T: DeserializeOwned>(file: &Path, bytes: &[u8]) -> Result<T, ChannelError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let line = u64::try_from(error.line()).ok().filter(|line| *line > 0);
        let text = error.to_string();
        let cause = text
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned();
        invalid(file, line, cause)
    })
}

fn yaml<T: DeserializeOwned>(file: &Path, bytes: &[u8]) -> Result<T, ChannelError> {
    if !bytes.ends_with(b"\n") {
        // Cut inside a line, a number or a name would still parse, as another one.
        let cause = "does not end with a newline, so it may be half written; end it with one";
        return Err(invalid(file, None, cause.to_owned()));
    }
    serde_saphyr::from_slice(bytes).map_err(|error| {
        let line = error
            .location()
            .map(|location| location.line())
            .filter(|line| *line > 0);
        let text = error.without_snippet().to_string();
        let cause = text.lines().next().unwrap_or_default().to_owned();
        invalid(file, line, cause)
    })
}

fn invalid(file: &Path, line: Option<u64>, cause: String) -> ChannelError {
    ChannelError::Invalid {
        file: file.to_owned(),
        line,
        cause,
    }
}

fn distinct<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<DetectorName, DetectorChannel>, D::Error> {
    struct Distinct;

    impl<'de> Visitor<'de> for Distinct {
        type Value = BTreeMap<DetectorName, DetectorChannel>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map from detectors to what is wanted of them")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut detectors = BTreeMap::new();
            while let Some(name) = map.next_key::<DetectorName>()? {
                if detectors.contains_key(&name) {
                    return Err(de::Error::custom(format_args!(
                        "detector `{name}` is named twice"
                    )));
                }
                detectors.insert(name, map.next_value()?);
            }
            Ok(detectors)
        }
    }

    deserializer.deserialize_map(Distinct)
}
