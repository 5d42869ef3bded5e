//! Clients of three SDKs on one pool's sessions at the same time: each is told and asked what is its own.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tests::binary::repository;
use tests::proxy::Proxy;
use tests::upstream::{node, python};
use tokio::process::Command;

use crate::stage::Server;

async fn succeeds(command: &mut Command) -> Result<()> {
    let output = command.kill_on_drop(true).output().await?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success() && said.trim() == "ok", "{}: {said}\n{errors}", output.status);
    Ok(())
}

async fn together(server: &Server) -> Result<()> {
    let (node, modules) = node().await?;
    let python = python().await?;
    for concurrency in [8, 1] {
        let spec = json!({"poolMinSize": 0, "poolMaxSize": 3, "poolSessionConcurrency": concurrency});
        let proxy = Proxy::ready(&server.upstream.url(), &spec).await?;
        let url = format!("http://{}/mcp", proxy.mcp);
        let scripts = repository().join("tests/upstreams");
        let mut of_python = Command::new(&python);
        of_python.arg(scripts.join("python/together.py")).arg(&url);
        let mut of_node = Command::new(&node);
        of_node.arg(scripts.join("typescript/together.mjs")).arg(&modules).arg(&url);
        futures::try_join!(succeeds(&mut of_python), succeeds(&mut of_node))
            .with_context(|| format!("{}, concurrency {concurrency}", server.name))?;
        let stats = proxy.stats().await?;
        ensure!(stats.total_sessions <= 3 && stats.total_acquisitions >= 12 * 30, "{stats:?}");
    }
    Ok(())
}

#[tokio::test]
async fn in_front_of_fastmcp() -> Result<()> {
    together(&Server::fastmcp().await?).await
}

#[tokio::test]
async fn in_front_of_typescript() -> Result<()> {
    together(&Server::typescript().await?).await
}

#[tokio::test]
async fn in_front_of_rmcp() -> Result<()> {
    together(&Server::rmcp().await?).await
}
