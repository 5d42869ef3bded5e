//! `initialize`: answered by the proxy, in the server's words.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::mcp_client::{Endpoint, Session, initialize};
use tests::upstream::Upstream;
use tests::{Proxy, scripted::Scripted};

use crate::in_front;

#[tokio::test]
async fn session_id_is_the_proxys_own() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 2})).await?;
    let one = Session::open(proxy.mcp).await?;
    let other = Session::open(proxy.mcp).await?;
    for id in [&one.id, &other.id] {
        assert!(!id.is_empty() && id.len() <= 512, "{} bytes", id.len());
        assert!(id.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{id}");
        assert!(server.sessions().iter().all(|upstream| !id.contains(upstream)), "{id}");
    }
    assert_ne!(one.id, other.id);
    Ok(())
}

#[tokio::test]
async fn answer_is_the_servers() -> Result<()> {
    let (server, proxy) = in_front(json!({})).await?;
    let direct = Session::open(server.address).await?;
    let pooled = Session::open(proxy.mcp).await?;
    assert_eq!(pooled.handshake, direct.handshake);
    Ok(())
}

#[tokio::test]
async fn answer_is_that_of_server_everything() -> Result<()> {
    let server = Upstream::everything().await?;
    let proxy = Proxy::ready(&server.url(), &json!({})).await?;
    let direct = Session::open(server.address).await?;
    let pooled = Session::open(proxy.mcp).await?;
    assert_eq!(pooled.handshake["result"]["serverInfo"], direct.handshake["result"]["serverInfo"]);
    assert_eq!(pooled.handshake["result"]["instructions"], direct.handshake["result"]["instructions"]);
    assert!(pooled.handshake["result"]["instructions"].is_string(), "the server has instructions");
    let capabilities = |session: &Session| session.handshake["result"]["capabilities"].clone();
    assert_eq!(capabilities(&pooled)["tools"], capabilities(&direct)["tools"]);
    assert_eq!(capabilities(&pooled)["prompts"], capabilities(&direct)["prompts"]);
    Ok(())
}

/// Both versions are carried as they are; any other is answered with one that the proxy speaks.
#[tokio::test]
async fn version_is_negotiated() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let endpoint = Endpoint::new(proxy.mcp);
    for (asked, answered) in [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        ("", "2025-11-25"),
    ] {
        let text = endpoint.post(&initialize(asked)).await?.answer().await?;
        let answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        assert_eq!(answer["result"]["protocolVersion"], answered, "asked for {asked:?}");
    }
    Ok(())
}

#[tokio::test]
async fn warm_sessions_serve_handshakes() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 2})).await?;
    proxy.stats_when("two sessions", |stats| stats.total_sessions == 2).await?;
    for _ in 0..10 {
        Session::open(proxy.mcp).await?;
    }
    assert!(server.seen_as("initialize").len() <= 2, "{:?}", server.seen_as("initialize").len());
    Ok(())
}

#[tokio::test]
async fn server_gets_a_whole_handshake() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1})).await?;
    let session = Session::open(proxy.mcp).await?;
    session.tool("echo", &json!({"message": "x"})).await?;
    let methods: Vec<_> = server.seen().into_iter().filter_map(|seen| seen.method).collect();
    assert_eq!(methods[..2], ["initialize", "notifications/initialized"], "{methods:?}");
    let call = server.calls("echo").pop().context("no call")?;
    assert_eq!(call.headers.get("mcp-protocol-version").and_then(|v| v.to_str().ok()), Some("2025-11-25"));
    assert_eq!(call.headers.get_all("mcp-session-id").iter().count(), 1);
    Ok(())
}

#[tokio::test]
async fn server_without_session_ids_is_served() -> Result<()> {
    let server =
        Scripted::behaving(tests::scripted::Behaviour { no_session_ids: true, ..Default::default() }).await?;
    let proxy = Proxy::ready(&server.url(), &json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    assert!(!session.id.is_empty());
    assert_eq!(session.tool("echo", &json!({"message": "still served"})).await?, "still served");
    Ok(())
}
