//! Pools whose pods run: the operator's image, the proxy's image and a real MCP server on a real node.

mod advice;
mod autoscaling;
mod field;
mod injection;
mod mcp;
mod outage;
mod plugin;
mod restricted;
mod rollout;
mod steady;

use anyhow::{Context as _, Result, ensure};
use crds::{Phase, names};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use crate::{field::Field, mcp::Session};

const SERVICE_REF: &str = r"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: late}
spec:
  poolEnabled: true
  isolation: Shared
  upstream:
    serviceRef: {name: server, port: 80}
";

const CRASHING: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: crashing}
spec:
  poolEnabled: true
  isolation: Shared
  upstream:
    template:
      image: "docker.io/local/server-everything:dev"
      command: [/usr/local/bin/node, -e, process.exit(3)]
"#;

const SERVICE: &str = r"
apiVersion: v1
kind: Service
metadata: {name: server}
spec:
  selector: {app: server}
  ports: [{port: 80, targetPort: 3001}]
";

const SERVER: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: server}
spec:
  selector: {matchLabels: {app: server}}
  template:
    metadata: {labels: {app: server}}
    spec:
      containers:
        - name: server
          image: docker.io/local/server-everything:dev
          imagePullPolicy: IfNotPresent
          readinessProbe: {tcpSocket: {port: 3001}, periodSeconds: 1}
";

#[tokio::test]
async fn a_pool_serves_and_takes_changes_without_a_restart() -> Result<()> {
    let field = Field::start().await?;
    let example = tests::repository().join("examples/everything.yaml");
    field.apply(&std::fs::read_to_string(example)?).await?;
    field.condition("everything", "Ready", "True").await?;
    let before = field.pods("everything").await?;
    let generation =
        field.api::<Deployment>().get(&names::deployment("everything")).await?.metadata.generation;
    let session = Session::open(&field, "everything").await?;
    ensure!(session.echo("before").await?.contains("before"));

    field.patch("everything", json!({"spec": {"poolMaxSize": 7, "poolTimeout": 4}})).await?;
    field
        .until("the proxy runs the new size", async || {
            let stats = field.stats("everything").await?;
            ensure!(stats.max_size == 7, "max_size is {}", stats.max_size);
            Ok(())
        })
        .await?;
    ensure!(session.echo("after").await?.contains("after"), "the client's session goes on");
    let after = field.pods("everything").await?;
    ensure!(after == before, "pods were restarted: {before:?} -> {after:?}");
    let deployment = field.api::<Deployment>().get(&names::deployment("everything")).await?;
    ensure!(deployment.metadata.generation == generation, "the Deployment was changed");
    field.condition("everything", "Progressing", "False").await?;
    let status = field.status("everything").await?;
    ensure!(status.phase == Some(Phase::Active) && status.updated_replicas == 1, "{status:#?}");
    let sums = status.stats.context("no statistics")?;
    ensure!(sums.total_creates >= 2 && sums.total_sessions == sums.total_creates - sums.total_destroys);
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_start_is_told() -> Result<()> {
    let field = Field::start().await?;
    field.apply(CRASHING).await?;
    let degraded = field.condition("crashing", "Degraded", "True").await?;
    ensure!(degraded.reason == "PodsFailing" && degraded.message.contains("mcp-server"), "{degraded:?}");
    ensure!(field.condition("crashing", "Ready", "False").await?.message.contains("0/1 proxies ready"));
    Ok(())
}

#[tokio::test]
async fn an_upstream_that_is_down_is_told_and_waited_for() -> Result<()> {
    let field = Field::start().await?;
    field.apply_any(SERVICE).await?;
    field.apply(SERVICE_REF).await?;
    let degraded = field.condition("late", "Degraded", "True").await?;
    ensure!(degraded.reason == "UpstreamUnreachable", "{degraded:?}");
    ensure!(field.condition("late", "Ready", "False").await?.message.contains("0/1 proxies ready"));
    let before = field.pods("late").await?;
    field.apply_any(SERVER).await?;
    field.condition("late", "Ready", "True").await?;
    field.condition("late", "Degraded", "False").await?;
    ensure!(field.pods("late").await? == before, "the proxy was restarted");
    let session = Session::open(&field, "late").await?;
    ensure!(session.echo("hello").await?.contains("hello"));
    Ok(())
}

/// Drain and reset as `kubectl` does them, while a client's call runs.
#[tokio::test]
async fn drain_resume_and_reset_lose_no_call() -> Result<()> {
    let field = Field::start().await?;
    let example = tests::repository().join("examples/everything.yaml");
    field.apply(&std::fs::read_to_string(example)?).await?;
    field.condition("everything", "Ready", "True").await?;
    let before = field.pods("everything").await?;
    let session = Session::open(&field, "everything").await?;

    let long = session.operation(12);
    let transitions = async {
        field
            .until("the call runs", async || {
                ensure!(field.stats("everything").await?.active_leases == 1, "it does not");
                Ok(())
            })
            .await?;
        field.merge("everything", r#"{"spec": {"resetToken": "a", "poolMinSize": 2}}"#).await?;
        field.wait("everything", "jsonpath={.status.phase}=Resetting").await?;
        field.merge("everything", r#"{"spec": {"desiredState": "Drained"}}"#).await?;
        field.wait("everything", "jsonpath={.status.phase}=Draining").await?;
        field
            .until("the proxy drains", async || {
                let stats = field.stats("everything").await?;
                ensure!(stats.status == "draining", "it is {}", stats.status);
                Ok(())
            })
            .await?;
        field.wait("everything", "condition=Drained").await
    };
    let (answer, ()) = tokio::try_join!(long, transitions)?;
    ensure!(answer.contains("completed"), "{answer}");
    let table = field.kubectl(&["get", "sessionpool", "everything"]).await?;
    ensure!(table.contains("Drained"), "{table}");
    let drained = field.condition("everything", "Drained", "True").await?;
    ensure!(drained.reason == "DrainCompleted", "{drained:?}");
    let stats = field.stats("everything").await?;
    ensure!(stats.total_sessions == 0 && stats.status == "drained", "{stats:?}");

    field.merge("everything", r#"{"spec": {"desiredState": "Active"}}"#).await?;
    field.wait("everything", "condition=Drained=False").await?;
    field.wait("everything", "jsonpath={.status.phase}=Active").await?;
    ensure!(session.echo("resumed").await?.contains("resumed"), "the client's session goes on");
    field.merge("everything", r#"{"spec": {"resetToken": "b"}}"#).await?;
    field.wait("everything", "jsonpath={.status.reset.observedToken}=b").await?;
    ensure!(session.echo("after").await?.contains("after"));
    ensure!(field.stats("everything").await?.epoch >= 1);
    ensure!(field.pods("everything").await? == before, "pods were restarted");
    Ok(())
}
