//! S6: the deadline of waiting.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

use crate::call::{call, echo, hold};
use crate::stage::Stage;

#[tokio::test]
async fn s06_timeout() -> Result<()> {
    futures::try_join!(after(1), after(3))?;
    Ok(())
}

/// Never early; late by less than 0.1 s, in one of a few tries on a busy machine.
async fn after(seconds: u32) -> Result<()> {
    let stage = Stage::full(&json!({"poolMaxSize": 1, "poolTimeout": seconds})).await?;
    let client = stage.client().await?;
    let held = hold(&client, "g");
    stage.session_of("g").await?;
    let mut took = Vec::new();
    for timeouts in 1..=5 {
        let answer = call(&client, "echo", &json!({"message": "late"})).await?;
        answer.is_refused("pool_timeout")?;
        let stats = stage.proxy.stats().await?;
        assert_eq!((stats.total_timeouts, stats.waiting), (timeouts, 0), "{stats:?}");
        let difference = answer.took.as_secs_f64() - f64::from(seconds);
        assert!(difference > -0.1, "{:?} of {seconds} s", answer.took);
        took.push(answer.took);
        if difference < 0.1 {
            assert_eq!(stage.server.calls("echo").len(), 0, "what was refused is not executed");
            stage.server.open("g");
            assert_eq!(held.await??.status, 200);
            echo(&client, "again").await?;
            return Ok(());
        }
        // What delayed it may be gone by then.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("{took:?} in place of {seconds} s")
}
