//! The definition, the roles and the policies are those of the source.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    helm::{MUTATING, rendered},
    repository,
};

fn text(path: &str) -> Result<String> {
    fs::read_to_string(repository().join(path)).with_context(|| format!("can't read {path}"))
}

#[test]
fn the_chart_holds_the_definition_and_the_rights() -> Result<()> {
    let files = "charts/sessionpool/files";
    let mut pairs = vec![("crds/sessionpool.yaml".to_owned(), format!("{files}/sessionpool.yaml"))];
    for folder in ["roles", "policies"] {
        for entry in fs::read_dir(repository().join("operator").join(folder))? {
            let name = entry?.file_name().into_string().map_err(|name| anyhow::anyhow!("{name:?}"))?;
            pairs.push((format!("operator/{folder}/{name}"), format!("{files}/{folder}/{name}")));
        }
    }
    ensure!(pairs.len() >= 10, "{pairs:?}");
    for (original, copy) in pairs {
        ensure!(text(&copy)? == text(&original)?, "{copy} is not {original}: run `make crds`");
    }
    Ok(())
}

#[test]
fn the_programs_have_the_version_that_the_chart_installs() -> Result<()> {
    let chart: Value = serde_yaml::from_str(&text("charts/sessionpool/Chart.yaml")?)?;
    ensure!(chart["appVersion"] == env!("CARGO_PKG_VERSION"), "{chart:#}");
    let images = chart["annotations"]["artifacthub.io/images"].as_str().context("no images")?;
    ensure!(images.matches(concat!(":", env!("CARGO_PKG_VERSION"), "\n")).count() == 2, "{images}");
    let listed = chart["annotations"]["artifacthub.io/crds"].as_str().context("no definitions")?;
    let listed: Value = serde_yaml::from_str(listed)?;
    let definition: Value = serde_yaml::from_str(&text("crds/sessionpool.yaml")?)?;
    ensure!(listed[0]["name"] == definition["metadata"]["name"], "{listed:#}");
    ensure!(listed[0]["version"] == definition["spec"]["versions"][0]["name"], "{listed:#}");
    Ok(())
}

#[tokio::test]
async fn the_definition_is_installed_and_kept() -> Result<()> {
    let objects = rendered(&[]).await?;
    let original: Value = serde_yaml::from_str(&text("crds/sessionpool.yaml")?)?;
    let definition = objects.only("CustomResourceDefinition")?;
    ensure!(definition["spec"] == original["spec"]);
    ensure!(definition["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep");

    let objects = rendered(&["--set", "crds.keep=false"]).await?;
    ensure!(objects.only("CustomResourceDefinition")?["metadata"].get("annotations").is_none());
    let objects = rendered(&["--set", "crds.keep=false,commonAnnotations.a=b,commonLabels.team=x"]).await?;
    let metadata = &objects.only("CustomResourceDefinition")?["metadata"];
    ensure!(metadata["annotations"]["a"] == "b" && metadata["labels"]["team"] == "x", "{metadata:#}");
    let without = rendered(&["--set", "crds.install=false"]).await?;
    ensure!(without.of_kind("CustomResourceDefinition").is_empty());
    Ok(())
}

#[tokio::test]
async fn policies_ask_for_the_right_to_operate() -> Result<()> {
    let objects = rendered(&[]).await?;
    let policies = objects.of_kind("ValidatingAdmissionPolicy");
    let bindings = objects.of_kind("ValidatingAdmissionPolicyBinding");
    ensure!(policies.len() == 2 && bindings.len() == 2);
    for (policy, binding) in policies.iter().zip(&bindings) {
        ensure!(binding["spec"]["policyName"] == policy["metadata"]["name"], "{binding:#}");
    }
    let without = rendered(&["--set", "permissions.operate=false"]).await?;
    ensure!(without.of_kind("ValidatingAdmissionPolicy").is_empty());
    Ok(())
}

#[tokio::test]
async fn pods_get_proxies_where_the_cluster_can_give_them() -> Result<()> {
    let policy = "MutatingAdmissionPolicy";
    ensure!(rendered(&[]).await?.of_kind(policy).is_empty(), "an old cluster does not know the kind");
    let disabled = rendered(&[&MUTATING[..], &["--set", "injection=Disabled"]].concat()).await?;
    ensure!(disabled.of_kind(policy).is_empty() && disabled.of_kind("ValidatingAdmissionPolicy").len() == 2);

    let values = "proxyImage.repository=registry/proxy,proxyImage.tag=v9,watchNamespaces={a}";
    let objects = rendered(&[&MUTATING[..], &["--set", values]].concat()).await?;
    let policy = objects.only(policy)?;
    let text = policy.to_string();
    ensure!(text.contains("'registry/proxy:v9'") && !text.contains("image-of-the-chart"), "{text}");
    let spec = &objects.only("MutatingAdmissionPolicyBinding")?["spec"];
    ensure!(spec["policyName"] == policy["metadata"]["name"], "{spec:#}");
    let only = &spec["matchResources"]["namespaceSelector"]["matchExpressions"][0];
    ensure!(only["values"] == serde_json::json!(["a"]), "{spec:#}");
    Ok(())
}
