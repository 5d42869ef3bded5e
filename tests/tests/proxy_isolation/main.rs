//! Who shares what, with real servers of three SDKs, under every isolation and strategy: two clients of one principal and
//! one of another do the same things at the same time, with the same ids.

mod cancelling;
mod questions;
mod same_ids;
mod sdk_clients;
mod stage;
mod state;
mod subscriptions;
mod told_apart;

use anyhow::{Context as _, Result};
use stage::{Pool, Server, Stage};

const ISOLATIONS: [&str; 3] = ["Session", "Principal", "Shared"];
const STRATEGIES: [&str; 5] = ["RoundRobin", "LeastConnections", "Sticky", "Weighted", "None"];

/// Every pool in front of one server.
async fn matrix(server: Server) -> Result<()> {
    for isolation in ISOLATIONS {
        for strategy in STRATEGIES {
            for concurrency in [8, 1] {
                let pool = Pool { isolation, strategy, concurrency };
                one(&server, &pool).await.with_context(|| format!("{} behind {pool:?}", server.name))?;
            }
        }
    }
    Ok(())
}

async fn one(server: &Server, pool: &Pool) -> Result<()> {
    let stage = Stage::new(server, pool).await?;
    same_ids::check(&stage).await.context("the same ids and progress tokens")?;
    told_apart::check(&stage).await.context("log levels")?;
    questions::check(&stage).await.context("questions of the server")?;
    if server.subscriptions {
        subscriptions::check(&stage).await.context("subscriptions")?;
    }
    state::check(&stage).await.context("state in sessions")?;
    cancelling::check(&stage).await.context("cancelled calls")?;
    Ok(())
}

#[tokio::test]
async fn fastmcp() -> Result<()> {
    matrix(Server::fastmcp().await?).await
}

#[tokio::test]
async fn typescript() -> Result<()> {
    matrix(Server::typescript().await?).await
}

#[tokio::test]
async fn rmcp() -> Result<()> {
    matrix(Server::rmcp().await?).await
}
