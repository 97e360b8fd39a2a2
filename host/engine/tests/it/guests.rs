//! Owns building guests for the tests: the text in `tests/guests` with other code in its places, made a component by the
//! same crates that toolchains use. Nothing binary is kept.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const GUEST: &str = include_str!("../guests/guest.wat");
const EXPLAIN: &str = include_str!("../guests/explain.wat");
const WIT: &str = include_str!("../../../../wit/0.1.0/detector.wit");

/// A guest that is being written.
pub(crate) struct Guest {
    places: Vec<(&'static str, String)>,
    wit: String,
    world: &'static str,
}

/// The well-behaved guest.
pub(crate) fn guest() -> Guest {
    Guest {
        places: Vec::new(),
        wit: WIT.to_owned(),
        world: "detector",
    }
}

/// What a description without threshold and metadata looks like in memory.
pub(crate) const DESCRIPTION: &str = r"\4c\04\00\00\02\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00";

impl Guest {
    /// Puts `code` into a place of the text.
    pub(crate) fn with(mut self, place: &'static str, code: impl Into<String>) -> Self {
        self.places.push((place, code.into()));
        self
    }

    /// Runs `code` when the first value of a batch is 777, which the gate never sends.
    pub(crate) fn on_trigger(self, code: &str) -> Self {
        self.with("triggered", code)
    }

    /// Builds against another text of the contract.
    pub(crate) fn wit(mut self, from: &str, to: &str) -> Self {
        assert!(self.wit.contains(from), "{from}");
        self.wit = self.wit.replace(from, to);
        self
    }

    /// Exports `explaining` with this baseline; every row but those without `a` is refused.
    pub(crate) fn explaining(mut self, baseline: &str) -> Self {
        self.world = "explained-detector";
        self.with("explain", EXPLAIN)
            .with("baseline", baseline)
            .with(
                "always",
                "(block $known (loop $next
                   (br_if $known (i32.ge_u (local.get $row) (local.get $rows)))
                   (local.set $first (f64.load (i32.add (local.get $values) (i32.shl (local.get $row) (i32.const 4)))))
                   (if (f64.eq (local.get $first) (local.get $first)) (then (return (i32.const 1400))))
                   (local.set $row (i32.add (local.get $row) (i32.const 1)))
                   (br $next)))
                 (local.set $row (i32.const 0))",
            )
    }

    /// The core module's text.
    pub(crate) fn text(&self) -> String {
        let defaults = [
            ("pages", "2"),
            ("version", "0.1.0"),
            ("description", DESCRIPTION),
        ];
        let mut text = GUEST.to_owned();
        // Twice: code that was put into a place may have places of its own.
        for _ in 0..2 {
            for (place, code) in &self.places {
                text = text.replace(&format!("{{{{{place}}}}}"), code);
            }
        }
        for (place, code) in defaults {
            text = text.replace(&format!("{{{{{place}}}}}"), code);
        }
        while let Some(start) = text.find("{{") {
            let end = text[start..].find("}}").unwrap() + start + 2;
            text.replace_range(start..end, "");
        }
        text
    }

    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        let text = self.text();
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut resolve = Resolve::default();
        let package = resolve.push_str("detector.wit", &self.wit).unwrap();
        let world = resolve.select_world(&[package], Some(self.world)).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        let encoder = ComponentEncoder::default().validate(true).module(&module);
        encoder.unwrap().encode().unwrap()
    }
}

/// Adds a custom section at the end of a component.
pub(crate) fn with_section(mut component: Vec<u8>, name: &str, data: &[u8]) -> Vec<u8> {
    use wasm_encoder::{ComponentSection as _, CustomSection};
    let section = CustomSection {
        name: name.into(),
        data: data.into(),
    };
    section.append_to_component(&mut component);
    component
}
