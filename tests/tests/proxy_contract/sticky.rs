//! Sticky: what an affinity key left in its session stays there, or the client is told that it is gone.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::eventually;
use tests::mcp_client::Session;

use crate::call::{call, echo, hold, sequence, whoami};
use crate::stage::{PATIENCE, Stage};

fn sticky(source: &Value, more: &Value) -> Value {
    let mut spec = json!({
        "poolStrategy": "Sticky", "sticky": source, "poolMinSize": 1, "poolMaxSize": 6,
        "poolKeepaliveSeconds": 0
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    spec
}

async fn remember(client: &Session, what: &str) -> Result<()> {
    let answer = call(client, "remember", &json!({"message": what})).await?;
    ensure!(answer.text()? == "remembered", "{answer:?}");
    Ok(())
}

async fn recall(client: &Session) -> Result<String> {
    Ok(call(client, "recall", &json!({})).await?.text()?.to_owned())
}

/// The state survives growth, its session's recycling age, and everyone else's traffic.
#[tokio::test]
async fn state_continues() -> Result<()> {
    let spec = sticky(&json!({"source": "Principal"}), &json!({"poolRecycleSeconds": 2}));
    let stage = Stage::full(&spec).await?;
    let ann = stage.user("ann").await?;
    remember(&ann, "ann's state").await?;
    let home = whoami(&ann).await?;

    // Growth: five others at once.
    let others = try_join_all((0..5).map(async |number| stage.user(&format!("user-{number}")).await)).await?;
    let held: Vec<_> = others.iter().map(|other| hold(other, "growth")).collect();
    eventually(PATIENCE, "growth", async || {
        let stats = stage.proxy.stats().await?;
        ensure!(stats.total_sessions >= 3, "{stats:?}");
        Ok(())
    })
    .await?;
    stage.server.open("growth");
    for call in held {
        assert_eq!(call.await??.status, 200);
    }
    // Three recycling ages, in which she is never idle for one, and neither are the others.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(6) {
        assert_eq!(recall(&ann).await?, "ann's state", "after {:?}", begin.elapsed());
        for other in &others {
            echo(other, "traffic").await?;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Another client session of hers finds it too.
    assert_eq!(recall(&stage.user("ann").await?).await?, "ann's state");
    assert_eq!(whoami(&ann).await?, home);
    let stats = stage.proxy.stats().await?;
    assert!(stats.recycle_deferrals >= 1 && stats.bound_keys >= 6, "{stats:?}");
    assert_eq!(stats.state_losses, 0, "{stats:?}");
    // Once she is idle for an age it goes.
    stage.server_sessions("its end", |open| !open.contains(&home)).await?;
    Ok(())
}

/// A bound key waits for its own session, though others are free.
#[tokio::test]
async fn bound_key_waits_for_its_own_session() -> Result<()> {
    let spec = sticky(&json!({"source": "Principal"}), &json!({"poolMinSize": 3}));
    let stage = Stage::full(&spec).await?;
    let ann = stage.user("ann").await?;
    let held = hold(&ann, "g");
    let home = stage.session_of("g").await?;
    let next = hold(&stage.user("ann").await?, "next");
    stage.when("her second call to wait", |stats| stats.waiting == 1).await?;
    stage.server.open("g");
    assert_eq!(stage.session_of("next").await?, home);
    stage.server.open("next");
    assert_eq!((held.await??.status, next.await??.status), (200, 200));
    Ok(())
}

/// With the id of the request, HTTP 200, and nothing executed; then the client goes on.
#[tokio::test]
async fn loss_is_told_once() -> Result<()> {
    let stage = Stage::full(&sticky(&json!({"source": "Principal"}), &json!({}))).await?;
    let clients = [stage.user("ann").await?, stage.user("bob").await?];
    for client in &clients {
        remember(client, "state").await?;
    }
    stage.server.forget_sessions();
    for (told, client) in clients.iter().enumerate() {
        let answer = call(client, "echo", &json!({"message": "first"})).await?;
        assert_eq!((answer.status, answer.reason()), (200, "session_state_lost"), "{told}: {answer:?}");
        assert!(answer.body["error"]["message"].is_string(), "{answer:?}");
        for message in ["second", "third"] {
            echo(client, message).await?;
        }
        assert_eq!(recall(client).await?, "", "a fresh session");
        assert_eq!(stage.proxy.stats().await?.state_losses, told as u64 + 1);
    }
    let open = stage.server.sessions();
    let executed = stage.server.calls("echo").into_iter().filter(|call| {
        call.message["params"]["arguments"]["message"] == "first"
            && call.session.as_ref().is_some_and(|session| open.contains(session))
    });
    assert_eq!(executed.count(), 0, "the call that met the loss was not executed");
    Ok(())
}

/// A client that left nothing, since it never called, is told nothing.
#[tokio::test]
async fn new_key_is_told_nothing() -> Result<()> {
    let stage = Stage::full(&sticky(&json!({"source": "Principal"}), &json!({}))).await?;
    let newcomer = stage.user("newcomer").await?;
    stage.server.forget_sessions();
    echo(&newcomer, "first").await?;
    assert_eq!(stage.proxy.stats().await?.state_losses, 0);
    Ok(())
}

#[tokio::test]
async fn by_header() -> Result<()> {
    let source = json!({"source": "Header", "headerName": "X-Conversation"});
    let stage = Stage::full(&sticky(&source, &json!({"poolMinSize": 4}))).await?;
    let mut homes = HashSet::new();
    for number in 0..12 {
        let value = format!("conversation-{number}");
        let header = [("x-conversation", value.as_str())];
        let one = Session::open_as(stage.proxy.mcp, &header).await?;
        let other = Session::open_as(stage.proxy.mcp, &header).await?;
        let home = whoami(&one).await?;
        assert_eq!(sequence(&other, 3).await?, [home.as_str(); 3], "{value}");
        assert_eq!(sequence(&one, 2).await?, [home.as_str(); 2], "{value}");
        homes.insert(home);
    }
    assert!(homes.len() >= 2, "twelve values are spread over four sessions: {homes:?}");
    assert_eq!(stage.proxy.stats().await?.bound_keys, 12);
    // One client may go from one conversation to another.
    let client = Session::open_as(stage.proxy.mcp, &[("x-conversation", "conversation-0")]).await?;
    let first = whoami(&client).await?;
    let again = Session::open_as(stage.proxy.mcp, &[("x-conversation", "conversation-0")]).await?;
    assert_eq!(whoami(&again).await?, first);
    Ok(())
}

/// Without a source it is the client session, and a binding ends with it.
#[tokio::test]
async fn by_client_session() -> Result<()> {
    let spec = sticky(&json!({}), &json!({"poolMinSize": 4, "poolMaxSize": 4}));
    let stage = Stage::full(&spec).await?;
    let clients = try_join_all((0..8).map(|_| stage.client())).await?;
    let mut homes = Vec::new();
    for client in &clients {
        homes.push(whoami(client).await?);
    }
    for _ in 0..3 {
        for (client, home) in clients.iter().zip(&homes) {
            assert_eq!(whoami(client).await?, *home);
        }
    }
    stage.when("eight keys", |stats| stats.bound_keys == 8).await?;
    for client in &clients {
        client.end().await?;
    }
    stage.when("no key", |stats| stats.bound_keys == 0).await?;
    Ok(())
}

/// `sticky.maxAgeSeconds` bounds the deferral: then the session goes, and its keys are told so.
#[tokio::test]
async fn deferral_has_a_bound() -> Result<()> {
    let source = json!({"source": "Principal", "maxAgeSeconds": 3});
    let stage = Stage::full(&sticky(&source, &json!({"poolRecycleSeconds": 1}))).await?;
    let ann = stage.user("ann").await?;
    remember(&ann, "state").await?;
    let home = whoami(&ann).await?;
    let begin = Instant::now();
    let told = loop {
        let answer = call(&ann, "recall", &json!({})).await?;
        if answer.reason() == "session_state_lost" {
            break begin.elapsed();
        }
        ensure!(answer.text()? == "state", "it was lost and she was not told: {answer:?}");
        ensure!(begin.elapsed() < PATIENCE, "it is never recycled");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert!(told > Duration::from_millis(1800), "deferred past its age: {told:?}");
    assert_ne!(whoami(&ann).await?, home);
    assert_eq!(recall(&ann).await?, "");
    assert_eq!(stage.proxy.stats().await?.state_losses, 1);
    Ok(())
}

/// Who replaces or closes its session on purpose tells it too.
#[tokio::test]
async fn reset_and_drain_are_told_once() -> Result<()> {
    let source = json!({"source": "Principal"});
    for change in [json!({"resetToken": "one"}), json!({"desiredState": "Drained"})] {
        let stage = Stage::full(&sticky(&source, &json!({}))).await?;
        let ann = stage.user("ann").await?;
        remember(&ann, "state").await?;
        let home = whoami(&ann).await?;
        stage.change(&sticky(&source, &change)).await?;
        stage.server_sessions("its end", |open| !open.contains(&home)).await?;
        stage.change(&sticky(&source, &json!({}))).await?;
        let answer = call(&ann, "recall", &json!({})).await?;
        assert_eq!((answer.status, answer.reason()), (200, "session_state_lost"), "{change}: {answer:?}");
        assert_eq!(recall(&ann).await?, "", "{change}");
        assert_eq!(stage.proxy.stats().await?.state_losses, 1, "{change}");
    }
    Ok(())
}
