//! What benchmarks share: their size, percentiles, and what the system says about processes.

use std::time::Duration;

/// How much of something a benchmark takes. `BENCH_SMALL` in the environment makes it `small`: it shows that the benchmark
/// still works, and its figures mean nothing.
pub fn sized<T>(full: T, small: T) -> T {
    if std::env::var_os("BENCH_SMALL").is_some() { small } else { full }
}

/// The value below which `share` (0 to 1) of the values lie. Sorts them; zero when there are none.
pub fn percentile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// The middle one.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// How much processor time a process has used, in steps of 10 ms. `None` where there is no `/proc`.
#[must_use]
pub fn cpu_time(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything; what follows begins with field 3. 14 and 15 are user and system.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 10))
}

/// A line of a process's status in MiB: `VmRSS` is what is resident now, `VmHWM` the most there ever was.
#[must_use]
pub fn memory_mib(process: u32, line: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

/// How busy the machine is: a figure without it says little.
#[must_use]
pub fn load_average() -> String {
    let all = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.split(' ').next().unwrap_or("?").to_owned()
}
