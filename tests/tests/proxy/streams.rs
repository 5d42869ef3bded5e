//! A client session's own stream follows it to the session that it has at the server.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::eventually;
use tests::mcp_client::{Reply, Session};
use tests::scripted::Scripted;

use crate::in_front;

const PATIENCE: Duration = Duration::from_secs(20);

fn updated(uri: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}})
}

/// Waits for a stream's end, and gives what came before.
async fn rest(mut stream: Reply) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    tokio::time::timeout(PATIENCE, async {
        while let Some(event) = stream.event().await? {
            all.push(event.json()?);
        }
        anyhow::Ok(())
    })
    .await
    .context("the stream does not end")??;
    Ok(all)
}

async fn next(stream: &mut Reply) -> Result<Value> {
    let event = tokio::time::timeout(PATIENCE, stream.event()).await.context("nothing came")??;
    event.context("the stream ended")?.json()
}

/// Waits until a stream of this session is open at the server.
async fn is_heard(server: &Scripted, session: &str) -> Result<()> {
    eventually(PATIENCE, "a stream of the session", async || {
        let heard = server.seen_as("GET").iter().any(|seen| seen.session.as_deref() == Some(session));
        ensure!(heard, "none of {session}");
        Ok(())
    })
    .await
}

/// A client that has got a session of its own hears that one.
#[tokio::test]
async fn pinned_client_hears_its_session() -> Result<()> {
    let spec = json!({
        "poolMinSize": 2, "poolMaxSize": 3, "pinning": {"resourceURIPrefixes": ["session://"], "tools": ["whoami"]}
    });
    let (server, proxy) = in_front(spec).await?;
    let (ann, bob) = (Session::open(proxy.mcp).await?, Session::open(proxy.mcp).await?);
    let (first, mut bobs) = (ann.listen().await?, bob.listen().await?);
    server.stream_opens().await?;
    ann.result("resources/subscribe", &json!({"uri": "file:///shared"})).await?;
    ann.result("resources/subscribe", &json!({"uri": "session://basket"})).await?;
    let own = ann.tool("whoami", &json!({})).await?;
    assert_eq!(rest(first).await?, [] as [Value; 0]);
    let mut second = ann.listen().await?;
    is_heard(&server, &own).await?;
    eventually(PATIENCE, "the update of what is in her session", async || {
        server.push(&updated("session://basket")).await;
        let event = tokio::time::timeout(Duration::from_millis(200), next(&mut second)).await??;
        ensure!(event == updated("session://basket"), "{event}");
        Ok(())
    })
    .await?;
    // What she subscribed to before still reaches her, once, and the other client hears of none of it.
    bob.result("resources/subscribe", &json!({"uri": "file:///bobs"})).await?;
    eventually(PATIENCE, "his own update", async || {
        server.push(&updated("file:///bobs")).await;
        let event = tokio::time::timeout(Duration::from_millis(200), next(&mut bobs)).await??;
        assert_eq!(event, updated("file:///bobs"));
        Ok(())
    })
    .await?;
    eventually(PATIENCE, "the update of what is shared", async || {
        server.push(&updated("file:///shared")).await;
        let event = tokio::time::timeout(Duration::from_millis(200), next(&mut second)).await??;
        ensure!(event == updated("file:///shared"), "{event}");
        Ok(())
    })
    .await
}

/// After a loss the stream that was opened meanwhile makes way for the fresh session's.
#[tokio::test]
async fn client_hears_the_session_that_came_after_a_loss() -> Result<()> {
    for spec in [json!({"isolation": "Session", "poolMaxSize": 3}), json!({"poolEnabled": false})] {
        let (server, proxy) = in_front(spec.clone()).await?;
        let ann = Session::open(proxy.mcp).await?;
        let first = ann.listen().await?;
        server.stream_opens().await?;
        server.forget_sessions();
        let told = ann.tool("whoami", &json!({})).await.map_err(|error| error.to_string());
        assert!(told.as_ref().is_err_and(|told| told.contains("session_state_lost")), "{told:?}");
        rest(first).await.context("of the session that is gone")?;
        let meanwhile = ann.listen().await?;
        let fresh = ann.tool("whoami", &json!({})).await?;
        rest(meanwhile).await.with_context(|| spec.to_string())?;
        let mut second = ann.listen().await?;
        is_heard(&server, &fresh).await?;
        server.push(&updated("a")).await;
        assert_eq!(next(&mut second).await?, updated("a"), "{spec}");
    }
    Ok(())
}
