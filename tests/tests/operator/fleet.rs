//! What pods and proxies report, and what the operator makes of it. Pods don't run on a control plane: their status is
//! written here as a kubelet would, and their statistics are served on a loopback address of their own.

use std::{collections::BTreeMap, net::Ipv4Addr};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use crds::{Phase, SessionPoolStatus, names, wire::PoolStats};
use http_body_util::Full;
use hyper::{Response, service::service_fn};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use crate::bench::{Bench, until};

const POOL: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: web}
spec:
  poolEnabled: true
  isolation: Shared
  replicas: 2
  upstream: {url: "http://mcp.example.com/mcp"}
"#;

/// Statistics that every proxy of a test reports.
pub type Reports = watch::Sender<PoolStats>;

fn stats(revision: &str) -> PoolStats {
    PoolStats {
        status: "active".to_owned(),
        total_sessions: 3,
        active_sessions: 1,
        available_sessions: 2,
        min_size: 1,
        max_size: 10,
        total_acquisitions: 100,
        total_releases: 99,
        total_creates: 4,
        total_destroys: 1,
        active_leases: 1,
        ready: true,
        config_revision: Some(revision.to_owned()),
        ..PoolStats::default()
    }
}

/// Binds the admin port on a loopback address that nobody uses.
async fn bind() -> Result<(Ipv4Addr, TcpListener)> {
    for attempt in 0..1000 {
        let [.., high, low] = (std::process::id() % 60_000 + attempt).to_be_bytes();
        let address = Ipv4Addr::new(127, 80, high, low.max(1));
        if let Ok(listener) = TcpListener::bind((address, names::ADMIN_PORT)).await {
            return Ok((address, listener));
        }
    }
    anyhow::bail!("no loopback address is free")
}

async fn serve(listener: TcpListener, reports: watch::Receiver<PoolStats>) {
    while let Ok((stream, _)) = listener.accept().await {
        let reports = reports.clone();
        let service = service_fn(move |_| {
            let body = serde_json::to_vec(&*reports.borrow())
                .map(|text| Response::new(Full::new(Bytes::from(text))));
            async move { body }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

/// Runs the pods of the pool as far as their status goes. Gives what their proxies report.
pub async fn run_pods(bench: &Bench, count: usize) -> Result<Reports> {
    let revision = bench.children("web").await?.revision()?;
    let reports = watch::Sender::new(stats(&revision));
    for pod in pods(bench, count).await? {
        run_pod(bench, &pod, reports.subscribe()).await?;
    }
    Ok(reports)
}

async fn pods(bench: &Bench, count: usize) -> Result<Vec<Pod>> {
    until("the pods are there", async || {
        let pods = bench.api::<Pod>().list(&ListParams::default()).await?.items;
        Ok((pods.len() == count).then_some(pods))
    })
    .await
}

async fn run_pod(bench: &Bench, pod: &Pod, reports: watch::Receiver<PoolStats>) -> Result<()> {
    let (address, listener) = bind().await?;
    tokio::spawn(serve(listener, reports));
    let started = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    let proxy = json!({
        "name": names::PROXY_CONTAINER, "image": "proxy", "imageID": "proxy", "ready": true, "started": true,
        "restartCount": 0, "state": started
    });
    let status = json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [proxy]
    }});
    let params = PatchParams::default();
    bench.api::<Pod>().patch_status(&pod.name_any(), &params, &Patch::Merge(status)).await?;
    Ok(())
}

#[tokio::test]
async fn a_fleet_that_serves_is_told() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let _reports = run_pods(&bench, 2).await?;
    let ready = bench.condition("web", "Ready", "True", "AllProxiesReady").await?;
    ensure!(ready.message == "2/2 proxies ready", "{}", ready.message);
    bench.condition("web", "Progressing", "False", "UpToDate").await?;
    bench.event("web", "PoolReady").await?;
    let status = bench.status("web", |status| status.stats.is_some() && status.updated_replicas == 2).await?;
    ensure!(status.phase == Some(Phase::Active) && status.replicas == 2 && status.ready_replicas == 2);
    let sums = status.stats.context("no statistics")?;
    ensure!(sums.total_sessions == 6 && sums.active_sessions == 2 && sums.available_sessions == 4);
    ensure!(sums.max_size == 20 && sums.total_acquisitions == 200 && sums.total_creates == 8);
    ensure!(sums.observed_time.is_some());
    Ok(())
}

#[tokio::test]
async fn a_changed_configuration_is_nudged_until_it_is_reported() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let reports = run_pods(&bench, 2).await?;
    bench.condition("web", "Progressing", "False", "UpToDate").await?;
    bench.patch("web", json!({"spec": {"poolMaxSize": 12}})).await?;
    bench.condition("web", "Progressing", "True", "Reconfiguring").await?;
    let revision = bench.children("web").await?.revision()?;
    until("each pod is nudged twice", async || {
        let pods = bench.api::<Pod>().list(&ListParams::default()).await?.items;
        let nudged = |pod: &Pod| {
            let annotation = |name| pod.annotations().get(name).map(String::as_str);
            annotation(names::CONFIG_REVISION) == Some(revision.as_str())
                && annotation(names::CONFIG_NUDGE).is_some_and(|count| count != "1")
        };
        Ok(pods.iter().all(nudged).then_some(()))
    })
    .await?;
    ensure!(bench.pool("web").await?.status.is_some_and(|status| status.updated_replicas == 0));
    reports.send_modify(|stats| stats.config_revision = Some(revision));
    bench.condition("web", "Progressing", "False", "UpToDate").await?;
    ensure!(bench.pool("web").await?.status.is_some_and(|status| status.updated_replicas == 2));
    Ok(())
}

/// What each pod's end costs, by name.
fn costs(pods: &[Pod]) -> BTreeMap<String, Option<String>> {
    let cost = |pod: &Pod| pod.annotations().get("controller.kubernetes.io/pod-deletion-cost").cloned();
    pods.iter().map(|pod| (pod.name_any(), cost(pod))).collect()
}

#[tokio::test]
async fn the_idlest_proxies_go_first() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    bench.patch("web", json!({"spec": {"replicas": 3}})).await?;
    let fleet = pods(&bench, 3).await?;
    let revision = bench.children("web").await?.revision()?;
    let reports = [4, 0, 9]
        .map(|clients| watch::Sender::new(PoolStats { client_sessions: clients, ..stats(&revision) }));
    for (pod, reports) in fleet.iter().zip(&reports) {
        run_pod(&bench, pod, reports.subscribe()).await?;
    }
    bench.condition("web", "Ready", "True", "AllProxiesReady").await?;
    ensure!(costs(&pods(&bench, 3).await?).values().all(Option::is_none), "nothing is written at rest");
    bench.patch("web", json!({"spec": {"replicas": 2}})).await?;
    let names = |at: [usize; 2]| at.map(|at| fleet[at].name_any());
    let [four, nine] = names([0, 2]);
    let left = pods(&bench, 2).await?;
    // Three sessions with the server come on top.
    let wanted = [(four, Some("7".to_owned())), (nine.clone(), Some("12".to_owned()))];
    ensure!(costs(&left) == wanted.into(), "{:?}", costs(&left));
    bench.patch("web", json!({"spec": {"replicas": 1}})).await?;
    let left = pods(&bench, 1).await?;
    ensure!(left[0].name_any() == nine, "{:?}", costs(&left));
    Ok(())
}

#[tokio::test]
async fn faults_of_proxies_are_told() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let reports = run_pods(&bench, 2).await?;
    bench.condition("web", "Ready", "True", "AllProxiesReady").await?;
    reports.send_modify(|stats| {
        stats.upstream.reachable = Some(false);
        stats.upstream.message = Some("connection refused by mcp.example.com:80".to_owned());
    });
    // At rest the fleet is asked every 30 s; a change of the pool asks it at once.
    bench.patch("web", json!({"spec": {"poolTimeout": 9}})).await?;
    let degraded = bench.condition("web", "Degraded", "True", "UpstreamUnreachable").await?;
    ensure!(degraded.message.contains("connection refused by mcp.example.com:80"), "{}", degraded.message);
    ensure!(bench.pool("web").await?.status.is_some_and(|status| status.phase == Some(Phase::Degraded)));
    bench.event("web", "UpstreamUnreachable").await?;
    reports.send_modify(|stats| {
        stats.upstream.reachable = Some(true);
        stats.config_error = Some("spec.poolMaxSize: must be positive".to_owned());
    });
    let degraded = bench.condition("web", "Degraded", "True", "ConfigurationRejected").await?;
    ensure!(degraded.message.contains("must be positive"), "{}", degraded.message);
    reports.send_modify(|stats| stats.config_error = None);
    bench.condition("web", "Degraded", "False", "AsExpected").await?;
    bench.event("web", "Recovered").await?;
    Ok(())
}

#[tokio::test]
async fn requests_without_a_session_degrade_the_pool() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let reports = run_pods(&bench, 2).await?;
    let both = |status: &SessionPoolStatus| status.stats.as_ref().is_some_and(|stats| stats.max_size == 20);
    bench.status("web", both).await?;
    reports.send_modify(|stats| (stats.total_timeouts, stats.waiting) = (4, 2));
    bench.patch("web", json!({"spec": {"poolTimeout": 9}})).await?;
    let degraded = bench.condition("web", "Degraded", "True", "PoolExhausted").await?;
    ensure!(
        degraded.message.contains("8 requests") && degraded.message.contains("poolMaxSize"),
        "{degraded:?}"
    );
    bench.status("web", |status| status.phase == Some(Phase::Degraded)).await?;
    bench.event("web", "PoolExhausted").await?;
    Ok(())
}

#[tokio::test]
async fn a_pool_that_is_off_says_so_and_comes_back() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let reports = run_pods(&bench, 2).await?;
    bench.event("web", "PoolReady").await?;
    let follow = async || -> Result<()> {
        let revision = bench.children("web").await?.revision()?;
        reports.send_modify(|stats| stats.config_revision = Some(revision));
        Ok(())
    };
    bench.patch("web", json!({"spec": {"poolEnabled": false}})).await?;
    bench.condition("web", "Ready", "True", "PoolingDisabled").await?;
    follow().await?;
    bench.status("web", |status| status.phase == Some(Phase::Disabled)).await?;
    bench.event("web", "PoolDisabled").await?;
    bench.patch("web", json!({"spec": {"poolEnabled": true}})).await?;
    bench.condition("web", "Ready", "True", "AllProxiesReady").await?;
    follow().await?;
    bench.status("web", |status| status.phase == Some(Phase::Active)).await?;
    Ok(())
}
