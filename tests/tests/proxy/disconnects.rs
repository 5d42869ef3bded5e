//! Clients that go away during a call.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tests::eventually;
use tests::mcp_client::{Session, tool_call};

use crate::in_front;

const PATIENCE: Duration = Duration::from_secs(15);

/// In the revisions with sessions a closed connection is not a cancel.
#[tokio::test]
async fn call_goes_on_without_its_client() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1, "poolMaxSize": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    let leaver = client.moved_to(proxy.mcp);
    let body = tool_call("1", "hold", &json!({"gate": "g", "message": "secret of the leaver"}));
    let call = tokio::spawn(async move { leaver.post(&body).await?.text().await });
    server.calls_reach("hold", 1).await?;
    call.abort();
    let next = tokio::spawn({
        let client = client.clone();
        async move { client.tool("echo", &json!({"message": "next"})).await }
    });
    proxy.stats_when("the next one to wait", |stats| stats.waiting == 1 && stats.active_leases == 1).await?;
    assert_eq!(server.calls("echo").len(), 0, "the session is not available before the server answered");
    server.open("g");
    assert_eq!(next.await??, "next");
    let used: HashSet<_> = server.seen_as("tools/call").into_iter().map(|call| call.session).collect();
    assert_eq!(used.len(), 1, "the session is used again");
    assert_eq!(server.seen_as("notifications/cancelled").len(), 0);
    Ok(())
}

#[tokio::test]
async fn call_without_its_client_ends_after_the_grace() -> Result<()> {
    let (server, proxy) =
        in_front(json!({"poolMinSize": 0, "poolMaxSize": 1, "disconnectGraceSeconds": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    let leaver = client.moved_to(proxy.mcp);
    let body = tool_call("1", "hold", &json!({"gate": "never"}));
    let call = tokio::spawn(async move { leaver.post(&body).await?.text().await });
    server.calls_reach("hold", 1).await?;
    let held = server.calls("hold").remove(0);
    call.abort();
    server.messages_reach("notifications/cancelled", 1).await?;
    let cancelled = server.seen_as("notifications/cancelled").remove(0);
    assert_eq!(cancelled.message["params"]["requestId"], held.message["id"]);
    eventually(PATIENCE, "the end of the session that still works", async || {
        ensure!(
            held.session.as_ref().is_none_or(|id| !server.sessions().contains(id)),
            "{:?}",
            server.sessions()
        );
        Ok(())
    })
    .await?;
    assert_eq!(client.tool("echo", &json!({"message": "next"})).await?, "next");
    Ok(())
}

/// The answer to one who left must not reach another.
#[tokio::test]
async fn late_answer_reaches_nobody() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxSize": 1, "poolSessionConcurrency": 4})).await?;
    let client = Session::open(proxy.mcp).await?;
    let leaver = client.moved_to(proxy.mcp);
    let body = tool_call("1", "hold", &json!({"gate": "g", "message": "secret"}));
    let call = tokio::spawn(async move { leaver.post(&body).await?.text().await });
    server.calls_reach("hold", 1).await?;
    call.abort();
    let stayer = client.clone();
    let other = tokio::spawn(async move {
        let body = tool_call("1", "hold", &json!({"gate": "later", "message": "mine"}));
        stayer.post(&body).await?.text().await
    });
    server.calls_reach("hold", 2).await?;
    server.open("g");
    proxy.stats_when("the first lease's end", |stats| stats.active_leases == 1).await?;
    server.open("later");
    let text = other.await??;
    assert!(text.contains("mine") && !text.contains("secret"), "{text}");
    Ok(())
}
