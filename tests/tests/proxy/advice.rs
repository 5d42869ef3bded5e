//! What `/pool/optimize` makes of real traffic: each symptom is produced, and its remedy named.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::eventually;
use tests::mcp_client::{Session, tool_call};
use tests::proxy::{Proxy, manifest};
use tests::scripted::{Behaviour, Scripted};

use crate::in_front;

const PATIENCE: Duration = Duration::from_secs(20);

async fn advice(proxy: &Proxy) -> Result<Value> {
    let (status, text) = proxy.admin("/pool/optimize").await?;
    ensure!(status == 200, "{status} {text}");
    Ok(serde_json::from_str(&text)?)
}

/// The advice, which must hold a reason with this code and change nothing but `parameter`, to `value`.
async fn advises(proxy: &Proxy, code: &str, parameter: &str, value: &Value) -> Result<()> {
    let advice = advice(proxy).await?;
    let reasons = advice["reasons"].as_array().context("no reasons")?;
    ensure!(reasons.iter().any(|reason| reason["code"] == code), "{advice:#}");
    let mut expected = advice["current"].clone();
    expected[parameter] = value.clone();
    ensure!(advice["recommended"] == expected, "{advice:#}");
    Ok(())
}

async fn echoes(client: &Session, count: usize) -> Result<()> {
    for number in 0..count {
        client.tool("echo", &json!({"message": number.to_string()})).await?;
    }
    Ok(())
}

#[tokio::test]
async fn steady_traffic_wants_no_change() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    echoes(&Session::open(proxy.mcp).await?, 60).await?;
    let advice = advice(&proxy).await?;
    ensure!(advice["recommended"] == advice["current"], "{advice:#}");
    Ok(())
}

#[tokio::test]
async fn sessions_that_serve_one_request_are_told() -> Result<()> {
    let (_server, proxy) = in_front(json!({"poolMaxRequests": 1})).await?;
    echoes(&Session::open(proxy.mcp).await?, 30).await?;
    advises(&proxy, "sessions_not_reused", "pool_max_requests", &json!(100)).await
}

#[tokio::test]
async fn clients_that_come_and_go_want_to_share() -> Result<()> {
    let (_server, proxy) = in_front(json!({"isolation": "Session"})).await?;
    for _ in 0..12 {
        let client = Session::open(proxy.mcp).await?;
        echoes(&client, 1).await?;
        client.end().await?;
    }
    advises(&proxy, "sessions_not_reused", "isolation", &json!("principal")).await
}

#[tokio::test]
async fn a_pool_that_is_off_is_told() -> Result<()> {
    let (_server, proxy) = in_front(json!({"poolEnabled": false})).await?;
    echoes(&Session::open(proxy.mcp).await?, 60).await?;
    advises(&proxy, "pooling_disabled", "pool_enabled", &json!(true)).await
}

#[tokio::test]
async fn calls_of_varying_length_want_least_connections() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let client = Session::open(proxy.mcp).await?;
    echoes(&client, 60).await?;
    let long = json!({"ms": 1500});
    try_join_all((0..4).map(|_| client.tool("sleep", &long))).await?;
    advises(&proxy, "varied_calls", "pool_strategy", &json!("least_connections")).await
}

#[tokio::test]
async fn state_in_sessions_wants_sticky() -> Result<()> {
    let (_server, proxy) = in_front(json!({"pinning": {"tools": ["remember"]}})).await?;
    let client = Session::open(proxy.mcp).await?;
    client.tool("remember", &json!({"message": "x"})).await?;
    advises(&proxy, "state_seen", "pool_strategy", &json!("sticky")).await
}

#[tokio::test]
async fn one_busy_client_among_sticky_ones_is_told() -> Result<()> {
    let spec = json!({"poolStrategy": "Sticky", "poolMinSize": 3, "poolMaxSize": 3});
    let (_server, proxy) = in_front(spec).await?;
    proxy.stats_when("three sessions", |stats| stats.total_sessions == 3).await?;
    echoes(&Session::open(proxy.mcp).await?, 60).await?;
    advises(&proxy, "uneven_use", "pool_strategy", &json!("least_connections")).await
}

#[tokio::test]
async fn servers_of_unlike_speed_want_weights() -> Result<()> {
    let slow = Behaviour { call_time: Duration::from_millis(150), ..Behaviour::default() };
    let servers = [Scripted::start().await?, Scripted::behaving(slow).await?];
    let endpoints: Vec<_> = servers.iter().map(|server| json!({"url": server.url()})).collect();
    let spec =
        json!({"poolMinSize": 2, "poolStrategy": "LeastConnections", "upstream": {"endpoints": endpoints}});
    let proxy = Proxy::ready(&servers[0].url(), &spec).await?;
    proxy.stats_when("both in use", |stats| stats.endpoints.iter().all(|one| one.sessions > 0)).await?;
    let clients = try_join_all((0..4).map(|_| Session::open(proxy.mcp))).await?;
    // A busy machine can make the quick one look slow for a while.
    eventually(PATIENCE, "weights to be advised", async || {
        try_join_all(clients.iter().map(|client| echoes(client, 20))).await?;
        advises(&proxy, "unlike_endpoints", "pool_strategy", &json!("weighted")).await
    })
    .await
}

/// Large answers that their reader does not take stay in memory.
#[tokio::test]
async fn growing_memory_is_told() -> Result<()> {
    let (_server, proxy) = in_front(json!({"poolMaxSize": 4})).await?;
    let client = Session::open(proxy.mcp).await?;
    let call = tool_call("1", "large", &json!({"bytes": 40 << 20}));
    let unread = try_join_all((0..2).map(|_| client.post(&call))).await?;
    eventually(PATIENCE, "memory in use", async || {
        advises(&proxy, "memory_growth", "pool_max_requests", &json!(1000)).await
    })
    .await?;
    drop(unread);
    Ok(())
}

/// What happened under other parameters says nothing about those in force.
#[tokio::test]
async fn a_change_begins_anew() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxRequests": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    echoes(&client, 60).await?;
    advises(&proxy, "sessions_not_reused", "pool_max_requests", &json!(100)).await?;
    proxy.write_config(&manifest(&server.url(), &json!({"poolMaxRequests": 100})).to_string())?;
    proxy.signal("HUP")?;
    eventually(PATIENCE, "advice on the new parameters", async || {
        let advice = advice(&proxy).await?;
        ensure!(advice["current"]["pool_max_requests"] == 100, "{advice:#}");
        ensure!(advice["reasons"][0]["code"] == "too_little_traffic", "{advice:#}");
        Ok(())
    })
    .await?;
    echoes(&client, 60).await?;
    let advice = advice(&proxy).await?;
    ensure!(advice["recommended"] == advice["current"], "{advice:#}");
    Ok(())
}
