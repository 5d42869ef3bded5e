//! The chart's monitors, alerts and dashboard with a real Prometheus under the real Prometheus Operator.

mod prometheus;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use crds::names;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::Value;
use tests::{
    Cluster, chart_docs, eventually,
    release::{IMAGES, Release},
};

use crate::prometheus::Prometheus;

/// Longest wait for a state: the operator is started, it starts Prometheus, which finds its targets and scrapes them.
const PATIENCE: Duration = Duration::from_secs(120);

/// A pool whose server is not there.
const BROKEN: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: broken}
spec:
  poolEnabled: true
  upstream: {url: "http://127.0.0.1:9/mcp"}
"#;

/// What the documentation promises of every proxy. The last is asked for each quantile.
const DOCUMENTED: [&str; 7] = [
    r#"mcpgateway_pool_sessions_total{status="active"}"#,
    r#"mcpgateway_pool_sessions_total{status="available"}"#,
    "mcpgateway_pool_acquisitions_total",
    "mcpgateway_pool_timeouts_total",
    r#"mcpgateway_pool_session_age_seconds{quantile="0.5"}"#,
    r#"mcpgateway_pool_session_age_seconds{quantile="0.9"}"#,
    r#"mcpgateway_pool_session_age_seconds{quantile="0.99"}"#,
];

/// Panels that show something as soon as a pool works.
const TELLING: [&str; 16] = [
    "Pools",
    "Proxies",
    "Sessions",
    "In use",
    "Servers unreachable",
    "State of the pools",
    "Sessions against the maximum",
    "Sessions by status",
    "Acquisitions",
    "Answers",
    "Time of a call",
    "Age of the sessions",
    "Sessions by proxy",
    "Memory",
    "Reconciles",
    "Requests to the API server",
];

#[tokio::test]
async fn what_the_chart_says_becomes_configuration_and_metrics_arrive() -> Result<()> {
    let cluster = Cluster::start().await?;
    let release = Release::new(&cluster).await?;
    Prometheus::define(&cluster, &release).await?;
    install(&release).await?;
    let prometheus = Prometheus::start(&cluster).await?;

    release.apply("examples/everything.yaml").await?;
    let two = ["patch", "sessionpool", "everything", "--type=merge", "-p", r#"{"spec": {"replicas": 2}}"#];
    release.kubectl(&two).await?;
    cluster.apply_yaml_in(&release.namespace, BROKEN).await?;
    release.ready("everything").await?;
    let url = format!("http://everything-pool.{}.svc.cluster.local:8080/mcp", release.namespace);
    // Growth can be seen only of a counter that was seen before.
    every_proxy_is_heard(&cluster, &release, &prometheus).await?;
    release.call_at(&url, 10, 200).await?;

    counted_as_called(&release, &prometheus).await?;
    rules_are_loaded(&prometheus).await?;
    panels_show_something(&prometheus).await?;
    an_alert_fires(&release, &prometheus).await
}

async fn install(release: &Release<'_>) -> Result<()> {
    let values = format!(
        "{IMAGES},serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true,\
         prometheusRule.rules.SessionPoolUpstreamUnreachable.for=0s"
    );
    let chart = Release::chart();
    let arguments = ["install", "sessionpool", &chart, "--set", &values, "--wait", "--timeout=90s"];
    let said = release.helm(&arguments).await.context("the images are built by `make images`")?;
    ensure!(said.contains("up{job=\"sessionpool-proxy\"}"), "the notes tell what to ask Prometheus: {said}");
    Ok(())
}

/// Every documented metric comes from every proxy's pod, and says of which pool it is.
async fn every_proxy_is_heard(
    cluster: &Cluster,
    release: &Release<'_>,
    prometheus: &Prometheus<'_>,
) -> Result<()> {
    let server = format!("{}.everything", release.namespace);
    let pods: Api<Pod> = Api::namespaced(cluster.client()?, &release.namespace);
    let of_pool = ListParams::default().labels(&format!("{}=everything", names::POOL_LABEL));
    let proxies: BTreeSet<_> = pods.list(&of_pool).await?.iter().map(ResourceExt::name_any).collect();
    ensure!(proxies.len() == 2, "{proxies:?}");
    for metric in DOCUMENTED {
        eventually(PATIENCE, &format!("{metric} of every proxy"), async || {
            let found = prometheus.query(metric).await?;
            let own = found.iter().filter(|sample| sample["metric"]["server_id"] == server.as_str());
            let heard: BTreeSet<_> =
                own.filter_map(|sample| sample["metric"]["pod"].as_str()).map(ToOwned::to_owned).collect();
            ensure!(heard == proxies, "{found:?}");
            Ok(())
        })
        .await?;
    }
    let jobs = prometheus.query("count by (job) (up == 1)").await?;
    let jobs: BTreeSet<_> = jobs.iter().filter_map(|sample| sample["metric"]["job"].as_str()).collect();
    ensure!(jobs == ["sessionpool-operator", "sessionpool-proxy"].into(), "{jobs:?}");
    Ok(())
}

/// What clients called is what Prometheus counts, over both proxies.
async fn counted_as_called(release: &Release<'_>, prometheus: &Prometheus<'_>) -> Result<()> {
    let server = format!("{}.everything", release.namespace);
    let question = format!("sum(mcpgateway_pool_acquisitions_total{{server_id=\"{server}\"}}) >= 200");
    eventually(PATIENCE, "200 calls to be counted", async || {
        ensure!(!prometheus.query(&question).await?.is_empty(), "they are not");
        Ok(())
    })
    .await?;
    let question = format!("sessionpool_info{{namespace=\"{}\",name=\"everything\"}}", release.namespace);
    ensure!(prometheus.query(&question).await?.len() == 1, "the namespace is not the pool's");
    Ok(())
}

async fn rules_are_loaded(prometheus: &Prometheus<'_>) -> Result<()> {
    let file: Value = serde_yaml::from_str(&fs::read_to_string(chart_docs::file("files/alerts.yaml"))?)?;
    let names = |groups: &Value| -> BTreeSet<String> {
        let groups = groups.as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        rules.filter_map(|rule| Some(rule["name"].as_str().or(rule["alert"].as_str())?.to_owned())).collect()
    };
    eventually(PATIENCE, "every rule to be asked once", async || {
        let loaded = prometheus.get("rules").await?["groups"].clone();
        ensure!(names(&loaded) == names(&file["groups"]), "{loaded:#}");
        let groups = loaded.as_array().into_iter().flatten();
        for rule in groups.flat_map(|group| group["rules"].as_array().into_iter().flatten()) {
            ensure!(rule["health"] == "ok" && rule["lastError"].is_null(), "{rule:#}");
        }
        Ok(())
    })
    .await
}

async fn panels_show_something(prometheus: &Prometheus<'_>) -> Result<()> {
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(chart_docs::file("files/dashboard.json"))?)?;
    let mut told = BTreeSet::new();
    for panel in dashboard["panels"].as_array().context("no panels")? {
        let title = panel["title"].as_str().context("no title")?;
        for target in panel["targets"].as_array().into_iter().flatten() {
            let question = target["expr"].as_str().context("no question")?;
            let question = question.replace("$__rate_interval", "1m");
            let question = question.replace("$namespace", ".*").replace("$pool", ".*");
            let answer = prometheus.query(&question).await.with_context(|| title.to_owned())?;
            if !answer.is_empty() {
                told.insert(title.to_owned());
            }
        }
    }
    let silent: Vec<_> = TELLING.iter().filter(|title| !told.contains(**title)).collect();
    ensure!(silent.is_empty(), "these panels are empty: {silent:?}");
    Ok(())
}

/// The one that has no time to wait fires for the pool whose server is not there, and for no other.
async fn an_alert_fires(release: &Release<'_>, prometheus: &Prometheus<'_>) -> Result<()> {
    let question = r#"ALERTS{alertname="SessionPoolUpstreamUnreachable",alertstate="firing"}"#;
    eventually(PATIENCE, "the alert", async || {
        let firing = prometheus.query(question).await?;
        let [alert] = firing.as_slice() else { anyhow::bail!("{firing:?}") };
        let labels = &alert["metric"];
        ensure!(labels["server_id"] == format!("{}.broken", release.namespace), "{labels:#}");
        ensure!(labels["namespace"] == release.namespace.as_str(), "{labels:#}");
        ensure!(labels["severity"] == "critical", "{labels:#}");
        Ok(())
    })
    .await
}
