//! Children are kept as they should be, and not written when they are.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use crds::names;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Pod, Service},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    bench::{Bench, until},
    fleet::run_pods,
};

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
    let (params, begin) = (DeleteParams::default(), Instant::now());
    bench.api::<ConfigMap>().delete(&names::config_map("web"), &params).await?;
    bench.api::<Service>().delete(&names::service("web"), &params).await?;
    bench.api::<Service>().delete(&names::peers_service("web"), &params).await?;
    bench.api::<Deployment>().delete(&names::deployment("web"), &params).await?;
    until("all children are new", async || {
        let Ok(after) = bench.find_children("web").await? else { return Ok(None) };
        Ok(before.uids().iter().all(|uid| !after.uids().contains(uid)).then_some(()))
    })
    .await?;
    println!("repaired in {:.2} s; promised: 5 s", begin.elapsed().as_secs_f64());
    Ok(())
}

#[tokio::test]
async fn an_edited_child_is_repaired() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let before = bench.children("web").await?;
    let (params, begin) = (PatchParams::default(), Instant::now());
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
    .await?;
    println!("repaired in {:.2} s; promised: 5 s", begin.elapsed().as_secs_f64());
    Ok(())
}

#[tokio::test]
async fn a_second_reconcile_writes_nothing() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let _reports = run_pods(&bench, 1).await?;
    bench.condition("web", "Ready", "True", "AllProxiesReady").await?;
    bench.condition("web", "Progressing", "False", "UpToDate").await?;
    let mut turn = 0;
    let mut look_again = async || {
        turn += 1;
        let pods = bench.api::<Pod>().list(&ListParams::default()).await?.items;
        let touch = Patch::Merge(json!({"metadata": {"annotations": {"turn": turn.to_string()}}}));
        for pod in pods {
            bench.api::<Pod>().patch(&pod.name_any(), &PatchParams::default(), &touch).await?;
        }
        bench.operator.reconciles(1.0).await
    };
    let before = until("the pool is quiet", async || {
        let before = bench.writes().await?;
        look_again().await?;
        Ok((bench.writes().await? == before).then_some(before))
    })
    .await?;
    ensure!(before.iter().any(|write| write == "create secrets 201"), "{before:?}");
    for _ in 0..5 {
        look_again().await?;
    }
    let after = bench.writes().await?;
    ensure!(after == before, "written: {:?}", &after[before.len()..]);
    Ok(())
}

#[tokio::test]
async fn what_guards_the_proxies_comes_and_goes() -> Result<()> {
    let bench = Bench::start(&[("POD_NAMESPACE", "pools")]).await?;
    bench.apply(POOL).await?;
    bench.children("web").await?;
    let (budget, policy) = (names::disruption_budget("web"), names::network_policy("web"));
    let budgets = bench.api::<PodDisruptionBudget>();
    let policies = bench.api::<NetworkPolicy>();
    ensure!(budgets.get_opt(&budget).await?.is_none() && policies.get_opt(&policy).await?.is_none());
    let guard =
        json!({"spec": {"replicas": 3, "guard": {"maxUnavailable": "34%", "networkPolicy": "Managed"}}});
    bench.patch("web", guard).await?;
    let made = until("the budget", async || budgets.get_opt(&budget).await.map_err(Into::into)).await?;
    let wanted = Some(IntOrString::String("34%".to_owned()));
    ensure!(made.spec.and_then(|spec| spec.max_unavailable) == wanted);
    let made = until("the policy", async || policies.get_opt(&policy).await.map_err(Into::into)).await?;
    let ingress = serde_json::to_value(made.spec.and_then(|spec| spec.ingress))?;
    ensure!(ingress[0]["ports"][0]["port"] == "mcp" && ingress[0]["from"].is_null(), "{ingress}");
    let operator = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "pools"}}});
    let from = ingress[1]["from"].as_array().context("everybody reads statistics")?;
    ensure!(ingress[1]["ports"][0]["port"] == "admin" && from.contains(&operator), "{ingress}");

    // One that is edited or deleted comes back; one that is no longer asked for goes.
    let edit = Patch::Merge(json!({"spec": {"maxUnavailable": 3}}));
    budgets.patch(&budget, &PatchParams::default(), &edit).await?;
    policies.delete(&policy, &DeleteParams::default()).await?;
    until("both are repaired", async || {
        let found = budgets.get(&budget).await?.spec.and_then(|spec| spec.max_unavailable);
        Ok((found == wanted && policies.get_opt(&policy).await?.is_some()).then_some(()))
    })
    .await?;
    bench.patch("web", json!({"spec": {"replicas": 1, "guard": null}})).await?;
    until("both are gone", async || {
        let gone = budgets.get_opt(&budget).await?.is_none() && policies.get_opt(&policy).await?.is_none();
        Ok(gone.then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_foreign_budget_is_told_only_where_one_is_asked_for() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    let foreign = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web-pool"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "other"}}}
    });
    bench.apply_as::<PodDisruptionBudget>(&foreign.to_string()).await?;
    bench.apply(POOL).await?;
    bench.children("web").await?;
    bench.condition("web", "Resolved", "True", "SpecResolved").await?;
    bench.patch("web", json!({"spec": {"replicas": 2}})).await?;
    let ready = bench.condition("web", "Ready", "False", "NameConflict").await?;
    ensure!(ready.message.contains("PodDisruptionBudget web-pool"), "{}", ready.message);
    let kept = bench.api::<PodDisruptionBudget>().get("web-pool").await?;
    ensure!(kept.spec.is_some_and(|spec| spec.min_available == Some(IntOrString::Int(1))));
    ensure!(kept.metadata.owner_references.is_none());
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
    ensure!(status.selector.is_some_and(|selector| selector == "mcpgateway.io/pool=web"));
    Ok(())
}
