//! What the kernel says of a process, below `/proc`.

use std::fs;
use std::time::{Duration, Instant};

/// How long a process may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(5);

/// CPU time of all threads so far, once all of them sleep.
///
/// Of `/proc/PID/task/*/schedstat`, which counts nanoseconds; threads that ended are not counted.
pub(crate) fn cpu_at_rest(process: u32) -> Duration {
    let started = Instant::now();
    let mut before = None;
    loop {
        let now = threads(process);
        if now.is_some() && now == before {
            return now.unwrap_or_default();
        }
        assert!(
            started.elapsed() < PATIENCE,
            "process {process} does not come to rest"
        );
        before = now;
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// CPU time of all threads if none of them runs.
fn threads(process: u32) -> Option<Duration> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task")).ok()? {
        let folder = thread.ok()?.path();
        let statistics = fs::read_to_string(folder.join("stat")).ok()?;
        let (_, after_name) = statistics.rsplit_once(") ")?;
        if !after_name.starts_with('S') {
            return None;
        }
        let schedule = fs::read_to_string(folder.join("schedstat")).ok()?;
        sum += schedule.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(sum))
}

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// What is resident now.
    pub(crate) resident: u64,
    /// The part of it that no file backs: heap and stacks.
    pub(crate) anonymous: u64,
    /// The most that ever was resident.
    pub(crate) highest: u64,
}

/// Memory of a process now.
pub(crate) fn memory(process: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or_default()
    };
    Memory {
        resident: field("VmRSS:"),
        anonymous: field("RssAnon:"),
        highest: field("VmHWM:"),
    }
}
