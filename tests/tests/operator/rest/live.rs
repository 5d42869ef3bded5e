//! What proxies tell, through REST.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Stage;
use crate::{bench::until, fleet::run_pods};

/// The documented example's keys, in its order.
const DOCUMENTED: [&str; 15] = [
    "pool_id",
    "server_id",
    "strategy",
    "status",
    "total_sessions",
    "active_sessions",
    "available_sessions",
    "unhealthy_sessions",
    "min_size",
    "max_size",
    "total_acquisitions",
    "total_releases",
    "total_timeouts",
    "total_creates",
    "total_destroys",
];

#[tokio::test]
async fn numbers_are_sums_of_what_proxies_tell() -> Result<()> {
    let stage = Stage::start().await?;
    let reports = run_pods(&stage.bench, 2).await?;
    let viewer = stage.person("view").await?.caller;
    let path = stage.path("/pool/stats");
    let stats = until("both proxies to have told", async || {
        let stats = viewer.get(&path).await?.good()?;
        Ok((stats["replicas"] == 2 && stats["stale"] == false).then_some(stats))
    })
    .await?;
    let keys: Vec<&String> = stats.as_object().context("no object")?.keys().take(15).collect();
    // The values keep their order only in the text.
    ensure!(DOCUMENTED.iter().all(|name| !stats[name].is_null()), "{keys:?}");
    ensure!(stats["server_id"] == stage.id && stats["strategy"] == "round_robin", "{stats:#}");
    ensure!(stats["total_sessions"] == 6 && stats["active_sessions"] == 2 && stats["max_size"] == 20);
    ensure!(stats["total_acquisitions"] == 200 && stats["total_creates"] == 8, "{stats:#}");
    stage.bench.status("web", |status| status.phase == Some(crds::Phase::Active)).await?;
    until("REST to call it active", async || {
        Ok((viewer.get(&path).await?.good()?["status"] == "active").then_some(()))
    })
    .await?;

    // A change is seen within seconds, not when the operator looks again.
    let start = std::time::Instant::now();
    reports.send_modify(|stats| {
        (stats.total_acquisitions, stats.total_releases, stats.waiting) = (150, 149, 4);
        stats.total_timeouts = 3;
    });
    until("the new numbers", async || {
        Ok((viewer.get(&path).await?.good()?["total_acquisitions"] == 300).then_some(()))
    })
    .await?;
    ensure!(start.elapsed() < Duration::from_secs(6), "they took {:?}", start.elapsed());
    let summary = viewer.get("/api/servers").await?.good()?["servers"][0].clone();
    ensure!(summary["waiting"] == 8 && summary["total_timeouts"] == 6, "{summary:#}");
    ensure!(summary["stale"] == false && summary["ready_replicas"] == 2, "{summary:#}");
    let detail = viewer.get(&stage.path("")).await?.good()?;
    let replicas = detail["replicas_list"].as_array().context("no replicas")?;
    let told = |replica: &Value| replica["answered"] == true && replica["total_sessions"] == 3;
    ensure!(replicas.len() == 2 && replicas.iter().all(told), "{detail:#}");
    ensure!(detail["permissions"] == json!({"update": false, "operate": false}), "{detail:#}");
    ensure!(detail["conditions"].as_array().is_some_and(|all| all.len() >= 4), "{detail:#}");
    Ok(())
}

#[tokio::test]
async fn the_text_begins_with_the_documented_keys() -> Result<()> {
    let stage = Stage::start().await?;
    let viewer = stage.person("view").await?;
    let command =
        r#"curl http://localhost:8000/api/servers/{server_id}/pool/stats -H "Authorization: Bearer $TOKEN""#;
    let (_, body) = tests::rest::documented(command, stage.address, &stage.id, &viewer.token).await?;
    ensure!(body.is_object());
    let endpoint = tests::mcp_client::Endpoint::new(stage.address);
    let token = format!("Bearer {}", viewer.token);
    let reply = endpoint.send("GET", &stage.path("/pool/stats"), &[("authorization", &token)], "").await?;
    let text = reply.text().await?;
    let keys: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once('"'))
        .map(|(key, _)| key)
        .collect();
    ensure!(keys.starts_with(&DOCUMENTED), "{text}");
    Ok(())
}

#[tokio::test]
async fn proxies_that_do_not_answer_make_numbers_stale() -> Result<()> {
    let stage = Stage::start().await?;
    let _reports = run_pods(&stage.bench, 2).await?;
    let viewer = stage.person("view").await?.caller;
    let path = stage.path("");
    until("both proxies to have told", async || {
        let detail = viewer.get(&path).await?.good()?;
        Ok((detail["stale"] == false && detail["total_sessions"] == 6).then_some(()))
    })
    .await?;
    // A pod that runs at an address where nobody answers.
    let pods = stage.bench.api::<k8s_openapi::api::core::v1::Pod>();
    let first = pods.list(&kube::api::ListParams::default()).await?.items.swap_remove(0);
    let name = first.metadata.name.context("no name")?;
    let gone = json!({"status": {"podIP": "127.79.0.1", "podIPs": [{"ip": "127.79.0.1"}]}});
    pods.patch_status(&name, &kube::api::PatchParams::default(), &kube::api::Patch::Merge(gone)).await?;
    let detail = until("its silence to be told", async || {
        let detail = viewer.get(&path).await?.good()?;
        Ok((detail["stale"] == true).then_some(detail))
    })
    .await?;
    ensure!(detail["total_sessions"] == 6, "its last numbers stay: {detail:#}");
    let replicas = detail["replicas_list"].as_array().context("no replicas")?;
    let silent: Vec<&Value> = replicas.iter().filter(|replica| replica["answered"] == false).collect();
    ensure!(silent.len() == 1 && silent[0]["name"] == name && silent[0]["error"].is_string(), "{detail:#}");
    Ok(())
}

#[tokio::test]
async fn the_last_hour_is_recorded() -> Result<()> {
    let stage = Stage::start().await?;
    let reports = run_pods(&stage.bench, 2).await?;
    let viewer = stage.person("view").await?.caller;
    let path = stage.path("/pool/history");
    until("a sample", async || {
        let history = viewer.get(&path).await?.good()?;
        Ok(history["samples"].as_array().is_some_and(|samples| !samples.is_empty()).then_some(()))
    })
    .await?;
    reports.send_modify(|stats| {
        (stats.total_acquisitions, stats.total_timeouts, stats.connect_failures) = (110, 2, 1);
        (stats.total_calls, stats.total_call_seconds) = (10, 5.0);
    });
    let history = until("a sample of what happened", async || {
        let history = viewer.get(&path).await?.good()?;
        let grown = |sample: &Value| sample["acquisitions"] == 20;
        let found = history["samples"].as_array().is_some_and(|samples| samples.iter().any(grown));
        Ok(found.then_some(history))
    })
    .await?;
    ensure!(history["interval_seconds"] == 15 && history["since"].is_string(), "{history:#}");
    let samples = history["samples"].as_array().context("no samples")?;
    let sample = samples.iter().find(|sample| sample["acquisitions"] == 20).context("no sample")?;
    ensure!(sample["timeouts"] == 4 && sample["errors"] == 2 && sample["call_seconds"] == 0.5, "{sample:#}");
    ensure!(sample["total_sessions"] == 6 && sample["time"].is_string(), "{sample:#}");
    ensure!(samples[0]["acquisitions"] == 0, "what was before belongs to no interval: {history:#}");
    Ok(())
}
