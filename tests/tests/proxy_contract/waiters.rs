//! Requests that wait for a session: in order, bounded in number and time, and forgotten when they leave.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::json;
use tests::eventually;
use tests::mcp_client::tool_call;

use crate::call::{call, echo, hold};
use crate::stage::{PATIENCE, Stage, check_sums};

/// The order is that of arrival, whichever client they are of and whichever session is given back.
#[tokio::test]
async fn first_come_first_served() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 2, "poolMaxSize": 2})).await?;
    let clients = try_join_all((0..3).map(|_| stage.client())).await?;
    let mut calls = Vec::new();
    for number in 0..8_u64 {
        calls.push(hold(&clients[usize::try_from(number % 3)?], &format!("{number}")));
        let (leases, waiting) = ((number + 1).min(2), (number + 1).saturating_sub(2));
        stage
            .when("one more call", |stats| (stats.active_leases, stats.waiting) == (leases, waiting))
            .await?;
    }
    // The second ends before the first, and so on: pairs in reverse.
    for (ended, gate) in ["1", "0", "3", "2", "5", "4"].into_iter().enumerate() {
        stage.server.open(gate);
        stage.server.calls_reach("hold", 3 + ended).await?;
    }
    let came = stage.server.calls("hold");
    let order: Vec<_> = came.iter().map(|call| call.message["params"]["arguments"]["gate"].clone()).collect();
    assert_eq!(order[2..], ["2", "3", "4", "5", "6", "7"]);
    for gate in ["6", "7"] {
        stage.server.open(gate);
    }
    for call in calls {
        assert_eq!(call.await??.status, 200);
    }
    Ok(())
}

#[tokio::test]
async fn timeout_says_why_and_what_to_change() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 2, "poolMaxSize": 2, "poolTimeout": 1})).await?;
    let client = stage.client().await?;
    let held = [hold(&client, "g"), hold(&client, "g")];
    stage.server.calls_reach("hold", 2).await?;
    let late = [hold(&client, "late"), hold(&client, "late"), hold(&client, "late")];
    for (number, call) in late.into_iter().enumerate() {
        let answer = call.await??;
        answer.is_refused("pool_timeout")?;
        let data = &answer.body["error"]["data"];
        assert_eq!((&data["size"], &data["limit"]), (&json!(2), &json!(2)), "{number}: {answer:?}");
        assert!(data["waiters"].as_u64().is_some_and(|waiters| waiters <= 3), "{number}: {answer:?}");
        let message = answer.body["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("poolMaxSize") && message.contains("poolTimeout"), "{message}");
    }
    let stats = stage.proxy.stats().await?;
    assert_eq!((stats.total_timeouts, stats.waiting), (3, 0), "{stats:?}");
    stage.server.open("g");
    for call in held {
        assert_eq!(call.await??.status, 200);
    }
    assert_eq!(stage.server.calls("hold").len(), 2, "what was refused is not executed");
    Ok(())
}

#[tokio::test]
async fn full_queue_refuses_at_once() -> Result<()> {
    let stage = Stage::full(&json!({"poolMaxSize": 1, "poolMaxWaiters": 2})).await?;
    let client = stage.client().await?;
    let calls = [hold(&client, "g"), hold(&client, "g"), hold(&client, "g")];
    stage.when("two waiters", |stats| stats.waiting == 2 && stats.active_leases == 1).await?;
    let answer = call(&client, "echo", &json!({"message": "one too many"})).await?;
    answer.is_refused("queue_full")?;
    assert!(answer.took < Duration::from_secs(5), "{answer:?}");
    let message = answer.body["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("poolMaxWaiters"), "{message}");
    let stats = stage.proxy.stats().await?;
    assert_eq!((stats.total_refusals, stats.total_timeouts, stats.waiting), (1, 0, 2), "{stats:?}");
    stage.server.open("g");
    for call in calls {
        assert_eq!(call.await??.status, 200, "those in the queue are served");
    }
    assert_eq!(stage.server.calls("echo").len(), 0);
    Ok(())
}

/// Twenty clients wait and go away: nobody waits, nothing is lent, nothing is executed.
#[tokio::test]
async fn who_gives_up_leaves_no_trace() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 2, "poolMaxSize": 2})).await?;
    let client = stage.client().await?;
    let held = [hold(&client, "g"), hold(&client, "g")];
    stage.server.calls_reach("hold", 2).await?;
    // Each on a connection of its own, so that it is closed.
    let leavers: Vec<_> = (0..20).map(|_| hold(&client.moved_to(stage.proxy.mcp), "left")).collect();
    stage.when("twenty waiters", |stats| stats.waiting == 20).await?;
    let stayer = hold(&client, "stayer");
    stage.when("one more", |stats| stats.waiting == 21).await?;
    for leaver in leavers {
        leaver.abort();
    }
    let stats = stage.when("one waiter", |stats| stats.waiting == 1).await?;
    check_sums(&stats)?;
    assert_eq!((stats.active_leases, stats.total_timeouts), (2, 0), "{stats:?}");
    stage.server.open("stayer");
    stage.server.open("g");
    for call in held {
        assert_eq!(call.await??.status, 200);
    }
    assert_eq!(stayer.await??.text()?, "stayer");
    let stats = stage.rest().await?;
    check_sums(&stats)?;
    assert_eq!((stats.total_sessions, stats.available_sessions), (2, 2), "{stats:?}");
    assert_eq!(stage.server.calls("hold").len(), 3, "a call of one who left was executed");
    // Both sessions can be had.
    let both = [hold(&client, "both"), hold(&client, "both")];
    stage.server.calls_reach("hold", 5).await?;
    stage.server.open("both");
    for call in both {
        assert_eq!(call.await??.status, 200);
    }
    Ok(())
}

/// A session that is given back serves the waiter, though one is being opened for it.
#[tokio::test]
async fn returned_session_comes_before_the_new_one() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 1, "poolMaxSize": 2})).await?;
    let client = stage.client().await?;
    let held = hold(&client, "g");
    let session = stage.session_of("g").await?;
    stage.server.behave(|behaviour| behaviour.initialize_gate = Some("handshake".to_owned()));
    let waiter = hold(&client, "waiter");
    stage.when("a handshake", |stats| stats.waiting == 1 && stats.initializing == 1).await?;
    stage.server.open("g");
    assert_eq!(stage.session_of("waiter").await?, session);
    assert_eq!(stage.proxy.stats().await?.initializing, 1, "the handshake still hangs");
    stage.server.open("handshake");
    stage.server.open("waiter");
    assert_eq!((held.await??.status, waiter.await??.status), (200, 200));
    Ok(())
}

/// And the other way round.
#[tokio::test]
async fn new_session_comes_before_the_returned_one() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 1, "poolMaxSize": 2})).await?;
    let client = stage.client().await?;
    let held = hold(&client, "g");
    let session = stage.session_of("g").await?;
    let waiter = hold(&client, "waiter");
    assert_ne!(stage.session_of("waiter").await?, session);
    assert!(!held.is_finished());
    stage.server.open("g");
    stage.server.open("waiter");
    assert_eq!((held.await??.status, waiter.await??.status), (200, 200));
    Ok(())
}

/// While the server can't be reached nobody waits for `poolTimeout`.
#[tokio::test]
async fn outage_is_told_at_once() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 1, "poolMaxSize": 2, "poolTimeout": 300})).await?;
    let client = stage.client().await?;
    echo(&client, "x").await?;
    let Stage { server, proxy, .. } = stage;
    drop(server);
    for _ in 0..3 {
        let calls = (0..4).map(async |number| call(&client, "echo", &json!({"message": number})).await);
        for answer in try_join_all(calls).await? {
            ensure!(answer.body["error"]["message"].is_string(), "{answer:?}");
            ensure!(answer.took < Duration::from_secs(10), "{answer:?}");
        }
    }
    eventually(PATIENCE, "the reason", async || {
        let answer = call(&client, "echo", &json!({"message": "x"})).await?;
        answer.is_refused("upstream_unreachable")
    })
    .await?;
    let stats = proxy.stats_when("nobody to wait", |stats| stats.waiting == 0).await?;
    assert_eq!(stats.total_timeouts, 0, "{stats:?}");
    Ok(())
}

/// A session carries as many requests as `poolSessionConcurrency` says, and the next one waits.
#[tokio::test]
async fn requests_that_share_a_session() -> Result<()> {
    let stage = Stage::full(&json!({"poolMaxSize": 1, "poolSessionConcurrency": 4})).await?;
    let client = stage.client().await?;
    let calls: Vec<_> = (0..4).map(|_| hold(&client, "g")).collect();
    stage.server.calls_reach("hold", 4).await?;
    let fifth = hold(&client, "fifth");
    let stats = stage.when("a waiter", |stats| stats.waiting == 1).await?;
    assert_eq!((stats.active_leases, stats.active_sessions, stats.total_sessions), (4, 1, 1), "{stats:?}");
    stage.server.open("g");
    stage.server.open("fifth");
    for call in calls.into_iter().chain([fifth]) {
        assert_eq!(call.await??.status, 200);
    }
    assert_eq!((stage.server.most_at_once(), stage.opened()), (4, 1));
    Ok(())
}

/// A cancel reaches a request that waits for a session: it is not executed, and its place is free.
#[tokio::test]
async fn who_is_cancelled_leaves_no_trace() -> Result<()> {
    let stage = Stage::full(&json!({"poolMaxSize": 1})).await?;
    let client = stage.client().await?;
    let held = hold(&client, "g");
    stage.session_of("g").await?;
    let waiter = tokio::spawn({
        let client = client.clone();
        async move { client.post(&tool_call("\"late\"", "echo", &json!({"message": "late"}))).await }
    });
    stage.when("a waiter", |stats| stats.waiting == 1).await?;
    let cancel = |id: &str| {
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
            .to_string()
    };
    // Another client's cancel is not hers.
    stage.client().await?.post(&cancel("late")).await?;
    client.post(&cancel("another")).await?;
    assert_eq!(stage.proxy.stats().await?.waiting, 1);
    client.post(&cancel("late")).await?;
    let stats = stage.when("no waiter", |stats| stats.waiting == 0).await?;
    assert_eq!((stats.active_leases, stats.total_timeouts), (1, 0), "{stats:?}");
    assert_eq!(waiter.await??.status, 202, "no answer is due");
    stage.server.open("g");
    assert_eq!(held.await??.status, 200);
    echo(&client, "next").await?;
    assert_eq!(stage.server.calls("echo").len(), 1);
    check_sums(&stage.rest().await?)
}
