//! Owns what the gate refuses, and that it says what was found and what to do.

use std::time::Duration;

use hodoscope_engine::{Engine, EngineConfig, Limits, Outcome, Refusal, RefusalKind};

use crate::guests::{DESCRIPTION, Guest, guest, with_section};
use crate::{config, engine, later, limits, rows};

/// Loads `component`, which must be refused as `kind` with `found` in the text.
fn refused(component: &[u8], kind: RefusalKind, found: &str) -> Refusal {
    let slow = found == "deadline";
    let engine = if slow { impatient() } else { engine() };
    let refusal = match engine.load(component) {
        Err(refusal) => refusal,
        Ok(detector) => panic!("accepted: {:?}", detector.report()),
    };
    assert_eq!(refusal.kind(), kind, "{refusal}");
    assert!(refusal.found.contains(found), "{found}: {refusal}");
    assert!(!refusal.fix.is_empty() && !refusal.supported.is_empty());
    // Only what ran out of time may pass at another try.
    assert_eq!(refusal.slow, slow, "{refusal}");
    refusal
}

/// An engine that soon ends loops at the gate.
fn impatient() -> Engine {
    let limits = Limits {
        gate_call: Duration::from_secs(1),
        // What bounds `describe`.
        gate_total: Duration::from_secs(10),
        ..limits()
    };
    Engine::new(EngineConfig { limits, ..config() }).unwrap()
}

#[test]
fn names_the_kind_of_every_wrong_file() {
    let module = wat::parse_str("(module)").unwrap();
    let kinds: [(&[u8], &str); 9] = [
        (b"", "an empty file"),
        (&module, "core WebAssembly module"),
        (b"\0asm\x0d", "truncated"),
        (b"\0asm\x63\0\0\0", "unknown binary version"),
        (b"\x7fELF\x02\x01\x01", "ELF"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b" ;; text\n(component)", "text"),
        (b"\xff\xfe", "begins with [ff, fe]"),
    ];
    for (bytes, found) in kinds {
        refused(bytes, RefusalKind::NotAComponent, found);
    }
}

#[test]
fn names_code_that_wasmtime_compiled() {
    let engine = wasmtime::Engine::default();
    let code = engine.precompile_component(&guest().build()).unwrap();
    refused(&code, RefusalKind::NotAComponent, ".cwasm");
}

#[test]
fn refuses_components_of_another_world() {
    refused(
        &wat::parse_str("(component)").unwrap(),
        RefusalKind::Contract,
        "no exports",
    );
    let foreign = r#"(component (import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u64))))))"#;
    let refusal = refused(
        &wat::parse_str(foreign).unwrap(),
        RefusalKind::Import,
        "wasi:clocks",
    );
    assert!(refusal.fix.contains("--stub-wasi"));
    let function = r#"(component (import "random" (func (result u64))))"#;
    refused(
        &wat::parse_str(function).unwrap(),
        RefusalKind::Import,
        "`random`",
    );
    let extra = r#"(component (import "hodoscope:detector/log@0.1.0" (instance (export "read" (func (result string))))))"#;
    refused(
        &wat::parse_str(extra).unwrap(),
        RefusalKind::Import,
        "#read",
    );
    let renamed = r#"(component (import "hodoscope:detector/log@0.1.0" (instance (export "write" (func (param "line" string))))))"#;
    refused(
        &wat::parse_str(renamed).unwrap(),
        RefusalKind::Contract,
        "`write`",
    );
}

#[test]
fn accepts_later_patches_of_the_contract_and_no_other_version() {
    let version = |version: &'static str| {
        guest()
            .with("version", version)
            .wit("@0.1.0", &format!("@{version}"))
            .build()
    };
    let detector = engine().load(&version("0.1.9")).unwrap();
    assert_eq!(detector.report().contract, "hodoscope:detector@0.1.9");
    for other in ["0.2.0", "1.0.0", "0.1.0-draft"] {
        let refusal = refused(&version(other), RefusalKind::ContractVersion, other);
        assert!(refusal.supported.contains("0.1"));
    }
}

#[test]
fn shows_where_a_type_differs_from_the_contract() {
    for (from, to, found) in [
        ("columns: u32", "width: u32", "width: u32"),
        ("unit: option<string>", "units: option<string>", "units"),
        (
            "bad-value(tuple<location, string>)",
            "bad-row(tuple<location, string>)",
            "bad-row",
        ),
        ("threshold: option<f64>", "threshold: option<f32>", "f32"),
        (
            "score: func(batch: batch)",
            "score: func(rows: batch)",
            "rows",
        ),
    ] {
        refused(&guest().wit(from, to).build(), RefusalKind::Contract, found);
    }
}

#[test]
fn refuses_async_exports_and_says_how_to_build() {
    let component = "(component (type (func async (result u32))) (type (stream u8)))";
    let refusal = refused(
        &wat::parse_str(component).unwrap(),
        RefusalKind::UnsupportedFeature,
        "async",
    );
    assert!(refusal.fix.contains("--sync"));
}

#[test]
fn refuses_proposals_it_leaves_out() {
    for module in [
        "(module (memory 1) (memory 1))",
        "(module (memory i64 1))",
        "(module (memory 1 2 shared))",
        "(module (tag))",
        "(module (type (struct)))",
    ] {
        let component = format!("(component (core {}", module.trim_start_matches('('));
        let bytes = wat::parse_str(component + ")").unwrap();
        refused(&bytes, RefusalKind::UnsupportedFeature, "proposal");
    }
}

/// Nested components, each of which instantiates the one before ten times.
fn billion_laughs(depth: usize) -> Vec<u8> {
    let mut text =
        String::from("(component $c0 (core module $m) (core instance (instantiate $m)))");
    for level in 1..=depth {
        let before = level - 1;
        let instances = format!("(instance (instantiate $c{before}))").repeat(10);
        text = format!("(component $c{level} {text} {instances})");
    }
    wat::parse_str(text).unwrap()
}

#[test]
fn counts_instantiations_before_anything_makes_them() {
    for depth in [3, 9, 30] {
        refused(&billion_laughs(depth), RefusalKind::TooLarge, "instances");
    }
}

#[test]
fn refuses_components_that_pass_components_around() {
    let text = r#"(component
        (component $a (component (export "b")))
        (instance $i (instantiate $a))
        (alias export $i "b" (component $b))
        (instance (instantiate $b)))"#;
    refused(
        &wat::parse_str(text).unwrap(),
        RefusalKind::TooLarge,
        "passed around",
    );
}

#[test]
fn limits_sizes_of_every_kind() {
    let check = |limits: Limits, component: &[u8], found: &str| {
        let engine = Engine::new(EngineConfig { limits, ..config() }).unwrap();
        let refusal = engine.load(component).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::TooLarge);
        assert!(refusal.found.contains(found), "{refusal}");
    };
    let component = guest().build();
    check(
        Limits {
            component_bytes: 100,
            ..limits()
        },
        &component,
        "a file of",
    );
    check(
        Limits {
            functions: 3,
            ..limits()
        },
        &component,
        "6 functions or more",
    );
    check(
        Limits {
            function_bytes: 50,
            ..limits()
        },
        &component,
        "a function of",
    );
    let memory = guest().with("pages", "2049").build();
    check(limits(), &memory, "memories");
    let table = guest().with("items", "(table 100001 funcref)").build();
    check(limits(), &table, "tables");
    let golden = with_section(component, "hodoscope:golden", &vec![b' '; 5 << 20]);
    check(limits(), &golden, "hodoscope:golden");
}

#[test]
fn sums_the_memories_of_all_modules() {
    let modules: String = (0..20)
        .map(|i| format!("(core module $m{i} (memory 200)) (core instance (instantiate $m{i}))"))
        .collect();
    let component = wat::parse_str(format!("(component {modules})")).unwrap();
    refused(&component, RefusalKind::TooLarge, "memories");
}

#[test]
fn refuses_documents_that_do_not_hold() {
    for (name, data, found) in [
        ("hodoscope:golden", "{", "EOF"),
        (
            "hodoscope:golden",
            r#"{"schema":1,"rows":[],"scores":[]}"#,
            "no rows",
        ),
        (
            "hodoscope:golden",
            r#"{"schema":9,"rows":[[1,2]],"scores":[0.5]}"#,
            "schema 9",
        ),
        (
            "hodoscope:golden",
            r#"{"schema":1,"rows":[[1,2]],"scores":[]}"#,
            "1 rows and 0 scores",
        ),
        (
            "hodoscope:golden",
            r#"{"schema":1,"rows":[[1,2]],"scores":[1.5]}"#,
            "within 0..1",
        ),
        (
            "hodoscope:golden",
            r#"{"schema":1,"rows":[[1,2]],"scores":[0.5],"more":1}"#,
            "more",
        ),
        (
            "hodoscope:calibration",
            r#"{"schema":1,"rows":9,"alert_rate":2,"tail":[],"scores":[]}"#,
            "0..1",
        ),
        (
            "hodoscope:profile",
            r#"{"schema":1,"rows":9,"features":[],"scores":{"edges":[],"counts":[],"sums":[],"missing":0}}"#,
            "edges",
        ),
        ("hodoscope:training", "[]", "document"),
    ] {
        let component = with_section(guest().build(), name, data.as_bytes());
        refused(&component, RefusalKind::Section, found);
    }
    let golden = br#"{"schema":1,"rows":[[1,2]],"scores":[0.5]}"#;
    let twice = with_section(
        with_section(guest().build(), "hodoscope:golden", golden),
        "hodoscope:golden",
        golden,
    );
    refused(&twice, RefusalKind::Section, "twice");
}

#[test]
fn golden_rows_prove_a_release_or_refuse_it() {
    let golden = |rows: &str, scores: &str| {
        let document = format!(r#"{{"schema":1,"rows":{rows},"scores":{scores}}}"#);
        with_section(guest().build(), "hodoscope:golden", document.as_bytes())
    };
    let detector = engine()
        .load(&golden("[[1,0],[null,5]]", "[0.5,0.5]"))
        .unwrap();
    assert!(!detector.unproven());
    let refusal = refused(
        &golden("[[1,0],[3,0]]", "[0.5,0.25000000000000006]"),
        RefusalKind::Golden,
        "golden row 1 scores 0.25, not 0.25000000000000006",
    );
    let report = refusal.report.unwrap();
    let last = report.checks.last().unwrap();
    assert_eq!(
        (last.name.as_str(), last.outcome),
        ("golden_rows", Outcome::Failed)
    );
    refused(
        &golden("[[1]]", "[0.5]"),
        RefusalKind::Golden,
        "another number of values",
    );
}

#[test]
fn refuses_descriptions_that_cannot_be_served() {
    let long = DESCRIPTION.replacen(r"\02", r"\00", 1);
    refused(
        &guest().with("description", long).build(),
        RefusalKind::Description,
        "0 features",
    );
    let wild = DESCRIPTION.replacen(r"\02\00\00\00", r"\ff\ff\ff\00", 1);
    refused(
        &guest().with("description", wild).build(),
        RefusalKind::Description,
        "out of bounds",
    );
    refused(
        &guest().with("describe", "unreachable").build(),
        RefusalKind::Description,
        "trap",
    );
    refused(
        &guest().with("describe", "(loop $l (br $l))").build(),
        RefusalKind::Description,
        "deadline",
    );
}

#[test]
fn cuts_host_memory_that_a_description_may_take() {
    // 400,000 features that all lie at the same place, with names of 60 KB: 20 bytes each in the guest.
    let many = DESCRIPTION.replacen(r"\4c\04\00\00\02\00\00\00", r"\00\00\02\00\80\1a\06\00", 1);
    let guest = guest().with("pages", "200").with("description", many).with(
        "describe",
        "(memory.fill (i32.const 131072) (i32.const 0) (i32.const 8000000))",
    );
    refused(&guest.build(), RefusalKind::Description, "fuel");
}

#[test]
fn refuses_start_functions_that_never_end_or_trap() {
    let start = |code: &str| {
        guest()
            .with("items", format!("(func $s {code}) (start $s)"))
            .build()
    };
    refused(
        &start("(loop $l (br $l))"),
        RefusalKind::Instantiate,
        "deadline",
    );
    refused(&start("unreachable"), RefusalKind::Instantiate, "trap");
    refused(
        &start("(if (i32.eq (memory.grow (i32.const 2047)) (i32.const -1)) (then unreachable))"),
        RefusalKind::Instantiate,
        "memory",
    );
}

/// A guest that runs `code` at every call, with rows there.
fn always(code: &str) -> Guest {
    guest().with("always", format!("(if (local.get $rows) (then {code}))"))
}

#[test]
fn refuses_answers_that_break_the_contract_at_the_gate() {
    let conformance = RefusalKind::Conformance;
    refused(&always("unreachable").build(), conformance, "trap");
    refused(
        &always("(loop $l (br $l))").build(),
        conformance,
        "deadline",
    );
    refused(
        &always("(return (i32.const 1500))").build(),
        conformance,
        "internal",
    );
    let scored = |code: &str| guest().with("scored", code).build();
    refused(
        &scored("(if (local.get $rows) (then (f64.store (local.get $scores) (f64.const nan))))"),
        conformance,
        "NaN",
    );
    refused(
        &scored("(local.set $rows (i32.add (local.get $rows) (i32.const 1)))"),
        conformance,
        "2 scores for 1 rows",
    );
    refused(
        &guest()
            .with(
                "answered",
                "(i32.store offset=8 (local.get $answer) (i32.const 100000000))",
            )
            .build(),
        conformance,
        "bad_answer",
    );
}

#[test]
fn refuses_guests_that_fail_on_special_values() {
    for (condition, name) in [
        ("(f64.ne (local.get $first) (local.get $first))", "NaN"),
        ("(f64.eq (local.get $first) (f64.const inf))", "+inf"),
        (
            "(f64.eq (local.get $first) (f64.const 0x1.fffffffffffffp+1023))",
            "the largest f64",
        ),
        (
            "(i64.eq (i64.reinterpret_f64 (local.get $first)) (i64.const 1))",
            "a denormal",
        ),
    ] {
        let code = format!("(if {condition} (then unreachable))");
        refused(
            &guest().with("always", code).build(),
            RefusalKind::Conformance,
            name,
        );
    }
}

#[test]
fn a_guest_may_refuse_special_values() {
    let code = "(if (i32.eqz (f64.lt (f64.abs (local.get $first)) (f64.const 1e300))) (then (if (local.get $rows) (then (return (i32.const 1400))))))";
    // It looks at the first row only, so a batch that hides a NaN behind is scored: that is a difference by order.
    let refusal = refused(
        &guest().with("always", code).with("scored", "").build(),
        RefusalKind::Conformance,
        "",
    );
    assert!(
        refusal.found.contains("order") || refusal.found.contains("batch"),
        "{refusal}"
    );
}

#[test]
fn refuses_scores_that_depend_on_neighbours_order_or_history() {
    let nudge = |by: &str| {
        format!(
            "(if (local.get $rows) (then (f64.store (local.get $scores) (f64.mul (f64.const 0.5) (f64.div (f64.const 1) {by})))))"
        )
    };
    for by in [
        // How many calls there were.
        "(f64.convert_i32_u (global.get $calls))",
        // How many rows come along.
        "(f64.convert_i32_u (local.get $rows))",
    ] {
        let component = guest().with("scored", nudge(by)).build();
        let refusal = refused(&component, RefusalKind::Conformance, "alone and");
        assert!(refusal.report.is_some());
    }
}

#[test]
fn log_lines_of_a_guest_reach_the_sink() {
    use std::sync::{Arc, Mutex};
    let imports =
        r#"(import "hodoscope:detector/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    let component = guest()
        .with("imports", imports)
        .on_trigger("(call $log (i32.const 2) (i32.const 1280) (i32.const 2))")
        .build();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&lines);
    let engine = Engine::new(EngineConfig {
        log: Some(hodoscope_engine::LogSink::new(move |line| {
            seen.lock().unwrap().push(line)
        })),
        ..config()
    })
    .unwrap();
    let detector = engine.load(&component).unwrap();
    assert_eq!(
        detector.inspection().imports,
        ["hodoscope:detector/log@0.1.0"]
    );
    for _ in 0..200 {
        detector.score(&rows(&[777.0]), later()).unwrap();
    }
    let lines = lines.lock().unwrap();
    assert_eq!(lines[0].message, "no");
    assert_eq!(lines[0].level, hodoscope_engine::LogLevel::Warn);
    assert!(lines.len() < 200);
    assert_eq!(lines.len() as u64 + detector.stats().log_lines_dropped, 200);
}

#[test]
fn a_log_call_from_post_return_traps() {
    let imports =
        r#"(import "hodoscope:detector/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    let component = guest()
        .with("imports", imports)
        .with(
            "post",
            "(call $log (i32.const 2) (i32.const 1280) (i32.const 2))",
        )
        .build();
    refused(&component, RefusalKind::Conformance, "trap");
}
