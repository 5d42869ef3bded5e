//! Prometheus' own checker.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
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
