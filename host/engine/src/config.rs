//! Owns what the engine can be told: limits, threads, where compiled code is kept, who compiles, which kernels are
//! trusted. Every limit is a number with a unit in its name and a default that lets Python and JavaScript in.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hodoscope_release::Digest;

const MIB: u64 = 1024 * 1024;

/// How large a component may be and how much it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a component.
    pub component_bytes: u64,
    /// Bytes of guest memory, summed over all memories of an instance.
    pub memory_bytes: u64,
    /// Elements of all tables of an instance together.
    pub table_elements: u64,
    /// Functions of all core modules together. CPython has about 21,000.
    pub functions: u32,
    /// Bytes of one function's body. StarlingMonkey's largest interpreter loops need a few hundred KiB.
    pub function_bytes: u64,
    /// Core modules and components that an instantiation instantiates.
    pub instantiations: u32,
    /// Bytes of the custom sections that this host reads, each.
    pub section_bytes: u64,
    /// CPU time of the compiling child.
    pub compile_cpu: Duration,
    /// Wall time of the compiling child.
    pub compile_wall: Duration,
    /// Address space of the compiling child.
    pub compile_memory_bytes: u64,
    /// Time for one call that the gate makes.
    pub gate_call: Duration,
    /// Time for all calls that the gate makes together.
    pub gate_total: Duration,
    /// Instances that may live at the same time, over all detectors.
    pub instances: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes: 32 * MIB,
            memory_bytes: 128 * MIB,
            table_elements: 100_000,
            functions: 100_000,
            function_bytes: MIB,
            instantiations: 64,
            section_bytes: 4 * MIB,
            compile_cpu: Duration::from_secs(60),
            compile_wall: Duration::from_secs(120),
            compile_memory_bytes: 4096 * MIB,
            gate_call: Duration::from_secs(5),
            gate_total: Duration::from_secs(60),
            instances: 1000,
        }
    }
}

/// Who compiles a component.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Compiler {
    /// This process. Nothing bounds the time and memory it takes: for tests and for trusted kernels.
    #[default]
    InProcess,
    /// A child process with limits of its own, whose `main` ends in [`crate::compile_child_main`].
    Child {
        /// The executable, as a rule this one.
        program: PathBuf,
        /// What makes it call [`crate::compile_child_main`].
        args: Vec<String>,
    },
}

/// How much a guest's log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogLevel {
    /// For the author.
    Debug,
    /// Worth knowing once.
    Info,
    /// Something was odd, the answer still holds.
    Warn,
    /// The answer could not be given.
    Error,
}

/// A line that a guest wrote, cut at 4 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The release that wrote it.
    pub digest: Digest,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
}

/// Where guests' log lines go. It runs on the calling thread in the middle of a call and must not block.
#[derive(Clone)]
pub struct LogSink(pub(crate) Arc<dyn Fn(LogLine) + Send + Sync>);

impl LogSink {
    /// A sink that calls `write` for each line that the rate limit lets through.
    pub fn new(write: impl Fn(LogLine) + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}

/// What the engine can be told.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// How large a component may be and how much it may use.
    pub limits: Limits,
    /// Threads for calls that do not run inline; 0 means one per core and one to spare.
    pub pool_threads: usize,
    /// Calls that may wait for one detector.
    pub queue_capacity: usize,
    /// A folder for compiled code; only this user may write it. `None`: compile at every load.
    pub cache_dir: Option<PathBuf>,
    /// Who compiles components that are not trusted.
    pub compiler: Compiler,
    /// Digests of the code sections whose instances may be reused and run inline.
    pub trusted_kernels: Vec<Digest>,
    /// Releases whose instances the operator allows to be reused.
    pub reuse: BTreeSet<Digest>,
    /// Where guests' log lines go; `None`: to `tracing`, target `hodoscope::guest`.
    pub log: Option<LogSink>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            pool_threads: 0,
            queue_capacity: 64,
            cache_dir: None,
            compiler: Compiler::default(),
            trusted_kernels: Vec::new(),
            reuse: BTreeSet::new(),
            log: None,
        }
    }
}
