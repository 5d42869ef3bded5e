//! What a cluster leaves on the machine: its processes and control groups, and the machine's mounts, links and firewall.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::supervisor::script;

/// A process, told apart from a later one with the same id by its start time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Clock ticks from the machine's boot to the process's start.
    pub start: u64,
}

impl Process {
    /// The process that has this id now, if any.
    pub fn running(pid: u32) -> Option<Self> {
        let (_, start) = stat(pid)?;
        Some(Self { pid, start })
    }

    /// Whether this very process still runs.
    pub fn runs(&self) -> bool {
        Self::running(self.pid).as_ref() == Some(self)
    }

    /// Ends it at once.
    pub fn kill(&self) -> Result<()> {
        self.signal("KILL")
    }

    /// Sends it a signal, such as `STOP`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid.to_string()]).status()?;
        anyhow::ensure!(status.success(), "can't send SIG{name} to process {}", self.pid);
        Ok(())
    }
}

/// The process that a cluster's `pid` folder records under `name`.
pub fn part(state: &Path, name: &str) -> Result<Process> {
    let path = state.join("pid").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let mut numbers = text.split_whitespace();
    let (Some(pid), Some(start)) = (numbers.next(), numbers.next()) else {
        anyhow::bail!("{} holds {text:?}, not a process id and a start time", path.display());
    };
    Ok(Process { pid: pid.parse()?, start: start.parse()? })
}

/// What one running cluster has on the machine.
#[derive(Debug)]
pub struct Traces {
    state: PathBuf,
    processes: BTreeSet<Process>,
    cgroups: Vec<PathBuf>,
}

impl Traces {
    /// Everything that descends from the cluster's supervisor, and the cluster's control groups.
    pub fn of(state: &Path, supervisor: u32) -> Result<Self> {
        let output = Command::new(script("down.sh")).arg("--cgroups").arg(state).output()?;
        let cgroups = String::from_utf8(output.stdout)?.lines().map(PathBuf::from).collect();
        Ok(Self { state: state.to_owned(), processes: descendants(supervisor)?, cgroups })
    }

    /// Number of processes.
    pub fn processes(&self) -> usize {
        self.processes.len()
    }

    /// The process of this program, whose name has at most 15 characters.
    pub fn program(&self, name: &str) -> Option<Process> {
        let is = |process: &&Process| {
            fs::read_to_string(format!("/proc/{}/comm", process.pid)).is_ok_and(|found| found.trim() == name)
        };
        self.processes.iter().find(is).cloned()
    }

    /// Number of control groups that exist at this moment.
    pub fn cgroups(&self) -> usize {
        self.cgroups.iter().filter(|path| path.exists()).count()
    }

    /// The processes that still run.
    pub fn running(&self) -> Vec<String> {
        self.processes.iter().filter(|process| process.runs()).map(describe).collect()
    }

    /// Everything that is still there, in words.
    pub fn left(&self) -> Vec<String> {
        let mut left = self.running();
        left.extend(
            self.cgroups.iter().filter(|path| path.exists()).map(|path| format!("cgroup {}", path.display())),
        );
        if self.state.exists() {
            left.push(format!("folder {}", self.state.display()));
        }
        left
    }
}

/// What a cluster must not change, since it belongs to the machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine {
    mounts: String,
    links: String,
    firewall: String,
}

impl Machine {
    /// As it is now.
    pub fn now() -> Result<Self> {
        Ok(Self {
            mounts: fs::read_to_string("/proc/mounts")?,
            links: output(&["ip", "-brief", "link"])?,
            firewall: output(&["nft", "list", "ruleset"])?,
        })
    }
}

fn output(command: &[&str]) -> Result<String> {
    let (program, arguments) = command.split_first().context("a command has a program")?;
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("can't run {program}"))?;
    Ok(String::from_utf8(output.stdout)?)
}

fn describe(process: &Process) -> String {
    let command = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    let words: Vec<_> = command.split(|byte| *byte == 0).map(String::from_utf8_lossy).take(4).collect();
    format!("process {} ({})", process.pid, words.join(" ").trim())
}

fn descendants(root: u32) -> Result<BTreeSet<Process>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse() else { continue };
        if let Some((parent, _)) = stat(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        found.extend(Process::running(pid));
        open.extend(children.remove(&pid).unwrap_or_default());
    }
    Ok(found)
}

/// Parent and start time; none for a process that has ended, also when its parent has not noticed yet.
fn stat(pid: u32) -> Option<(u32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    Some((fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}
