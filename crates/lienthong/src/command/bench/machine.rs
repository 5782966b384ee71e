use std::fs;

use serde::Serialize;

use crate::output;

/// The machine the figures belong to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) memory_mib: u64,
    pub(crate) system: String,
    pub(crate) version: &'static str,
    pub(crate) optimised: bool,
    /// Share of the processors' time that the host took away during the run.
    pub(crate) steal_percent: f64,
}

/// Counts what the host takes away from now on.
pub(crate) struct Steal {
    begun: Option<(u64, u64)>,
}

// === impl Machine ===

impl Machine {
    /// One line for people.
    pub(crate) fn print(&self) {
        output::line(format_args!(
            "{} cores ({}), {} MiB, {}; {:.0} % of the processors' time was stolen by the host",
            self.cores, self.processor, self.memory_mib, self.system, self.steal_percent
        ));
    }
}

// === impl Steal ===

impl Steal {
    pub(crate) fn begin() -> Self {
        Self { begun: ticks() }
    }

    /// Of the processors' time, so far.
    pub(crate) fn percent(&self) -> f64 {
        match (self.begun, ticks()) {
            (Some((steal, all)), Some((steal_now, all_now))) if all_now > all => {
                100.0 * (steal_now - steal) as f64 / (all_now - all) as f64
            }
            _ => 0.0,
        }
    }
}

pub(crate) fn describe(steal: Steal) -> Machine {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_once(':')
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let memory = field("/proc/meminfo", "MemTotal");
    let kib: u64 = memory
        .split(' ')
        .next()
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Machine {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        processor: field("/proc/cpuinfo", "model name"),
        memory_mib: kib / 1024,
        system: format!("Linux {}", release.trim()),
        version: env!("CARGO_PKG_VERSION"),
        optimised: !cfg!(debug_assertions),
        steal_percent: steal.percent(),
    }
}

/// Stolen and all ticks of all processors (proc(5), `/proc/stat`).
fn ticks() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> = text
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|n| n.parse().ok())
        .collect();
    Some((*ticks.get(7)?, ticks.iter().take(8).sum()))
}

/// Resident and peak resident memory of a process, in MiB (proc(5), `/proc/pid/status`).
pub(crate) fn memory_mib(pid: u32) -> Option<(f64, f64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    };
    Some((kib("VmRSS:")? / 1024.0, kib("VmHWM:")? / 1024.0))
}

/// Processor time that a process has used, in seconds (proc(5), `/proc/pid/stat`; 100 ticks a second).
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}
