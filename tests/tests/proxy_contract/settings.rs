//! Every setting can be changed while the pool runs, and acts on the sessions that it has.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::eventually;

use crate::call::{call, echo, hold, sequence, whoami};
use crate::stage::{PATIENCE, Stage, check_sums};

fn base(more: &Value) -> Value {
    let mut spec =
        json!({"poolMinSize": 1, "poolMaxSize": 1, "poolPrePing": false, "poolKeepaliveSeconds": 0});
    for (name, value) in more.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    spec
}

#[tokio::test]
async fn lower_max_closes_idle_at_once_and_busy_at_check_in() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 6, "poolMaxSize": 6})).await?;
    let client = stage.client().await?;
    let held = [hold(&client, "one"), hold(&client, "two"), hold(&client, "three")];
    stage.server.calls_reach("hold", 3).await?;
    let busy: HashSet<_> = stage.server.calls("hold").into_iter().filter_map(|call| call.session).collect();
    stage.change(&json!({"poolMinSize": 1, "poolMaxSize": 2})).await?;
    stage.server_sessions("the busy ones alone", |open| *open == busy).await?;
    assert!(held.iter().all(|call| !call.is_finished()), "none was cut");
    let stats = stage.proxy.stats().await?;
    check_sums(&stats)?;
    assert_eq!((stats.active_sessions, stats.total_sessions, stats.max_size), (3, 3, 2), "{stats:?}");
    for (gate, left) in [("one", 2), ("two", 2), ("three", 2)] {
        stage.server.open(gate);
        let open = stage.server_sessions("fewer", |open| open.len() <= left).await?;
        assert!(open.is_subset(&busy), "{open:?}");
    }
    for call in held {
        assert_eq!(call.await??.status, 200);
    }
    let stats = stage.rest().await?;
    assert_eq!((stats.total_sessions, stats.total_creates), (2, 6), "{stats:?}");
    echo(&client, "x").await
}

#[tokio::test]
async fn higher_min_and_max() -> Result<()> {
    let stage = Stage::full(&base(&json!({}))).await?;
    let first = stage.server.sessions();
    let client = stage.client().await?;
    let held = hold(&client, "g");
    stage.session_of("g").await?;
    let waiter = hold(&client, "waiter");
    stage.when("a waiter", |stats| stats.waiting == 1).await?;
    stage.change(&base(&json!({"poolMaxSize": 2}))).await?;
    assert!(!first.contains(&stage.session_of("waiter").await?), "room was made for who waits");
    stage.change(&base(&json!({"poolMinSize": 4, "poolMaxSize": 4}))).await?;
    let open = stage.server_sessions("four", |open| open.len() == 4).await?;
    assert!(open.is_superset(&first), "{open:?}");
    stage.server.open("g");
    stage.server.open("waiter");
    assert_eq!((held.await??.status, waiter.await??.status), (200, 200));
    assert_eq!(stage.deleted().len(), 0);
    Ok(())
}

/// The strategy changes, the sessions stay.
#[tokio::test]
async fn strategy() -> Result<()> {
    let spec = |strategy: &str| json!({"poolStrategy": strategy, "poolMinSize": 3, "poolMaxSize": 3, "poolPrePing": false});
    let stage = Stage::full(&spec("RoundRobin")).await?;
    let client = stage.client().await?;
    let open = stage.server.sessions();
    let distinct = async || anyhow::Ok(sequence(&client, 6).await?.into_iter().collect::<HashSet<_>>().len());
    assert_eq!(distinct().await?, 3, "circular");
    let stats = stage.change(&spec("LeastConnections")).await?;
    assert_eq!(stats.strategy, "least_connections");
    assert_eq!(distinct().await?, 1, "the last one given back");
    stage.change(&spec("Sticky")).await?;
    assert_eq!(distinct().await?, 1, "the client's own");
    stage.change(&spec("RoundRobin")).await?;
    assert_eq!(distinct().await?, 3, "circular again");
    stage.change(&spec("Weighted")).await?;
    sequence(&client, 6).await?;
    assert_eq!(stage.server.sessions(), open, "no session was lost");
    assert_eq!(stage.opened(), 3);
    Ok(())
}

/// From one isolation to another no client meets a session that it must not.
#[tokio::test]
async fn isolation() -> Result<()> {
    let spec = |isolation: &str| json!({"isolation": isolation, "poolMinSize": 0, "poolMaxSize": 4});
    let stage = Stage::ready(&spec("Shared")).await?;
    let (ann, other_ann, bob) =
        (stage.user("ann").await?, stage.user("ann").await?, stage.user("bob").await?);
    let all = async || anyhow::Ok((whoami(&ann).await?, whoami(&other_ann).await?, whoami(&bob).await?));
    let (a, b, c) = all().await?;
    assert!(a == b && b == c, "Shared: {a} {b} {c}");
    let shared = a;
    stage.change(&spec("Principal")).await?;
    let (a, b, c) = all().await?;
    assert!(a == b && b != c, "Principal: {a} {b} {c}");
    assert!(a != shared && c != shared, "one that served everyone serves no principal alone");
    let principals = [a, c];
    stage.change(&spec("Session")).await?;
    let (a, b, c) = all().await?;
    assert!(a != b && b != c && a != c, "Session: {a} {b} {c}");
    assert!([&a, &b, &c].iter().all(|own| !principals.contains(own)), "{a} {b} {c} of {principals:?}");
    stage.change(&spec("Shared")).await?;
    let used = [whoami(&ann).await?, whoami(&bob).await?];
    assert_eq!(used[0], used[1], "Shared");
    assert!(![a, b, c].contains(&used[0]) && !principals.contains(&used[0]), "{used:?}");
    check_sums(&stage.rest().await?)
}

/// Who waits while the key changes is served as soon as there is room.
#[tokio::test]
async fn waiters_of_another_isolation() -> Result<()> {
    let spec = |isolation: &str| json!({"isolation": isolation, "poolMinSize": 0, "poolMaxSize": 2});
    let stage = Stage::ready(&spec("Shared")).await?;
    let (ann, bob) = (stage.user("ann").await?, stage.user("bob").await?);
    let held = [hold(&ann, "one"), hold(&bob, "two")];
    stage.server.calls_reach("hold", 2).await?;
    let waiters = [hold(&ann, "ann waits"), hold(&bob, "bob waits")];
    stage.when("two waiters", |stats| stats.waiting == 2).await?;
    stage.change(&spec("Principal")).await?;
    stage.server.open("one");
    stage.server.open("two");
    let waited = [stage.session_of("ann waits").await?, stage.session_of("bob waits").await?];
    stage.server.open("ann waits");
    stage.server.open("bob waits");
    for call in held.into_iter().chain(waiters) {
        assert_eq!(call.await??.status, 200);
    }
    let (anns, bobs) = (whoami(&ann).await?, whoami(&bob).await?);
    assert!(anns != bobs && anns != waited[1] && bobs != waited[0], "{anns} and {bobs}, before {waited:?}");
    Ok(())
}

/// Ages and idle times of sessions that are there already count.
#[tokio::test]
async fn recycling_of_what_is_there() -> Result<()> {
    for change in [json!({"poolRecycleSeconds": 1}), json!({"poolMinSize": 0, "poolIdleSeconds": 1})] {
        let stage = Stage::full(&base(&json!({"poolMinSize": 1}))).await?;
        let before = stage.server.sessions();
        stage.change(&base(&change)).await?;
        stage.server_sessions("its end", |open| open.is_disjoint(&before)).await?;
    }
    let stage = Stage::full(&base(&json!({}))).await?;
    let client = stage.client().await?;
    let used = sequence(&client, 5).await?;
    assert_eq!(used.iter().collect::<HashSet<_>>().len(), 1);
    stage.change(&base(&json!({"poolMaxRequests": 2}))).await?;
    let next = sequence(&client, 5).await?;
    let before = next.iter().filter(|session| **session == used[0]).count();
    let others: HashSet<_> = next.iter().collect();
    assert!(before <= 1 && others.len() >= 3, "two requests for each: {next:?}");
    Ok(())
}

#[tokio::test]
async fn pings() -> Result<()> {
    let stage = Stage::full(&base(&json!({}))).await?;
    let client = stage.client().await?;
    sequence(&client, 2).await?;
    assert_eq!(stage.server.seen_as("ping").len(), 0);
    stage.change(&base(&json!({"poolPrePing": true, "poolPrePingDelaySeconds": 0}))).await?;
    sequence(&client, 2).await?;
    let pinged = stage.server.seen_as("ping").len();
    assert!(pinged >= 2, "{pinged}");
    stage.change(&base(&json!({"poolPrePing": true, "poolPrePingDelaySeconds": 3600}))).await?;
    sequence(&client, 2).await?;
    assert_eq!(stage.server.seen_as("ping").len(), pinged);
    stage.change(&base(&json!({"poolKeepaliveSeconds": 1}))).await?;
    stage.server.messages_reach("ping", pinged + 2).await?;
    assert_eq!(stage.opened(), 1);
    Ok(())
}

#[tokio::test]
async fn waiting() -> Result<()> {
    let stage = Stage::full(&base(&json!({}))).await?;
    let client = stage.client().await?;
    let held = hold(&client, "g");
    stage.session_of("g").await?;
    stage.change(&base(&json!({"poolTimeout": 1}))).await?;
    let late = call(&client, "echo", &json!({"message": "x"})).await?;
    late.is_refused("pool_timeout")?;
    assert!(late.took < Duration::from_secs(5), "{late:?}");
    stage.change(&base(&json!({"poolMaxWaiters": 0}))).await?;
    call(&client, "echo", &json!({"message": "x"})).await?.is_refused("queue_full")?;
    stage.change(&base(&json!({}))).await?;
    let waiter = hold(&client, "waiter");
    stage.when("a waiter", |stats| stats.waiting == 1).await?;
    // More requests at once on the session that is there.
    stage.change(&base(&json!({"poolSessionConcurrency": 2}))).await?;
    assert_eq!(stage.session_of("waiter").await?, stage.session_of("g").await?);
    stage.server.open("g");
    stage.server.open("waiter");
    assert_eq!((held.await??.status, waiter.await??.status), (200, 200));
    assert_eq!(stage.opened(), 1);
    Ok(())
}

/// A client session that was too idle for the new setting ends; one that is in use goes on.
#[tokio::test]
async fn idle_client_sessions() -> Result<()> {
    let stage = Stage::full(&base(&json!({}))).await?;
    let (busy, idle) = (stage.client().await?, stage.client().await?);
    stage.when("two clients", |stats| stats.client_sessions == 2).await?;
    stage.change(&base(&json!({"clientSessionIdleSeconds": 2}))).await?;
    eventually(PATIENCE, "the idle client's end", async || {
        echo(&busy, "x").await?;
        let stats = stage.proxy.stats().await?;
        ensure!(stats.client_sessions == 1, "{stats:?}");
        Ok(())
    })
    .await?;
    assert_eq!(idle.request("tools/list", &json!({})).await?.0, 404);
    echo(&busy, "still").await
}
