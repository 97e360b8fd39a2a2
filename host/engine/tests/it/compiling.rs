//! Owns the compiling child and the cache of compiled code.

use std::path::PathBuf;
use std::time::Duration;

use hodoscope_engine::{
    CompiledFrom, Compiler, Engine, EngineConfig, EngineError, Limits, RefusalKind,
};

use crate::guests::guest;
use crate::{config, later, limits, rows};

/// The example `compile_child`, which cargo builds for the tests.
fn child() -> Compiler {
    let own = std::env::current_exe().unwrap();
    let program: PathBuf = own
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/compile_child");
    assert!(
        program.exists(),
        "build it: cargo build --release --example compile_child"
    );
    Compiler::Child {
        program,
        args: Vec::new(),
    }
}

fn engine_with(compiler: Compiler, limits: Limits) -> Engine {
    Engine::new(EngineConfig {
        compiler,
        limits,
        ..config()
    })
    .unwrap()
}

#[test]
fn a_child_compiles_what_this_process_can_run() {
    let engine = engine_with(child(), limits());
    let detector = engine.load(&guest().build()).unwrap();
    assert_eq!(detector.score(&rows(&[1.0]), later()), Ok(vec![0.5]));
    assert_eq!(
        detector.report().compiled_from,
        Some(CompiledFrom::Compiler)
    );
    assert_eq!(engine.stats().compiles, 1);
}

/// A function of nested loops in whose middle every local is changed: each loop carries each local.
fn bomb(depth: usize, locals: usize) -> Vec<u8> {
    let names: String = (0..locals).map(|i| format!("(local $v{i} i64)")).collect();
    let mut body: String = (0..locals)
        .map(|i| {
            let next = (i + 1) % locals;
            format!("(local.set $v{i} (i64.add (local.get $v{next}) (i64.const {i})))")
        })
        .collect();
    for level in 0..depth {
        body = format!("(loop $l{level} {body} (br_if $l{level} (i64.eqz (local.get $v0))))");
    }
    guest()
        .with("items", format!("(func (export \"bomb\") {names} {body})"))
        .build()
}

#[test]
fn a_compile_bomb_meets_the_childs_limits_and_the_refusal_says_which() {
    let bomb = bomb(400, 400);
    let check = |limits: Limits, found: &str, slow: bool| {
        let refusal = engine_with(child(), limits).load(&bomb).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::Compile, "{refusal}");
        assert!(refusal.found.contains(found), "{found}: {refusal}");
        assert_eq!(refusal.slow, slow, "{refusal}");
    };
    check(
        Limits {
            compile_wall: Duration::from_millis(50),
            ..limits()
        },
        "longer than 50ms",
        true,
    );
    check(
        Limits {
            compile_memory_bytes: 64 << 20,
            ..limits()
        },
        "memory",
        false,
    );
}

#[test]
fn a_child_that_cannot_start_is_no_fault_of_the_components() {
    let missing = Compiler::Child {
        program: "/nonexistent/hodoscope".into(),
        args: vec!["compile".into()],
    };
    let refusal = engine_with(missing, limits())
        .load(&guest().build())
        .unwrap_err();
    assert!(
        refusal.found.contains("/nonexistent/hodoscope"),
        "{refusal}"
    );
    assert!(refusal.fix.contains("not to blame"));
    let other = Compiler::Child {
        program: "/bin/true".into(),
        args: Vec::new(),
    };
    let refusal = engine_with(other, limits())
        .load(&guest().build())
        .unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Compile, "{refusal}");
}

fn cached(dir: &std::path::Path) -> Engine {
    Engine::new(EngineConfig {
        cache_dir: Some(dir.to_owned()),
        ..config()
    })
    .unwrap()
}

#[test]
fn compiles_once_and_takes_over_what_the_gate_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("code");
    let component = guest().build();
    let first = cached(&cache).load(&component).unwrap();
    let engine = cached(&cache);
    let second = engine.load(&component).unwrap();
    assert_eq!(second.report().compiled_from, Some(CompiledFrom::Cache));
    assert_eq!(engine.stats().compiles, 0);
    assert_eq!(engine.stats().cache_hits, 1);
    assert_eq!(second.report().checks, first.report().checks);
    assert_eq!(second.report().cost, first.report().cost);
    assert_eq!(second.score(&rows(&[1.0]), later()), Ok(vec![0.5]));
}

#[test]
fn a_damaged_entry_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("code");
    let component = guest().build();
    cached(&cache).load(&component).unwrap();
    let code = std::fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let code = code
        .filter(|path| path.extension().unwrap() == "code")
        .collect::<Vec<_>>();
    let whole = std::fs::read(&code[0]).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&flipped[..], &whole[..whole.len() - 1], &whole[..10], b""] {
        std::fs::write(&code[0], damaged).unwrap();
        let engine = cached(&cache);
        let detector = engine.load(&component).unwrap();
        assert_eq!(
            detector.report().compiled_from,
            Some(CompiledFrom::Compiler)
        );
        assert_eq!(
            engine.stats().cache_rejects,
            2,
            "looked up before and after waiting for the turn"
        );
        assert_eq!(std::fs::read(&code[0]).unwrap().len(), whole.len());
    }
}

#[test]
fn an_entry_under_another_components_name_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("code");
    let (one, two) = (guest().build(), guest().with("pages", "3").build());
    let engine = cached(&cache);
    let names = [&one, &two].map(|component| {
        engine.load(component).unwrap();
        let hex = engine.inspect(component).unwrap().digest.hex();
        let mut entries = std::fs::read_dir(&cache)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let name = |path: &PathBuf| {
            path.to_str().unwrap().contains(&hex) && path.extension().unwrap() == "code"
        };
        entries.find(name).unwrap()
    });
    std::fs::copy(&names[0], &names[1]).unwrap();
    let engine = cached(&cache);
    engine.load(&two).unwrap();
    assert_eq!(engine.stats().compiles, 1);
}

#[test]
fn a_folder_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = Engine::new(EngineConfig {
        cache_dir: Some(dir.path().to_owned()),
        ..config()
    })
    .unwrap_err();
    assert!(matches!(error, EngineError::Cache { .. }), "{error}");
    assert!(error.to_string().contains("chmod 700"));
}
