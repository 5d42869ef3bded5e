//! Real clients and real servers, with the proxy between them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::eventually;
use tests::mcp_client::Session;
use tests::proxy::Proxy;
use tests::repository;
use tests::upstream::{Upstream, node, python};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(40);

async fn succeeds(command: &mut Command) -> Result<()> {
    let output =
        tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output()).await.context("it hangs")??;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success() && said.trim() == "ok", "{}: {said}\n{errors}", output.status);
    Ok(())
}

#[tokio::test]
async fn python_clients_and_server() -> Result<()> {
    let server = Upstream::python().await?;
    let proxy = Proxy::ready(&server.url(), &json!({"poolMinSize": 1, "poolMaxSize": 3})).await?;
    let script = repository().join("tests/upstreams/python/client.py");
    succeeds(Command::new(python().await?).arg(script).arg(format!("http://{}/mcp", proxy.mcp))).await?;
    let stats = proxy.stats_when("rest", |stats| stats.active_leases == 0).await?;
    ensure!(stats.total_creates <= 3 && stats.total_acquisitions >= 8 * 6, "{stats:?}");
    Ok(())
}

#[tokio::test]
async fn typescript_clients_and_server() -> Result<()> {
    let server = Upstream::everything().await?;
    let proxy = Proxy::ready(&server.url(), &json!({"poolMinSize": 1, "poolMaxSize": 3})).await?;
    let (node, modules) = node().await?;
    let script = repository().join("tests/upstreams/clients/typescript.mjs");
    succeeds(Command::new(node).arg(script).arg(modules).arg(format!("http://{}/mcp", proxy.mcp))).await?;
    let stats = proxy.stats_when("the clients' end", |stats| stats.client_sessions == 0).await?;
    ensure!(stats.total_creates <= 3, "{stats:?}");
    Ok(())
}

#[tokio::test]
async fn server_that_dies_in_a_call() -> Result<()> {
    let mut server = Upstream::python().await?;
    let proxy = Proxy::ready(&server.url(), &json!({"poolMinSize": 1, "poolTimeout": 5})).await?;
    let client = Session::open(proxy.mcp).await?;
    let (status, text) = client.request("tools/call", &json!({"name": "crash", "arguments": {}})).await?;
    ensure!(text.contains("\"error\""), "{status} {text}");
    server.restart().await?;
    eventually(PATIENCE, "service", async || {
        let text = client.tool("echo", &json!({"message": "on"})).await?;
        ensure!(text == "on", "{text}");
        Ok(())
    })
    .await
}
