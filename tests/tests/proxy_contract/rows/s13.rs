//! S13: the troubleshooting table: each symptom, and what its remedies do to the named counter.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::eventually;
use tests::mcp_client::Session;

use crate::call::{echo, hold, start};
use crate::stage::{PATIENCE, Stage};

#[tokio::test]
async fn s13_troubleshooting() -> Result<()> {
    futures::try_join!(high_timeout_rate(), sessions_not_reused(), memory_growth(), uneven_load())?;
    Ok(())
}

/// Requests that were refused for their time, of eight at once that take 0.4 s each.
async fn timeouts_of_a_crowd(stage: &Stage, client: &Session) -> Result<u64> {
    let before = stage.rest().await?.total_timeouts;
    let crowd = (0..8).map(|_| start(client, "sleep", json!({"ms": 400})));
    for answer in try_join_all(crowd).await? {
        let answer = answer?;
        ensure!(answer.status == 200 || answer.reason() == "pool_timeout", "{answer:?}");
    }
    Ok(stage.rest().await?.total_timeouts - before)
}

async fn high_timeout_rate() -> Result<()> {
    let stage = Stage::full(&json!({"poolMaxSize": 1, "poolTimeout": 1})).await?;
    let client = stage.client().await?;
    let crowded = timeouts_of_a_crowd(&stage, &client).await?;
    assert!(crowded >= 3, "the symptom: {crowded}");
    stage.change(&json!({"poolMaxSize": 8, "poolTimeout": 1})).await?;
    assert_eq!(timeouts_of_a_crowd(&stage, &client).await?, 0, "increase poolMaxSize");

    stage.change(&json!({"poolMaxSize": 1, "poolTimeout": 3})).await?;
    let held = hold(&client, "g");
    stage.session_of("g").await?;
    let patient = hold(&client, "late").await??;
    stage.change(&json!({"poolMaxSize": 1, "poolTimeout": 1})).await?;
    let hasty = hold(&client, "late").await??;
    assert!(patient.took.as_secs_f64() > 2.9 && hasty.took.as_secs_f64() < 2.5, "{patient:?} {hasty:?}");
    stage.server.open("g");
    assert_eq!(held.await??.status, 200);
    Ok(())
}

/// Sessions that were opened for five calls that come one after another, each after the pool came to rest.
async fn creates_for_five_calls(stage: &Stage, client: &Session, pause: Duration) -> Result<u64> {
    let before = stage.rest().await?.total_creates;
    for number in 0..5 {
        echo(client, &format!("{number}")).await?;
        tokio::time::sleep(pause).await;
        stage.rest().await?;
    }
    Ok(stage.rest().await?.total_creates - before)
}

async fn sessions_not_reused() -> Result<()> {
    // Recycled too soon.
    let stage = Stage::ready(&json!({"poolMinSize": 0, "poolRecycleSeconds": 1})).await?;
    let client = stage.client().await?;
    let pause = Duration::from_millis(1300);
    let symptom = creates_for_five_calls(&stage, &client, pause).await?;
    assert!(symptom >= 4, "creates near acquisitions: {symptom}");
    stage.change(&json!({"poolMinSize": 1, "poolRecycleSeconds": 3600})).await?;
    let remedy = creates_for_five_calls(&stage, &client, pause).await?;
    assert!(remedy <= 1, "a longer poolRecycleSeconds: {remedy}");

    // Not pooled at all: a session for each client. Then a pool: none for any.
    let stage = Stage::ready(&json!({"poolEnabled": false})).await?;
    let opened = async || {
        let before = stage.opened();
        for number in 0..5 {
            let client = stage.client().await?;
            echo(&client, &format!("{number}")).await?;
            client.end().await?;
        }
        anyhow::Ok(stage.opened() - before)
    };
    assert!(opened().await? >= 5, "the symptom");
    stage.change(&json!({"poolEnabled": true, "poolMinSize": 1})).await?;
    stage.when("the kept one", |stats| stats.available_sessions == 1).await?;
    assert_eq!(opened().await?, 0, "poolEnabled, poolMinSize");
    Ok(())
}

async fn memory_growth() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 6, "poolMaxSize": 6, "poolKeepaliveSeconds": 0})).await?;
    let six = stage.server.sessions();
    stage.change(&json!({"poolMinSize": 2, "poolMaxSize": 2, "poolKeepaliveSeconds": 0})).await?;
    stage.when("fewer", |stats| stats.total_sessions == 2).await?;
    let two = stage.server_sessions("fewer", |open| open.len() == 2).await?;
    assert!(two.is_subset(&six), "reduce poolMaxSize: {two:?}");

    let destroys = stage.rest().await?.total_destroys;
    let spec =
        json!({"poolMinSize": 2, "poolMaxSize": 2, "poolKeepaliveSeconds": 0, "poolRecycleSeconds": 1});
    stage.change(&spec).await?;
    stage.when("recycling", |stats| stats.total_destroys >= destroys + 4).await?;

    // Unhealthy ones go with pre-ping, before they cost a call.
    let spec = json!({
        "poolMinSize": 2, "poolMaxSize": 2, "poolKeepaliveSeconds": 0, "poolPrePing": true,
        "poolPrePingDelaySeconds": 0
    });
    stage.change(&spec).await?;
    let client = stage.client().await?;
    let destroys = stage.rest().await?.total_destroys;
    stage.server.forget_sessions();
    for number in 0..4 {
        echo(&client, &format!("{number}")).await?;
    }
    assert_eq!(stage.server.calls("echo").len(), 4, "no call met a dead session");
    stage
        .when("no unhealthy", |stats| stats.total_destroys >= destroys + 2 && stats.unhealthy_sessions == 0)
        .await?;
    Ok(())
}

/// Requests that each session served since the pool's list said `before`.
async fn shares(stage: &Stage, before: &BTreeMap<u64, u64>) -> Result<BTreeMap<u64, u64>> {
    let slots = stage.slots().await?;
    Ok(slots
        .iter()
        .map(|slot| {
            (slot.id, slot.requests.saturating_sub(before.get(&slot.id).copied().unwrap_or_default()))
        })
        .collect())
}

async fn uneven_load() -> Result<()> {
    let spec = |strategy: &str| -> Value {
        let sticky = (strategy == "Sticky").then(|| json!({"source": "Principal"}));
        let mut spec = json!({"poolStrategy": strategy, "poolMinSize": 3, "poolMaxSize": 3});
        if let Some(sticky) = sticky {
            spec["sticky"] = sticky;
        }
        spec
    };
    let stage = Stage::full(&spec("Sticky")).await?;
    let user = stage.user("the only one").await?;
    let calls = async || {
        for number in 0..12 {
            echo(&user, &format!("{number}")).await?;
        }
        stage.rest().await
    };
    calls().await?;
    let uneven = shares(&stage, &BTreeMap::new()).await?;
    assert_eq!(uneven.values().filter(|count| **count > 0).count(), 1, "the symptom: {uneven:?}");
    for strategy in ["RoundRobin", "LeastConnections"] {
        stage.change(&spec(strategy)).await?;
        let before = shares(&stage, &BTreeMap::new()).await?;
        if strategy == "RoundRobin" {
            calls().await?;
            let even = shares(&stage, &before).await?;
            assert!(even.values().all(|count| *count == 4), "{strategy}: {even:?}");
            continue;
        }
        // Calls that overlap: one on each.
        let held: Vec<_> = (0..3).map(|_| hold(&user, "g")).collect();
        eventually(PATIENCE, "a call on each", async || {
            let slots = stage.slots().await?;
            ensure!(slots.iter().all(|slot| slot.state == "active"), "{slots:?}");
            Ok(())
        })
        .await?;
        stage.server.open("g");
        for call in held {
            assert_eq!(call.await??.status, 200);
        }
    }
    Ok(())
}
