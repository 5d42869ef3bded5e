//! S8: drain.

use anyhow::Result;
use serde_json::json;
use tests::mcp_client::Endpoint;

use crate::call::{call, handshake, hold};
use crate::stage::Stage;

#[tokio::test]
async fn s08_drain() -> Result<()> {
    futures::try_join!(to_the_last_answer(), to_the_deadline())?;
    Ok(())
}

async fn to_the_last_answer() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 3, "poolMaxSize": 3})).await?;
    let client = stage.client().await?;
    let opened = stage.server.sessions();
    let held = hold(&client, "g");
    let busy = stage.session_of("g").await?;
    let spec = json!({
        "poolMinSize": 3, "poolMaxSize": 3, "desiredState": "Drained", "drain": {"timeoutSeconds": 60}
    });
    stage.change(&spec).await?;
    stage.when("draining", |stats| stats.status == "draining" && stats.total_sessions == 1).await?;
    let left = stage.server_sessions("the idle ones' end", |open| open.len() == 1).await?;
    assert!(left.contains(&busy), "the busy one stays: {left:?}");

    handshake(&Endpoint::new(stage.proxy.mcp)).await?.is_refused("draining")?;
    call(&client, "echo", &json!({"message": "new"})).await?.is_refused("draining")?;
    assert!(!held.is_finished());
    assert_eq!(stage.proxy.stats().await?.status, "draining");

    stage.server.open("g");
    assert_eq!(held.await??.text()?, "g", "the running call finishes");
    let stats = stage.when("drained", |stats| stats.status == "drained").await?;
    assert_eq!((stats.total_sessions, stats.active_leases, stats.drain_aborts), (0, 0, 0), "{stats:?}");
    stage.server_sessions("no session", std::collections::HashSet::is_empty).await?;
    assert_eq!(stage.deleted(), opened, "DELETE for each, and none was opened meanwhile");
    assert_eq!(stage.server.calls("echo").len(), 0);
    Ok(())
}

async fn to_the_deadline() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 2, "poolMaxSize": 3})).await?;
    let client = stage.client().await?;
    let held = [hold(&client, "never"), hold(&client, "never")];
    stage.server.calls_reach("hold", 2).await?;
    let begin = std::time::Instant::now();
    let spec = json!({
        "poolMinSize": 2, "poolMaxSize": 3, "desiredState": "Drained", "drain": {"timeoutSeconds": 2}
    });
    stage.change(&spec).await?;
    for call in held {
        let answer = call.await??;
        assert_eq!(answer.reason(), "drain_deadline", "{answer:?}");
        assert!(answer.body["error"]["message"].is_string(), "{answer:?}");
    }
    let took = begin.elapsed().as_secs_f64();
    assert!((1.9..6.0).contains(&took), "two seconds were given: {took}");
    let stats = stage.when("drained", |stats| stats.status == "drained").await?;
    assert_eq!((stats.total_sessions, stats.active_leases, stats.drain_aborts), (0, 0, 2), "{stats:?}");
    stage.server_sessions("no session", std::collections::HashSet::is_empty).await?;
    assert_eq!(stage.deleted().len(), stage.opened(), "DELETE for each");
    Ok(())
}
