//! What the server announces outside of calls, for clients that share its sessions.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::eventually;
use tests::mcp_client::{Reply, Session};
use tests::proxy::Proxy;
use tests::scripted::Scripted;

use crate::in_front;

const PATIENCE: Duration = Duration::from_secs(20);
const USER: [(&str, &str); 1] = [("authorization", "Bearer a-user")];

fn notification(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": format!("notifications/{method}"), "params": params})
}

fn updated(uri: &str, number: u64) -> Value {
    notification("resources/updated", &json!({"uri": uri, "number": number}))
}

/// Two clients of one user, each with its stream, once the control session is past its warm-up.
async fn two(server: &Scripted, proxy: &Proxy) -> Result<[(Session, Reply); 2]> {
    let mut both = Vec::new();
    for _ in 0..2 {
        let client = Session::open_as(proxy.mcp, &USER).await?;
        let stream = client.listen().await?;
        both.push((client, stream));
    }
    server.stream_opens().await?;
    eventually(PATIENCE, "sessions past their warm-up", async || {
        let sessions = proxy.sessions().await?;
        ensure!(sessions.iter().all(|session| session.age_seconds > 1.2), "{sessions:?}");
        Ok(())
    })
    .await?;
    both.try_into().ok().context("two clients")
}

/// What comes on a stream up to the message with this number.
async fn until(stream: &mut Reply, number: u64) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    loop {
        let message = stream.event().await?.context("the stream ended")?.json()?;
        let last = message["params"]["number"] == number;
        all.push(message);
        if last {
            return Ok(all);
        }
    }
}

#[tokio::test]
async fn changes_of_lists_are_announced_once_to_each() -> Result<()> {
    for isolation in ["Principal", "Shared"] {
        let (server, proxy) = in_front(json!({"isolation": isolation, "poolMaxSize": 3})).await?;
        let [mut a, mut b] = two(&server, &proxy).await?;
        for number in [1, 2] {
            let change = notification("tools/list_changed", &json!({"number": number}));
            assert_eq!(server.push(&change).await, 1, "one session listens");
            for (_, stream) in [&mut a, &mut b] {
                assert_eq!(until(stream, number).await?, std::slice::from_ref(&change), "{isolation}");
            }
        }
        assert_eq!(server.seen_as("GET").len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn updates_reach_subscribers_alone() -> Result<()> {
    let (server, proxy) = in_front(json!({"isolation": "Shared", "poolMaxSize": 2})).await?;
    let [mut a, mut b] = two(&server, &proxy).await?;
    let subscribe = async |client: &Session, method: &str, uri: &str| {
        client.result(&format!("resources/{method}"), &json!({"uri": uri})).await
    };
    subscribe(&a.0, "subscribe", "one").await?;
    subscribe(&b.0, "subscribe", "one").await?;
    subscribe(&b.0, "subscribe", "two").await?;
    assert_eq!(server.seen_as("resources/subscribe").len(), 2, "once for each resource");
    for (number, uri) in [(1, "none"), (2, "two"), (3, "one")] {
        server.push(&updated(uri, number)).await;
    }
    assert_eq!(until(&mut a.1, 3).await?, [updated("one", 3)]);
    assert_eq!(until(&mut b.1, 3).await?, [updated("two", 2), updated("one", 3)]);

    subscribe(&a.0, "unsubscribe", "one").await?;
    assert_eq!(server.seen_as("resources/unsubscribe").len(), 0, "the other is subscribed still");
    server.push(&updated("one", 4)).await;
    assert_eq!(until(&mut b.1, 4).await?.len(), 1);
    server.push(&notification("tools/list_changed", &json!({"number": 5}))).await;
    assert_eq!(until(&mut a.1, 5).await?.len(), 1, "it got no update");
    ensure!(b.0.end().await? == 200);
    server.messages_reach("resources/unsubscribe", 2).await?;
    eventually(PATIENCE, "counted", async || {
        let stats = proxy.stats().await?;
        ensure!(stats.unattributed_notifications == 1, "{stats:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_role_moves_and_subscriptions_with_it() -> Result<()> {
    let (server, proxy) = in_front(json!({"isolation": "Shared", "poolMaxSize": 1})).await?;
    let [(client, mut stream), _other] = two(&server, &proxy).await?;
    client.result("resources/subscribe", &json!({"uri": "one"})).await?;
    server.forget_sessions();
    client.tool("echo", &json!({"message": "a call finds out"})).await?;
    server.messages_reach("resources/subscribe", 2).await?;
    server.stream_opens().await?;
    let mut number = 0;
    eventually(PATIENCE, "an update through the new session", async || {
        number += 1;
        ensure!(server.push(&updated("one", number)).await == 1);
        Ok(())
    })
    .await?;
    assert_eq!(until(&mut stream, number).await?, [updated("one", number)]);
    Ok(())
}

#[tokio::test]
async fn each_client_has_its_log_level() -> Result<()> {
    let (server, proxy) = in_front(json!({"isolation": "Principal", "poolMaxSize": 1})).await?;
    let [mut quiet, mut curious] = two(&server, &proxy).await?;
    let log = |level: &str, number: u64| notification("message", &json!({"level": level, "number": number}));
    quiet.0.result("logging/setLevel", &json!({"level": "error"})).await?;
    let level = |at: usize| {
        server.seen_as("logging/setLevel").get(at).map(|seen| seen.message["params"]["level"].clone())
    };
    server.messages_reach("logging/setLevel", 1).await?;
    assert_eq!(level(0), Some(json!("info")), "the other has not asked for silence");
    curious.0.result("logging/setLevel", &json!({"level": "debug"})).await?;
    server.messages_reach("logging/setLevel", 2).await?;
    assert_eq!(level(1), Some(json!("debug")));
    for (number, word) in [(1, "debug"), (2, "info"), (3, "critical")] {
        server.push(&log(word, number)).await;
    }
    assert_eq!(until(&mut quiet.1, 3).await?, [log("critical", 3)]);
    assert_eq!(until(&mut curious.1, 3).await?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn what_belongs_to_nobody_is_refused_and_counted() -> Result<()> {
    let (server, proxy) = in_front(json!({"isolation": "Shared", "poolMaxSize": 1})).await?;
    let [mut a, _b] = two(&server, &proxy).await?;
    let question = json!({"jsonrpc": "2.0", "id": 9, "method": "sampling/createMessage", "params": {}});
    server.push(&question).await;
    server.push(&json!({"jsonrpc": "2.0", "id": 10, "method": "ping"})).await;
    server.push(&notification("message", &json!({"level": "alert", "data": "of one user"}))).await;
    server.push(&notification("tools/list_changed", &json!({"number": 1}))).await;
    assert_eq!(until(&mut a.1, 1).await?.len(), 1, "neither question nor log");
    let answer =
        |id: u64| server.seen().into_iter().find(|seen| seen.method.is_none() && seen.message["id"] == id);
    eventually(PATIENCE, "answers", async || {
        let refused = answer(9).context("no refusal")?;
        ensure!(refused.message["error"]["code"] == -32601, "{refused:?}");
        ensure!(answer(10).context("no pong")?.message["result"] == json!({}));
        let stats = proxy.stats().await?;
        ensure!((stats.unattributed_requests, stats.unattributed_notifications) == (1, 1), "{stats:?}");
        Ok(())
    })
    .await
}
