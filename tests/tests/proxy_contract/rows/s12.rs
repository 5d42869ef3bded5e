//! S12: metrics.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::promtool::remarks;

use crate::call::{echo, hold};
use crate::stage::Stage;

#[tokio::test]
async fn s12_metrics() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 2, "poolMaxSize": 2, "poolTimeout": 1})).await?;
    let client = stage.client().await?;
    check_with_promtool(&metrics(&stage).await?).await?;
    echo(&client, "x").await?;
    let held = [hold(&client, "g"), hold(&client, "g")];
    stage.server.calls_reach("hold", 2).await?;
    hold(&client, "late").await??.is_refused("pool_timeout")?;
    let text = metrics(&stage).await?;
    check_with_promtool(&text).await?;
    let value = samples(&text)?;
    for (name, expected) in [
        (r#"mcpgateway_pool_sessions_total{server_id="default.test",status="active"}"#, 2.0),
        (r#"mcpgateway_pool_acquisitions_total{server_id="default.test"}"#, 3.0),
        (r#"mcpgateway_pool_timeouts_total{server_id="default.test"}"#, 1.0),
    ] {
        let got = *value.get(name).with_context(|| format!("no {name} in\n{text}"))?;
        assert!((got - expected).abs() < 0.1, "{name}: {got} in place of {expected}");
    }
    let age = r#"mcpgateway_pool_session_age_seconds{server_id="default.test",quantile="0.5"}"#;
    let (age, oldest) =
        (value.get(age).copied().with_context(|| format!("no {age}"))?, oldest(&stage).await?);
    assert!(age > 0.9 && age <= oldest, "median {age} s, oldest {oldest} s");
    stage.server.open("g");
    for call in held {
        call.await??;
    }
    Ok(())
}

async fn metrics(stage: &Stage) -> Result<String> {
    let (status, text) = stage.proxy.admin("/metrics").await?;
    ensure!(status == 200, "{status} {text}");
    Ok(text)
}

async fn oldest(stage: &Stage) -> Result<f64> {
    Ok(stage.slots().await?.iter().map(|slot| slot.age_seconds).fold(0.0, f64::max))
}

/// Value of every sample, by name and labels; an equal line twice is an error.
fn samples(text: &str) -> Result<BTreeMap<String, f64>> {
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
        let twice = samples.insert(name.to_owned(), value.parse().with_context(|| line.to_owned())?);
        ensure!(twice.is_none(), "{name} stands there twice");
    }
    Ok(samples)
}

/// The one remark that is accepted is on the documented name of a number that is no counter.
async fn check_with_promtool(text: &str) -> Result<()> {
    let remarks = remarks(text).await?;
    let others =
        remarks.iter().filter(|line| !line.starts_with("mcpgateway_pool_sessions_total non-counter"));
    ensure!(others.count() == 0, "promtool: {remarks:?}\n{text}");
    Ok(())
}
