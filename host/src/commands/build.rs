//! `hodoscope build`: turns a detector's source folder, or a core module that another compiler made, into a component
//! that can be pushed. Rust, Python and JavaScript folders are compiled here; for every other language its toolchain makes
//! the module or the component, and this command adds what is missing: the component's shell and the golden rows.

mod toolchain;

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hodoscope_release::Digest;
use hodoscope_release::sections::{self, Golden};
use serde::Serialize;
use wasm_encoder::{CustomSection, Encode, Section};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::Context;
pub(super) use toolchain::{JAVASCRIPT_TOOL, PYTHON_TOOL, TARGET};

/// The contract that a bare core module is taken to speak.
pub(super) const CONTRACT: &str = include_str!("../../../wit/0.1.0/detector.wit");
/// The world for a bare core module that explains, and for one that does not.
const WORLDS: [&str; 2] = ["explained-detector", "detector"];

/// What to build.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A detector's folder (with Cargo.toml, app.py or detector.js), a core module, or a component (.wasm).
    pub source: PathBuf,
    /// Where the component goes; by default `<name>.wasm` in this folder.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Rows with expected scores (JSON); by default `cases/golden.json` in the detector's folder, if it is there.
    #[arg(long)]
    pub golden: Option<PathBuf>,
}

/// What was built.
#[derive(Debug, Serialize)]
struct Built {
    component: PathBuf,
    digest: Digest,
    size_bytes: usize,
    golden_rows: usize,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let golden = golden(&args)?;
    let (name, module) = if args.source.is_dir() {
        compile(&args.source)?
    } else {
        let module = fs::read(&args.source)
            .with_context(|| format!("failed to read `{}`", args.source.display()))?;
        let stem = args.source.file_stem().unwrap_or_default();
        (stem.to_string_lossy().into_owned(), module)
    };
    let component = componentize(&module, golden.as_ref())?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{name}.wasm")));
    fs::write(&out, &component).with_context(|| format!("failed to write `{}`", out.display()))?;
    let built = Built {
        digest: Digest::of(&component),
        size_bytes: component.len(),
        golden_rows: golden.map_or(0, |golden| golden.rows.len()),
        component: out,
    };
    let unproven = match built.golden_rows {
        0 => "; unproven: add cases/golden.json and its scores are checked at every load",
        _ => "",
    };
    let text = format!(
        "{}  {}  {} bytes  {} golden rows{unproven}\nnext: hodoscope push {} --version 0.1.0",
        built.component.display(),
        built.digest,
        built.size_bytes,
        built.golden_rows,
        built.component.display(),
    );
    context.answer(&built, text)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a component of a core module (a component stays as it is) and appends the golden rows.
///
/// A module without a `component-type` section, which bindings generators add, is taken to export the names of the
/// contract 0.1.0 as the canonical ABI spells them.
pub fn componentize(module: &[u8], golden: Option<&Golden>) -> anyhow::Result<Vec<u8>> {
    let mut component = if is_component(module) {
        module.to_vec()
    } else {
        encode(module)?
    };
    if let Some(golden) = golden {
        let data = serde_json::to_vec(golden)?;
        let section = CustomSection {
            name: Cow::Borrowed(sections::GOLDEN),
            data: Cow::Owned(data),
        };
        component.push(section.id());
        section.encode(&mut component);
    }
    Ok(component)
}

/// The fourth pair of header bytes tells a component from a core module.
fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm") && bytes.get(6..8) == Some(&[1, 0])
}

fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    if !module.starts_with(b"\0asm") {
        bail!(
            "the input is no WebAssembly; pass a detector's folder, a core module or a component"
        );
    }
    if has_component_type(module) {
        return encode_as_is(module);
    }
    // A module that does not say what it is would become a component without any export.
    let [explained, plain] =
        WORLDS.map(|world| embed(module, world).and_then(|module| encode_as_is(&module)));
    explained.or(plain)
}

fn encode_as_is(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.validate(true).encode())
        .context(
            "failed to make a component; the module must export the functions of the contract 0.1.0 \
             and import at most `log` (no WASI)",
        )
}

fn has_component_type(module: &[u8]) -> bool {
    let marker = b"component-type";
    module.windows(marker.len()).any(|window| window == marker)
}

fn embed(module: &[u8], world: &str) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("detector.wit", CONTRACT)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}

fn golden(args: &Args) -> anyhow::Result<Option<Golden>> {
    let beside = args.source.join("cases/golden.json");
    let path = match &args.golden {
        Some(path) => path,
        None if beside.is_file() => &beside,
        None => return Ok(None),
    };
    let text = fs::read_to_string(path)
        .with_context(|| format!("failed to read golden rows `{}`", path.display()))?;
    let golden: Golden = serde_json::from_str(&text)
        .with_context(|| format!("`{}` holds no golden rows", path.display()))?;
    if golden.rows.len() != golden.scores.len() {
        bail!(
            "`{}` has {} rows and {} scores; give one score for each row",
            path.display(),
            golden.rows.len(),
            golden.scores.len()
        );
    }
    Ok(Some(golden))
}

/// Compiles a detector's folder by the source file that lies in it. Gives the folder's name and the module.
fn compile(folder: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let has = |file: &str| folder.join(file).is_file();
    let module = if has("Cargo.toml") {
        toolchain::rust(folder)?
    } else if has("app.py") {
        toolchain::python(folder)?
    } else if has("detector.js") {
        toolchain::javascript(folder)?
    } else {
        bail!(
            "`{}` has no Cargo.toml, app.py or detector.js; for another language make the module or component with its \
             own toolchain and pass the .wasm file",
            folder.display()
        );
    };
    let name = folder
        .canonicalize()?
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok((name, module))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_exports_nothing_is_no_detector() {
        let error = encode(b"\0asm\x01\0\0\0").unwrap_err().to_string();
        assert!(error.contains("must export the functions"), "{error}");
    }
}
