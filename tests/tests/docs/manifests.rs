//! The API server takes every manifest of the pages, and the chart all values.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tests::repository;
use tokio::process::Command;

use crate::form;
use crate::kubectl::{Namespace, tool};

/// A whole manifest, or a part that begins with `spec:` made whole.
fn whole(text: &str) -> Result<String> {
    if !text.starts_with("spec:") {
        return Ok(text.to_owned());
    }
    let mut pool: Value = serde_yaml::from_str(text)?;
    let spec = pool["spec"].as_object_mut().context("spec is no object")?;
    spec.entry("upstream").or_insert(json!({"url": "http://mcp.example.com/mcp"}));
    pool["apiVersion"] = "mcpgateway.io/v1alpha1".into();
    pool["kind"] = "SessionPool".into();
    pool["metadata"] = json!({"name": "example"});
    Ok(pool.to_string())
}

#[tokio::test]
async fn manifests_are_taken() -> Result<()> {
    let namespace = Namespace::new("manifests").await?;
    let manifests: Vec<_> = form::all()?.into_iter().filter(|block| block.is("yaml", "")).collect();
    ensure!(manifests.len() > 20, "only {} were found", manifests.len());
    stream::iter(manifests)
        .map(async |block| {
            let text = whole(&block.text).with_context(|| block.place.clone())?;
            namespace.takes(&text).await.with_context(|| block.place)
        })
        .buffer_unordered(4)
        .try_collect()
        .await
}

/// Nothing of a pool in the pages is refused for what this version does not do.
#[test]
fn pools_are_supported() -> Result<()> {
    for block in form::all()?.iter().filter(|block| block.is("yaml", "")) {
        let text = whole(&block.text)?;
        for document in serde_yaml::Deserializer::from_str(&text) {
            let document = Value::deserialize(document).with_context(|| block.place.clone())?;
            if document["kind"] == "SessionPool" {
                let pool =
                    crds::manifest::parse(&document.to_string()).with_context(|| block.place.clone())?;
                let refused = crds::support::unsupported(&pool.spec);
                ensure!(refused.is_empty(), "{}: {refused:?}", block.place);
            }
        }
    }
    Ok(())
}

/// The chart takes the values, on a cluster that has all that they may ask for.
#[tokio::test]
async fn values_are_taken() -> Result<()> {
    let helm = tool("helm").await?.join("helm");
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("values.yaml");
    for block in form::all()?.iter().filter(|block| block.is("yaml", "values")) {
        std::fs::write(&path, &block.text)?;
        let output = Command::new(&helm)
            .args([
                "template",
                "sessionpool",
                "charts/sessionpool",
                "--api-versions=monitoring.coreos.com/v1",
                "--values",
            ])
            .arg(&path)
            .current_dir(repository())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        ensure!(output.status.success(), "{}: {}", block.place, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[test]
fn foreign_manifests_are_yaml() -> Result<()> {
    for block in form::all()?.iter().filter(|block| block.is("yaml", "foreign")) {
        let read: Value = serde_yaml::from_str(&block.text).with_context(|| block.place.clone())?;
        ensure!(read["kind"].is_string(), "{}: no kind", block.place);
    }
    Ok(())
}
