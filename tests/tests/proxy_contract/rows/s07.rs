//! S7: all sessions are lost, with the server's memory or with the server.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::eventually;
use tests::mcp_client::Session;
use tests::scripted::{Behaviour, Scripted};

use crate::call::{call, echo};
use crate::stage::{PATIENCE, Stage, check_sums};

#[tokio::test]
async fn s07_lost_sessions() -> Result<()> {
    futures::try_join!(noticed_by_calls(true), noticed_by_calls(false), noticed_by_pings(), restarted())?;
    Ok(())
}

async fn noticed_by_calls(pre_ping: bool) -> Result<()> {
    let spec = json!({
        "poolMinSize": 3, "poolMaxSize": 4, "poolPrePing": pre_ping, "poolPrePingDelaySeconds": 0,
        "poolKeepaliveSeconds": 1
    });
    let stage = Stage::full(&spec).await?;
    let client = stage.client().await?;
    let before = stage.proxy.stats().await?;
    stage.server.forget_sessions();
    for number in 0..8 {
        echo(&client, &format!("{number}")).await?;
    }
    recovered(&stage, before.total_destroys).await
}

/// Nobody calls: the pool finds out by itself. A ping that always succeeds finds nothing.
async fn noticed_by_pings() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 3, "poolMaxSize": 4, "poolKeepaliveSeconds": 1})).await?;
    let before = stage.proxy.stats().await?;
    stage.server.forget_sessions();
    recovered(&stage, before.total_destroys).await
}

async fn recovered(stage: &Stage, destroys: u64) -> Result<()> {
    let stats = stage
        .when("the smallest size again", |stats| {
            stats.total_destroys >= destroys + 3 && stats.available_sessions == 3 && stats.total_sessions == 3
        })
        .await?;
    check_sums(&stats)?;
    ensure!(stats.unhealthy_sessions == 0, "{stats:?}");
    stage.server_sessions("three sessions", |open| open.len() == 3).await?;
    Ok(())
}

async fn restarted() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 3, "poolMaxSize": 4, "poolKeepaliveSeconds": 1})).await?;
    let client = stage.client().await?;
    echo(&client, "before").await?;
    let Stage { server, proxy, .. } = stage;
    let address = server.address;
    drop(server);
    let server =
        eventually(PATIENCE, "the port", async || Scripted::at(address, Behaviour::default()).await).await?;
    for number in 0..8 {
        served(&client, &format!("after {number}")).await?;
    }
    let stats = proxy
        .stats_when("the smallest size again", |stats| {
            stats.total_sessions == 3 && stats.unhealthy_sessions == 0 && stats.total_destroys >= 3
        })
        .await?;
    check_sums(&stats)?;
    eventually(PATIENCE, "three sessions", async || {
        ensure!(server.sessions().len() == 3, "{:?}", server.sessions());
        Ok(())
    })
    .await
}

/// A client does as it is told: it comes back once after `Retry-After`.
async fn served(client: &Session, message: &str) -> Result<()> {
    let mut answer = call(client, "echo", &json!({"message": message})).await?;
    if answer.status == 503 {
        let seconds = answer.retry_after.context("no Retry-After")?;
        ensure!(seconds <= 5, "{answer:?}");
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
        answer = call(client, "echo", &json!({"message": message})).await?;
    }
    ensure!(answer.text()? == message, "{answer:?}");
    Ok(())
}
