//! What the admin port tells beyond the documented keys.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::eventually;

use crate::call::{call, echo, hold};
use crate::stage::{PATIENCE, Stage};

#[tokio::test]
async fn times_of_waiting_and_calling() -> Result<()> {
    let stage = Stage::full(&json!({"poolMaxSize": 1})).await?;
    let client = stage.client().await?;
    let held = hold(&client, "g");
    stage.session_of("g").await?;
    let waiter = hold(&client, "g");
    let stats = stage.when("a second of waiting", |stats| stats.max_wait_seconds > 1.0).await?;
    assert_eq!((stats.waiting, stats.active_leases), (1, 1), "{stats:?}");
    assert!(stats.max_wait_seconds < 20.0, "{stats:?}");
    stage.server.open("g");
    assert_eq!((held.await??.status, waiter.await??.status), (200, 200));
    let before = stage.rest().await?;
    assert!(before.max_wait_seconds < 0.001 && before.total_wait_seconds > 1.0, "{before:?}");
    assert!(before.total_calls == 2 && before.total_call_seconds > 1.0, "{before:?}");
    for _ in 0..4 {
        call(&client, "sleep", &json!({"ms": 100})).await?.text()?;
    }
    let stats = stage.rest().await?;
    let seconds = stats.total_call_seconds - before.total_call_seconds;
    let squares = stats.total_call_seconds_squared - before.total_call_seconds_squared;
    assert_eq!(stats.total_calls - before.total_calls, 4);
    assert!((0.39..2.0).contains(&seconds), "four of 0.1 s: {seconds}");
    // The mean of the squares is never less than the square of the mean.
    assert!(squares / 4.0 >= (seconds / 4.0).powi(2) - 1e-6 && squares < 2.0, "{squares}");
    assert!(stats.memory_bytes > 1_000_000 && stats.memory_at_ready_bytes > 1_000_000, "{stats:?}");
    Ok(())
}

#[tokio::test]
async fn each_session_is_listed() -> Result<()> {
    let spec = json!({"isolation": "Principal", "poolMinSize": 0, "poolMaxSize": 4});
    let stage = Stage::ready(&spec).await?;
    let (ann, bob) = (stage.user("secret-of-ann").await?, stage.user("secret-of-bob").await?);
    for _ in 0..3 {
        echo(&ann, "x").await?;
    }
    let held = [hold(&ann, "a"), hold(&ann, "b"), hold(&bob, "c")];
    stage.server.calls_reach("hold", 3).await?;
    let slots = stage.slots().await?;
    assert_eq!(slots.len(), 3, "{slots:?}");
    for slot in &slots {
        assert_eq!((slot.state.as_str(), slot.scope.as_str()), ("active", "principal"), "{slot:?}");
        assert_eq!(
            (slot.endpoint.as_str(), slot.protocol_version.as_str()),
            (stage.server.url().as_str(), "2025-11-25")
        );
        assert!(slot.idle_seconds < 0.001 && slot.age_seconds < 20.0, "{slot:?}");
    }
    let mut keys: Vec<_> = slots.iter().map(|slot| slot.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 2, "two of ann, one of bob: {slots:?}");
    let text = stage.proxy.admin("/pool/sessions").await?.1;
    assert!(!text.contains("secret-of"), "{text}");
    for session in stage.server.sessions() {
        assert!(!text.contains(&session), "{text}");
    }
    for gate in ["a", "b", "c"] {
        stage.server.open(gate);
    }
    for call in held {
        assert_eq!(call.await??.status, 200);
    }
    eventually(PATIENCE, "idle sessions", async || {
        let slots = stage.slots().await?;
        ensure!(slots.iter().all(|slot| slot.state == "idle" && slot.idle_seconds > 0.5), "{slots:?}");
        let requests: u64 = slots.iter().map(|slot| slot.requests).sum();
        ensure!(requests == 6, "{slots:?}");
        Ok(())
    })
    .await
}

/// Every number has its metric, and times have histograms.
#[tokio::test]
async fn each_number_has_a_metric() -> Result<()> {
    let spec = json!({
        "poolStrategy": "Sticky", "poolMinSize": 2, "poolMaxSize": 4, "pinning": {"tools": ["remember"]}
    });
    let stage = Stage::full(&spec).await?;
    let client = stage.client().await?;
    echo(&client, "x").await?;
    call(&client, "remember", &json!({"message": "x"})).await?.text()?;
    let (_, text) = stage.proxy.admin("/metrics").await?;
    let families: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .filter(|(name, _)| name.starts_with("mcpgateway_pool_"))
        .collect();
    for word in [
        "sessions",
        "acquisitions",
        "releases",
        "timeouts",
        "creates",
        "destroys",
        "leases",
        "waiters",
        "initializing",
        "direct_sessions",
        "client_sessions",
        "connect_failures",
        "refusals",
        "unchecked",
        "pinned",
        "pins",
        "bound_keys",
        "recycle_deferrals",
        "state_losses",
        "repeats",
        "drain_refusals",
        "drain_aborts",
        "unattributed_requests",
        "unattributed_notifications",
    ] {
        assert!(families.iter().any(|(name, _)| name.contains(word)), "no metric of {word}: {families:?}");
    }
    for word in ["wait", "call"] {
        let (name, _) = families
            .iter()
            .find(|(name, kind)| name.contains(word) && *kind == "histogram")
            .with_context(|| format!("no histogram of {word}: {families:?}"))?;
        let prefix = format!("{name}_count{{");
        let count = text.lines().filter(|line| line.starts_with(&prefix));
        let count: f64 = count.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum();
        assert!(count >= 2.0, "{name} counted {count} of two calls");
    }
    Ok(())
}
