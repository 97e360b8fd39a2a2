//! `hodoscope new`: a folder with a small, working detector in the language of your choice, its contract and golden rows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hodoscope_release::DetectorName;
use serde::Serialize;

use super::Context;
use super::build::{CONTRACT, JAVASCRIPT_TOOL, PYTHON_TOOL, TARGET};

/// What to start with.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The detector's name, and the folder that is made.
    pub name: DetectorName,
    /// The language.
    #[arg(long, value_enum)]
    pub lang: Language,
}

/// A language that has a template. Any other that compiles to components works as well: see docs/detectors.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// wit-bindgen, `wasm32-unknown-unknown`.
    Rust,
    /// componentize-py.
    Python,
    /// componentize-qjs.
    Javascript,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    folder: PathBuf,
    files: Vec<String>,
}

/// One file of a template: where it goes, and its text.
type File = (&'static str, &'static str);

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let folder = PathBuf::from(args.name.as_str());
    if folder.exists() {
        bail!(
            "`{}` is already there; choose another name or remove it",
            folder.display()
        );
    }
    let name = args.name.as_str();
    let mut files = Vec::new();
    for (path, text) in args.lang.files() {
        let text = text
            .replace("{{name}}", name)
            .replace("{{source}}", args.lang.source())
            .replace("{{tools}}", &args.lang.tools());
        write(&folder.join(path), &text)?;
        files.push((*path).to_owned());
    }
    let text = format!(
        "made {}\nnext: cd {name} && {} && hodoscope build . && hodoscope test {name}.wasm",
        files
            .iter()
            .map(|file| format!("{name}/{file}"))
            .collect::<Vec<_>>()
            .join(", "),
        args.lang.tools(),
    );
    context.answer(&Made { folder, files }, text)?;
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("failed to make the folder `{}`", parent.display()))?;
    }
    fs::write(path, text).with_context(|| format!("failed to write `{}`", path.display()))
}

impl Language {
    fn files(self) -> Vec<File> {
        let mut files: Vec<File> = vec![
            ("README.md", include_str!("../../templates/README.md.in")),
            ("wit/detector.wit", CONTRACT),
            (
                "cases/golden.json",
                include_str!("../../templates/cases/golden.json"),
            ),
        ];
        files.extend(match self {
            Self::Rust => vec![
                (
                    "Cargo.toml",
                    include_str!("../../templates/rust/Cargo.toml.in"),
                ),
                (
                    "src/lib.rs",
                    include_str!("../../templates/rust/src/lib.rs.in"),
                ),
            ],
            Self::Python => vec![("app.py", include_str!("../../templates/python/app.py.in"))],
            Self::Javascript => vec![(
                "detector.js",
                include_str!("../../templates/javascript/detector.js.in"),
            )],
        });
        files
    }

    fn source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Python => "app.py",
            Self::Javascript => "detector.js",
        }
    }

    /// The command that installs what `hodoscope build` needs.
    fn tools(self) -> String {
        match self {
            Self::Rust => format!("rustup target add {TARGET}"),
            Self::Python => format!("pip install {PYTHON_TOOL}"),
            Self::Javascript => format!("npm install {JAVASCRIPT_TOOL}"),
        }
    }
}
