//! What a client leaves in its session of the server it finds again, whichever proxy it asks.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::upstream::Upstream;

use crate::fleet::Fleet;

/// Every isolation and strategy, and clients that are pinned.
fn pools() -> Vec<Value> {
    let mut pools = Vec::new();
    for isolation in ["Session", "Principal", "Shared"] {
        for strategy in ["RoundRobin", "LeastConnections", "Sticky", "None"] {
            // Small enough that a client has one session of the server at each proxy.
            let mut pool = json!({"isolation": isolation, "poolStrategy": strategy, "poolMaxSize": 4});
            match isolation {
                "Principal" => pool["poolMaxPerPrincipal"] = json!(1),
                "Shared" => pool["poolMaxSize"] = json!(1),
                _ => {}
            }
            pools.push(pool);
        }
    }
    let pin = |isolation| {
        json!({
            "isolation": isolation, "poolStrategy": "RoundRobin", "poolMaxSize": 8, "poolSessionConcurrency": 1,
            "pinning": {"tools": ["remember"]}
        })
    };
    pools.extend(["Principal", "Shared"].map(pin));
    pools
}

async fn check(url: &str) -> Result<()> {
    for pool in pools() {
        one(url, &pool).await.with_context(|| pool.to_string())?;
    }
    Ok(())
}

async fn one(url: &str, pool: &Value) -> Result<()> {
    let fleet = Fleet::start(3, url, pool).await?;
    let clients = [fleet.client(0, "a").await?, fleet.client(1, "b").await?, fleet.client(2, "a").await?];
    for (at, client) in clients.iter().enumerate() {
        client.tool("remember", &json!({"message": format!("secret of {at}")})).await?;
    }
    for (at, client) in clients.iter().enumerate() {
        let mut servers = Vec::new();
        for _ in 0..client.len() {
            let found = client.tool("recall", &json!({})).await?;
            ensure!(found == format!("secret of {at}"), "{at} finds {found:?}");
            servers.push(client.tool("whoami", &json!({})).await?);
        }
        servers.dedup();
        ensure!(servers.len() == 1, "{at} is served by {servers:?}");
    }
    for at in 0..3 {
        ensure!(fleet.forwarded(at, "answered").await? > 0, "{at} has forwarded nothing");
        ensure!(fleet.forwarded(at, "lost").await? == 0 && fleet.forwarded(at, "unreachable").await? == 0);
    }
    Ok(())
}

#[tokio::test]
async fn rmcp() -> Result<()> {
    check(&Upstream::rmcp().await?.url()).await
}

#[tokio::test]
async fn typescript() -> Result<()> {
    check(&Upstream::typescript().await?.url()).await
}
