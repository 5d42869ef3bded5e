//! `check`: from a cluster without anything, step by step to one that works.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tests::{ControlPlane, plugin::Shell, repository};

use super::POOL;
use crate::bench::{install, until};

const NAMESPACE: &str = "sessionpool-system";

/// What is said about something: level, message and remedy of each finding.
fn about<'a>(findings: &'a Value, what: &str) -> Vec<(&'a str, String)> {
    let all = findings.as_array().into_iter().flatten().filter(|finding| finding["about"] == what);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|finding| {
        let level = finding["level"].as_str().unwrap_or_default();
        (level, format!("{} -> {}", text(&finding["message"]), text(&finding["remedy"])))
    })
    .collect()
}

fn says(findings: &Value, what: &str, level: &str, text: &str) -> Result<()> {
    let found = about(findings, what);
    let fits = found.iter().any(|(found, said)| *found == level && said.contains(text));
    ensure!(fits, "{what} is not {level} with {text:?}, but {found:?}");
    Ok(())
}

async fn findings(shell: &Shell, code: i32) -> Result<Value> {
    let said = shell.kubectl(&["sessionpool", "check", "-A", "-o", "json"]).await?;
    ensure!(said.code == Some(code), "it ended with {:?}: {}{}", said.code, said.out, said.err);
    Ok(serde_json::from_str(&said.out)?)
}

fn operator(version: &str) -> Value {
    let args = ["--proxy-image=proxy.test/proxy:1", "--lease-name=sessionpool-operator"];
    let labels =
        json!({"app.kubernetes.io/name": "sessionpool-operator", "app.kubernetes.io/version": version});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "sessionpool-operator", "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": "sessionpool-operator"}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [
                {"name": "operator", "image": "operator.test/operator:1", "args": args}
            ]}}
        }
    })
}

#[tokio::test]
async fn what_is_missing_is_told_with_what_mends_it() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let shell = Shell::new(plane.kubeconfig(), "default").await?;
    let nothing = findings(&shell, 7).await?;
    says(&nothing, "API server", "ok", "Kubernetes v1.")?;
    says(&nothing, "definition", "error", "helm upgrade --install")?;
    says(&nothing, "operator", "error", "there is none in this cluster")?;
    says(&nothing, "policies", "warning", "permissions.operate=true")?;
    let text = shell.kubectl(&["sessionpool", "check"]).await?;
    ensure!(
        text.code == Some(7) && text.out.contains("-> ") && text.err.contains("things are wrong"),
        "{text:?}"
    );
    let absent = shell.kubectl(&["sessionpool", "status"]).await?.failed(1)?;
    ensure!(absent.contains("this cluster has no SessionPools: install the chart"), "{absent}");

    // A definition from before a field that this plugin knows.
    let mut older: Value =
        serde_yaml::from_str(&std::fs::read_to_string(repository().join("crds/sessionpool.yaml"))?)?;
    let spec = older.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties");
    spec.and_then(Value::as_object_mut).context("no fields")?.remove("poolIdleSeconds");
    plane.apply_yaml(&older.to_string()).await?;
    let lacks = until("the older definition to be published", async || {
        let said = shell.kubectl(&["sessionpool", "check", "-o", "json"]).await?;
        let found: Value = serde_json::from_str(&said.out)?;
        Ok(says(&found, "definition", "warning", "lacks spec.poolIdleSeconds").is_ok().then_some(found))
    })
    .await?;
    says(&lacks, "pools", "note", "there is none")?;

    install(&plane).await?;
    plane
        .apply_yaml(
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}).to_string(),
        )
        .await?;
    plane.apply_yaml(&operator("0.0.1").to_string()).await?;
    plane.apply_yaml(POOL).await?;
    until("the whole definition to be published", async || {
        let said = shell.kubectl(&["sessionpool", "check", "-o", "json"]).await?;
        let found: Value = serde_json::from_str(&said.out)?;
        Ok(says(&found, "definition", "ok", "").is_ok().then_some(()))
    })
    .await?;
    let idle = findings(&shell, 7).await?;
    says(&idle, "operator", "error", "0/1 ready")?;
    says(&idle, "operator", "error", "describe pods")?;
    says(&idle, "version", "warning", "is 0.0.1, this plugin is")?;
    says(&idle, "policies", "ok", "sessionpools/operate")?;
    says(&idle, "default/web", "error", "nobody looks after it")?;
    says(&idle, "your rights", "ok", "every command")?;
    leaderless(&plane, &shell).await
}

/// Nothing runs here: the pod's status and the lease are written as the kubelet and the operator would.
async fn leaderless(plane: &ControlPlane, shell: &Shell) -> Result<()> {
    let client = plane.client()?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let apply = PatchParams::apply("test").force();
    let own = env!("CARGO_PKG_VERSION");
    deployments.patch("sessionpool-operator", &apply, &Patch::Apply(operator(own))).await?;
    let check = async || -> Result<Value> {
        let running =
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        for pod in pods.list(&ListParams::default()).await?.items {
            let params = PatchParams::default();
            // A pod of the version before may have gone meanwhile.
            drop(pods.patch_status(&pod.name_any(), &params, &Patch::Merge(&running)).await);
        }
        let said = shell.kubectl(&["sessionpool", "check", "-A", "-o", "json"]).await?;
        Ok(serde_json::from_str(&said.out)?)
    };
    let found = until("a lease to be missed", async || {
        let found = check().await?;
        Ok((!about(&found, "leader").is_empty()).then_some(found))
    })
    .await?;
    says(&found, "leader", "error", "is not there: nobody acts")?;
    says(&found, "version", "ok", own)?;

    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let lease = |time: jiff::Timestamp| {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "sessionpool-operator"},
            "spec": {"holderIdentity": "operator-a", "leaseDurationSeconds": 12, "renewTime": format!("{time:.6}")}
        })
    };
    let dead = lease(jiff::Timestamp::now() - jiff::SignedDuration::from_secs(60));
    leases.patch("sessionpool-operator", &apply, &Patch::Apply(dead)).await?;
    until("a dead leader to be told", async || {
        Ok(says(&check().await?, "leader", "error", "operator-a does not renew").is_ok().then_some(()))
    })
    .await?;
    until("a leader to be seen", async || {
        leases.patch("sessionpool-operator", &apply, &Patch::Apply(lease(jiff::Timestamp::now()))).await?;
        Ok(says(&check().await?, "leader", "ok", "operator-a acts").is_ok().then_some(()))
    })
    .await?;

    // Whoever may see nothing of it is told what to ask for, and that is no fault of the installation.
    let said = shell.kubectl(&["sessionpool", "check", "-o", "json", "--as", "nobody"]).await?;
    ensure!(said.code == Some(0), "{said:?}");
    let found: Value = serde_json::from_str(&said.out)?;
    says(&found, "operator", "note", "the verb list on deployments.apps")?;
    says(&found, "pools", "note", "they can't be looked at")?;
    says(&found, "your rights", "note", "you lack patch on sessionpools.mcpgateway.io")?;
    Ok(())
}
