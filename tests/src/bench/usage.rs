//! What a process and its children use.

use std::fs;

use anyhow::{Context, Result};

/// Clock ticks in a second, as Linux shows them to programs.
const TICKS: f64 = 100.0;

/// Processor time and memory of a process and its children.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Seconds of processor time since the start.
    pub seconds: f64,
    /// Resident memory in MiB.
    pub memory: f64,
}

/// Reads the usage of `pid` and its children.
///
/// # Errors
/// If the process is gone.
pub fn of(pid: u32) -> Result<Usage> {
    let mut sum = single(pid)?;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
        let usage = single(child)?;
        sum.seconds += usage.seconds;
        sum.memory += usage.memory;
    }
    Ok(sum)
}

fn single(pid: u32) -> Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(") ").context("stat")?.1.split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    let kib: f64 = resident.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    Ok(Usage { seconds: (ticks(11) + ticks(12)) / TICKS, memory: kib / 1024.0 })
}
