//! Schemathesis: sends what an OpenAPI document allows and what it does not, and checks the answers against it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::binary::repository;
use crate::upstream::installed;

/// Longest time for all of it.
const PATIENCE: Duration = Duration::from_secs(240);

/// Tries the document that is served at an address; `server` is a pool that is there.
///
/// # Errors
/// When an answer is not what the document says, with schemathesis' own words.
pub async fn try_document(address: SocketAddr, server: &str, token: &str) -> Result<()> {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    let folder = FOLDER
        .get_or_try_init(|| async {
            let mut script = Command::new(repository().join("tests/upstreams/pypi/install.sh"));
            script.arg(repository().join("tests/schemathesis"));
            installed(script).await
        })
        .await?;
    let work = tempfile::tempdir()?;
    let run = Command::new(folder.join("bin/schemathesis"))
        .arg("--config-file")
        .arg(repository().join("tests/schemathesis/schemathesis.toml"))
        .env("TOKEN", token)
        .env("SERVER", server)
        .args(["run", &format!("http://{address}/openapi.json")])
        .args(["--phases=examples,coverage,fuzzing", "--max-examples=60", "--workers=2", "--seed=1"])
        .args(["--generation-database=none", "--continue-on-failure", "--request-timeout=30"])
        .current_dir(work.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, run).await??;
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    ensure!(output.status.success(), "schemathesis: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
