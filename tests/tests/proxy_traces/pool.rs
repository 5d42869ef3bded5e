//! What the pool adds to a request's trace.

use anyhow::Result;
use serde_json::json;
use tests::collector::Collector;
use tests::mcp_client::{Session, tool_call};
use tests::scripted::{Fault, Scripted};

use crate::{calls, parts, ready, span, traced};

#[tokio::test]
async fn only_a_request_that_waits_has_a_wait() -> Result<()> {
    let server = Scripted::start().await?;
    let collector = Collector::start().await?;
    let proxy = ready(traced(&server.url(), &json!({"poolMaxSize": 1}), &collector)?).await?;
    let (first, second) = (Session::open(proxy.mcp).await?, Session::open(proxy.mcp).await?);
    let held = first.clone();
    let held = tokio::spawn(async move {
        held.post(&tool_call("\"held\"", "hold", &json!({"gate": "g", "message": "m"}))).await?.answer().await
    });
    server.calls_reach("hold", 1).await?;
    let waiting = tokio::spawn(async move {
        second.post(&tool_call("\"waits\"", "echo", &json!({"message": "m"}))).await?.answer().await
    });
    proxy.stats_when("a waiting request", |stats| stats.waiting == 1).await?;
    server.open("g");
    held.await??;
    waiting.await??;

    let held = span(&collector, "the held call", |span| {
        span.kind == "SERVER" && span.attribute("jsonrpc.request.id") == Some("held")
    })
    .await?;
    assert_eq!(parts(&collector, &held, 1).await?[0].kind, "CLIENT");
    let waited = span(&collector, "the call that waits", |span| {
        span.kind == "SERVER" && span.attribute("jsonrpc.request.id") == Some("waits")
    })
    .await?;
    let parts = parts(&collector, &waited, 2).await?;
    assert_eq!((parts[0].kind.as_str(), parts[0].name.as_str()), ("INTERNAL", "wait for session"));
    assert_eq!((parts[1].kind.as_str(), parts[1].name.as_str()), ("CLIENT", "tools/call echo"));
    assert!(parts[0].links.is_empty(), "no session was opened");
    assert!(parts[0].end <= parts[1].start && parts[0].start <= held.end, "{parts:#?}");
    // Ids of slots are those of /pool/sessions.
    let slot = proxy.sessions().await?[0].id.to_string();
    assert_eq!(parts[1].attribute("mcpgateway.pool.slot"), Some(slot.as_str()));
    Ok(())
}

#[tokio::test]
async fn a_wait_for_a_handshake_is_linked_to_it() -> Result<()> {
    let server = Scripted::start().await?;
    let collector = Collector::start().await?;
    let proxy = ready(traced(&server.url(), &json!({}), &collector)?).await?;
    // No session is opened ahead for a client with roots.
    Session::open_with(proxy.mcp, &[], &json!({"roots": {}})).await?;
    let arrived =
        span(&collector, "initialize", |span| span.kind == "SERVER" && span.name == "initialize").await?;
    let wait = parts(&collector, &arrived, 1).await?.remove(0);
    assert_eq!(wait.links.len(), 1, "{wait:#?}");
    let handshake = span(&collector, "the handshake", |span| span.id == wait.links[0]).await?;
    assert_eq!((handshake.kind.as_str(), handshake.name.as_str()), ("CLIENT", "initialize"));
    assert_eq!(handshake.parent, None, "it belongs to the pool, not to a request");
    let told = format!("00-{}-{}-01", handshake.trace, handshake.id);
    let seen = server.seen_as("initialize");
    assert!(
        seen.iter().any(|seen| {
            seen.headers.get("traceparent").is_some_and(|parent| parent == told.as_str())
                && seen.message["params"]["_meta"]["traceparent"] == json!(told)
        }),
        "{seen:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn each_attempt_is_a_call() -> Result<()> {
    let server = Scripted::start().await?;
    let tools =
        json!({"tools": [{"name": "lookup", "inputSchema": {}, "annotations": {"readOnlyHint": true}}]});
    server.behave(|behaviour| behaviour.tools = Some(tools.to_string()));
    let collector = Collector::start().await?;
    let proxy = ready(traced(&server.url(), &json!({}), &collector)?).await?;
    let client = Session::open(proxy.mcp).await?;
    for (id, fault, error) in [
        ("lost-before", Fault::Disconnect, "answer_lost"),
        ("lost-within", Fault::EndOfStream, "answer_lost"),
    ] {
        server.fail_next("lookup", fault, 1);
        let body = tool_call(&format!("\"{id}\""), "lookup", &json!({"message": "m"}));
        let answer = client.post(&body).await?.answer().await?;
        assert!(answer.contains("\"m\""), "{answer}");
        let arrived = span(&collector, id, |span| span.attribute("jsonrpc.request.id") == Some(id)).await?;
        assert!(!arrived.is_error, "{arrived:#?}");
        let calls = calls(&collector, &arrived, 2).await?;
        assert_eq!(calls[0].attribute("error.type"), Some(error));
        assert_eq!(calls[1].attribute("http.request.resend_count"), Some("1"));
        assert!(!calls[1].is_error);
    }
    // One that is not sent again is told lost.
    server.fail_next("transfer", Fault::Disconnect, 1);
    client.post(&tool_call("\"told\"", "transfer", &json!({"message": "m"}))).await?.answer().await?;
    let told = span(&collector, "told", |span| span.attribute("jsonrpc.request.id") == Some("told")).await?;
    assert!(told.is_error && told.attribute("rpc.response.status_code").is_some(), "{told:#?}");
    Ok(())
}

#[tokio::test]
async fn a_client_that_goes_away() -> Result<()> {
    let server = Scripted::start().await?;
    let collector = Collector::start().await?;
    let proxy = ready(traced(&server.url(), &json!({}), &collector)?).await?;
    let client = Session::open(proxy.mcp).await?;
    let reply = client.post(&tool_call("\"gone\"", "hold", &json!({"gate": "g", "message": "m"}))).await?;
    server.calls_reach("hold", 1).await?;
    drop(reply);
    let gone = span(&collector, "gone", |span| span.attribute("jsonrpc.request.id") == Some("gone")).await?;
    assert_eq!(gone.attribute("error.type"), Some("disconnected"));
    assert_eq!(collector.spans().iter().filter(|span| span.name == "tools/call hold").count(), 1);
    // The server still works on it.
    server.open("g");
    let call = parts(&collector, &gone, 1).await?.remove(0);
    assert!(!call.is_error && call.end > gone.end, "{call:#?}");
    Ok(())
}
