//! Owns what can be said about bytes without running them: which kind of file, how large in every respect, which imports
//! and exports with which types, which documents. It is the first half of the gate, and all of `hodoscope inspect`.

mod contract;
mod documents;
mod kind;
mod shape;
mod types;

use hodoscope_release::Digest;
use hodoscope_release::sections::{Calibration, Golden, Profile, Training};
use serde::Serialize;

use crate::{Limits, Refusal};

/// The documents that ride in a component.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sections {
    /// Rows and the scores they must get.
    pub golden: Option<Golden>,
    /// How scores of normal rows are distributed.
    pub calibration: Option<Calibration>,
    /// The edges on which traffic is counted.
    pub profile: Option<Profile>,
    /// Where a trained release comes from.
    pub training: Option<Training>,
}

/// What is in a component.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// sha256 of the bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size_bytes: u64,
    /// The contract it implements, for instance `hodoscope:detector@0.1.0`.
    pub contract: String,
    /// Whether it exports `explaining`.
    pub explains: bool,
    /// Whether its code is, byte for byte, a kernel of this host.
    pub trusted: bool,
    /// Whether it carries no golden rows.
    pub unproven: bool,
    /// Names of its imports.
    pub imports: Vec<String>,
    /// Names of its exports.
    pub exports: Vec<String>,
    /// Core modules in it.
    pub modules: u32,
    /// Functions of all core modules.
    pub functions: u32,
    /// Bytes of the largest function.
    pub largest_function_bytes: u64,
    /// Core modules and components that an instantiation instantiates.
    pub instantiations: u32,
    /// Bytes of memory that an instance starts with.
    pub memory_bytes: u64,
    /// sha256 of each core module's code section.
    pub code: Vec<Digest>,
    /// The documents that ride in it.
    #[serde(skip)]
    pub sections: Sections,
    /// The full name under which `scoring` is exported.
    #[serde(skip)]
    pub(crate) scoring_export: String,
    /// The full name under which `explaining` is exported.
    #[serde(skip)]
    pub(crate) explaining_export: Option<String>,
}

/// Looks at `bytes` without running or compiling anything. The time it takes grows with the size of the bytes only:
/// bodies of functions are measured but not read.
pub(crate) fn inspect(
    bytes: &[u8],
    limits: &Limits,
    trusted_kernels: &[Digest],
) -> Result<Inspection, Refusal> {
    kind::check(bytes, limits)?;
    let shape = shape::read(bytes, limits)?;
    let contract = contract::check(&shape)?;
    let sections = documents::read(&shape, limits)?;
    let trusted = is_trusted(&shape, trusted_kernels);
    Ok(Inspection {
        digest: Digest::of(bytes),
        size_bytes: bytes.len() as u64,
        contract: contract.name,
        explains: contract.explaining.is_some(),
        trusted,
        unproven: sections.golden.is_none(),
        imports: shape.imports,
        exports: shape.exports,
        modules: shape.modules,
        functions: shape.functions,
        largest_function_bytes: shape.largest_function_bytes,
        instantiations: u32::try_from(shape.cost.instantiations).unwrap_or(u32::MAX),
        memory_bytes: shape.cost.memory_bytes,
        code: shape.code,
        sections,
        scoring_export: contract.scoring,
        explaining_export: contract.explaining,
    })
}

/// Modules of a trusted component; those beside the kernel hold no code.
const TRUSTED_MODULES: u32 = 4;
/// Functions that the component model makes for a trusted component: each costs the compiler something.
const TRUSTED_CANONICALS: u64 = 64;

/// Whether all code is the host's own, and nothing around it is out of the ordinary: such a component compiles in
/// this process, so its compile time must be known, not only its code.
fn is_trusted(shape: &shape::Shape<'_>, kernels: &[Digest]) -> bool {
    !shape.code.is_empty()
        && shape.code.iter().all(|code| kernels.contains(code))
        && shape.modules <= TRUSTED_MODULES
        && shape.canonicals <= TRUSTED_CANONICALS
}
