//! Prometheus' own checker.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::binary::repository;

/// `promtool`, built when it is not there.
///
/// # Errors
/// When it can't be built; the reason is on standard error.
pub async fn promtool() -> Result<Command> {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    Ok(Command::new(PROGRAM.get_or_try_init(build).await?))
}

async fn build() -> Result<PathBuf> {
    let script = repository().join("tests/cluster/tools.sh");
    let output = Command::new(&script)
        .arg("promtool")
        .stderr(Stdio::inherit())
        .output()
        .await
        .with_context(|| format!("can't run {}", script.display()))?;
    ensure!(output.status.success(), "{} promtool failed", script.display());
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()).join("promtool"))
}

/// What `promtool check metrics` has to say about an exposition.
///
/// # Errors
/// When it can't be read at all.
pub async fn remarks(exposition: &str) -> Result<Vec<String>> {
    let mut child = promtool()
        .await?
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no standard input")?.write_all(exposition.as_bytes()).await?;
    let output = child.wait_with_output().await?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    // 3: readable, with remarks.
    let readable = matches!(output.status.code(), Some(0 | 3));
    ensure!(readable, "promtool: {} {said}\n{exposition}", output.status);
    Ok(said.lines().map(ToOwned::to_owned).collect())
}
