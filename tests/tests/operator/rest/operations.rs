//! Drain, resume, reset and disabling, as the object and its operator take them.

use anyhow::{Context as _, Result, ensure};
use crds::{DesiredState, Phase};
use serde_json::json;

use super::Stage;
use crate::fleet::run_pods;

#[tokio::test]
async fn a_pool_is_drained_and_resumed() -> Result<()> {
    let stage = Stage::start().await?;
    let admin = stage.person("admin").await?;
    let reports = run_pods(&stage.bench, 2).await?;
    let drain = stage.path("/pool/drain");
    for (body, status) in
        [(r#"{"timeout": -1}"#, 422), (r#"{"timeout": "a"}"#, 422), (r#"{"time": 3}"#, 400), (r"[]", 400)]
    {
        admin
            .caller
            .send("POST", &drain, &[("content-type", "application/json")], body)
            .await?
            .problem(status)?;
    }
    ensure!(admin.pools.get("web").await?.spec.desired_state == DesiredState::Active);
    let answer = admin.caller.send("POST", &drain, &[], r#"{"timeout": 5}"#).await?;
    ensure!(answer.status == 202, "{answer:?}");
    let wanted = json!({"server_id": stage.id, "operation": "drain", "timeout": 5});
    ensure!(answer.body == wanted, "{answer:?}");
    let spec = admin.pools.get("web").await?.spec;
    ensure!((spec.desired_state, spec.drain.timeout_seconds) == (DesiredState::Drained, 5));
    reports.send_modify(|stats| {
        "drained".clone_into(&mut stats.status);
        (stats.total_sessions, stats.active_leases, stats.active_sessions, stats.available_sessions) =
            (0, 0, 0, 0);
    });
    let revision = stage.bench.children("web").await?.revision()?;
    reports.send_modify(|stats| stats.config_revision = Some(revision));
    stage.bench.status("web", |status| status.phase == Some(Phase::Drained)).await?;
    let detail = crate::bench::until("REST to tell of it", async || {
        let detail = admin.caller.get(&stage.path("")).await?.good()?;
        Ok((detail["phase"] == "drained").then_some(detail))
    })
    .await?;
    ensure!(detail["desired_state"] == "drained" && detail["drain"]["start_time"].is_string(), "{detail:#}");
    ensure!(detail["phase_message"].is_string(), "{detail:#}");
    // A drained pool has nothing that could be replaced.
    let refused = admin.caller.post(&stage.path("/pool/reset")).await?.problem(409)?;
    ensure!(refused.contains("resume it instead"), "{refused}");
    let answer = admin.caller.post(&stage.path("/pool/resume")).await?;
    ensure!(answer.status == 202 && answer.body["operation"] == "resume", "{answer:?}");
    ensure!(admin.pools.get("web").await?.spec.desired_state == DesiredState::Active);
    // Twice is once.
    ensure!(admin.caller.post(&stage.path("/pool/resume")).await?.status == 202);
    Ok(())
}

#[tokio::test]
async fn a_drain_without_a_time_keeps_the_pools_own() -> Result<()> {
    let stage = Stage::start().await?;
    stage.bench.patch("web", json!({"spec": {"drain": {"timeoutSeconds": 17}}})).await?;
    let admin = stage.person("admin").await?;
    let answer = admin.caller.post(&stage.path("/pool/drain")).await?;
    ensure!(answer.status == 202, "{answer:?}");
    let spec = admin.pools.get("web").await?.spec;
    ensure!((spec.desired_state, spec.drain.timeout_seconds) == (DesiredState::Drained, 17));
    Ok(())
}

#[tokio::test]
async fn each_reset_has_a_token_of_its_own() -> Result<()> {
    let stage = Stage::start().await?;
    let admin = stage.person("admin").await?;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let answer = admin.caller.post(&stage.path("/pool/reset")).await?;
        ensure!(answer.status == 202, "{answer:?}");
        let token = answer.body["reset_token"].as_str().context("no token")?.to_owned();
        ensure!(admin.pools.get("web").await?.spec.reset_token.as_ref() == Some(&token));
        tokens.push(token);
    }
    ensure!(tokens[0] != tokens[1], "{tokens:?}");
    Ok(())
}
