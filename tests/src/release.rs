//! A release of the chart on a cluster.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::{Cluster, binary::repository, helm::helm, upstream};

/// Images that `make images` has built.
pub const IMAGES: &str = "image.tag=dev,proxyImage.tag=dev";

/// Helm and kubectl with a cluster's credentials, in a namespace of their own.
#[derive(Debug)]
pub struct Release<'a> {
    cluster: &'a Cluster,
    helm: PathBuf,
    kubectl: PathBuf,
    /// Where it is.
    pub namespace: String,
}

impl<'a> Release<'a> {
    /// A namespace, in which nothing is installed yet.
    ///
    /// # Errors
    /// When a tool can't be built.
    pub async fn new(cluster: &'a Cluster) -> Result<Self> {
        let tools = run(Command::new(repository().join("tests/cluster/tools.sh")).arg("kubectl")).await?;
        Ok(Self {
            cluster,
            helm: helm().await?,
            kubectl: Path::new(tools.trim()).join("kubectl"),
            namespace: cluster.namespace("chart").await?,
        })
    }

    /// The chart as it is here.
    pub fn chart() -> String {
        repository().join("charts/sessionpool").display().to_string()
    }

    async fn call(&self, program: &Path, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        command.arg("--kubeconfig").arg(self.cluster.kubeconfig());
        run(command.args(["--namespace", &self.namespace]).args(arguments)).await
    }

    /// Runs Helm to its end and returns its standard output.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub async fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.call(&self.helm, arguments).await
    }

    /// Runs kubectl to its end and returns its standard output.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.call(&self.kubectl, arguments).await
    }

    /// Applies a file of the repository.
    ///
    /// # Errors
    /// When kubectl refuses it.
    pub async fn apply(&self, file: &str) -> Result<()> {
        self.kubectl(&["apply", "-f", &repository().join(file).display().to_string()]).await?;
        Ok(())
    }

    /// Waits until a pool is ready.
    ///
    /// # Errors
    /// When it does not become so; the error tells what is known of it and its pods.
    pub async fn ready(&self, pool: &str) -> Result<()> {
        let name = format!("sessionpool/{pool}");
        let waited = self.kubectl(&["wait", "--for=condition=Ready", "--timeout=90s", &name]).await;
        if let Err(error) = waited {
            let found = self.kubectl(&["describe", "sessionpool,replicasets,pods"]).await?;
            return Err(error.context(found));
        }
        Ok(())
    }

    /// Has clients of the MCP SDK for Python call `echo` at `url`.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn call_at(&self, url: &str, clients: u32, calls: u32) -> Result<()> {
        let python = upstream::python().await?;
        let client = repository().join("tests/demo/client.py").display().to_string();
        let numbers = [clients.to_string(), calls.to_string()];
        let command = [&python, &client, url, "--clients", &numbers[0], "--calls", &numbers[1]];
        let said = self.cluster.run(&command).await?;
        let wanted = format!("{calls} calls of 'echo' by {clients} clients at once: 0 errors");
        ensure!(said.contains(&wanted), "the client said:\n{said}");
        Ok(())
    }
}

/// Runs a command to its end and returns its standard output.
async fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed ({}): {}", output.status, errors.trim());
    Ok(String::from_utf8(output.stdout)?)
}
