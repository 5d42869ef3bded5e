//! Drain and resume.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::Proxy;
use tests::eventually;
use tests::mcp_client::{Endpoint, Session};
use tests::scripted::Scripted;

use crate::call::{call, echo, handshake, hold};
use crate::stage::{PATIENCE, Stage, check_sums};

fn active() -> Value {
    json!({"poolMinSize": 2, "poolMaxSize": 2})
}

fn drained(seconds: u32) -> Value {
    json!({
        "poolMinSize": 2, "poolMaxSize": 2, "desiredState": "Drained", "drain": {"timeoutSeconds": seconds}
    })
}

async fn refused(client: &Session) -> Result<()> {
    call(client, "echo", &json!({"message": "not now"})).await?.is_refused("draining")
}

/// Sessions of clients are not sessions of the server: they outlive the drain.
#[tokio::test]
async fn clients_go_on_after_resume() -> Result<()> {
    let stage = Stage::full(&active()).await?;
    let clients = [stage.client().await?, stage.client().await?];
    echo(&clients[0], "before").await?;
    stage.change(&drained(30)).await?;
    stage.when("drained", |stats| stats.status == "drained").await?;
    for client in &clients {
        refused(client).await?;
    }
    assert_eq!(stage.proxy.admin("/readyz").await?.0, 200, "drained is a state, not a fault");
    // What needs no session of the server goes on.
    assert_eq!(clients[0].result("ping", &json!({})).await?, json!({}));
    assert!((200..=204).contains(&clients[1].end().await?));
    let stats = stage.change(&active()).await?;
    assert_eq!((stats.drain_aborts, stats.drain_refusals, stats.total_refusals), (0, 2, 0), "{stats:?}");
    echo(&clients[0], "after").await?;
    echo(&stage.client().await?, "new client").await?;
    let stats = stage.when("active", |stats| stats.status == "active" && stats.total_sessions == 2).await?;
    check_sums(&stats)?;
    assert_eq!(stage.server.calls("echo").len(), 3, "what was refused was not executed");
    Ok(())
}

/// The call that runs knows nothing of it.
#[tokio::test]
async fn resume_in_the_middle() -> Result<()> {
    let stage = Stage::full(&active()).await?;
    let client = stage.client().await?;
    let held = hold(&client, "g");
    let busy = stage.session_of("g").await?;
    stage.change(&drained(3)).await?;
    stage.when("draining", |stats| stats.status == "draining" && stats.total_sessions == 1).await?;
    refused(&client).await?;
    let resumed = std::time::Instant::now();
    stage.change(&active()).await?;
    stage.when("active", |stats| stats.status == "active" && stats.total_sessions == 2).await?;
    echo(&client, "again").await?;
    // Past the deadline that no longer holds.
    eventually(PATIENCE, "the old deadline", async || {
        ensure!(resumed.elapsed().as_secs_f64() > 4.0, "not yet");
        Ok(())
    })
    .await?;
    assert!(!held.is_finished() && stage.server.sessions().contains(&busy), "it was cut");
    stage.server.open("g");
    assert_eq!(held.await??.text()?, "g");
    let stats = stage.rest().await?;
    check_sums(&stats)?;
    assert_eq!(stats.drain_aborts, 0, "{stats:?}");
    Ok(())
}

/// A pool that is drained when it starts is ready and opens nothing.
#[tokio::test]
async fn start_while_drained() -> Result<()> {
    let stage = Stage::ready(&drained(60)).await?;
    let stats = stage.when("drained", |stats| stats.status == "drained").await?;
    assert_eq!((stats.total_sessions, stats.ready), (0, true), "{stats:?}");
    handshake(&Endpoint::new(stage.proxy.mcp)).await?.is_refused("draining")?;
    assert_eq!(stage.server.seen().len(), 0, "the server was left alone");
    stage.change(&active()).await?;
    stage.when("two sessions", |stats| stats.total_sessions == 2 && stats.status == "active").await?;
    echo(&stage.client().await?, "x").await
}

/// It stays drained after a restart, since that is what the file says.
#[tokio::test]
async fn restart_while_drained() -> Result<()> {
    let stage = Stage::full(&active()).await?;
    stage.change(&drained(60)).await?;
    stage.when("drained", |stats| stats.status == "drained").await?;
    let Stage { server, proxy, .. } = stage;
    let opened = server.seen_as("initialize").len();
    let proxy: Proxy = proxy.killed_and_restarted().await?;
    proxy.wait_until_ready().await?;
    handshake(&Endpoint::new(proxy.mcp)).await?.is_refused("draining")?;
    assert_eq!(server.seen_as("initialize").len(), opened);
    Ok(())
}

/// Who waits when the drain begins gets an answer: that of the server or 503, not silence to the deadline.
#[tokio::test]
async fn waiters_are_not_forgotten() -> Result<()> {
    let stage = Stage::full(&active()).await?;
    let client = stage.client().await?;
    let held = [hold(&client, "g"), hold(&client, "g")];
    stage.server.calls_reach("hold", 2).await?;
    let waiters = [hold(&client, "g"), hold(&client, "g"), hold(&client, "g")];
    stage.when("three waiters", |stats| stats.waiting == 3).await?;
    stage.change(&drained(60)).await?;
    stage.when("draining", |stats| stats.status == "draining").await?;
    stage.server.open("g");
    for call in held {
        assert_eq!(call.await??.text()?, "g");
    }
    for waiter in waiters {
        let answer = waiter.await??;
        ensure!(answer.status == 200 || answer.is_refused("draining").is_ok(), "{answer:?}");
    }
    let stats = stage.when("drained", |stats| stats.status == "drained").await?;
    assert_eq!((stats.waiting, stats.total_sessions, stats.total_timeouts), (0, 0, 0), "{stats:?}");
    stage.server_sessions("no session", std::collections::HashSet::is_empty).await?;
    assert_eq!(stage.deleted().len(), stage.opened(), "DELETE for each");
    Ok(())
}

/// Direct sessions end as pooled ones do.
#[tokio::test]
async fn without_a_pool() -> Result<()> {
    let server = Scripted::start().await?;
    let stage = Stage::before(server, &json!({"poolEnabled": false})).await?;
    let clients = [stage.client().await?, stage.client().await?];
    for client in &clients {
        echo(client, "x").await?;
    }
    let held = hold(&clients[0], "g");
    let busy = stage.session_of("g").await?;
    let spec = json!({"poolEnabled": false, "desiredState": "Drained", "drain": {"timeoutSeconds": 60}});
    stage.change(&spec).await?;
    stage.server_sessions("the busy one alone", |open| open.len() == 1 && open.contains(&busy)).await?;
    refused(&clients[1]).await?;
    stage.server.open("g");
    assert_eq!(held.await??.text()?, "g");
    stage.server_sessions("no session", std::collections::HashSet::is_empty).await?;
    assert_eq!(stage.deleted().len(), stage.opened());
    Ok(())
}

/// Also a client whose session the drain has closed gets the same answer; what it lost, it is told once it goes on.
#[tokio::test]
async fn sticky_clients_are_refused_alike() -> Result<()> {
    let sticky = |mut spec: Value| {
        spec["poolStrategy"] = json!("Sticky");
        spec
    };
    let stage = Stage::full(&sticky(active())).await?;
    let client = stage.client().await?;
    echo(&client, "before").await?;
    stage.change(&sticky(drained(30))).await?;
    stage.when("drained", |stats| stats.status == "drained").await?;
    for _ in 0..2 {
        refused(&client).await?;
    }
    stage.change(&sticky(active())).await?;
    let told = call(&client, "echo", &json!({"message": "x"})).await?;
    assert_eq!((told.status, told.reason()), (200, "session_state_lost"), "{told:?}");
    echo(&client, "after").await
}
