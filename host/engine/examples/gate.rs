//! Owns trying a component at the gate without a host: prints the conformance report as JSON, or the refusal. Compiles in
//! the child `compile_child`, which cargo builds beside it.
//!
//! `cargo run --release -p hodoscope-engine --example gate -- detector.wasm [cache-folder]`

#![expect(clippy::print_stdout, reason = "the report is the result")]

use hodoscope_engine::{Compiler, Engine, EngineConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("name a component")?;
    let engine = Engine::new(EngineConfig {
        trusted_kernels: hodoscope_isolation_forest::kernel_digests(),
        compiler: Compiler::Child {
            program: std::env::current_exe()?.with_file_name("compile_child"),
            args: Vec::new(),
        },
        cache_dir: args.next().map(Into::into),
        ..EngineConfig::default()
    })?;
    match engine.load(&std::fs::read(path)?) {
        Ok(detector) => {
            println!("{}", serde_json::to_string_pretty(detector.report())?);
            println!("{:?}", detector.stats());
        }
        Err(refusal) => println!("{}", serde_json::to_string_pretty(&refusal)?),
    }
    println!("{:?}", engine.stats());
    Ok(())
}
