//! Owns why bytes do not become a detector. A refusal names what was found, what is supported, and the fix, because it is
//! read by the author of the component and not by us.

use serde::{Deserialize, Serialize};

/// Which rule the bytes break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The bytes are no component: another kind of file, or none.
    NotAComponent,
    /// The bytes end too early or are damaged.
    Malformed,
    /// The component uses a proposal that this host leaves out.
    UnsupportedFeature,
    /// A size or count is above its limit.
    TooLarge,
    /// The component imports what is not linked.
    Import,
    /// The component implements another version of the contract.
    ContractVersion,
    /// An export of the contract is missing or has another type.
    Contract,
    /// A document inside the component is not valid.
    Section,
    /// Compiling failed or ran into a limit.
    Compile,
    /// No instance could be made, or the start function failed.
    Instantiate,
    /// What the detector says of itself is not valid.
    Description,
    /// A golden row has another score than the release promises.
    Golden,
    /// An answer breaks the contract, or the guest trapped.
    Conformance,
}

impl RefusalKind {
    /// The fixed word for this kind in status, metric and log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAComponent => "not_a_component",
            Self::Malformed => "malformed",
            Self::UnsupportedFeature => "unsupported_feature",
            Self::TooLarge => "too_large",
            Self::Import => "import",
            Self::ContractVersion => "contract_version",
            Self::Contract => "contract",
            Self::Section => "section",
            Self::Compile => "compile",
            Self::Instantiate => "instantiate",
            Self::Description => "description",
            Self::Golden => "golden",
            Self::Conformance => "conformance",
        }
    }
}

/// Why bytes do not become a detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{found}; supported: {supported}; fix: {fix}")]
pub struct Refusal {
    kind: RefusalKind,
    /// What was found.
    pub found: String,
    /// What this host supports instead.
    pub supported: String,
    /// What to do about it.
    pub fix: String,
    /// Whether it is only that something took too long. Then the machine may be to blame, and another try may pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slow: bool,
    /// The checks made so far, when the gate had begun to run the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Box<crate::Report>>,
}

/// The longest text taken from a component into a message.
const QUOTE_LIMIT: usize = 200;

impl Refusal {
    pub(crate) fn new(
        kind: RefusalKind,
        found: impl Into<String>,
        supported: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            found: found.into(),
            supported: supported.into(),
            fix: fix.into(),
            slow: false,
            report: None,
        }
    }

    /// The same, when it is only that something took too long.
    pub(crate) const fn slow(mut self, slow: bool) -> Self {
        self.slow = slow;
        self
    }

    /// Which rule is broken.
    pub const fn kind(&self) -> RefusalKind {
        self.kind
    }
}

/// Cuts a text of the component's to what fits in a message, with control characters escaped.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted: String = text
        .chars()
        .take(QUOTE_LIMIT)
        .flat_map(|c| {
            let escape = c.is_control() && c != '\n';
            let escaped = escape.then(|| c.escape_default());
            escaped.into_iter().flatten().chain((!escape).then_some(c))
        })
        .collect();
    if text.chars().nth(QUOTE_LIMIT).is_some() {
        quoted.push('…');
    }
    quoted
}
