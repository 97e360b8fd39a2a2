//! Owns what a detector may say of itself: features that can be sent by name, a threshold that a score can reach, and
//! metadata that fits in a listing.

use std::collections::HashSet;
use std::time::Instant;

use super::{Found, faulted};
use crate::Report;
use crate::guest::Guest;
use crate::refusal::{Refusal, RefusalKind, quote};
use crate::{Description, Feature, Outcome};

/// Features of a detector.
const FEATURES: usize = 16_384;
/// Bytes of a name, a unit, a key.
const NAME_BYTES: usize = 256;
/// Pairs of metadata.
const PAIRS: usize = 256;
/// Bytes of all metadata.
const METADATA_BYTES: usize = 64 * 1024;

/// Asks a new instance what it is, and checks what it says.
pub(super) fn describe(
    guest: &mut Guest,
    deadline: Instant,
    report: &mut Report,
) -> Result<Description, Refusal> {
    let described = guest
        .describe(deadline)
        .map_err(|fault| refusal(faulted("`describe` did not answer", &fault)))?;
    let description = Description {
        features: described
            .features
            .into_iter()
            .map(|f| Feature {
                name: f.name,
                unit: f.unit,
            })
            .collect(),
        threshold: described.threshold,
        metadata: described.metadata,
    };
    check(&description).map_err(|found| refusal(found.into()))?;
    let count = description.features.len();
    report.record("description", Outcome::Passed, format!("{count} features"));
    Ok(description)
}

fn refusal(found: Found) -> Refusal {
    Refusal::new(
        RefusalKind::Description,
        found.text,
        format!(
            "1 to {FEATURES} features with unique names of 1 to {NAME_BYTES} bytes, a threshold within 0..1, \
             up to {PAIRS} pairs of metadata with unique keys and {METADATA_BYTES} bytes"
        ),
        "mend what `describe` gives back",
    )
    .slow(found.slow)
}

fn check(description: &Description) -> Result<(), String> {
    let Description {
        features,
        threshold,
        metadata,
    } = description;
    if features.is_empty() || features.len() > FEATURES {
        return Err(format!("a description with {} features", features.len()));
    }
    let mut names = HashSet::new();
    for (index, feature) in features.iter().enumerate() {
        let unit = feature.unit.as_deref().unwrap_or_default();
        let name = feature.name.as_str();
        if name.is_empty() || name.len() > NAME_BYTES || unit.len() > NAME_BYTES {
            return Err(format!(
                "a name or unit of feature {index} that is empty or too long"
            ));
        }
        if !names.insert(name) {
            return Err(format!("the feature `{}` twice", quote(name)));
        }
    }
    if let Some(threshold) = threshold.filter(|t| !(0.0..=1.0).contains(t)) {
        return Err(format!("a threshold of {threshold}"));
    }
    let bytes: usize = metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if metadata.len() > PAIRS || bytes > METADATA_BYTES {
        return Err(format!(
            "{} pairs of metadata with {bytes} bytes",
            metadata.len()
        ));
    }
    let mut keys = HashSet::new();
    match metadata
        .iter()
        .find(|(key, _)| key.is_empty() || !keys.insert(key))
    {
        Some((key, _)) => Err(format!("the metadata key `{}`, empty or twice", quote(key))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(names: &[&str], threshold: Option<f64>, keys: &[&str]) -> Description {
        let feature = |name: &&str| Feature {
            name: (*name).into(),
            unit: None,
        };
        Description {
            features: names.iter().map(feature).collect(),
            threshold,
            metadata: keys
                .iter()
                .map(|key| ((*key).into(), String::new()))
                .collect(),
        }
    }

    #[test]
    fn accepts_what_can_be_served() {
        assert_eq!(check(&described(&["a", "b"], Some(1.0), &["k"])), Ok(()));
    }

    #[test]
    fn refuses_what_cannot_be_served() {
        for (description, found) in [
            (described(&[], None, &[]), "0 features"),
            (described(&[""], None, &[]), "feature 0"),
            (described(&["a", "a"], None, &[]), "`a` twice"),
            (described(&["a"], Some(f64::NAN), &[]), "NaN"),
            (described(&["a"], Some(1.5), &[]), "1.5"),
            (described(&["a"], None, &["k", "k"]), "`k`"),
        ] {
            let text = check(&description).unwrap_err();
            assert!(text.contains(found), "{text}");
        }
    }
}
