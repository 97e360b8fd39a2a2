//! Owns the Rust side of `wit/0.1.0/detector.wit`: the records as they cross, and how an answer of a guest becomes an
//! answer of ours. Lists of f64 are lowered and lifted by wasmtime as one copy of their bytes.

use wasmtime::component::{ComponentType, Func, Lift, Lower, TypedFunc};

use crate::{Fault, GuestRefusal, LogLevel};

/// The package every contract version belongs to.
pub(crate) const PACKAGE: &str = "hodoscope:detector";
/// The contract version whose records are checked and called.
pub(crate) const VERSION: hodoscope_release::Version = hodoscope_release::Version::new(0, 1, 0);
/// The instance under which `log` is linked. wasmtime looks names up by semver, so a guest of 0.1.9 finds it too.
pub(crate) const LOG_INSTANCE: &str = "hodoscope:detector/log@0.1.0";

/// `scoring.batch`, borrowed: lowering copies the values straight into the guest.
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct WitBatch<'a> {
    pub(crate) columns: u32,
    pub(crate) values: &'a [f64],
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WitFeature {
    pub(crate) name: String,
    pub(crate) unit: Option<String>,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WitDescription {
    pub(crate) features: Vec<WitFeature>,
    pub(crate) threshold: Option<f64>,
    pub(crate) metadata: Vec<(String, String)>,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WitLocation {
    row: Option<u32>,
    column: Option<u32>,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum WitRefusal {
    #[component(name = "wrong-shape")]
    WrongShape(String),
    #[component(name = "unsupported")]
    Unsupported(String),
    #[component(name = "bad-value")]
    BadValue((WitLocation, String)),
    #[component(name = "internal")]
    Internal(String),
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WitExplanation {
    pub(crate) scores: Vec<f64>,
    pub(crate) baseline: f64,
    pub(crate) attributions: Vec<f64>,
}

#[derive(Debug, Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes these values")]
pub(crate) enum WitLevel {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

pub(crate) type Describe = TypedFunc<(), (WitDescription,)>;
pub(crate) type Score<'a> = TypedFunc<(WitBatch<'a>,), (Result<Vec<f64>, WitRefusal>,)>;
pub(crate) type Explain<'a> = TypedFunc<(WitBatch<'a>,), (Result<WitExplanation, WitRefusal>,)>;

/// The functions of one instance. Their types were compared with the contract's when the component was loaded, by
/// [`Functions::check`]; an instance of the same component has the same types.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Functions {
    pub(crate) describe: Func,
    pub(crate) score: Func,
    pub(crate) explain: Option<Func>,
}

impl Functions {
    /// Compares the types of the functions with the contract's. The calls below rely on it having succeeded.
    pub(crate) fn check(&self, store: impl wasmtime::AsContext) -> wasmtime::Result<()> {
        let store = store.as_context();
        self.describe.typed::<(), (WitDescription,)>(&store)?;
        self.score
            .typed::<(WitBatch<'_>,), (Result<Vec<f64>, WitRefusal>,)>(&store)?;
        if let Some(explain) = self.explain {
            explain.typed::<(WitBatch<'_>,), (Result<WitExplanation, WitRefusal>,)>(&store)?;
        }
        Ok(())
    }

    /// The typed `scoring.describe`.
    pub(crate) fn describe(&self) -> Describe {
        // SAFETY: the signature was compared by `check` for the component this function belongs to.
        #[expect(
            unsafe_code,
            reason = "the type was compared once, at load; comparing record names per call costs as much as a row"
        )]
        unsafe {
            TypedFunc::new_unchecked(self.describe)
        }
    }

    /// The typed `scoring.score`.
    pub(crate) fn score<'a>(&self) -> Score<'a> {
        // SAFETY: as in `describe`.
        #[expect(unsafe_code, reason = "as in `describe`")]
        unsafe {
            TypedFunc::new_unchecked(self.score)
        }
    }

    /// The typed `explaining.explain`, if the component exports it.
    pub(crate) fn explain<'a>(&self) -> Option<Explain<'a>> {
        // SAFETY: as in `describe`.
        #[expect(unsafe_code, reason = "as in `describe`")]
        self.explain
            .map(|explain| unsafe { TypedFunc::new_unchecked(explain) })
    }
}

impl WitRefusal {
    /// The fault that this refusal is to the caller, whose batch began `first_row` rows before the guest's.
    pub(crate) fn into_fault(self, first_row: usize) -> Fault {
        let refused = match self {
            Self::WrongShape(text) => GuestRefusal::WrongShape(text),
            Self::Unsupported(text) => GuestRefusal::Unsupported(text),
            Self::BadValue((location, message)) => GuestRefusal::BadValue {
                row: location
                    .row
                    .map(|row| row.saturating_add(u32::try_from(first_row).unwrap_or(u32::MAX))),
                column: location.column,
                message,
            },
            Self::Internal(text) => return Fault::Internal(text),
        };
        Fault::Refused(refused)
    }
}

impl From<WitLevel> for LogLevel {
    fn from(level: WitLevel) -> Self {
        match level {
            WitLevel::Debug => Self::Debug,
            WitLevel::Info => Self::Info,
            WitLevel::Warn => Self::Warn,
            WitLevel::Error => Self::Error,
        }
    }
}
