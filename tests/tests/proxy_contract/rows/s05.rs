//! S5: who waits is woken by a release, at once and in order.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::mcp_client::Session;

use crate::call::{echo, hold, start};
use crate::stage::Stage;

#[tokio::test]
async fn s05_waiters() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 10, "poolMaxSize": 10, "poolPrePing": false})).await?;
    let client = stage.client().await?;
    eleventh_caller(&stage, &client).await?;
    in_order(&stage, &client).await?;
    at_once(&stage, &client).await
}

/// Ten calls of 200 ms take ten sessions: the eleventh waits about 200 ms.
async fn eleventh_caller(stage: &Stage, client: &Session) -> Result<()> {
    let begin = Instant::now();
    let ten: Vec<_> = (0..10).map(|_| start(client, "sleep", json!({"ms": 200}))).collect();
    stage.server.calls_reach("sleep", 10).await?;
    echo(client, "eleventh").await?;
    let came = stage.server.calls("echo").pop().context("no call")?.at;
    let first = stage.server.calls("sleep").iter().map(|call| call.at).min().context("no call")?;
    ensure!(came - first >= Duration::from_millis(200), "it did not wait: {:?}", came - first);
    let waited = came - begin;
    ensure!(waited < Duration::from_secs(10), "it waited for {waited:?}");
    for call in ten {
        call.await??;
    }
    let stats = stage.rest().await?;
    ensure!(stats.total_wait_seconds >= 0.1 && stats.total_sessions == 10, "{stats:?}");
    Ok(())
}

async fn in_order(stage: &Stage, client: &Session) -> Result<()> {
    let held: Vec<_> = (0..10).map(|number| hold(client, &format!("in order {number}"))).collect();
    stage.server.calls_reach("hold", 10).await?;
    let mut waiters = Vec::new();
    for number in 1..=10 {
        let gate = format!("waiter {number}");
        waiters.push(hold(&stage.client().await?, &gate));
        stage.when("one more waiter", |stats| stats.waiting == number).await?;
    }
    for number in 0..10 {
        stage.server.open(&format!("in order {number}"));
        stage.server.calls_reach("hold", 11 + number).await?;
    }
    let came = stage.server.calls("hold").split_off(10);
    let order: Vec<_> = came.iter().map(|call| call.message["params"]["arguments"]["gate"].clone()).collect();
    let expected: Vec<_> = (1..=10).map(|number| json!(format!("waiter {number}"))).collect();
    assert_eq!(order, expected);
    for number in 1..=10 {
        stage.server.open(&format!("waiter {number}"));
    }
    for call in held.into_iter().chain(waiters) {
        assert_eq!(call.await??.status, 200);
    }
    Ok(())
}

/// From the release at the server to the waiter's call at the server: under 5 ms, in the median of a quiet moment.
async fn at_once(stage: &Stage, client: &Session) -> Result<()> {
    let mut medians = Vec::new();
    for _ in 0..5 {
        let mut times = Vec::new();
        for _ in 0..15 {
            times.push(wake_up(stage, client).await?);
        }
        times.sort();
        medians.push(times[times.len() / 2]);
        if medians.iter().any(|median| *median < Duration::from_millis(5)) {
            return Ok(());
        }
    }
    anyhow::bail!("waiters are woken after {medians:?}")
}

async fn wake_up(stage: &Stage, client: &Session) -> Result<Duration> {
    let came = stage.server.calls("hold").len();
    let (one, rest) = (format!("one of {came}"), format!("rest of {came}"));
    let mut held = vec![hold(client, &one)];
    held.extend((0..9).map(|_| hold(client, &rest)));
    stage.server.calls_reach("hold", came + 10).await?;
    let waiter = start(client, "echo", json!({"message": "woken"}));
    stage.when("a waiter", |stats| stats.waiting == 1).await?;
    let released = Instant::now();
    stage.server.open(&one);
    waiter.await??;
    let woken = stage.server.calls("echo").pop().context("no call")?.at;
    stage.server.open(&rest);
    for call in held {
        call.await??;
    }
    Ok(woken.saturating_duration_since(released))
}
