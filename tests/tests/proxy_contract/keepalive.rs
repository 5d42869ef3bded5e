//! Sessions are kept alive with pings, also during a call.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::eventually;

use crate::call::hold;
use crate::stage::{PATIENCE, Stage};

/// Pings that came on a session.
fn pings(stage: &Stage, session: &str) -> usize {
    stage.server.seen_as("ping").iter().filter(|ping| ping.session.as_deref() == Some(session)).count()
}

#[tokio::test]
async fn during_a_long_call() -> Result<()> {
    let stage = Stage::full(&json!({"poolMaxSize": 1, "poolKeepaliveSeconds": 1})).await?;
    let client = stage.client().await?;
    let held = hold(&client, "g");
    let session = stage.session_of("g").await?;
    let before = pings(&stage, &session);
    eventually(PATIENCE, "three pings", async || {
        ensure!(pings(&stage, &session) >= before + 3, "{}", pings(&stage, &session));
        Ok(())
    })
    .await?;
    assert!(!held.is_finished());
    let stats = stage.proxy.stats().await?;
    let now = (stats.active_leases, stats.total_acquisitions, stats.total_sessions);
    assert_eq!(now, (1, 1, 1), "a ping is no request of a client: {stats:?}");
    stage.server.open("g");
    assert_eq!(held.await??.text()?, "g");
    Ok(())
}

/// 0 means never; the other proxy's pings tell the time.
#[tokio::test]
async fn none_when_switched_off() -> Result<()> {
    let off = Stage::full(&json!({"poolMaxSize": 1, "poolKeepaliveSeconds": 0})).await?;
    let on = Stage::full(&json!({"poolMaxSize": 1, "poolKeepaliveSeconds": 1})).await?;
    let held = hold(&off.client().await?, "g");
    let session = off.session_of("g").await?;
    on.server.messages_reach("ping", 3).await?;
    assert_eq!(pings(&off, &session), 0);
    off.server.open("g");
    assert_eq!(held.await??.status, 200);
    Ok(())
}
