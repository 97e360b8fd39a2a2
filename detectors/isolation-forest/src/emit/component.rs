//! The kernel and an image joined into a core module, and that wrapped into a component of the frozen contract.

use wasm_encoder::{
    ConstExpr, CustomSection, DataSection, Encode, MemorySection, MemoryType, Module, RawSection,
    Section,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::image::Image;
use crate::kernel;

/// The contract, as it is frozen.
const CONTRACT: &str = include_str!("../../../../wit/0.1.0/detector.wit");
/// The world that a forest implements.
const WORLD: &str = "explained-detector";
/// The number of the memory section in the binary format.
const MEMORY: u8 = 5;
/// Bytes of a page of WebAssembly memory.
const PAGE: u64 = 65_536;

/// A component around the kernel and `image`. An error is a defect of this crate, in words.
pub(crate) fn wrap(image: &Image) -> Result<Vec<u8>, String> {
    let mut module = core_module(image)?;
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("detector.wit", CONTRACT)
        .map_err(|error| error.to_string())?;
    let world = resolve
        .select_world(&[package], Some(WORLD))
        .map_err(|error| error.to_string())?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(|error| error.to_string())?;
    ComponentEncoder::default()
        .module(&module)
        .map_err(|error| format!("{error:#}"))?
        .validate(false)
        .encode()
        .map_err(|error| format!("{error:#}"))
}

/// The kernel's sections with the image's memory and data.
fn core_module(image: &Image) -> Result<Vec<u8>, String> {
    let mut module = Module::new();
    for section in kernel::sections()? {
        if section.id == MEMORY {
            module.section(&memory(image));
        } else {
            module.section(&RawSection {
                id: section.id,
                data: &section.bytes,
            });
        }
    }
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(0), image.bytes().iter().copied());
    module.section(&data);
    Ok(module.finish())
}

fn memory(image: &Image) -> MemorySection {
    let mut memory = MemorySection::new();
    memory.memory(MemoryType {
        minimum: image.memory_bytes().div_ceil(PAGE),
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    memory
}

/// Adds a custom section at the end of a component.
pub(crate) fn append_custom(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    let section = CustomSection {
        name: name.into(),
        data: data.into(),
    };
    component.push(section.id());
    section.encode(component);
}
