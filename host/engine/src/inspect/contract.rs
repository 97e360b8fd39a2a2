//! Owns comparing a component's imports and exports with the contract: names, version, and the types of the functions,
//! down to the fields of records. Exports that the contract does not know are ignored; imports are not.

use hodoscope_release::Version;
use wasmparser::component_types::{ComponentEntityType, ComponentInstanceTypeId};
use wasmparser::types::TypesRef;

use super::shape::Shape;
use super::types;
use crate::contract::{PACKAGE, VERSION};
use crate::refusal::{Refusal, RefusalKind, quote};

/// The contract's functions, as `types::function` writes them.
const DESCRIBE: &str = "func() -> record { features: list<record { name: string, unit: option<string> }>, \
threshold: option<f64>, metadata: list<tuple<string, string>> }";
const SCORE: &str = "func(batch: record { columns: u32, values: list<f64> }) -> result<list<f64>, variant { \
wrong-shape: string, unsupported: string, bad-value: tuple<record { row: option<u32>, column: option<u32> }, string>, \
internal: string }>";
const EXPLAIN: &str = "func(batch: record { columns: u32, values: list<f64> }) -> result<record { scores: list<f64>, \
baseline: f64, attributions: list<f64> }, variant { \
wrong-shape: string, unsupported: string, bad-value: tuple<record { row: option<u32>, column: option<u32> }, string>, \
internal: string }>";
const WRITE: &str = "func(level: enum { debug, info, warn, error }, message: string)";

/// Which version a component implements, and under which names.
pub(super) struct Contract {
    pub(super) name: String,
    pub(super) scoring: String,
    pub(super) explaining: Option<String>,
}

/// `package/interface@version`, taken apart.
struct Name<'a> {
    package: &'a str,
    interface: &'a str,
    version: Option<&'a str>,
}

impl<'a> Name<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (path, version) = match text.split_once('@') {
            Some((path, version)) => (path, Some(version)),
            None => (text, None),
        };
        let (package, interface) = path.split_once('/')?;
        Some(Self {
            package,
            interface,
            version,
        })
    }

    /// Whether it belongs to a version of the contract that this host speaks: within 0.1, types decide.
    fn speaks(&self) -> bool {
        let version = self
            .version
            .and_then(|version| Version::parse(version).ok());
        self.package == PACKAGE
            && version.is_some_and(|v| {
                (v.major, v.minor) == (VERSION.major, VERSION.minor) && v.pre.is_empty()
            })
    }
}

/// Compares imports and exports with the contract.
pub(super) fn check(shape: &Shape<'_>) -> Result<Contract, Refusal> {
    let types = shape.types.as_ref();
    for import in &shape.imports {
        check_import(types, import)?;
    }
    let scoring = find(shape, "scoring")?.ok_or_else(|| missing(shape))?;
    let explaining = find(shape, "explaining")?;
    let version = Name::parse(&scoring).and_then(|name| name.version.map(str::to_owned));
    let version = version.unwrap_or_default();
    check_function(types, &scoring, "describe", DESCRIBE)?;
    check_function(types, &scoring, "score", SCORE)?;
    if let Some(explaining) = &explaining {
        check_function(types, explaining, "explain", EXPLAIN)?;
    }
    Ok(Contract {
        name: format!("{PACKAGE}@{version}"),
        scoring,
        explaining,
    })
}

/// The export that is `interface` of a version of the contract that this host speaks.
fn find(shape: &Shape<'_>, interface: &str) -> Result<Option<String>, Refusal> {
    let named = |export: &&String| {
        Name::parse(export).is_some_and(|n| n.package == PACKAGE && n.interface == interface)
    };
    let Some(export) = shape.exports.iter().find(named) else {
        return Ok(None);
    };
    let spoken =
        |export: &&String| named(export) && Name::parse(export).is_some_and(|n| n.speaks());
    if let Some(export) = shape.exports.iter().find(spoken) {
        return Ok(Some(export.clone()));
    }
    Err(Refusal::new(
        RefusalKind::ContractVersion,
        format!("the export `{}`", quote(export)),
        format!("`{PACKAGE}/{interface}` of version 0.1"),
        format!("build against `wit/0.1.0` (`{PACKAGE}@{VERSION}`), or upgrade this host"),
    ))
}

fn missing(shape: &Shape<'_>) -> Refusal {
    let exports = match shape.exports.as_slice() {
        [] => "no exports at all".to_owned(),
        exports => {
            let names: Vec<String> = exports
                .iter()
                .take(8)
                .map(|e| format!("`{}`", quote(e)))
                .collect();
            format!("the exports {}", names.join(", "))
        }
    };
    Refusal::new(
        RefusalKind::Contract,
        exports,
        format!("an export `{PACKAGE}/scoring@{VERSION}`"),
        "build for the world `detector` or `explained-detector` of `wit/0.1.0`",
    )
}

fn check_import(types: TypesRef<'_>, import: &str) -> Result<(), Refusal> {
    let item = types.component_item_for_import(import).map(|item| item.ty);
    let name = Name::parse(import);
    let ours = name.as_ref().is_some_and(|name| name.package == PACKAGE);
    if ours && !name.as_ref().is_some_and(Name::speaks) {
        return Err(Refusal::new(
            RefusalKind::ContractVersion,
            format!("the import `{}`", quote(import)),
            format!("`{PACKAGE}/log` of version 0.1"),
            format!("build against `wit/0.1.0` (`{PACKAGE}@{VERSION}`), or upgrade this host"),
        ));
    }
    let interface = name.filter(|_| ours).map(|name| name.interface);
    let (Some(interface), Some(ComponentEntityType::Instance(id))) = (interface, item) else {
        return Err(foreign(import));
    };
    for (export, item) in instance_exports(types, id) {
        match (interface, export, item) {
            // Types need no implementation: some toolchains import the interface whose records they use.
            (_, _, ComponentEntityType::Type { .. }) => {}
            ("log", "write", ComponentEntityType::Func(id)) => {
                let found = types::function(types, id);
                if found != WRITE {
                    return Err(mismatch(import, export, &found, WRITE));
                }
            }
            _ => return Err(foreign(&format!("{import}#{export}"))),
        }
    }
    Ok(())
}

fn foreign(import: &str) -> Refusal {
    let fix = if import.starts_with("wasi:") {
        "rebuild without WASI: `--stub-wasi` (componentize-py, componentize-qjs), `disableFeatures` (componentize-js), \
         target `wasm32-unknown-unknown` (Rust), a null adapter (Go, C)"
    } else {
        "remove the import: a detector computes on what it is given"
    };
    Refusal::new(
        RefusalKind::Import,
        format!("the import `{}`", quote(import)),
        format!("`{PACKAGE}/log@{VERSION}` and nothing else"),
        fix,
    )
}

fn instance_exports(
    types: TypesRef<'_>,
    id: ComponentInstanceTypeId,
) -> impl Iterator<Item = (&str, ComponentEntityType)> {
    let instance = types.get(id);
    instance.into_iter().flat_map(|instance| {
        instance
            .exports
            .iter()
            .map(|(name, item)| (name.as_str(), item.ty))
    })
}

/// Checks that `export` is an instance with a function `name` of exactly the type `wanted`.
fn check_function(
    types: TypesRef<'_>,
    export: &str,
    name: &str,
    wanted: &str,
) -> Result<(), Refusal> {
    let item = types.component_item_for_export(export).map(|item| item.ty);
    let found = match item {
        Some(ComponentEntityType::Instance(id)) => {
            instance_exports(types, id).find(|(export, _)| *export == name)
        }
        _ => None,
    };
    match found {
        Some((_, ComponentEntityType::Func(id))) => match types::function(types, id) {
            found if found == wanted => Ok(()),
            found => Err(mismatch(export, name, &found, wanted)),
        },
        _ => Err(Refusal::new(
            RefusalKind::Contract,
            format!("`{}` without a function `{name}`", quote(export)),
            wanted,
            "build against `wit/0.1.0`, unchanged",
        )),
    }
}

/// A refusal that shows where two types part.
fn mismatch(interface: &str, name: &str, found: &str, wanted: &str) -> Refusal {
    let same = found
        .bytes()
        .zip(wanted.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let start = found.floor_char_boundary(same.saturating_sub(20));
    let part = found.get(start..).unwrap_or(found);
    Refusal::new(
        RefusalKind::Contract,
        format!(
            "`{}` has a function `{name}` of another type, which differs at `{}`",
            quote(interface),
            quote(part),
        ),
        wanted,
        "build against `wit/0.1.0`, unchanged: records match by their field names and types",
    )
}
