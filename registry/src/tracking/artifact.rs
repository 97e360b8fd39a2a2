//! How an artifact lies in a local record: texts as they are, so that a person can read them, other bytes in hexadecimal.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Artifact;

/// An artifact as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl Artifact {
    /// A document by its name.
    pub fn new(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            bytes: bytes.into(),
        }
    }
}

impl From<Artifact> for Kept {
    fn from(artifact: Artifact) -> Self {
        let text = std::str::from_utf8(&artifact.bytes).ok().map(str::to_owned);
        let digits = || artifact.bytes.iter().map(|byte| format!("{byte:02x}"));
        Self {
            hex: text.is_none().then(|| digits().collect()),
            text,
            name: artifact.name,
        }
    }
}

impl TryFrom<Kept> for Artifact {
    type Error = String;

    fn try_from(kept: Kept) -> Result<Self, String> {
        let bytes = match (kept.text, kept.hex) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(hex)) => unhex(&hex).ok_or_else(|| format!("`{}`: bad hex", kept.name))?,
            _ => return Err(format!("`{}`: needs `text` or `hex`", kept.name)),
        };
        Ok(Self::new(kept.name, bytes))
    }
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| {
        (byte as char)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    rest.is_empty().then(|| bytes.collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_bytes_come_back_from_json() {
        for bytes in [&b"{\"a\": 1}\n"[..], &[0, 0xff, 0x10], &[]] {
            let artifact = Artifact::new("a", bytes.to_vec());
            let json = serde_json::to_string(&artifact).unwrap();
            assert_eq!(serde_json::from_str::<Artifact>(&json).unwrap(), artifact);
        }
        for bad in [
            r#"{"name":"a"}"#,
            r#"{"name":"a","hex":"0"}"#,
            r#"{"name":"a","hex":"zz"}"#,
        ] {
            assert!(serde_json::from_str::<Artifact>(bad).is_err(), "{bad}");
        }
    }
}
