//! The script that runs a cluster, as a child that can't outlive this process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::binary::repository;

const START_TIMEOUT: Duration = Duration::from_secs(240);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// A running `tests/cluster/supervise.sh`. It stops the cluster when its standard input ends: on drop, and also when
/// this process is killed.
#[derive(Debug)]
pub(crate) struct Supervisor {
    child: Child,
    stdin: Option<ChildStdin>,
    state: PathBuf,
    _folder: TempDir,
}

impl Supervisor {
    /// Starts a cluster of the given mode (`control-plane` or `node`) and waits until it is ready.
    pub(crate) async fn start(mode: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sessionpool-").tempdir()?;
        let state = folder.path().join("cluster");
        let errors = folder.path().join("errors");
        let mut child = Command::new(script("supervise.sh"))
            .arg(&state)
            .args([mode, "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(&errors)?)
            .spawn()
            .context("can't start tests/cluster/supervise.sh")?;
        let stdin = child.stdin.take();
        let mut supervisor = Self { child, stdin, state, _folder: folder };
        supervisor.wait_until_ready(&errors).await?;
        // The script removes the folder when it outlives this process, if nothing else is in it.
        fs::remove_file(&errors)?;
        Ok(supervisor)
    }

    async fn wait_until_ready(&mut self, errors: &Path) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.state.join("ready").exists() {
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                let reason = fs::read_to_string(errors).unwrap_or_default();
                bail!("the cluster did not start: {}", reason.trim());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Folder of the cluster's state: `kubeconfig`, `log/`, `pid/`.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Process id of the script.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let deadline = Instant::now() + STOP_TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        // Both do nothing when the script ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = Command::new(script("down.sh")).arg(&self.state).output();
    }
}

/// Path of a script of `tests/cluster`.
pub(crate) fn script(name: &str) -> PathBuf {
    repository().join("tests/cluster").join(name)
}
