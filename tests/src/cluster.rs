//! Kubernetes with a node: pods run, Services and cluster DNS work. Needs root.

use std::env;
use std::ffi::OsStr;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::kubernetes::Kubernetes;
use crate::supervisor::{Supervisor, script};

/// Names a running cluster (`make cluster-up CLUSTER=name`) that [`Cluster::shared`] uses in place of one of its own.
const REUSE: &str = "SESSIONPOOL_TEST_CLUSTER";

/// A cluster with a node. Its pods' network can only be reached from inside: see [`Cluster::enter`].
///
/// A cluster of its own ends when this value is dropped, and also when the test's process ends in any other way.
#[derive(Debug)]
pub struct Cluster {
    kubernetes: Kubernetes,
    state: PathBuf,
    supervisor: Option<Supervisor>,
}

impl Cluster {
    /// Starts one, which takes about 10 s. Images that `make images` has built are on its node.
    ///
    /// # Errors
    /// When root, a tool or a package is missing (the message says which, and how to get it) or a part does not start.
    pub async fn start() -> Result<Self> {
        let supervisor = Supervisor::start("node").await?;
        let state = supervisor.state().to_owned();
        Self::at(state, Some(supervisor)).await
    }

    /// The cluster that all tests of this test binary share; give each test a namespace of its own.
    /// It is the running cluster that `SESSIONPOOL_TEST_CLUSTER` names, when that is set.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED
            .get_or_try_init(async || match env::var(REUSE) {
                Ok(name) => Self::running(&name).await,
                Err(_) => Self::start().await,
            })
            .await
    }

    /// The cluster `name` that `make cluster-up` has started; it stays up.
    pub async fn running(name: &str) -> Result<Self> {
        let output = Command::new(script("up.sh")).args(["--state", name]).output().await?;
        let state = PathBuf::from(String::from_utf8(output.stdout)?.trim());
        ensure!(
            state.join("ready").exists(),
            "cluster {name} is not up: run `make cluster-up CLUSTER={name}`"
        );
        Self::at(state, None).await
    }

    async fn at(state: PathBuf, supervisor: Option<Supervisor>) -> Result<Self> {
        Ok(Self {
            kubernetes: Kubernetes::from_kubeconfig(&state.join("kubeconfig")).await?,
            state,
            supervisor,
        })
    }

    /// Folder with the cluster's `log/`, and the process id and start time of each part in `pid/`.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Process id of the script that started the parts, of a cluster that this process has started.
    pub fn supervisor_pid(&self) -> Option<u32> {
        self.supervisor.as_ref().map(Supervisor::pid)
    }

    /// A command that runs in the cluster's network, where Services resolve by name, with `KUBECONFIG` set and the
    /// cluster's tools in `PATH`. The file system is this machine's, without `/run`.
    pub fn enter(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(script("shell.sh"));
        command.arg(&self.state).arg(program).kill_on_drop(true);
        command
    }

    /// Runs a command in the cluster's network to its end and returns its standard output.
    ///
    /// # Errors
    /// When it fails, with what it wrote to standard error.
    pub async fn run(&self, command: &[&str]) -> Result<String> {
        let (program, arguments) = command.split_first().context("a command has a program")?;
        let output = self.enter(program).args(arguments).output().await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "`{}` failed ({}): {}",
            command.join(" "),
            output.status,
            errors.trim()
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Adds a further node, `node2` for `number` 2, and waits until it is ready.
    pub async fn add_node(&self, number: u8) -> Result<()> {
        self.script("add-node.sh", &[&number.to_string()]).await
    }

    /// Puts an image archive on every node.
    pub async fn import(&self, archive: &str) -> Result<()> {
        self.script("import.sh", &[archive]).await
    }

    async fn script(&self, name: &str, arguments: &[&str]) -> Result<()> {
        let output = Command::new(script(name)).arg(&self.state).args(arguments).output().await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "tests/cluster/{name} failed: {}", errors.trim());
        Ok(())
    }
}

impl Deref for Cluster {
    type Target = Kubernetes;

    fn deref(&self) -> &Kubernetes {
        &self.kubernetes
    }
}
