//! How time is taken: on one pinned core, in turn with what it is compared to, the median of several rounds; and CPU
//! time of whole processes, from /proc.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

/// The core on which servers and single-thread measurements run; the load generator has [`LOAD_CORE`].
pub(crate) const CORE: &str = "0";
/// The core of the load generator.
pub(crate) const LOAD_CORE: &str = "1";
/// Linux reports CPU time in hundredths of a second on every platform (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// Pins the calling thread, and the threads it starts from now on, to `cores` (in taskset's words).
pub(crate) fn pin(cores: &str) -> anyhow::Result<()> {
    let thread = std::fs::read_link("/proc/thread-self").context("read /proc/thread-self")?;
    let thread = thread
        .file_name()
        .context("/proc/thread-self has no name")?
        .to_owned();
    let status = Command::new("taskset")
        .args(["-c", "-p", cores])
        .arg(thread)
        .stdout(Stdio::null())
        .status();
    ensure!(
        status
            .context("run taskset (Debian: apt-get install util-linux)")?
            .success(),
        "taskset failed"
    );
    Ok(())
}

/// A command that will run on `cores` only.
pub(crate) fn pinned(cores: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program);
    command
}

/// Seconds that one call of `work` takes, as the mean of as many calls as fit into about `seconds`.
pub(crate) fn time<E>(seconds: f64, mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let start = Instant::now();
    work()?;
    let once = start.elapsed().as_secs_f64().max(1e-9);
    let calls = (seconds / once).ceil().clamp(1.0, 1e8) as u64;
    let start = Instant::now();
    for _ in 0..calls {
        work()?;
    }
    Ok(start.elapsed().as_secs_f64() / calls as f64)
}

/// One thing to measure: answers a figure each time it is called.
pub(crate) type Measurement<'a> = Box<dyn FnMut() -> anyhow::Result<f64> + 'a>;

/// Calls each measurement in turn, `rounds` times, and answers the median of each: a slow minute hits all alike.
pub(crate) fn interleave(
    rounds: usize,
    measurements: &mut [Measurement<'_>],
) -> anyhow::Result<Vec<f64>> {
    let mut figures = vec![Vec::with_capacity(rounds); measurements.len()];
    for _ in 0..rounds {
        for (measurement, figures) in measurements.iter_mut().zip(&mut figures) {
            figures.push(measurement()?);
        }
    }
    Ok(figures
        .into_iter()
        .map(|mut figures| median(&mut figures))
        .collect())
}

/// The median; NaN of nothing.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which `share` of the figures lie; NaN of nothing.
pub(crate) fn percentile(figures: &mut [f64], share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let index = (share * figures.len() as f64) as usize;
    figures
        .get(index.min(figures.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// CPU seconds that a process has used so far, all its threads together.
pub(crate) fn cpu_seconds(process: u32) -> anyhow::Result<f64> {
    ticks(&format!("/proc/{process}/stat"), 11)
}

/// CPU seconds of all children of this process that have ended and been waited for.
pub(crate) fn children_cpu_seconds() -> anyhow::Result<f64> {
    ticks("/proc/self/stat", 13)
}

/// The sum of two neighbouring counters of a stat line, counted from the state behind the command's bracket
/// (proc_pid_stat(5): state is field 3, utime 14, stime 15, cutime 16, cstime 17).
fn ticks(path: &str, first: usize) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let (_, fields) = text
        .rsplit_once(')')
        .with_context(|| format!("{path} has no command"))?;
    let ticks: f64 = fields
        .split_whitespace()
        .skip(first)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// Resident memory of a process in bytes.
pub(crate) fn resident_bytes(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let kilobytes: f64 = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .context("VmRSS is not a number")?;
    Ok(kilobytes * 1024.0)
}
