//! Objects that somebody else made stay what they are.

use anyhow::{Result, ensure};
use crds::names;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Service},
};
use kube::api::{DeleteParams, ListParams};

use crate::bench::Bench;

const POOL: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: taken}
spec:
  poolEnabled: true
  isolation: Shared
  upstream: {url: "http://mcp.example.com/mcp"}
"#;

const FOREIGN: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: taken-pool, labels: {app.kubernetes.io/managed-by: sessionpool-operator}}
data: {precious: "yes"}
"#;

#[tokio::test]
async fn a_foreign_object_is_not_touched_and_is_told() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply_as::<ConfigMap>(FOREIGN).await?;
    let before = bench.api::<ConfigMap>().get("taken-pool").await?;
    bench.apply(POOL).await?;
    let ready = bench.condition("taken", "Ready", "False", "NameConflict").await?;
    ensure!(ready.message.contains("ConfigMap taken-pool"), "{}", ready.message);
    let event = bench.event("taken", "NameConflict").await?;
    ensure!(event.type_.as_deref() == Some("Warning"));
    ensure!(bench.api::<ConfigMap>().get("taken-pool").await? == before, "the foreign ConfigMap changed");
    ensure!(bench.api::<Deployment>().get_opt(&names::deployment("taken")).await?.is_none());
    ensure!(bench.api::<Service>().list(&ListParams::default()).await?.items.is_empty());

    bench.api::<ConfigMap>().delete("taken-pool", &DeleteParams::default()).await?;
    bench.children("taken").await?;
    bench.condition("taken", "Resolved", "True", "SpecResolved").await?;
    Ok(())
}
