//! S3: defaults, and the variables that change them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use tests::eventually;
use tests::mcp_client::{Session, VERSION, tool_call};
use tests::proxy::{Setup, manifest};
use tests::scripted::Scripted;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::call::{echo, hold, sequence};
use crate::stage::{PATIENCE, Stage};

#[tokio::test]
async fn s03_defaults() -> Result<()> {
    futures::try_join!(off(), sizes_and_timeout(), sessions_stay(), ping(), variables(), none_kept())?;
    Ok(())
}

/// Without a word about pooling there is none.
async fn off() -> Result<()> {
    let server = Scripted::start().await?;
    let text = json!({
        "apiVersion": "mcpgateway.io/v1alpha1", "kind": "SessionPool", "metadata": {"name": "test"},
        "spec": {"upstream": {"url": server.url()}}
    });
    let proxy = Setup::new(&text.to_string())?.start().await?;
    proxy.wait_until_ready().await?;
    echo(&Session::open(proxy.mcp).await?, "x").await?;
    let stats = proxy.stats().await?;
    assert_eq!((stats.strategy.as_str(), stats.status.as_str()), ("round_robin", "disabled"), "{stats:?}");
    assert_eq!((stats.total_sessions, stats.direct_sessions), (0, 1), "{stats:?}");
    Ok(())
}

/// One session is kept, ten are the most, the eleventh caller waits for 30 seconds.
async fn sizes_and_timeout() -> Result<()> {
    let stage = Stage::full(&json!({})).await?;
    let stats = stage.rest().await?;
    assert_eq!((stats.min_size, stats.max_size, stats.total_sessions), (1, 10, 1), "{stats:?}");
    assert_eq!((stats.strategy.as_str(), stats.status.as_str()), ("round_robin", "active"), "{stats:?}");
    let client = stage.client().await?;
    let held: Vec<_> = (0..10).map(|_| hold(&client, "g")).collect();
    stage.server.calls_reach("hold", 10).await?;
    let late = seconds_to_the_refusal(&client).await?;
    assert!((29.9..31.0).contains(&late), "poolTimeout is 30 s: {late} s");
    let stats = stage.proxy.stats().await?;
    assert_eq!((stats.total_timeouts, stats.total_sessions), (1, 10), "{stats:?}");
    stage.server.open("g");
    for call in held {
        // The clients' own patience is shorter than the pool's.
        call.abort();
    }
    Ok(())
}

/// A call on a bare connection, since it waits longer than the harness's clients do.
async fn seconds_to_the_refusal(client: &Session) -> Result<f64> {
    let address = client.endpoint.address();
    let body = tool_call("1", "echo", &json!({"message": "late"}));
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: {VERSION}\r\n\
         mcp-session-id: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        client.id,
        body.len()
    );
    let begin = Instant::now();
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(45), socket.read_to_string(&mut answer)).await??;
    ensure!(answer.starts_with("HTTP/1.1 503") && answer.contains("pool_timeout"), "{answer}");
    Ok(begin.elapsed().as_secs_f64())
}

/// An hour is the default age, so nothing happens in three seconds; with one second it does: see `variables`.
async fn sessions_stay() -> Result<()> {
    let stage = Stage::full(&json!({"poolMaxSize": 1, "poolKeepaliveSeconds": 1})).await?;
    let client = stage.client().await?;
    let before = sequence(&client, 2).await?;
    stage.server.messages_reach("ping", 3).await?;
    assert_eq!(sequence(&client, 2).await?, before);
    assert_eq!(stage.opened(), 1);
    Ok(())
}

/// Sessions are pinged before use.
async fn ping() -> Result<()> {
    let stage = Stage::full(&json!({"poolMaxSize": 1, "poolPrePingDelaySeconds": 0})).await?;
    sequence(&stage.client().await?, 3).await?;
    assert!(stage.server.seen_as("ping").len() >= 2, "{:?}", stage.server.seen_as("ping"));
    Ok(())
}

async fn variables() -> Result<()> {
    let server = Scripted::start().await?;
    let spec = json!({"poolPrePingDelaySeconds": 0});
    let proxy = Setup::new(&manifest(&server.url(), &spec).to_string())?
        .variable("POOL_MIN_SIZE", "2")
        .variable("POOL_MAX_SIZE", "3")
        .variable("POOL_TIMEOUT", "1")
        .variable("POOL_RECYCLE_SECONDS", "2")
        .variable("POOL_PRE_PING", "false")
        .start()
        .await?;
    let stats = proxy.stats_when("two sessions", |stats| stats.available_sessions == 2).await?;
    assert_eq!((stats.min_size, stats.max_size), (2, 3), "{stats:?}");
    let client = Session::open(proxy.mcp).await?;
    let held: Vec<_> = (0..3).map(|_| hold(&client, "g")).collect();
    server.calls_reach("hold", 3).await?;
    let late = hold(&client, "g").await??;
    late.is_refused("pool_timeout")?;
    assert!(late.took < Duration::from_secs(5), "{late:?}");
    server.open("g");
    for call in held {
        assert_eq!(call.await??.status, 200);
    }
    assert_eq!(server.seen_as("ping").len(), 0, "POOL_PRE_PING");
    let before = server.sessions();
    eventually(PATIENCE, "POOL_RECYCLE_SECONDS", async || {
        ensure!(server.sessions().is_disjoint(&before), "{before:?} and {:?}", server.sessions());
        Ok(())
    })
    .await
}

/// `poolMinSize: 0` keeps none.
async fn none_kept() -> Result<()> {
    let stage = Stage::ready(&json!({"poolMinSize": 0, "poolIdleSeconds": 1})).await?;
    for message in ["one", "two"] {
        echo(&stage.client().await?, message).await?;
        let stats = stage.when("no session", |stats| stats.total_sessions == 0).await?;
        assert_eq!(stats.min_size, 0, "{stats:?}");
        stage.server_sessions("no session", std::collections::HashSet::is_empty).await?;
    }
    Ok(())
}
