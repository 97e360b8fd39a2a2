//! Owns telling a component from every other kind of file that people upload by mistake.

use crate::Limits;
use crate::refusal::{Refusal, RefusalKind};

const SUPPORTED: &str =
    "a WebAssembly component (a `.wasm` file that begins with 00 61 73 6d 0d 00 01 00)";
const BUILD: &str = "build one with `hodoscope build` or `hodoscope train`";
const COMPONENT: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];
const MODULE: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/// How files begin that are uploaded by mistake, what they are, and what to do.
const KINDS: [(&[u8], &str, &str); 9] = [
    (b"\x1f\x8b", "a gzip archive", "unpack it first: `gunzip`"),
    (
        b"\x28\xb5\x2f\xfd",
        "a zstd archive",
        "unpack it first: `unzstd`",
    ),
    (b"PK\x03\x04", "a zip archive", "unpack it first: `unzip`"),
    (
        b"PAR1",
        "a Parquet file",
        "train a detector from it: `hodoscope train`",
    ),
    (b"BC\xc0\xde", "LLVM bitcode", BUILD),
    (b"\xcf\xfa\xed\xfe", "a Mach-O executable", BUILD),
    (b"MZ", "a Windows executable", BUILD),
    (
        b"\x80\x04",
        "a Python pickle",
        "convert the model to ONNX, then `hodoscope import`",
    ),
    (
        b"\x08",
        "perhaps an ONNX model",
        "import it: `hodoscope import`",
    ),
];

/// Lets only components of an acceptable size pass.
pub(super) fn check(bytes: &[u8], limits: &Limits) -> Result<(), Refusal> {
    let size = bytes.len() as u64;
    if size > limits.component_bytes {
        return Err(Refusal::new(
            RefusalKind::TooLarge,
            format!("a file of {size} bytes"),
            format!("components of up to {} bytes", limits.component_bytes),
            "strip debug information (`wasm-tools strip`), or raise the host's component limit",
        ));
    }
    if bytes.starts_with(&COMPONENT) {
        return Ok(());
    }
    let (found, fix) = name(bytes);
    Err(Refusal::new(
        RefusalKind::NotAComponent,
        found,
        SUPPORTED,
        fix,
    ))
}

/// Says what `bytes` are, and what to do.
fn name(bytes: &[u8]) -> (String, &'static str) {
    let found = |text: &str| text.to_owned();
    if bytes.is_empty() {
        return (found("an empty file"), BUILD);
    }
    if bytes.starts_with(&MODULE) {
        return (
            found("a core WebAssembly module, not a component"),
            "turn it into a component: `wasm-tools component new`, or `hodoscope build`",
        );
    }
    if bytes.starts_with(b"\0asm") {
        if bytes.len() < 8 {
            return (
                found("a truncated WebAssembly file"),
                "upload it again, whole",
            );
        }
        let version = bytes.get(4..8).unwrap_or_default();
        return (
            format!("a WebAssembly file of the unknown binary version {version:02x?}"),
            BUILD,
        );
    }
    if bytes.starts_with(b"\x7fELF") {
        // wasmtime's own compiled form is an ELF file, too.
        return if contains(bytes, b".wasmtime.engine") {
            (
                found("code that wasmtime compiled (`.cwasm`)"),
                "upload the component it was compiled from; foreign machine code is never run",
            )
        } else {
            (found("an ELF executable or library"), BUILD)
        };
    }
    for (magic, what, fix) in KINDS {
        if bytes.starts_with(magic) {
            return (found(what), fix);
        }
    }
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"(") || text.starts_with(b";;") {
        return (
            found("WebAssembly text"),
            "assemble it first: `wasm-tools parse detector.wat -o detector.wasm`",
        );
    }
    let head = bytes.get(..8).unwrap_or(bytes);
    (format!("a file that begins with {head:02x?}"), BUILD)
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
