//! The real kubectl on a control plane with the definition.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tests::{ControlPlane, repository};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// A namespace of a test's own on the control plane of all tests here.
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Credentials of an administrator, in whose context it is the namespace.
    pub kubeconfig: PathBuf,
    tools: PathBuf,
}

/// The folder of a tool, built when it is not there.
pub async fn tool(name: &str) -> Result<PathBuf> {
    let script = repository().join("tests/cluster/tools.sh");
    let output = Command::new(&script).arg(name).stderr(Stdio::inherit()).output().await?;
    ensure!(output.status.success(), "{} {name} failed", script.display());
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// The control plane of all tests here, with the definition.
pub async fn plane() -> Result<&'static ControlPlane> {
    static READY: OnceCell<()> = OnceCell::const_new();
    let plane = ControlPlane::shared().await?;
    READY
        .get_or_try_init(async || {
            let text = std::fs::read_to_string(repository().join("crds/sessionpool.yaml"))?;
            plane.apply_yaml(&text).await.map(drop)
        })
        .await?;
    Ok(plane)
}

impl Namespace {
    /// Makes one.
    pub async fn new(prefix: &str) -> Result<Self> {
        let plane = plane().await?;
        let name = plane.namespace(prefix).await?;
        let mut config: serde_json::Value =
            serde_yaml::from_str(&std::fs::read_to_string(plane.kubeconfig())?)?;
        config["contexts"][0]["context"]["namespace"] = name.clone().into();
        let kubeconfig = plane.state().join(format!("{name}.kubeconfig"));
        std::fs::write(&kubeconfig, config.to_string())?;
        Ok(Self { name, kubeconfig, tools: tool("kubectl").await? })
    }

    /// The folder that kubectl is in.
    pub fn tools(&self) -> &Path {
        &self.tools
    }

    /// Runs kubectl with something on its standard input.
    pub async fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(self.tools.join("kubectl"))
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .current_dir(repository())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), errors.trim());
        ensure!(!errors.contains("Warning"), "kubectl {}: {}", arguments.join(" "), errors.trim());
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Whether the API server takes a manifest.
    pub async fn takes(&self, manifest: &str) -> Result<()> {
        self.kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", "-"], manifest).await.map(drop)
    }
}
