//! The pool seen from the server: how many sessions, which, and for how long.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use crds::wire::SessionInfo;
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::eventually;
use tests::mcp_client::{Session, tool_call};
use tests::proxy::Proxy;

use crate::in_front;

const PATIENCE: Duration = Duration::from_secs(15);

/// Starts a call that waits at the server until `gate` opens, or before it in the proxy.
fn hold(client: &Session, gate: &str) -> tokio::task::JoinHandle<Result<(u16, String)>> {
    let (client, body) = (client.clone(), tool_call("1", "hold", &json!({"gate": gate, "message": gate})));
    tokio::spawn(async move {
        let reply = client.post(&body).await?;
        Ok((reply.status, reply.answer().await?))
    })
}

#[tokio::test]
async fn many_clients_share_few_sessions() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1, "poolMaxSize": 5})).await?;
    try_join_all((0..20).map(async |client| {
        let session = Session::open(proxy.mcp).await?;
        for call in 0..10 {
            let message = format!("{client}/{call}");
            assert_eq!(session.tool("echo", &json!({"message": message})).await?, message);
        }
        anyhow::Ok(())
    }))
    .await?;
    let opened = server.seen_as("initialize").len();
    assert!((1..=5).contains(&opened), "{opened}");
    let stats = proxy.stats_when("rest", |stats| stats.active_leases == 0).await?;
    assert_eq!(stats.total_acquisitions, 200, "{stats:?}");
    assert_eq!(stats.total_creates, opened as u64, "{stats:?}");
    assert_eq!(server.calls("echo").len(), 200);
    Ok(())
}

#[tokio::test]
async fn smallest_size_is_kept_warm() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 3, "poolMaxSize": 5})).await?;
    proxy
        .stats_when("three sessions", |stats| stats.total_sessions == 3 && stats.available_sessions == 3)
        .await?;
    assert_eq!(server.sessions().len(), 3);
    Ok(())
}

#[tokio::test]
async fn every_session_is_ended_at_sigterm() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 3, "poolMaxSize": 3})).await?;
    proxy.stats_when("three sessions", |stats| stats.total_sessions == 3).await?;
    let exit = proxy.terminate().await?;
    assert_eq!(exit.code, Some(0), "{}", exit.log);
    assert_eq!(server.sessions(), HashSet::new());
    assert_eq!(server.seen_as("DELETE").len(), 3);
    Ok(())
}

#[tokio::test]
async fn running_call_finishes_at_sigterm() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxSize": 2})).await?;
    let client = Session::open(proxy.mcp).await?;
    let call = hold(&client, "g");
    server.calls_reach("hold", 1).await?;
    proxy.signal("TERM")?;
    eventually(PATIENCE, "the proxy to refuse connections", async || {
        ensure!(tokio::net::TcpStream::connect(proxy.mcp).await.is_err(), "it still accepts");
        Ok(())
    })
    .await?;
    server.open("g");
    let (status, text) = call.await??;
    assert!(status == 200 && text.contains("\"text\":\"g\""), "{status} {text}");
    eventually(PATIENCE, "the sessions' end", async || {
        ensure!(server.sessions().is_empty(), "{:?}", server.sessions());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn waiters_are_served_in_order() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1, "poolMaxSize": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    let holder = hold(&client, "first");
    server.calls_reach("hold", 1).await?;
    let mut waiters = Vec::new();
    for number in 1..=4 {
        waiters.push(hold(&Session::open(proxy.mcp).await?, &format!("later{number}")));
        server.open(&format!("later{number}"));
        proxy.stats_when("one more waiter", |stats| stats.waiting == number).await?;
    }
    server.open("first");
    for waiter in waiters {
        assert_eq!(waiter.await??.0, 200);
    }
    holder.await??;
    let order: Vec<_> =
        server.calls("hold").iter().map(|call| call.message["params"]["arguments"]["gate"].clone()).collect();
    assert_eq!(order, ["first", "later1", "later2", "later3", "later4"]);
    Ok(())
}

#[tokio::test]
async fn waiting_ends_with_a_reason() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1, "poolMaxSize": 1, "poolTimeout": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    let holder = hold(&client, "g");
    server.calls_reach("hold", 1).await?;
    let begin = Instant::now();
    let reply = client.post(&tool_call("\"late\"", "echo", &json!({"message": "x"}))).await?;
    assert!(begin.elapsed() >= Duration::from_millis(990), "{:?}", begin.elapsed());
    assert_eq!(reply.status, 503);
    let retry: u32 = reply.header("retry-after").context("no Retry-After")?.parse()?;
    assert!(retry >= 1);
    let text = reply.answer().await?;
    let answer: Value = serde_json::from_str(&text)?;
    assert_eq!(answer["id"], "late");
    for word in ["poolMaxSize", "poolTimeout"] {
        assert!(text.contains(word), "it names {word}: {text}");
    }
    let stats = proxy.stats().await?;
    assert_eq!((stats.total_timeouts, stats.waiting), (1, 0), "{stats:?}");
    assert_eq!(server.calls("echo").len(), 0);
    server.open("g");
    assert_eq!(holder.await??.0, 200);
    assert_eq!(client.tool("echo", &json!({"message": "again"})).await?, "again");
    Ok(())
}

#[tokio::test]
async fn too_many_waiters_are_refused() -> Result<()> {
    let (server, proxy) =
        in_front(json!({"poolMinSize": 1, "poolMaxSize": 1, "poolTimeout": 3600, "poolMaxWaiters": 1}))
            .await?;
    let client = Session::open(proxy.mcp).await?;
    let holder = hold(&client, "g");
    server.calls_reach("hold", 1).await?;
    let waiter = hold(&client, "g");
    proxy.stats_when("a waiter", |stats| stats.waiting == 1).await?;
    let (status, text) = client.request("tools/call", &json!({"name": "echo", "arguments": {}})).await?;
    assert!(status == 503 && text.contains("poolMaxWaiters"), "{status} {text}");
    server.open("g");
    assert_eq!(holder.await??.0, 200);
    assert_eq!(waiter.await??.0, 200);
    Ok(())
}

/// A client that went away while it waited takes nothing.
#[tokio::test]
async fn waiter_that_left_is_forgotten() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1, "poolMaxSize": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    let holder = hold(&client, "g");
    server.calls_reach("hold", 1).await?;
    // A connection of its own, so that it is closed.
    let leaver = hold(&client.moved_to(proxy.mcp), "never");
    proxy.stats_when("a waiter", |stats| stats.waiting == 1).await?;
    leaver.abort();
    proxy.stats_when("no waiter", |stats| stats.waiting == 0).await?;
    server.open("g");
    holder.await??;
    assert_eq!(client.tool("echo", &json!({"message": "x"})).await?, "x");
    assert_eq!(server.calls("hold").len(), 1);
    Ok(())
}

async fn whoami(proxy: &Proxy, count: usize) -> Result<Vec<String>> {
    let client = Session::open(proxy.mcp).await?;
    let mut sessions = Vec::new();
    for _ in 0..count {
        sessions.push(client.tool("whoami", &json!({})).await?);
    }
    Ok(sessions)
}

#[tokio::test]
async fn round_robin_takes_sessions_in_circular_order() -> Result<()> {
    let (_server, proxy) = in_front(json!({"poolMinSize": 3, "poolMaxSize": 3})).await?;
    proxy.stats_when("three sessions", |stats| stats.available_sessions == 3).await?;
    let used = whoami(&proxy, 9).await?;
    assert_eq!(used[..3].iter().collect::<HashSet<_>>().len(), 3, "{used:?}");
    assert_eq!(used[..3], used[3..6]);
    assert_eq!(used[..3], used[6..]);
    Ok(())
}

#[tokio::test]
async fn session_is_replaced_after_its_requests() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 0, "poolMaxSize": 1, "poolMaxRequests": 3})).await?;
    let used = whoami(&proxy, 9).await?;
    let mut counts = HashMap::<_, u32>::new();
    for session in &used {
        *counts.entry(session).or_default() += 1;
    }
    assert!(counts.len() >= 3 && counts.values().all(|count| *count <= 3), "{used:?}");
    eventually(PATIENCE, "the used sessions' end", async || {
        let left = server.sessions().len();
        ensure!(left <= 1, "{left} are open");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn old_session_is_replaced() -> Result<()> {
    let (server, proxy) =
        in_front(json!({"poolMinSize": 1, "poolMaxSize": 1, "poolRecycleSeconds": 1})).await?;
    let first = whoami(&proxy, 1).await?.remove(0);
    eventually(PATIENCE, "another session", async || {
        let sessions = server.sessions();
        ensure!(!sessions.contains(&first), "{sessions:?}");
        ensure!(sessions.len() == 1, "the smallest size is kept: {sessions:?}");
        Ok(())
    })
    .await?;
    assert_ne!(whoami(&proxy, 1).await?[0], first);
    Ok(())
}

/// A busy session is not cut off for its age.
#[tokio::test]
async fn old_session_finishes_its_call() -> Result<()> {
    let (server, proxy) =
        in_front(json!({"poolMinSize": 0, "poolMaxSize": 1, "poolRecycleSeconds": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    let call = hold(&client, "g");
    server.calls_reach("hold", 1).await?;
    let used = server.calls("hold")[0].session.clone().context("no session")?;
    eventually(PATIENCE, "the session to be old", async || {
        let (_, text) = proxy.admin("/pool/sessions").await?;
        let sessions: Vec<SessionInfo> = serde_json::from_str(&text)?;
        let age = sessions.iter().map(|session| session.age_seconds).fold(0.0, f64::max);
        ensure!(age > 2.0, "{text}");
        Ok(())
    })
    .await?;
    assert!(server.sessions().contains(&used), "it was ended under its call");
    server.open("g");
    assert_eq!(call.await??.0, 200);
    eventually(PATIENCE, "its end", async || {
        ensure!(!server.sessions().contains(&used), "it is still open");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn idle_sessions_are_ended() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1, "poolMaxSize": 4, "poolIdleSeconds": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    let calls: Vec<_> = (0..4).map(|_| hold(&client, "g")).collect();
    server.calls_reach("hold", 4).await?;
    assert_eq!(server.sessions().len(), 4);
    server.open("g");
    for call in calls {
        call.await??;
    }
    eventually(PATIENCE, "the idle sessions' end", async || {
        let left = server.sessions().len();
        ensure!(left == 1, "{left} are open");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn ping_comes_before_use() -> Result<()> {
    let (server, proxy) = in_front(
        json!({"poolMinSize": 1, "poolMaxSize": 1, "poolPrePing": true, "poolPrePingDelaySeconds": 0}),
    )
    .await?;
    whoami(&proxy, 3).await?;
    let methods: Vec<_> = server.seen().into_iter().filter_map(|seen| seen.method).collect();
    let calls = methods.iter().filter(|method| *method == "tools/call").count();
    let pinged = methods.windows(2).filter(|pair| pair[0] == "ping" && pair[1] == "tools/call").count();
    assert!(calls == 3 && pinged >= 2, "{methods:?}");
    Ok(())
}

#[tokio::test]
async fn no_ping_when_switched_off() -> Result<()> {
    let (server, proxy) =
        in_front(json!({"poolMinSize": 1, "poolPrePing": false, "poolPrePingDelaySeconds": 0})).await?;
    whoami(&proxy, 3).await?;
    assert_eq!(server.seen_as("ping").len(), 0);
    Ok(())
}

#[tokio::test]
async fn idle_sessions_are_kept_alive() -> Result<()> {
    let (server, _proxy) = in_front(json!({"poolMinSize": 2, "poolKeepaliveSeconds": 1})).await?;
    eventually(PATIENCE, "pings on both sessions", async || {
        let pinged: HashSet<_> = server.seen_as("ping").into_iter().map(|ping| ping.session).collect();
        ensure!(pinged.len() == 2, "{pinged:?}");
        Ok(())
    })
    .await
}

/// Without a pool each client has its own session, from its handshake to its end.
#[tokio::test]
async fn without_a_pool_sessions_are_one_to_one() -> Result<()> {
    for spec in [json!({"poolEnabled": false}), json!({"poolStrategy": "None"})] {
        let (server, proxy) = in_front(spec.clone()).await?;
        let one = Session::open(proxy.mcp).await?;
        let other = Session::open(proxy.mcp).await?;
        let session_of_one = one.tool("whoami", &json!({})).await?;
        assert_eq!(one.tool("whoami", &json!({})).await?, session_of_one, "{spec}");
        assert_ne!(other.tool("whoami", &json!({})).await?, session_of_one, "{spec}");
        let stats = proxy.stats().await?;
        assert_eq!((stats.direct_sessions, stats.total_sessions), (2, 0), "{spec}: {stats:?}");
        one.end().await?;
        eventually(PATIENCE, "the end of the client's own session", async || {
            ensure!(!server.sessions().contains(&session_of_one), "{:?}", server.sessions());
            Ok(())
        })
        .await?;
        assert_eq!(proxy.terminate().await?.code, Some(0));
        assert!(server.sessions().is_empty(), "{spec}: {:?}", server.sessions());
    }
    Ok(())
}
