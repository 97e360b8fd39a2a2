//! The one program that walks every forest. Its text lies in `kernel/`, repeated parts are unrolled here, and all that
//! differs from forest to forest is data: so the code section is the same, byte for byte, in every component, which is
//! what lets a host trust it. It is written against the canonical ABI and imports nothing.

mod unrolled;

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
    /// Address and count: quads of the trees that the fast path leaves out.
    pub(crate) const REST: u32 = 92;
    /// The fast path of this forest: 0, [`super::KIND_STAGE`] or [`super::KIND_LANE`].
    pub(crate) const KIND: u32 = 100;
    /// Address and bytes: how values become positions, four features at a time.
    pub(crate) const FEATURES: u32 = 104;
    /// All thresholds of the fast path, feature after feature.
    pub(crate) const THRESHOLDS: u32 = 112;
    /// Scratch: positions of a block of rows.
    pub(crate) const POSITIONS: u32 = 116;
    /// Bytes of a row in it.
    pub(crate) const POSITIONS_BYTES: u32 = 120;
    /// Scratch: ranks of a block of rows.
    pub(crate) const RANKS: u32 = 124;
    /// Bytes of a row in it, on the path for narrow forests.
    pub(crate) const STAGE_ROW: u32 = 128;
    /// Address and end: groups of trees.
    pub(crate) const GROUPS: u32 = 132;
    /// Scratch: leaf numbers chosen so far, on the path for wide forests.
    pub(crate) const CHOSEN: u32 = 140;
    /// The first address after the header.
    pub(crate) const END: u32 = 256;
    /// Where the table of exits lies in forests of [`super::KIND_STAGE`].
    pub(crate) const EXITS: u32 = END;
}

/// Blocks of four levels, for up to 32 features.
pub(crate) const KIND_STAGE: u32 = 1;
/// 64 rows side by side, for any number of features.
pub(crate) const KIND_LANE: u32 = 2;
/// Rows that are ranked before trees are walked: the ranks of a block stay in the first cache.
pub(crate) const BLOCK: u32 = 128;
/// Rows from which it pays to fill up a block of 64.
const LANE_ROWS: u32 = 16;
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
        ("REST", h::REST),
        ("REST_COUNT", h::REST + 4),
        ("KIND", h::KIND),
        ("KIND_STAGE", KIND_STAGE),
        ("KIND_LANE", KIND_LANE),
        ("FEATURES", h::FEATURES),
        ("FEATURES_BYTES", h::FEATURES + 4),
        ("THRESHOLDS", h::THRESHOLDS),
        ("POSITIONS", h::POSITIONS),
        ("POSITIONS_BYTES", h::POSITIONS_BYTES),
        ("RANKS", h::RANKS),
        ("STAGE_ROW", h::STAGE_ROW),
        ("GROUPS", h::GROUPS),
        ("GROUPS_END", h::GROUPS + 4),
        ("CHOSEN", h::CHOSEN),
        ("EXITS", h::EXITS),
        ("BLOCK", BLOCK),
        ("LANE_ROWS", LANE_ROWS),
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

/// The repeated parts, by the name under which the text takes them in.
fn repeated() -> [(&'static str, String); 13] {
    [
        ("POSITIONS_ONE", unrolled::positions_one()),
        ("POSITIONS_TWO", unrolled::positions_two()),
        ("POSITIONS_MANY", unrolled::positions_many()),
        (
            "RANKS_BY_ROW",
            unrolled::ranks(
                "ranks_by_row",
                "(i32.load offset=@{STAGE_ROW} (i32.const 0))",
                1,
            ),
        ),
        (
            "RANKS_BY_FEATURE",
            unrolled::ranks("ranks_by_feature", "(i32.const 1)", 64),
        ),
        ("TWO_1", unrolled::two(1)),
        ("TWO_2", unrolled::two(2)),
        ("TWO_1_ONE", unrolled::two_one(1)),
        ("TWO_2_ONE", unrolled::two_one(2)),
        ("MANY_1", unrolled::many(1)),
        ("MANY_2", unrolled::many(2)),
        ("SELECT", unrolled::select(2)),
        ("ADD_LEAVES", unrolled::add_leaves()),
    ]
}

/// The text of the whole module.
fn text() -> String {
    let step = |name: &str| include_str!("kernel/step.wat").replace('@', name);
    let mut body = [
        include_str!("kernel/abi.wat"),
        include_str!("kernel/walk.wat"),
        include_str!("kernel/rank.wat"),
        include_str!("kernel/stage.wat"),
        include_str!("kernel/lane.wat"),
        include_str!("kernel/sums.wat"),
    ]
    .concat();
    for (name, text) in repeated() {
        body = body.replace(&format!("@{{{name}}}"), &text);
    }
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
    let earlier = EARLIER.iter().filter_map(|digest| digest.parse().ok());
    current.into_iter().chain(earlier).collect()
}

/// Kernels of earlier versions, the latest first. None has been released yet.
const EARLIER: [&str; 0] = [];
