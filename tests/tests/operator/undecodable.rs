//! One object that can't be read does not stop the others.

use anyhow::{Context as _, Result, ensure};
use crds::names;
use k8s_openapi::{
    api::{core::v1::ConfigMap, events::v1::Event},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::json;
use tests::ControlPlane;

use crate::{
    bench::{install, kubeconfig, until},
    process::Operator,
};

const POOLS: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: broken}
spec:
  replicas: a few
---
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: sound}
spec:
  isolation: Shared
  upstream: {url: "http://mcp.example.com/mcp"}
"#;

#[tokio::test]
async fn an_object_that_cannot_be_read_is_told_and_stops_nobody() -> Result<()> {
    // A control plane of its own, since its CRD is loosened as an older one may have been.
    let plane = ControlPlane::start().await?;
    install(&plane).await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(plane.client()?);
    let name = format!("sessionpools.{}", names::GROUP);
    until("the CRD is loosened", async || {
        let mut definition = definitions.get(&name).await?;
        let version = &mut definition.spec.versions[0];
        let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        version.schema = Some(serde_json::from_value(json!({"openAPIV3Schema": anything}))?);
        version.selectable_fields = None;
        version.subresources = serde_json::from_value(json!({"status": {}}))?;
        Ok(definitions.replace(&name, &PostParams::default(), &definition).await.ok())
    })
    .await?;
    let namespace = plane.namespace("undecodable").await?;
    until("the API server takes it", async || Ok(plane.apply_yaml_in(&namespace, POOLS).await.ok())).await?;

    let operator =
        Operator::start(&kubeconfig(&plane, Some(&namespace)).await?, Some(&namespace), &[]).await?;
    let maps: Api<ConfigMap> = Api::namespaced(plane.client()?, &namespace);
    until("the sound pool has its configuration", async || {
        Ok(maps.get_opt(&names::config_map("sound")).await?)
    })
    .await?;
    let events: Api<Event> = Api::namespaced(plane.client()?, &namespace);
    let event = until("the broken pool is told", async || {
        let all = events.list(&ListParams::default()).await?;
        Ok(all.into_iter().find(|event| event.reason.as_deref() == Some("Undecodable")))
    })
    .await?;
    let about = event.regarding.as_ref().and_then(|object| object.name.as_deref());
    ensure!(about == Some("broken"), "the event is about {about:?}");
    let note = event.note.context("no note")?;
    ensure!(note.contains("a few"), "{note}");
    ensure!(maps.get_opt(&names::config_map("broken")).await?.is_none());
    drop(operator);
    Ok(())
}
