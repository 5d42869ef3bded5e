//! Several operators: one acts, another goes on where it ended, and nothing is done twice.

use std::time::Instant;

use anyhow::{Result, ensure};
use crds::{OperationStatus, Phase, SessionPoolStatus, names};
use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event};
use kube::{ResourceExt, api::ListParams};
use serde_json::json;

use crate::{
    bench::{Bench, account, kubeconfig, shared, until},
    fleet::{Reports, run_pods},
    process::Operator,
    rest::Person,
};

const POOL: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: web}
spec:
  poolEnabled: true
  isolation: Shared
  drain: {timeoutSeconds: 600}
  upstream: {url: "http://mcp.example.com/mcp"}
"#;

const LEADER: &str = "sessionpool_operator_leader";

/// Lets everybody in a namespace hold leases there.
async fn allow_leases(namespace: &str) -> Result<()> {
    let role = std::fs::read_to_string(tests::repository().join("operator/roles/lease.yaml"))?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "lease"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "sessionpool-operator-lease"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:serviceaccounts"}]
    });
    let plane = shared().await?;
    plane.apply_yaml_in(namespace, &role).await?;
    plane.apply_yaml_in(namespace, &binding.to_string()).await?;
    Ok(())
}

/// A namespace whose operator leads, and another operator that waits for its turn.
async fn pair() -> Result<(Bench, Operator)> {
    let plane = shared().await?;
    let namespace = plane.namespace("leaders").await?;
    allow_leases(&namespace).await?;
    let file = kubeconfig(plane, Some(&namespace)).await?;
    let env = [("POD_NAMESPACE", namespace.as_str()), ("LEASE_NAME", "operator")];
    let leader = Operator::start(&file, Some(&namespace), &env).await?;
    leads(&leader).await?;
    let other = Operator::start(&file, Some(&namespace), &env).await?;
    ensure!(other.metric(LEADER).await? == 0.0, "two lead");
    Ok((Bench { client: plane.client()?, namespace, operator: leader }, other))
}

async fn leads(operator: &Operator) -> Result<()> {
    until("an operator to lead", async || Ok((operator.metric(LEADER).await? > 0.0).then_some(()))).await
}

/// Kills the leader in the middle of what it does. Gives the namespace with the other as its operator, once that leads.
async fn kill_leader(bench: Bench, other: Operator) -> Result<Bench> {
    let Bench { client, namespace, operator } = bench;
    let begin = Instant::now();
    drop(operator);
    leads(&other).await?;
    println!("went on {:.1} s after kill -9; promised: 20 s", begin.elapsed().as_secs_f64());
    Ok(Bench { client, namespace, operator: other })
}

/// How often an event was written, repetitions included.
async fn times(bench: &Bench, reason: &str) -> Result<i32> {
    let events = bench.api::<Event>().list(&ListParams::default()).await?;
    let of = |event: &&Event| event.reason.as_deref() == Some(reason);
    let count = |event: &Event| event.series.as_ref().map_or(1, |series| series.count);
    Ok(events.iter().filter(of).map(count).sum())
}

/// Has the pool's proxies run the configuration in force.
async fn follow(bench: &Bench, reports: &Reports) -> Result<()> {
    let revision = bench.children("web").await?.revision()?;
    reports.send_modify(|stats| stats.config_revision = Some(revision));
    Ok(())
}

#[tokio::test]
async fn rest_is_answered_by_whoever_waits() -> Result<()> {
    let (bench, waiting) = pair().await?;
    bench.apply(POOL).await?;
    let file = account(shared().await?, "cluster-admin", Some(&bench.namespace)).await?;
    let admin = Person::of(&file, waiting.api.parse()?, &bench.namespace).await?;
    let config = format!("/api/servers/{}.web/pool/config", bench.namespace);
    admin.caller.put(&config, &json!({"pool_max_size": 7})).await?.good()?;
    let follows = |status: &SessionPoolStatus| {
        status.effective.as_ref().is_some_and(|effective| effective.pool_max_size == 7)
    };
    bench.status("web", follows).await?;
    ensure!(admin.caller.get("/api/servers").await?.good()?["servers"][0]["max_size"] == 7);
    ensure!(waiting.metric(LEADER).await? == 0.0, "it leads");
    Ok(())
}

#[tokio::test]
async fn who_ends_in_order_hands_over_at_once() -> Result<()> {
    let (bench, other) = pair().await?;
    let begin = Instant::now();
    let (status, _) = bench.operator.terminate().await?;
    ensure!(status.code() == Some(0), "ended with {status}");
    leads(&other).await?;
    println!("handed over in {:.1} s", begin.elapsed().as_secs_f64());
    let bench = Bench { client: bench.client, namespace: bench.namespace, operator: other };
    bench.apply(POOL).await?;
    bench.children("web").await?;
    Ok(())
}

#[tokio::test]
async fn who_waits_touches_nothing() -> Result<()> {
    let (bench, other) = pair().await?;
    bench.apply(POOL).await?;
    bench.children("web").await?;
    let reconciled = "sessionpool_operator_reconcile_total{result=\"ok\"}";
    ensure!(bench.operator.metric(reconciled).await? > 0.0 && other.metric(reconciled).await? == 0.0);
    ensure!(other.get("/readyz").await?.0 == 200, "a rollout would wait for it forever");
    Ok(())
}

#[tokio::test]
async fn a_drain_outlives_its_operator() -> Result<()> {
    let (bench, other) = pair().await?;
    bench.apply(POOL).await?;
    let reports = run_pods(&bench, 1).await?;
    bench.condition("web", "Ready", "True", "AllProxiesReady").await?;
    bench.patch("web", json!({"spec": {"desiredState": "Drained"}})).await?;
    let drain = |status: SessionPoolStatus| status.drain.unwrap_or_default();
    let begun = drain(bench.status("web", |status| status.phase == Some(Phase::Draining)).await?);
    bench.event("web", "DrainStarted").await?;
    let told = bench.children("web").await?.config_map;

    let bench = kill_leader(bench, other).await?;
    bench.operator.reconciles(1.0).await?;
    let now: ConfigMap = bench.api().get(&names::config_map("web")).await?;
    ensure!(now.resource_version() == told.resource_version(), "proxies were told anew");
    follow(&bench, &reports).await?;
    reports.send_modify(|stats| {
        "drained".clone_into(&mut stats.status);
        (stats.total_sessions, stats.active_leases) = (0, 0);
    });
    bench.condition("web", "Drained", "True", "DrainCompleted").await?;
    let OperationStatus { start_time, completion_time, .. } = drain(bench.status("web", |_| true).await?);
    ensure!(start_time == begun.start_time && completion_time.is_some(), "it began anew");
    ensure!(times(&bench, "DrainStarted").await? == 1);
    bench.event("web", "DrainCompleted").await?;
    ensure!(times(&bench, "DrainCompleted").await? == 1);
    Ok(())
}

#[tokio::test]
async fn a_reset_outlives_its_operator() -> Result<()> {
    let (bench, other) = pair().await?;
    bench.apply(POOL).await?;
    let reports = run_pods(&bench, 1).await?;
    bench.condition("web", "Progressing", "False", "UpToDate").await?;
    bench.patch("web", json!({"spec": {"resetToken": "now"}})).await?;
    let reset = |status: SessionPoolStatus| status.reset.unwrap_or_default();
    until("the proxies to be told", async || {
        let told = bench.children("web").await?.manifest()?.spec.reset_token;
        Ok((told.as_deref() == Some("now")).then_some(()))
    })
    .await?;
    follow(&bench, &reports).await?;
    let begun = reset(bench.status("web", |status| status.phase == Some(Phase::Resetting)).await?);
    ensure!(begun.observed_token.is_none(), "observed before it was done");
    bench.event("web", "ResetStarted").await?;

    let bench = kill_leader(bench, other).await?;
    bench.operator.reconciles(1.0).await?;
    follow(&bench, &reports).await?;
    reports.send_modify(|stats| stats.reset_token = Some("now".to_owned()));
    let done = bench
        .status("web", |status| {
            status.reset.as_ref().is_some_and(|reset| reset.observed_token.as_deref() == Some("now"))
        })
        .await?;
    let done = reset(done);
    ensure!(done.run.start_time == begun.run.start_time && done.observed_tokens == ["now"], "{done:?}");
    bench.event("web", "ResetCompleted").await?;
    ensure!(times(&bench, "ResetStarted").await? == 1 && times(&bench, "ResetCompleted").await? == 1);
    Ok(())
}

/// Without a lease both act, and each sees what the other has not done yet.
#[tokio::test]
async fn two_operators_at_once_do_nothing_twice() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    let file = kubeconfig(shared().await?, Some(&bench.namespace)).await?;
    let other = Operator::start(&file, Some(&bench.namespace), &[]).await?;
    bench.apply(POOL).await?;
    let reports = run_pods(&bench, 1).await?;
    bench.condition("web", "Progressing", "False", "UpToDate").await?;

    bench.patch("web", json!({"spec": {"resetToken": "now"}})).await?;
    until("the proxies to be told", async || {
        let told = bench.children("web").await?.manifest()?.spec.reset_token;
        Ok((told.as_deref() == Some("now")).then_some(()))
    })
    .await?;
    follow(&bench, &reports).await?;
    let begun = bench.status("web", |status| status.phase == Some(Phase::Resetting)).await?;
    reports.send_modify(|stats| stats.reset_token = Some("now".to_owned()));
    let observed = |status: &SessionPoolStatus| {
        status.reset.as_ref().is_some_and(|reset| reset.observed_token.as_deref() == Some("now"))
    };
    let done = bench.status("web", observed).await?;

    bench.patch("web", json!({"spec": {"desiredState": "Drained"}})).await?;
    let draining = bench.status("web", |status| status.phase == Some(Phase::Draining)).await?;
    let told = until("the proxies to be told", async || {
        let children = bench.children("web").await?;
        let told = children.manifest()?.spec.desired_state == crds::DesiredState::Drained;
        Ok(told.then_some(children.config_map))
    })
    .await?;
    bench.operator.reconciles(2.0).await?;
    other.reconciles(2.0).await?;
    let now = bench.status("web", |_| true).await?;
    let resets = [&begun, &done, &now].map(|status| status.reset.clone().unwrap_or_default());
    ensure!(resets.iter().all(|reset| reset.run.start_time == resets[0].run.start_time), "{resets:?}");
    ensure!(resets[2].observed_tokens == ["now"] && resets[2] == resets[1], "{resets:?}");
    let drains = [draining, now].map(|status| status.drain.unwrap_or_default().start_time);
    ensure!(drains[0] == drains[1], "the deadline moved: {drains:?}");
    let config: ConfigMap = bench.api().get(&names::config_map("web")).await?;
    ensure!(config.resource_version() == told.resource_version(), "proxies were told anew");
    for reason in ["ResetStarted", "ResetCompleted", "DrainStarted"] {
        bench.event("web", reason).await?;
        ensure!(times(&bench, reason).await? == 1, "{reason} was written twice");
    }
    Ok(())
}
