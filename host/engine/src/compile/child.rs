//! Owns both ends of the compiling child: the parent that feeds it, watches the clock and says which limit it met; and the
//! body of the child, which limits itself before it reads a byte of the component.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::refuse;
use crate::Limits;
use crate::refusal::{Refusal, quote};
use crate::runtime::compile_settings;

/// The first bytes of what the parent writes; a build that speaks otherwise is told so.
const MAGIC: &[u8; 8] = b"hodo-c1\n";
/// Exit code of a child whose compiler refused the component; the reason is on standard error.
const REFUSED: u8 = 3;
/// Compiled code that the parent accepts; CPython's has 60 MB.
const CODE_BYTES: u64 = 1 << 30;
/// Standard error that the parent reads.
const STDERR_BYTES: u64 = 16 * 1024;
/// Threads that compile: four cores are enough, and address space goes with each.
const THREADS: &str = "4";

/// Has a child compile `bytes`.
pub(super) fn compile(
    program: &Path,
    args: &[String],
    bytes: &[u8],
    limits: &Limits,
) -> Result<Vec<u8>, Refusal> {
    let broken = |error: io::Error| {
        refuse(
            format!("no compiling process: `{}`: {error}", program.display()),
            "a host that can start its own executable",
            "check the host's installation; the component is not to blame",
        )
    };
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        // glibc reserves 64 MiB of address space per thread otherwise, which counts against the limit.
        .env("MALLOC_ARENA_MAX", "2")
        .env("RAYON_NUM_THREADS", THREADS)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    let talked = talk(&mut child, bytes, limits);
    // Killing a child that has ended does nothing; waiting for it collects what it left.
    let _ = child.kill();
    let status = child.wait().map_err(broken)?;
    match talked {
        Some((code, _)) if status.success() && !code.is_empty() => Ok(code),
        Some((_, stderr)) => Err(explain(status, &stderr, limits)),
        None => Err(refuse(
            format!("compiling took longer than {:?}", limits.compile_wall),
            "components that compile within the host's limits",
            SIMPLER,
        )
        .slow(true)),
    }
}

const SIMPLER: &str = "keep data in data segments instead of code, and functions small; or raise the host's compile limits";

/// Feeds the child and collects what it says; `None` if it did not end in time.
fn talk(child: &mut Child, bytes: &[u8], limits: &Limits) -> Option<(Vec<u8>, String)> {
    let (stdin, stdout, stderr) = (
        child.stdin.take()?,
        child.stdout.take()?,
        child.stderr.take()?,
    );
    let (done, ended) = mpsc::channel();
    let collect = |source: Box<dyn Read + Send>, limit: u64| {
        let done = done.clone();
        move || {
            let mut collected = Vec::new();
            // A read that fails ends the collection; the exit status says what happened.
            let _ = source.take(limit).read_to_end(&mut collected);
            let _ = done.send(());
            collected
        }
    };
    let out = std::thread::spawn(collect(Box::new(stdout), CODE_BYTES));
    let err = std::thread::spawn(collect(Box::new(stderr), STDERR_BYTES));
    let in_time = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut stdin = stdin;
            // A child that meets a limit stops reading: its status says more than this error.
            let _ = write_request(&mut stdin, bytes, limits);
        });
        let in_time = ended.recv_timeout(limits.compile_wall).is_ok();
        if !in_time {
            let _ = child.kill();
        }
        in_time
    });
    let collected = out.join().unwrap_or_default();
    let stderr = err.join().unwrap_or_default();
    in_time.then(|| (collected, String::from_utf8_lossy(&stderr).into_owned()))
}

fn write_request(stdin: &mut impl Write, bytes: &[u8], limits: &Limits) -> io::Result<()> {
    stdin.write_all(MAGIC)?;
    stdin.write_all(&limits.compile_cpu.as_secs().max(1).to_le_bytes())?;
    stdin.write_all(&limits.compile_memory_bytes.to_le_bytes())?;
    stdin.write_all(bytes)
}

/// Says which limit ended the child.
fn explain(status: ExitStatus, stderr: &str, limits: &Limits) -> Refusal {
    let last = stderr.trim().lines().next_back().unwrap_or_default();
    let memory = [
        "memory allocation",
        "out of memory",
        "Cannot allocate",
        "os error 12",
    ]
    .iter()
    .any(|word| stderr.contains(word));
    let found = if memory {
        format!(
            "compiling took more than {} bytes of memory",
            limits.compile_memory_bytes
        )
    } else if status.code() == Some(i32::from(REFUSED)) {
        return refuse(
            quote(&format!("a component that does not compile: {last}")),
            "what wasmtime compiles",
            "build it again",
        );
    } else {
        match status.signal() {
            // SIGXCPU at the soft limit, SIGKILL a second later.
            Some(24 | 9) => format!(
                "compiling took more than {:?} of CPU time",
                limits.compile_cpu
            ),
            Some(signal) => format!("compiling ended with signal {signal}: {}", quote(last)),
            None => format!("compiling ended with {status}: {}", quote(last)),
        }
    };
    refuse(
        found,
        "components that compile within the host's limits",
        SIMPLER,
    )
}

/// The body of the hidden command `hodoscope compile`: a request on standard input, compiled code on standard output,
/// under limits of CPU time and address space that hold before the first byte of the component is read.
#[expect(clippy::print_stderr, reason = "the parent reads the reason there")]
pub fn compile_child_main() -> ! {
    let code = match serve() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            i32::from(REFUSED)
        }
    };
    std::process::exit(code)
}

fn serve() -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let mut stdin = io::stdin().lock();
    let mut magic = [0; 8];
    stdin.read_exact(&mut magic).map_err(text)?;
    if &magic != MAGIC {
        return Err("the host that asks is of another build; restart it".into());
    }
    let mut number = || -> Result<u64, String> {
        let mut bytes = [0; 8];
        stdin.read_exact(&mut bytes).map_err(text)?;
        Ok(u64::from_le_bytes(bytes))
    };
    let (cpu_seconds, memory_bytes) = (number()?, number()?);
    restrict(cpu_seconds, memory_bytes).map_err(|error| error.to_string())?;
    let mut component = Vec::new();
    stdin.read_to_end(&mut component).map_err(text)?;
    // Instances are never made here: the allocator on demand reserves nothing, the pool would reserve terabytes.
    let engine = wasmtime::Engine::new(&compile_settings()).map_err(|e| format!("{e:#}"))?;
    let code = engine.precompile_component(&component);
    let code = code.map_err(|error| format!("{error:#}").replace('\n', " "))?;
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(&code)
        .and_then(|()| stdout.flush())
        .map_err(text)
}

/// Limits this process, for good.
fn restrict(cpu_seconds: u64, memory_bytes: u64) -> rustix::io::Result<()> {
    let limit = |soft: u64, hard: u64| Rlimit {
        current: Some(soft),
        maximum: Some(hard),
    };
    setrlimit(Resource::Core, limit(0, 0))?;
    setrlimit(
        Resource::Cpu,
        limit(cpu_seconds, cpu_seconds.saturating_add(1)),
    )?;
    setrlimit(Resource::As, limit(memory_bytes, memory_bytes))?;
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn says_which_limit_ended_the_child() {
        let limits = Limits {
            compile_cpu: Duration::from_secs(60),
            ..Limits::default()
        };
        for (raw, stderr, expected) in [
            (24, "", "60s of CPU time"),
            (9, "", "60s of CPU time"),
            (6, "memory allocation of 8 bytes failed", "bytes of memory"),
            (3 << 8, "failed to parse", "failed to parse"),
            (11, "", "signal 11"),
        ] {
            let refusal = explain(ExitStatus::from_raw(raw), stderr, &limits);
            assert!(refusal.found.contains(expected), "{refusal}");
        }
    }
}
