//! Servers that go away, come back, or are none: clients go on, and people are told why not.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::free_address;
use tests::mcp_client::{Endpoint, Session, initialize, tool_call};
use tests::scripted::{Behaviour, Scripted};
use tests::upstream::Upstream;
use tests::{Proxy, eventually};

use crate::in_front;

const PATIENCE: Duration = Duration::from_secs(20);

/// As the measured servers say it: with 404, and server-everything with 400.
#[tokio::test]
async fn lost_sessions_heal_unseen() -> Result<()> {
    let everything = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}"#;
    for unknown_session in [None, Some((400, everything.to_owned())), Some((404, "Not Found".to_owned()))] {
        let (server, proxy) = in_front(json!({"poolMinSize": 3, "poolMaxSize": 3})).await?;
        server.behave(|behaviour| behaviour.unknown_session = unknown_session);
        let clients = [Session::open(proxy.mcp).await?, Session::open(proxy.mcp).await?];
        proxy.stats_when("three sessions", |stats| stats.total_sessions == 3).await?;
        server.forget_sessions();
        for call in 0..8 {
            let message = format!("call {call}");
            assert_eq!(clients[call % 2].tool("echo", &json!({"message": message})).await?, message);
        }
        let stats = proxy
            .stats_when("rest at the smallest size", |stats| {
                stats.total_sessions == 3 && stats.unhealthy_sessions == 0 && stats.active_leases == 0
            })
            .await?;
        assert!(stats.total_destroys >= 3, "{stats:?}");
        assert_eq!(stats.total_creates - stats.total_destroys, stats.total_sessions, "{stats:?}");
    }
    Ok(())
}

#[tokio::test]
async fn ping_finds_the_lost_session_first() -> Result<()> {
    let (server, proxy) =
        in_front(json!({"poolMinSize": 1, "poolMaxSize": 1, "poolPrePingDelaySeconds": 0})).await?;
    let client = Session::open(proxy.mcp).await?;
    let lost = client.tool("whoami", &json!({})).await?;
    server.forget_sessions();
    let next = client.tool("whoami", &json!({})).await?;
    assert_ne!(next, lost);
    assert_eq!(server.calls("whoami").iter().filter(|call| call.session.as_ref() == Some(&lost)).count(), 1);
    Ok(())
}

/// It may have been executed, so it is not sent again.
#[tokio::test]
async fn stream_that_ends_without_an_answer() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    let reply = client.post(&tool_call("\"q\"", "silent", &json!({}))).await?;
    let text = reply.answer().await?;
    let answer: Value = serde_json::from_str(&text)?;
    assert_eq!(answer["id"], "q");
    assert!(answer["error"]["message"].is_string(), "{text}");
    assert_eq!(server.calls("silent").len(), 1);
    assert_eq!(client.tool("echo", &json!({"message": "on"})).await?, "on");
    proxy.stats_when("the lease's end", |stats| stats.active_leases == 0).await?;
    Ok(())
}

#[tokio::test]
async fn real_server_is_started_again() -> Result<()> {
    let mut server = Upstream::everything().await?;
    let proxy = Proxy::ready(&server.url(), &json!({"poolMinSize": 2, "poolMaxSize": 3})).await?;
    let client = Session::open(proxy.mcp).await?;
    client.tool("echo", &json!({"message": "before"})).await?;
    server.restart().await?;
    for call in 0..6 {
        let text = client.tool("echo", &json!({"message": format!("after {call}")})).await?;
        assert_eq!(text, format!("Echo: after {call}"));
    }
    Ok(())
}

#[tokio::test]
async fn server_that_is_down_at_start() -> Result<()> {
    let address = free_address()?;
    let mut proxy = Proxy::start(&format!("http://{address}/mcp"), &json!({"poolMinSize": 1})).await?;
    let upstream =
        proxy.stats_when("a failed attempt", |stats| stats.upstream.reachable == Some(false)).await?.upstream;
    let message = upstream.message.unwrap_or_default();
    assert!(message.contains("refused") && message.contains(&address.to_string()), "{message}");
    let (status, text) = proxy.admin("/readyz").await?;
    assert!(status == 503 && !text.is_empty(), "{status} {text}");
    assert_eq!(proxy.admin("/livez").await?.0, 200);
    assert_eq!(proxy.metric("mcpgateway_pool_upstream_reachable").await?, Some(0.0));
    let reply = Endpoint::new(proxy.mcp).post(&initialize("2025-11-25")).await?;
    assert!(reply.header("retry-after").is_some(), "{:?}", reply.headers);
    let (status, text) = reply.status_and_text().await?;
    let answer: Value = serde_json::from_str(&text)?;
    assert!(status == 503 && answer["id"] == 0 && answer["error"]["message"].is_string(), "{status} {text}");

    let _server = Scripted::at(address, Behaviour::default()).await?;
    proxy.wait_until_ready().await?;
    assert!(proxy.is_alive()?);
    let client = Session::open(proxy.mcp).await?;
    assert_eq!(client.tool("echo", &json!({"message": "x"})).await?, "x");
    proxy.stats_when("a reachable server", |stats| stats.upstream.reachable == Some(true)).await?;
    assert_eq!(proxy.metric("mcpgateway_pool_upstream_reachable").await?, Some(1.0));
    Ok(())
}

#[tokio::test]
async fn server_that_is_no_mcp_server() -> Result<()> {
    let page = "<!DOCTYPE html><title>Welcome</title>";
    for (status, kind, body) in [
        (200, "text/html", page),
        (404, "text/html", page),
        (200, "application/json", r#"{"hello":"world"}"#),
        (200, "application/json", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
        (200, "text/event-stream", "data: {\n\n"),
        (501, "text/plain", ""),
        (401, "text/plain", "who are you"),
    ] {
        let initialize = Some((status, kind.to_owned(), body.to_owned()));
        let server = Scripted::behaving(Behaviour { initialize, ..Behaviour::default() }).await?;
        let mut proxy = Proxy::start(&server.url(), &json!({"poolMinSize": 1})).await?;
        let stats = proxy.stats_when("a failed attempt", |stats| stats.upstream.message.is_some()).await?;
        let message = stats.upstream.message.clone().unwrap_or_default();
        let says_why = message.contains("MCP") || message.contains(&status.to_string());
        assert!(says_why && message.contains("http://"), "{status} {kind} {body}: {message}");
        assert!(!stats.ready, "{stats:?}");
        assert_eq!(proxy.admin("/readyz").await?.0, 503);
        assert!(proxy.is_alive()?);
    }
    Ok(())
}

#[tokio::test]
async fn server_that_goes_away_later() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1, "poolTimeout": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    let address = server.address;
    drop(server);
    for _ in 0..3 {
        let (status, text) = client.request("tools/call", &json!({"name": "echo", "arguments": {}})).await?;
        let answer: Value = serde_json::from_str(&text)?;
        assert!(answer["error"]["message"].is_string(), "{status} {text}");
        assert_ne!(status, 404);
    }
    assert_eq!(proxy.admin("/readyz").await?.0, 200, "a later outage is no reason to take the pod out");
    let server =
        eventually(PATIENCE, "the port", async || Scripted::at(address, Behaviour::default()).await).await?;
    eventually(PATIENCE, "service", async || {
        let text = client.tool("echo", &json!({"message": "back"})).await?;
        ensure!(text == "back", "{text}");
        Ok(())
    })
    .await?;
    assert!(!server.sessions().is_empty());
    Ok(())
}

/// However many attempts failed: a client that comes back when it was told to is served.
#[tokio::test]
async fn call_right_after_an_outage() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1, "poolTimeout": 5})).await?;
    let client = Session::open(proxy.mcp).await?;
    let address = server.address;
    drop(server);
    client.request("tools/call", &json!({"name": "echo", "arguments": {}})).await?;
    proxy.stats_when("failed attempts", |stats| stats.connect_failures >= 3).await?;
    let _server = Scripted::at(address, Behaviour::default()).await?;
    let call = tool_call("1", "echo", &json!({"message": "back"}));
    let mut reply = client.post(&call).await?;
    if reply.status == 503 {
        let seconds: u64 = reply.header("retry-after").context("no Retry-After")?.parse()?;
        assert_eq!(seconds, 1);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        reply = client.post(&call).await?;
    }
    assert_eq!(reply.status, 200);
    assert!(reply.answer().await?.contains("back"));
    Ok(())
}

/// State may be gone with a session that was the client's own: it is told so, once.
#[tokio::test]
async fn own_sessions_loss_is_told_once() -> Result<()> {
    let (server, proxy) = in_front(json!({"isolation": "Session"})).await?;
    let client = Session::open(proxy.mcp).await?;
    client.tool("remember", &json!({"message": "state"})).await?;
    server.forget_sessions();
    let (_, text) =
        client.request("tools/call", &json!({"name": "echo", "arguments": {"message": "1"}})).await?;
    let answer: Value = serde_json::from_str(&text)?;
    assert_eq!(answer["error"]["data"]["reason"], "session_state_lost", "{text}");
    assert_eq!(client.tool("echo", &json!({"message": "2"})).await?, "2");
    let executed = server
        .calls("echo")
        .into_iter()
        .filter(|call| call.session.as_ref().is_some_and(|id| server.sessions().contains(id)))
        .count();
    assert_eq!(executed, 1, "the first was not executed");
    Ok(())
}

#[tokio::test]
async fn server_that_knows_no_delete() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 2})).await?;
    server.behave(|behaviour| behaviour.no_delete = true);
    assert_eq!(proxy.terminate().await?.code, Some(0));
    Ok(())
}

/// A client that waits for a handshake that never ends is told so in time.
#[tokio::test]
async fn server_that_never_answers_the_handshake() -> Result<()> {
    let initialize_gate = Some("never".to_owned());
    let server = Scripted::behaving(Behaviour { initialize_gate, ..Behaviour::default() }).await?;
    let mut proxy = Proxy::start(&server.url(), &json!({"poolTimeout": 1})).await?;
    let (status, text) =
        Endpoint::new(proxy.mcp).post(&initialize("2025-11-25")).await?.status_and_text().await?;
    assert!(status == 503 && text.contains("poolTimeout"), "{status} {text}");
    assert!(proxy.is_alive()?);
    assert_eq!(proxy.admin("/readyz").await?.0, 503);
    Ok(())
}
