//! What the operator and people may do.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{helm::rendered, repository};

fn rules(role: &str) -> Result<Value> {
    let text = fs::read_to_string(repository().join(format!("operator/roles/{role}.yaml")))?;
    let role: Value = serde_yaml::from_str(&text)?;
    Ok(role["rules"].clone())
}

#[tokio::test]
async fn by_default_the_operator_acts_everywhere() -> Result<()> {
    let objects = rendered(&[]).await?;
    let name = "release-sessionpool-operator-default";
    ensure!(objects.named("ClusterRole", name)?["rules"] == rules("operator")?);
    for role in ["view", "edit", "admin"] {
        let made = objects.named("ClusterRole", &format!("{name}-{role}"))?;
        ensure!(made["rules"] == rules(role)?, "{made:#}");
        let labels = made["metadata"]["labels"].to_string();
        ensure!(labels.contains("rbac.authorization.k8s.io/aggregate-to-admin"), "{labels}");
    }
    let binding = objects.named("ClusterRoleBinding", name)?;
    ensure!(binding["roleRef"]["name"] == name && binding["roleRef"]["kind"] == "ClusterRole");
    let account = objects.only("ServiceAccount")?;
    ensure!(binding["subjects"][0]["name"] == account["metadata"]["name"]);
    ensure!(objects.pod()?["spec"]["serviceAccountName"] == account["metadata"]["name"]);
    let lease = objects.only("Role")?;
    ensure!(lease["rules"] == rules("lease")? && lease["metadata"]["namespace"] == "default");
    let without = rendered(&["--set", "permissions.roles=false"]).await?;
    let left: Vec<_> = without.of_kind("ClusterRole").iter().map(|role| role["rules"].clone()).collect();
    ensure!(!left.contains(&rules("view")?) && left.contains(&rules("operator")?), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn named_namespaces_bound_the_rights() -> Result<()> {
    let least = "crds.install=false,permissions.roles=false,permissions.operate=false,api.enabled=false";
    let objects = rendered(&["--set", "watchNamespaces={a,b}", "--set", least]).await?;
    for kind in ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "ValidatingAdmissionPolicy"]
    {
        ensure!(objects.of_kind(kind).is_empty(), "a namespace's admin can't install a {kind}");
    }
    let places = |kind| -> Vec<Value> {
        let all = objects.of_kind(kind).into_iter();
        all.map(|object| object["metadata"]["namespace"].clone()).collect()
    };
    ensure!(places("Role") == ["default", "a", "b"] && places("RoleBinding") == ["default", "a", "b"]);
    let operator = rules("operator")?;
    ensure!(objects.of_kind("Role").iter().filter(|role| role["rules"] == operator).count() == 2);
    let arguments = objects.container()?["args"].to_string();
    ensure!(arguments.contains("--watch-namespace=a\",\"--watch-namespace=b"), "{arguments}");
    Ok(())
}

#[tokio::test]
async fn rights_and_account_may_be_somebody_elses() -> Result<()> {
    let values =
        "rbac.create=false,permissions.roles=false,serviceAccount.create=false,serviceAccount.name=mine";
    let objects = rendered(&["--set", values]).await?;
    for kind in ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount"] {
        ensure!(objects.of_kind(kind).is_empty(), "there is a {kind}");
    }
    ensure!(objects.pod()?["spec"]["serviceAccountName"] == "mine");

    let values = "serviceAccount.name=named,serviceAccount.annotations.role=cloud";
    let objects = rendered(&["--set", values]).await?;
    let account = objects.named("ServiceAccount", "named")?;
    ensure!(account["metadata"]["annotations"] == json!({"role": "cloud"}));
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        for binding in objects.of_kind(kind) {
            ensure!(binding["subjects"][0]["name"] == "named", "{binding:#}");
        }
    }
    Ok(())
}
