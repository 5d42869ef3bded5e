//! The process itself: start, endpoints, end, and what it says to wrong input.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tests::ControlPlane;

use crate::{
    bench::{Bench, install, kubeconfig, until},
    process::{Operator, command},
};

const POOL: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: web}
spec:
  upstream: {url: "http://mcp.example.com/mcp"}
"#;

#[tokio::test]
async fn sigterm_ends_it_at_once() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    let (status, time) = bench.operator.terminate().await?;
    ensure!(status.code() == Some(0), "ended with {status}");
    ensure!(time < Duration::from_secs(1), "took {time:?}");
    Ok(())
}

#[tokio::test]
async fn it_tells_how_it_is() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    let (status, body) = bench.operator.get("/livez").await?;
    ensure!((status, body.as_str()) == (200, "ok\n"));
    ensure!(bench.operator.metric("sessionpool_operator_leader").await? > 0.0);
    let lists =
        bench.operator.metric("sessionpool_operator_kube_requests_total{code=\"200\",verb=\"get\"}").await?;
    ensure!(lists > 0.0, "requests are counted");
    ensure!(bench.operator.get("/else").await?.0 == 404);
    Ok(())
}

#[tokio::test]
async fn what_it_logs_is_changed_while_it_runs() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    let put = async |filter| bench.operator.request("PUT", "/log-filter", filter).await;
    let (status, text) = put("=,=").await?;
    ensure!(status == 400 && text.contains("operator=debug"), "{status} {text}");
    ensure!(put("off").await?.0 == 200);
    let before = bench.operator.lines();
    bench.apply(POOL).await?;
    bench.operator.reconciles(1.0).await?;
    ensure!(bench.operator.lines() == before, "it goes on logging");
    ensure!(put("info,operator=debug").await?.0 == 200);
    bench.patch("web", serde_json::json!({"spec": {"poolMaxSize": 7}})).await?;
    until("more lines", async || Ok((bench.operator.lines() > before + 1).then_some(()))).await?;
    ensure!(bench.operator.request("POST", "/log-filter", "info").await?.0 == 405);
    Ok(())
}

#[tokio::test]
async fn one_operator_watches_every_namespace() -> Result<()> {
    // A control plane of its own: this operator would look after the pools of the other tests too.
    let plane = ControlPlane::start().await?;
    install(&plane).await?;
    let operator = Operator::start(&kubeconfig(&plane, None).await?, None, &[]).await?;
    for namespace in [plane.namespace("one").await?, plane.namespace("two").await?] {
        plane.apply_yaml_in(&namespace, POOL).await?;
        let maps: Api<ConfigMap> = Api::namespaced(plane.client()?, &namespace);
        until("the pool has its configuration", async || Ok(maps.get_opt("web-pool").await?)).await?;
    }
    drop(operator);
    Ok(())
}

#[tokio::test]
async fn a_wrong_default_is_named() -> Result<()> {
    let kubeconfig = std::path::Path::new("/nonexistent");
    for (variable, value) in [("POOL_MAX_SIZE", "many"), ("POOL_PRE_PING", "perhaps"), ("RUST_LOG", "=,=")] {
        let output = command(kubeconfig)?.env(variable, value).output().await?;
        let text = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(78), "{variable}: ended with {}: {text}", output.status);
        ensure!(text.contains(variable) && text.contains(value), "{variable} is not named: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_missing_cluster_is_said() -> Result<()> {
    let output = command(std::path::Path::new("/nonexistent"))?.output().await?;
    let text = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1), "ended with {}: {text}", output.status);
    ensure!(text.contains("KUBECONFIG"), "{text}");
    Ok(())
}
