//! S10: advice.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::call::{call, echo, start};
use crate::stage::Stage;

#[tokio::test]
async fn s10_optimize() -> Result<()> {
    let (quiet, crowded) = futures::try_join!(quiet(), crowded())?;
    assert_ne!(quiet["reasons"], crowded["reasons"], "advice follows from what happened");
    Ok(())
}

/// Advice, which is read twice and changes nothing.
async fn advice(stage: &Stage) -> Result<Value> {
    let before = stage.rest().await?;
    let (status, text) = stage.proxy.admin("/pool/optimize").await?;
    ensure!(status == 200, "{status} {text}");
    let advice: Value = serde_json::from_str(&text)?;
    for part in ["current", "recommended"] {
        ensure!(advice[part]["pool_strategy"].is_string(), "{part}: {text}");
        for size in ["pool_min_size", "pool_max_size"] {
            ensure!(advice[part][size].is_u64(), "{part}.{size}: {text}");
        }
    }
    let reasons = advice["reasons"].as_array().map_or(&[][..], Vec::as_slice);
    ensure!(!reasons.is_empty(), "{text}");
    for reason in reasons {
        ensure!(reason["message"].as_str().is_some_and(|message| message.len() > 10), "{text}");
    }
    let after = stage.rest().await?;
    let of = |stats: &crds::wire::PoolStats| {
        (
            stats.strategy.clone(),
            stats.min_size,
            stats.max_size,
            stats.total_creates,
            stats.total_acquisitions,
        )
    };
    ensure!(of(&before) == of(&after), "{before:?} became {after:?}");
    let again: Value = serde_json::from_str(&stage.proxy.admin("/pool/optimize").await?.1)?;
    ensure!(again["recommended"] == advice["recommended"], "{again} after {text}");
    Ok(advice)
}

/// Enough sessions for a steady client: no reason for more.
async fn quiet() -> Result<Value> {
    let stage = Stage::full(&json!({"poolMinSize": 1, "poolMaxSize": 2})).await?;
    let client = stage.client().await?;
    for number in 0..50 {
        echo(&client, &format!("{number}")).await?;
    }
    let advice = advice(&stage).await?;
    let (now, then) = (&advice["current"], &advice["recommended"]);
    assert_eq!(
        (&now["pool_strategy"], &now["pool_max_size"]),
        (&json!("round_robin"), &json!(2)),
        "{advice}"
    );
    assert!(then["pool_max_size"].as_u64() <= Some(2), "{advice}");
    Ok(advice)
}

/// Twelve callers, one session, one second of patience: raise the size.
async fn crowded() -> Result<Value> {
    let stage = Stage::full(&json!({"poolMinSize": 1, "poolMaxSize": 1, "poolTimeout": 1})).await?;
    let client = stage.client().await?;
    for _ in 0..4 {
        let callers = (0..12).map(|_| start(&client, "sleep", json!({"ms": 200})));
        try_join_all(callers).await?;
    }
    call(&client, "echo", &json!({"message": "x"})).await?;
    let stats = stage.rest().await?;
    assert!(stats.total_timeouts >= 10, "{stats:?}");
    let advice = advice(&stage).await?;
    assert_eq!(advice["current"]["pool_max_size"], 1, "{advice}");
    assert!(advice["recommended"]["pool_max_size"].as_u64() > Some(1), "{advice}");
    Ok(advice)
}
