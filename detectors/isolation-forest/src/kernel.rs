//! The one program that walks every forest. Its text lies in `kernel/`, repeated parts are unrolled here, and all that
//! differs from forest to forest is data: so the code section is the same, byte for byte, in every component, which is
//! what lets a host trust it. It is written against the canonical ABI and imports nothing.

use std::sync::OnceLock;

use hodoscope_release::Digest;
use wasmparser::{Parser, Payload};

use crate::exp2;

/// Byte addresses of the header at the start of memory, by the name under which the text reads them.
pub(crate) mod header {
    /// What the header starts with, and the version of the layout.
    pub(crate) const MAGIC: [u8; 8] = *b"hodofst\x01";
    /// `f64`: see [`crate::units::Units::rate`].
    pub(crate) const RATE: u32 = 8;
    /// `f64`: units per path length of 1.
    pub(crate) const SCALE: u32 = 16;
    /// `f64`: the forest's normaliser.
    pub(crate) const NORMALISER: u32 = 24;
    /// `f64`: the baseline of attributions.
    pub(crate) const BASELINE: u32 = 32;
    /// `u64`: the units of all trees that are a single leaf.
    pub(crate) const BASE: u32 = 40;
    /// How many values a row has.
    pub(crate) const COLUMNS: u32 = 48;
    /// Where memory for arguments and answers begins.
    pub(crate) const HEAP: u32 = 52;
    /// The description, as the canonical ABI lays it out.
    pub(crate) const DESCRIBE: u32 = 56;
    /// Text and length: what follows the number of columns in a refusal.
    pub(crate) const WIDTH_TEXT: u32 = 60;
    /// Text and length: what follows the number of values in a refusal.
    pub(crate) const COUNT_TEXT: u32 = 68;
    /// Address and count: the roots of all trees in their order.
    pub(crate) const ROOTS: u32 = 76;
    /// Address and count: quads of all trees but the single leaves.
    pub(crate) const ALL: u32 = 84;
    /// The first address after the header.
    pub(crate) const END: u32 = 256;
}

/// Bytes behind every allocation that a padded block of rows may touch.
const SLACK: u32 = 1024;

/// What `@{NAME}` stands for in the text.
fn constants() -> Vec<(&'static str, String)> {
    use header as h;
    let mut constants: Vec<(&str, String)> = [
        ("RATE", h::RATE),
        ("BASELINE", h::BASELINE),
        ("BASE", h::BASE),
        ("COLUMNS", h::COLUMNS),
        ("HEAP", h::HEAP),
        ("DESCRIBE", h::DESCRIBE),
        ("WIDTH_TEXT", h::WIDTH_TEXT),
        ("WIDTH_TEXT_LEN", h::WIDTH_TEXT + 4),
        ("COUNT_TEXT", h::COUNT_TEXT),
        ("COUNT_TEXT_LEN", h::COUNT_TEXT + 4),
        ("ROOTS", h::ROOTS),
        ("TREES", h::ROOTS + 4),
        ("ALL", h::ALL),
        ("ALL_COUNT", h::ALL + 4),
        ("SLACK", SLACK),
    ]
    .map(|(name, value)| (name, value.to_string()))
    .into();
    constants.push(("LOWEST", exp2::LOWEST.to_string()));
    constants.push(("HORNER", horner()));
    constants
}

/// The polynomial of `2^part`, one product and one sum per coefficient, the highest first.
fn horner() -> String {
    exp2::COEFFICIENTS
        .iter()
        .rev()
        .map(|c| {
            format!(
                "(local.set $sum (f64x2.add (f64x2.mul (local.get $sum) (local.get $part)) (v128.const f64x2 {c:?} {c:?})))\n"
            )
        })
        .collect()
}

/// The text of the whole module.
fn text() -> String {
    let step = |name: &str| include_str!("kernel/step.wat").replace('@', name);
    let mut body = [
        include_str!("kernel/abi.wat"),
        include_str!("kernel/walk.wat"),
        include_str!("kernel/sums.wat"),
    ]
    .concat();
    for node in ["a", "b", "c", "d", "child"] {
        body = body.replace(&format!("@{{STEP {node}}}"), &step(node));
    }
    for (name, value) in constants() {
        body = body.replace(&format!("@{{{name}}}"), &value);
    }
    format!("(module (memory $memory 1)\n{body})")
}

/// One section of the assembled module.
#[derive(Debug)]
pub(crate) struct KernelSection {
    /// The section's number in the binary format.
    pub(crate) id: u8,
    /// Its bytes, without number and length.
    pub(crate) bytes: Vec<u8>,
}

/// The sections of the kernel, in order, without names; memory and data are for `emit` to add.
pub(crate) fn sections() -> Result<&'static [KernelSection], String> {
    static SECTIONS: OnceLock<Result<Vec<KernelSection>, String>> = OnceLock::new();
    SECTIONS
        .get_or_init(assemble)
        .as_deref()
        .map_err(Clone::clone)
}

fn assemble() -> Result<Vec<KernelSection>, String> {
    let module = wat::parse_str(text()).map_err(|error| error.to_string())?;
    let mut sections = Vec::new();
    for payload in Parser::new(0).parse_all(&module) {
        let payload = payload.map_err(|error| error.to_string())?;
        if matches!(payload, Payload::CustomSection(_)) {
            continue;
        }
        if let Some((id, range)) = payload.as_section()
            && let Some(bytes) = module.get(range)
        {
            let bytes = bytes.to_vec();
            sections.push(KernelSection { id, bytes });
        }
    }
    Ok(sections)
}

/// The number of the code section in the binary format.
const CODE: u8 = 10;

/// The sha256 of each code section that a host may trust: this version's first, then those of earlier ones, so that an
/// upgrade of the host demotes no stored release. Hashed are the bytes of the section after its number and length.
pub fn kernel_digests() -> Vec<Digest> {
    let current = sections().ok().and_then(|sections| {
        let code = sections.iter().find(|section| section.id == CODE)?;
        Some(Digest::of(&code.bytes))
    });
    current.into_iter().collect()
}
