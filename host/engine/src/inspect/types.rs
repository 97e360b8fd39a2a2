//! Owns writing down a component's types as text, so that they can be compared with the contract's and so that a
//! difference can be shown. Types are graphs that a hostile component can make exponentially large: the text is bounded.

use std::fmt::Write as _;

use wasmparser::component_types::{ComponentDefinedType, ComponentFuncTypeId, ComponentValType};
use wasmparser::types::TypesRef;

/// The longest text; the longest type of the contract has about 300 bytes.
const TEXT_LIMIT: usize = 2000;
/// The deepest nesting that is written.
const DEPTH_LIMIT: usize = 20;

struct Text<'a> {
    types: TypesRef<'a>,
    text: String,
}

/// Writes the type of a function as WIT does, without names of records.
pub(super) fn function(types: TypesRef<'_>, id: ComponentFuncTypeId) -> String {
    let Some(function) = types.get(id) else {
        return String::new();
    };
    let mut text = Text {
        types,
        text: String::new(),
    };
    if function.async_ {
        text.push("async ");
    }
    text.push("func(");
    let params = function
        .params
        .iter()
        .map(|(name, ty)| (name.as_str(), Some(ty)));
    text.fields(params, 0);
    text.push(")");
    if let Some(result) = &function.result {
        text.push(" -> ");
        text.value(result, 0);
    }
    text.text
}

impl Text<'_> {
    fn push(&mut self, text: &str) {
        if self.text.len() < TEXT_LIMIT {
            self.text.push_str(text);
        }
    }

    fn value(&mut self, ty: &ComponentValType, depth: usize) {
        if depth > DEPTH_LIMIT || self.text.len() >= TEXT_LIMIT {
            return self.push("…");
        }
        let id = match ty {
            ComponentValType::Primitive(primitive) => return self.push(&primitive.to_string()),
            ComponentValType::Type(id) => *id,
        };
        let types = self.types;
        if let Some(defined) = types.get(id) {
            self.defined(defined, depth + 1);
        }
    }

    fn defined(&mut self, ty: &ComponentDefinedType, depth: usize) {
        match ty {
            ComponentDefinedType::Primitive(primitive) => self.push(&primitive.to_string()),
            ComponentDefinedType::Record(record) => {
                self.push("record { ");
                let fields = record
                    .fields
                    .iter()
                    .map(|(name, ty)| (name.as_str(), Some(ty)));
                self.fields(fields, depth);
                self.push(" }");
            }
            ComponentDefinedType::Variant(variant) => {
                self.push("variant { ");
                let cases = variant
                    .cases
                    .iter()
                    .map(|(name, c)| (name.as_str(), c.ty.as_ref()));
                self.fields(cases, depth);
                self.push(" }");
            }
            ComponentDefinedType::Enum(cases) => {
                self.push("enum { ");
                self.fields(cases.iter().map(|name| (name.as_str(), None)), depth);
                self.push(" }");
            }
            ComponentDefinedType::List { element, .. } => {
                self.generic("list", &[Some(element)], depth)
            }
            ComponentDefinedType::Option { ty, .. } => self.generic("option", &[Some(ty)], depth),
            ComponentDefinedType::Tuple(tuple) => {
                let types: Vec<_> = tuple.types.iter().map(Some).collect();
                self.generic("tuple", &types, depth);
            }
            ComponentDefinedType::Result { ok, err, .. } => {
                self.generic("result", &[ok.as_ref(), err.as_ref()], depth);
            }
            other => {
                // Resources, streams, futures, maps: none of them is in the contract, the kind is enough.
                let mut kind = String::new();
                let _ = write!(kind, "{other:?}");
                let end = kind.find([' ', '(']).unwrap_or(kind.len());
                self.push(&kind.get(..end).unwrap_or_default().to_lowercase());
            }
        }
    }

    fn generic(&mut self, name: &str, types: &[Option<&ComponentValType>], depth: usize) {
        self.push(name);
        self.push("<");
        for (index, ty) in types.iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            match ty {
                Some(ty) => self.value(ty, depth),
                None => self.push("_"),
            }
        }
        self.push(">");
    }

    fn fields<'t>(
        &mut self,
        fields: impl Iterator<Item = (&'t str, Option<&'t ComponentValType>)>,
        depth: usize,
    ) {
        for (index, (name, ty)) in fields.enumerate() {
            if self.text.len() >= TEXT_LIMIT {
                return;
            }
            if index > 0 {
                self.push(", ");
            }
            self.push(name);
            if let Some(ty) = ty {
                self.push(": ");
                self.value(ty, depth);
            }
        }
    }
}
