//! Children are kept as they should be, and not written when they are.

use anyhow::{Result, ensure};
use crds::names;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Service},
};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::bench::{Bench, until};

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
async fn a_deleted_child_comes_back() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let before = bench.children("web").await?;
    let params = DeleteParams::default();
    bench.api::<ConfigMap>().delete(&names::config_map("web"), &params).await?;
    bench.api::<Service>().delete(&names::service("web"), &params).await?;
    bench.api::<Service>().delete(&names::peers_service("web"), &params).await?;
    bench.api::<Deployment>().delete(&names::deployment("web"), &params).await?;
    until("all children are new", async || {
        let Ok(after) = bench.find_children("web").await? else { return Ok(None) };
        Ok(before.uids().iter().all(|uid| !after.uids().contains(uid)).then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_edited_child_is_repaired() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let before = bench.children("web").await?;
    let params = PatchParams::default();
    let container = json!({"name": "proxy", "image": "somebody/else:1", "args": ["--wrong"]});
    let edit = json!({"spec": {"replicas": 3, "template": {"spec": {"containers": [container]}}}});
    bench.api::<Deployment>().patch(&names::deployment("web"), &params, &Patch::Strategic(edit)).await?;
    let edit = json!({"data": {names::CONFIG_FILE: "nonsense"}});
    bench.api::<ConfigMap>().patch(&names::config_map("web"), &params, &Patch::Merge(edit)).await?;
    let edit = json!({"spec": {"selector": {"app.kubernetes.io/instance": "other"}}});
    bench.api::<Service>().patch(&names::service("web"), &params, &Patch::Merge(edit)).await?;
    until("the edits are gone", async || {
        let Ok(after) = bench.find_children("web").await? else { return Ok(None) };
        let same = after.config_map.data == before.config_map.data
            && after.deployment.spec == before.deployment.spec
            && after.service.spec == before.service.spec;
        Ok(same.then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_second_reconcile_writes_nothing() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    bench.children("web").await?;
    bench.operator.reconciles(1.0).await?;
    // The Deployment controller writes its status too, so the Deployment is compared by its generation.
    let versions = async || -> Result<_> {
        let children = bench.children("web").await?;
        let pool = bench.pool("web").await?;
        Ok([
            children.config_map.metadata.resource_version,
            children.service.metadata.resource_version,
            children.peers.metadata.resource_version,
            children.deployment.metadata.generation.map(|generation| generation.to_string()),
            pool.metadata.resource_version,
        ])
    };
    let before = until("the pool is quiet", async || {
        let first = versions().await?;
        bench.operator.reconciles(1.0).await?;
        Ok((first == versions().await?).then_some(first))
    })
    .await?;
    bench.operator.reconciles(2.0).await?;
    ensure!(versions().await? == before, "something was written: {before:?} -> {:?}", versions().await?);
    Ok(())
}

#[tokio::test]
async fn pool_parameters_reach_the_configuration_and_not_the_deployment() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let before = bench.children("web").await?;
    let revision = before.revision()?;
    bench.patch("web", json!({"spec": {"poolMaxSize": 33, "poolMinSize": 2, "poolTimeout": 7}})).await?;
    let after = until("the configuration changes", async || {
        let children = bench.children("web").await?;
        Ok((children.revision()? != revision).then_some(children))
    })
    .await?;
    ensure!(after.manifest()?.spec.pool_max_size == Some(33));
    ensure!(after.deployment.metadata.generation == before.deployment.metadata.generation);
    let status = bench.status("web", |status| status.observed_generation == Some(2)).await?;
    ensure!(status.effective.is_some_and(|effective| effective.pool_max_size == 33));
    Ok(())
}

#[tokio::test]
async fn scaling_the_pool_scales_its_deployment() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(&POOL.replace("spec:", "spec:\n  replicas: 2")).await?;
    let before = bench.children("web").await?;
    let scale = Patch::Merge(json!({"spec": {"replicas": 3}}));
    bench.api::<crds::SessionPool>().patch_scale("web", &PatchParams::default(), &scale).await?;
    let after = until("the deployment is scaled", async || {
        let children = bench.children("web").await?;
        let replicas = children.deployment.spec.as_ref().and_then(|spec| spec.replicas);
        Ok((replicas == Some(3)).then_some(children))
    })
    .await?;
    ensure!(after.revision()? == before.revision()?, "scaling changed the configuration");
    let status = bench.status("web", |status| status.replicas == 3).await?;
    ensure!(status.selector.is_some_and(|selector| selector.contains("app.kubernetes.io/instance=web")));
    Ok(())
}
