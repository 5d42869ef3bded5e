//! Drain and reset through the object. There is no node here, so no proxy has to be waited for.

use anyhow::{Result, ensure};
use crds::Phase;
use serde_json::json;

use crate::bench::{Bench, find};

const POOL: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: web}
spec:
  poolEnabled: true
  isolation: Shared
  upstream: {url: "http://mcp.example.com/mcp"}
"#;

#[tokio::test]
async fn a_drain_is_begun_told_and_taken_back() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    bench.condition("web", "Drained", "False", "NotRequested").await?;
    let before = bench.children("web").await?;

    bench.patch("web", json!({"spec": {"desiredState": "Drained", "drain": {"timeoutSeconds": 90}}})).await?;
    bench.condition("web", "Drained", "True", "DrainCompleted").await?;
    let status = bench.status("web", |status| status.phase == Some(Phase::Drained)).await?;
    let drain = status.drain.unwrap_or_default();
    let Some(start) = drain.start_time.clone() else { anyhow::bail!("no start: {drain:?}") };
    ensure!(drain.completion_time.is_some(), "{drain:?}");
    let children = bench.children("web").await?;
    let deadline = start.0.checked_add(jiff::SignedDuration::from_secs(90))?;
    ensure!(
        children.text()?.contains(&format!("mcpgateway.io/drain-deadline: {deadline}")),
        "{}",
        children.text()?
    );
    ensure!(children.manifest()?.spec.desired_state == crds::DesiredState::Drained);
    ensure!(
        children.deployment.metadata.generation == before.deployment.metadata.generation,
        "pods were replaced"
    );
    bench.event("web", "DrainCompleted").await?;

    bench.patch("web", json!({"spec": {"desiredState": "Active"}})).await?;
    bench.condition("web", "Drained", "False", "NotRequested").await?;
    bench.event("web", "Resumed").await?;
    let resumed = bench.children("web").await?;
    ensure!(!resumed.text()?.contains("drain-deadline"), "{}", resumed.text()?);

    bench.patch("web", json!({"spec": {"desiredState": "Drained"}})).await?;
    let again = bench.status("web", |status| status.phase == Some(Phase::Drained)).await?;
    let restarted = again.drain.clone().unwrap_or_default().start_time;
    ensure!(restarted.is_some_and(|time| time.0 >= start.0), "{again:?}");
    ensure!(find(&again, "Drained").is_some());
    Ok(())
}

#[tokio::test]
async fn a_reset_token_acts_once() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(&POOL.replace("spec:", "spec:\n  resetToken: at-creation")).await?;
    let observed = async |token: &str| {
        let token = token.to_owned();
        bench
            .status("web", move |status| {
                status.reset.as_ref().and_then(|reset| reset.observed_token.as_ref()) == Some(&token)
            })
            .await
    };
    let status = observed("at-creation").await?;
    ensure!(status.reset.unwrap_or_default().run.start_time.is_none(), "nothing was there to be reset");

    bench.patch("web", json!({"spec": {"resetToken": "second"}})).await?;
    let status = observed("second").await?;
    let run = status.reset.unwrap_or_default().run;
    ensure!(run.start_time.is_some() && run.completion_time.is_some(), "{run:?}");
    ensure!(bench.children("web").await?.manifest()?.spec.reset_token.as_deref() == Some("second"));

    // GitOps puts the old one back: nothing happens, and proxies that start now are not told.
    bench.patch("web", json!({"spec": {"resetToken": "at-creation"}})).await?;
    let generation = bench.pool("web").await?.metadata.generation;
    let status = bench.status("web", |status| status.observed_generation == generation).await?;
    ensure!(status.reset.as_ref().and_then(|reset| reset.observed_token.as_deref()) == Some("second"));
    ensure!(bench.children("web").await?.manifest()?.spec.reset_token.as_deref() == Some("second"));
    Ok(())
}
