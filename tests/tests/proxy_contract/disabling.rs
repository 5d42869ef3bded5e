//! The pool is switched on, off, and to `None` while clients call.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::eventually;
use tests::mcp_client::Endpoint;

use crate::call::{echo, handshake, hold, whoami};
use crate::stage::{PATIENCE, Stage, check_sums};

/// Four clients call without a pause while the file goes through `specs`; no call may fail or run twice.
async fn under_traffic(stage: &Stage, specs: &[Value]) -> Result<()> {
    let clients = try_join_all((0..4).map(|_| stage.client())).await?;
    let (done, changes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let traffic = try_join_all(clients.iter().enumerate().map(async |(number, client)| {
        let mut calls = 0;
        while changes.load(Ordering::Relaxed) < specs.len() {
            let change = changes.load(Ordering::Relaxed);
            echo(client, &format!("{number}/{calls}"))
                .await
                .with_context(|| format!("call {calls} of client {number}, about change {change}"))?;
            calls += 1;
            done.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(calls)
    }));
    let change = async {
        for spec in specs {
            stage.change(spec).await?;
            let enough = done.load(Ordering::Relaxed) + 24;
            eventually(PATIENCE, "calls", async || {
                ensure!(done.load(Ordering::Relaxed) >= enough, "{done:?} of {enough}");
                Ok(())
            })
            .await?;
            changes.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(())
    };
    let (calls, ()) = futures::try_join!(traffic, change)?;
    ensure!(stage.server.calls("echo").len() == calls.iter().sum::<usize>(), "each once: {calls:?}");
    check_sums(&stage.rest().await?)
}

#[tokio::test]
async fn off_and_on_again() -> Result<()> {
    let on = json!({"poolMinSize": 2, "poolMaxSize": 3});
    let off = json!({"poolEnabled": false, "poolMinSize": 2, "poolMaxSize": 3});
    let stage = Stage::full(&on).await?;
    under_traffic(&stage, &vec![[off, on]; 8].concat()).await?;
    let stats =
        stage.when("the pool alone", |stats| stats.direct_sessions == 0 && stats.total_sessions <= 3).await?;
    assert_eq!(stats.status, "active", "{stats:?}");
    stage.server_sessions("the pool's sessions", |open| (2..=3).contains(&open.len())).await?;
    Ok(())
}

#[tokio::test]
async fn strategy_none_and_back() -> Result<()> {
    let spec = |strategy: &str| json!({"poolStrategy": strategy, "poolMinSize": 1, "poolMaxSize": 3});
    let stage = Stage::full(&spec("RoundRobin")).await?;
    under_traffic(&stage, &vec![[spec("LeastConnections"), spec("None")]; 8].concat()).await?;
    let stats = stage.when("no pooled session", |stats| stats.total_sessions == 0).await?;
    assert_eq!(stats.strategy, "none", "{stats:?}");
    Ok(())
}

/// A call that runs when the pool goes finishes where it is; the next of the same client goes direct.
#[tokio::test]
async fn running_calls_finish() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 2, "poolMaxSize": 2})).await?;
    let client = stage.client().await?;
    let held = hold(&client, "g");
    let busy = stage.session_of("g").await?;
    stage.change(&json!({"poolEnabled": false, "poolMinSize": 2, "poolMaxSize": 2})).await?;
    let own = whoami(&client).await?;
    assert_ne!(own, busy);
    stage
        .server_sessions("the busy and the direct one", |open| {
            *open == HashSet::from([busy.clone(), own.clone()])
        })
        .await?;
    assert!(!held.is_finished());
    stage.server.open("g");
    assert_eq!(held.await??.text()?, "g");
    stage.server_sessions("the direct one", |open| *open == HashSet::from([own.clone()])).await?;
    assert_eq!(whoami(&client).await?, own);
    Ok(())
}

/// Who waited for a pooled session goes direct: nothing has to be given back first.
#[tokio::test]
async fn waiters_go_direct() -> Result<()> {
    for change in [json!({"poolEnabled": false}), json!({"poolStrategy": "None"})] {
        let stage = Stage::full(&json!({"poolMaxSize": 1})).await?;
        let (one, other) = (stage.client().await?, stage.client().await?);
        let held = hold(&one, "g");
        let busy = stage.session_of("g").await?;
        let waiters = [hold(&one, "waiter of one"), hold(&other, "waiter of the other")];
        stage.when("two waiters", |stats| stats.waiting == 2).await?;
        stage.change(&change).await?;
        for gate in ["waiter of one", "waiter of the other"] {
            assert_ne!(stage.session_of(gate).await?, busy, "{change}");
            stage.server.open(gate);
        }
        assert!(!held.is_finished());
        for waiter in waiters {
            assert_eq!(waiter.await??.status, 200, "{change}");
        }
        stage.server.open("g");
        assert_eq!(held.await??.text()?, "g");
        stage.when("no pooled session", |stats| stats.total_sessions == 0).await?;
    }
    Ok(())
}

/// A call whose session is being opened when the pool comes or goes is served: it left nothing in a session yet.
#[tokio::test]
async fn call_whose_session_is_being_opened() -> Result<()> {
    let on = json!({"poolMinSize": 0, "poolMaxSize": 2});
    let off = json!({"poolEnabled": false, "poolMinSize": 0, "poolMaxSize": 2});
    for (before, after) in [(&on, &off), (&off, &on)] {
        let stage = Stage::ready(before).await?;
        // Opened while the other is in force, so that there is no session for its first call.
        stage.change(after).await?;
        let client = stage.client().await?;
        stage.change(before).await?;
        stage.change(&json!({"poolMinSize": 0, "poolMaxSize": 2, "resetToken": "one"})).await?;
        stage.change(before).await?;
        stage.server.behave(|behaviour| behaviour.initialize_gate = Some("handshake".to_owned()));
        let opened = stage.opened();
        let waiting = hold(&client, "g");
        stage.server.messages_reach("initialize", opened + 1).await?;
        stage.change(after).await?;
        stage.server.open("handshake");
        stage.server.open("g");
        let answer = waiting.await??;
        assert_eq!(answer.text()?, "g", "from {before} to {after}");
        assert_eq!(stage.server.calls("hold").len(), 1, "from {before} to {after}");
        assert_eq!(stage.rest().await?.state_losses, 0, "from {before} to {after}");
    }
    Ok(())
}

/// Sessions outside the pool have a bound of their own.
#[tokio::test]
async fn bound_of_direct_sessions() -> Result<()> {
    let stage =
        Stage::ready(&json!({"poolEnabled": false, "maxDirectSessions": 2, "poolTimeout": 1})).await?;
    let clients = [stage.client().await?, stage.client().await?];
    for client in &clients {
        echo(client, "x").await?;
    }
    let third = async || handshake(&Endpoint::new(stage.proxy.mcp)).await;
    let answer = third().await?;
    ensure!(answer.status == 503 && answer.retry_after.is_some(), "{answer:?}");
    let message = answer.body["error"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("maxDirectSessions"), "it says what to change: {message}");
    assert!(stage.server.sessions().len() <= 2, "{:?}", stage.server.sessions());
    for client in &clients {
        echo(client, "x").await?;
    }
    clients[0].end().await?;
    eventually(PATIENCE, "room for another", async || {
        let answer = third().await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
    .await
}
