//! Owns the walk over a component's structure: every size that is limited, the custom sections, the code sections, and
//! how much one instantiation makes. The last is counted without instantiating: a few kilobytes in which each nested
//! component instantiates the one before ten times would otherwise cost seconds and gigabytes that no limit sees.

use std::ops::Range;

use hodoscope_release::Digest;
use wasmparser::types::Types;
use wasmparser::{
    ComponentAlias, ComponentExport, ComponentExternalKind, ComponentImport, ComponentInstance,
    ComponentOuterAliasKind, ComponentTypeRef, Encoding, Instance, Parser, Payload, ValidPayload,
    Validator, WasmFeatures,
};

use crate::Limits;
use crate::refusal::{Refusal, RefusalKind, quote};

const PAGE_BYTES: u64 = 65536;

/// What one instantiation of something makes, itself included.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    pub(super) instantiations: u64,
    pub(super) memory_bytes: u64,
    table_elements: u64,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.instantiations = self.instantiations.saturating_add(other.instantiations);
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
        self.table_elements = self.table_elements.saturating_add(other.table_elements);
    }

    fn once() -> Self {
        Self {
            instantiations: 1,
            ..Self::default()
        }
    }
}

/// What the walk found.
pub(super) struct Shape<'a> {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
    pub(super) modules: u32,
    pub(super) functions: u32,
    pub(super) largest_function_bytes: u64,
    pub(super) cost: Cost,
    pub(super) code: Vec<Digest>,
    /// Functions lifted, lowered or made by the component model.
    pub(super) canonicals: u64,
    /// Custom sections at the top level, by name.
    pub(super) custom: Vec<(&'a str, &'a [u8])>,
    pub(super) types: Types,
}

/// A module or component in the middle of which the walk is.
#[derive(Default)]
struct Frame {
    is_component: bool,
    cost: Cost,
    /// The index space of core modules; `None`: not known here.
    modules: Vec<Option<Cost>>,
    /// The index space of components.
    components: Vec<Option<Cost>>,
}

struct Walk<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    frames: Vec<Frame>,
    imports: Vec<String>,
    exports: Vec<String>,
    modules: u32,
    functions: u32,
    largest_function_bytes: u64,
    code: Vec<Digest>,
    canonicals: u64,
    custom: Vec<(&'a str, &'a [u8])>,
}

/// The proposals that compiled code may use: as `runtime::compile_settings` leaves them.
fn features() -> WasmFeatures {
    let mut features = WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL;
    features.remove(
        WasmFeatures::GC_TYPES
            | WasmFeatures::EXCEPTIONS
            | WasmFeatures::THREADS
            | WasmFeatures::MULTI_MEMORY
            | WasmFeatures::MEMORY64,
    );
    features
}

/// Reads the structure of `bytes`, which begin like a component.
pub(super) fn read<'a>(bytes: &'a [u8], limits: &'a Limits) -> Result<Shape<'a>, Refusal> {
    let mut validator = Validator::new_with_features(features());
    let mut walk = Walk {
        bytes,
        limits,
        frames: Vec::new(),
        imports: Vec::new(),
        exports: Vec::new(),
        modules: 0,
        functions: 0,
        largest_function_bytes: 0,
        code: Vec::new(),
        canonicals: 0,
        custom: Vec::new(),
    };
    let mut whole = None;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| malformed(&error))?;
        let valid = validator.payload(&payload).map_err(|e| malformed(&e))?;
        let finished = walk.payload(&payload)?;
        // Bodies of functions are validated by the compiler, which reads them anyway.
        if let (ValidPayload::End(types), Some(cost)) = (valid, finished) {
            whole = Some((types, cost));
        }
    }
    let (types, cost) = whole.ok_or_else(|| {
        Refusal::new(
            RefusalKind::Malformed,
            "a component that never ends",
            "complete components",
            "upload it again, whole",
        )
    })?;
    let shape = Shape {
        imports: walk.imports,
        exports: walk.exports,
        modules: walk.modules,
        functions: walk.functions,
        largest_function_bytes: walk.largest_function_bytes,
        cost,
        code: walk.code,
        canonicals: walk.canonicals,
        custom: walk.custom,
        types,
    };
    check_cost(&shape.cost, limits)?;
    Ok(shape)
}

fn check_cost(cost: &Cost, limits: &Limits) -> Result<(), Refusal> {
    if cost.instantiations > u64::from(limits.instantiations) {
        return Err(too_large(
            format!("a component that makes {} instances", cost.instantiations),
            format!("up to {}", limits.instantiations),
            "do not nest or repeat instantiations; one module is enough for a detector",
        ));
    }
    if cost.memory_bytes > limits.memory_bytes {
        return Err(too_large(
            format!(
                "memories that start with {} bytes together",
                cost.memory_bytes
            ),
            format!("up to {} bytes", limits.memory_bytes),
            "shrink the initial memory, or raise the host's memory limit",
        ));
    }
    if cost.table_elements > limits.table_elements {
        return Err(too_large(
            format!("tables that start with {} elements", cost.table_elements),
            format!("up to {}", limits.table_elements),
            "shrink the tables",
        ));
    }
    Ok(())
}

impl<'a> Walk<'a> {
    /// Takes in one piece. Gives the cost of the whole when the outermost component ends.
    fn payload(&mut self, payload: &Payload<'a>) -> Result<Option<Cost>, Refusal> {
        match payload {
            Payload::Version { encoding, .. } => self.frames.push(Frame {
                is_component: *encoding == Encoding::Component,
                ..Frame::default()
            }),
            Payload::End(_) => return Ok(self.end()),
            Payload::MemorySection(reader) => {
                for memory in reader.clone() {
                    let pages = memory.map_err(|error| malformed(&error))?.initial;
                    let bytes = pages.saturating_mul(PAGE_BYTES);
                    self.cost(|cost| cost.memory_bytes = cost.memory_bytes.saturating_add(bytes));
                }
            }
            Payload::TableSection(reader) => {
                for table in reader.clone() {
                    let elements = table.map_err(|error| malformed(&error))?.ty.initial;
                    self.cost(|cost| {
                        cost.table_elements = cost.table_elements.saturating_add(elements);
                    });
                }
            }
            Payload::CodeSectionStart { count, range, .. } => self.code(*count, range)?,
            Payload::CodeSectionEntry(body) => {
                let size = body.range().len() as u64;
                self.largest_function_bytes = self.largest_function_bytes.max(size);
                if size > self.limits.function_bytes {
                    return Err(too_large(
                        format!("a function of {size} bytes"),
                        format!("functions of up to {} bytes", self.limits.function_bytes),
                        "keep data in data segments instead of code, and split the function",
                    ));
                }
            }
            Payload::CustomSection(reader) if self.frames.len() == 1 => {
                self.custom.push((reader.name(), reader.data()));
            }
            _ => self.component_payload(payload)?,
        }
        Ok(None)
    }

    fn component_payload(&mut self, payload: &Payload<'a>) -> Result<(), Refusal> {
        match payload {
            Payload::InstanceSection(reader) => {
                for instance in reader.clone() {
                    if let Instance::Instantiate { module_index, .. } =
                        instance.map_err(|error| malformed(&error))?
                    {
                        let known = self.known(ComponentExternalKind::Module, 0, module_index);
                        self.instantiate(known)?;
                    }
                }
            }
            Payload::ComponentInstanceSection(reader) => {
                for instance in reader.clone() {
                    if let ComponentInstance::Instantiate {
                        component_index, ..
                    } = instance.map_err(|error| malformed(&error))?
                    {
                        let kind = ComponentExternalKind::Component;
                        let known = self.known(kind, 0, component_index);
                        self.instantiate(known)?;
                    }
                }
            }
            Payload::ComponentCanonicalSection(reader) => {
                self.canonicals = self.canonicals.saturating_add(u64::from(reader.count()));
            }
            Payload::ComponentAliasSection(reader) => {
                for alias in reader.clone() {
                    self.alias(&alias.map_err(|error| malformed(&error))?);
                }
            }
            Payload::ComponentImportSection(reader) => {
                for import in reader.clone() {
                    self.import(&import.map_err(|error| malformed(&error))?);
                }
            }
            Payload::ComponentExportSection(reader) => {
                for export in reader.clone() {
                    self.export(&export.map_err(|error| malformed(&error))?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, import: &ComponentImport<'_>) {
        match import.ty {
            ComponentTypeRef::Module(_) => self.define(ComponentExternalKind::Module, None),
            ComponentTypeRef::Component(_) => self.define(ComponentExternalKind::Component, None),
            _ => {}
        }
        if self.frames.len() == 1 {
            self.imports.push(import.name.name.to_owned());
        }
    }

    fn export(&mut self, export: &ComponentExport<'_>) {
        // An export makes a new index for what it exports.
        let known = self.known(export.kind, 0, export.index);
        self.define(export.kind, known);
        if self.frames.len() == 1 {
            self.exports.push(export.name.name.to_owned());
        }
    }

    fn code(&mut self, count: u32, range: &Range<usize>) -> Result<(), Refusal> {
        self.functions = self.functions.saturating_add(count);
        if self.functions > self.limits.functions {
            return Err(too_large(
                format!("{} functions or more", self.functions),
                format!("up to {}", self.limits.functions),
                "leave out code that is not needed",
            ));
        }
        let code = self.bytes.get(range.clone()).unwrap_or_default();
        self.code.push(Digest::of(code));
        Ok(())
    }

    /// Ends the innermost module or component; it becomes the next index of the one around it.
    fn end(&mut self) -> Option<Cost> {
        let frame = self.frames.pop()?;
        let mut cost = frame.cost;
        cost.add(Cost::once());
        let kind = if frame.is_component {
            ComponentExternalKind::Component
        } else {
            self.modules = self.modules.saturating_add(1);
            ComponentExternalKind::Module
        };
        self.define(kind, Some(cost));
        self.frames.is_empty().then_some(cost)
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        match *alias {
            ComponentAlias::Outer { kind, count, index } => {
                let kind = match kind {
                    ComponentOuterAliasKind::CoreModule => ComponentExternalKind::Module,
                    ComponentOuterAliasKind::Component => ComponentExternalKind::Component,
                    ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => return,
                };
                let known = self.known(kind, count, index);
                self.define(kind, known);
            }
            ComponentAlias::InstanceExport { kind, .. } => self.define(kind, None),
            ComponentAlias::CoreInstanceExport { .. } => {}
        }
    }

    fn cost(&mut self, change: impl FnOnce(&mut Cost)) {
        if let Some(frame) = self.frames.last_mut() {
            change(&mut frame.cost);
        }
    }

    /// What instantiating index `index` costs, `outward` components further out.
    fn known(&self, kind: ComponentExternalKind, outward: u32, index: u32) -> Option<Cost> {
        let frame = self.frames.iter().rev().nth(outward as usize)?;
        let space = match kind {
            ComponentExternalKind::Module => &frame.modules,
            ComponentExternalKind::Component => &frame.components,
            _ => return None,
        };
        *space.get(index as usize)?
    }

    fn define(&mut self, kind: ComponentExternalKind, cost: Option<Cost>) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        match kind {
            ComponentExternalKind::Module => frame.modules.push(cost),
            ComponentExternalKind::Component => frame.components.push(cost),
            _ => {}
        }
    }

    fn instantiate(&mut self, known: Option<Cost>) -> Result<(), Refusal> {
        let Some(known) = known else {
            return Err(too_large(
                "a component or module that is passed around before it is instantiated".into(),
                "components that instantiate what they contain".into(),
                "link the parts into one module before making the component",
            ));
        };
        self.cost(|cost| cost.add(known));
        Ok(())
    }
}

fn too_large(found: String, supported: String, fix: &str) -> Refusal {
    Refusal::new(RefusalKind::TooLarge, found, supported, fix)
}

/// The refusal that an error of the validator is.
fn malformed(error: &wasmparser::BinaryReaderError) -> Refusal {
    let text = format!("{} (at byte {})", quote(error.message()), error.offset());
    if error.message().contains("unexpected end") {
        return Refusal::new(
            RefusalKind::Malformed,
            format!("a truncated component: {text}"),
            "complete components",
            "upload it again, whole",
        );
    }
    if error.message().contains("async") {
        return Refusal::new(
            RefusalKind::UnsupportedFeature,
            format!("the asynchronous component model: {text}"),
            "synchronous exports",
            "build with synchronous bindings (componentize-qjs: `--sync`)",
        );
    }
    let disabled = [
        "not enabled",
        "must be enabled",
        "require",
        "proposal",
        "disabled",
        "multiple memories",
    ];
    if disabled.iter().any(|word| error.message().contains(word)) {
        return Refusal::new(
            RefusalKind::UnsupportedFeature,
            format!("a proposal this host leaves out: {text}"),
            "WebAssembly 3.0 without garbage collection, exceptions, threads, 64-bit and multiple memories",
            "switch the feature off in the compiler that made the component",
        );
    }
    Refusal::new(
        RefusalKind::Malformed,
        format!("a damaged component: {text}"),
        "valid components",
        "build it again, and upload it unchanged",
    )
}
