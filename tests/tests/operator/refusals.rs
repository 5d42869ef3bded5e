//! What can't be followed changes nothing that runs.

use anyhow::{Result, ensure};
use crds::{Phase, names};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use crate::bench::Bench;

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
async fn an_invalid_object_keeps_the_last_good_configuration() -> Result<()> {
    let bench = Bench::start(&[("POOL_MAX_SIZE", "4")]).await?;
    bench.apply(POOL).await?;
    let before = bench.children("web").await?;
    bench.status("web", |status| status.effective.is_some()).await?;
    bench.patch("web", json!({"spec": {"poolMinSize": 5}})).await?;
    let ready = bench.condition("web", "Ready", "False", "InvalidSpec").await?;
    ensure!(ready.message.contains("poolMaxSize"), "{}", ready.message);
    let event = bench.event("web", "InvalidSpec").await?;
    ensure!(event.type_.as_deref() == Some("Warning"));
    let status = bench.status("web", |status| status.observed_generation == Some(2)).await?;
    ensure!(status.phase == Some(Phase::Failed));
    ensure!(status.effective.is_some_and(|effective| effective.pool_min_size == 1), "effective is what runs");
    let after = bench.children("web").await?;
    ensure!(after.text()? == before.text()?, "the configuration changed");
    ensure!(after.deployment.metadata.generation == before.deployment.metadata.generation);

    bench.patch("web", json!({"spec": {"poolMinSize": 3}})).await?;
    bench.condition("web", "Resolved", "True", "SpecResolved").await?;
    let mended = bench.children("web").await?;
    ensure!(mended.manifest()?.spec.pool_min_size == Some(3));
    Ok(())
}

#[tokio::test]
async fn what_this_build_lacks_is_refused_and_nothing_starts() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(&POOL.replace("spec:", "spec:\n  tlsSecretName: corp-tls")).await?;
    let ready = bench.condition("web", "Ready", "False", "NotSupported").await?;
    ensure!(ready.message.contains("tlsSecretName"), "{}", ready.message);
    bench.event("web", "NotSupported").await?;
    ensure!(bench.api::<Deployment>().get_opt(&names::deployment("web")).await?.is_none());
    ensure!(bench.find_children("web").await?.is_err());

    bench.patch("web", json!({"spec": {"tlsSecretName": null}})).await?;
    let before = bench.children("web").await?;
    bench.patch("web", json!({"spec": {"tlsSecretName": "corp-tls", "poolMaxSize": 5}})).await?;
    bench.condition("web", "Ready", "False", "NotSupported").await?;
    ensure!(bench.children("web").await?.text()? == before.text()?, "the running configuration changed");
    Ok(())
}

#[tokio::test]
async fn a_wrong_pod_template_is_named() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let before = bench.children("web").await?;
    let wrong = json!({"spec": {"proxy": {"podTemplate": {"spec": {"priorityClass": "high"}}}}});
    bench.patch("web", wrong).await?;
    let ready = bench.condition("web", "Ready", "False", "InvalidSpec").await?;
    ensure!(ready.message.contains("spec.proxy.podTemplate.spec.priorityClass"), "{}", ready.message);
    let refused = json!({"spec": {"proxy": {"podTemplate": {"spec": {"priorityClass": null, "restartPolicy": "Never"}}}}});
    bench.patch("web", refused).await?;
    let ready = bench.condition("web", "Ready", "False", "ApplyFailed").await?;
    ensure!(ready.message.contains("Deployment web-pool"), "{}", ready.message);
    ensure!(bench.children("web").await?.deployment.spec == before.deployment.spec);
    Ok(())
}
