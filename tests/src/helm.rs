//! Helm, and what it makes of the chart.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::binary::repository;

/// What a cluster with the definitions of the Prometheus Operator serves.
pub const MONITORING: [&str; 2] = ["--api-versions", "monitoring.coreos.com/v1"];
/// What Kubernetes 1.36 and later serve.
pub const MUTATING: [&str; 2] = ["--api-versions", "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"];

/// Helm, built when it is not there.
///
/// # Errors
/// When it can't be built; the reason is on standard error.
pub async fn helm() -> Result<PathBuf> {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    PROGRAM.get_or_try_init(build).await.cloned()
}

async fn build() -> Result<PathBuf> {
    let mut script = Command::new(repository().join("tests/cluster/tools.sh"));
    let output = script.arg("helm").stderr(Stdio::inherit()).output().await?;
    ensure!(output.status.success(), "tests/cluster/tools.sh helm failed");
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()).join("helm"))
}

/// The objects that the chart makes of some values.
#[derive(Debug)]
pub struct Rendered(Vec<Value>);

/// Renders the chart as the release `release` in the namespace `default`.
///
/// # Errors
/// When Helm refuses it; the message is what it said.
pub async fn rendered(arguments: &[&str]) -> Result<Rendered> {
    let text = run(&["template", "release"], arguments).await?;
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let object = Value::deserialize(document)?;
        if !object.is_null() {
            ensure!(
                object["kind"].is_string() && object["metadata"]["name"].is_string(),
                "no object: {object}"
            );
            objects.push(object);
        }
    }
    Ok(Rendered(objects))
}

/// What Helm says once it has installed the chart, without a cluster.
///
/// # Errors
/// When Helm refuses it.
pub async fn notes(arguments: &[&str]) -> Result<String> {
    let text = run(&["install", "release", "--dry-run=client"], arguments).await?;
    Ok(text.split_once("NOTES:").context("there are no notes")?.1.to_owned())
}

/// What Helm finds unusual in the chart; nothing when it finds nothing.
///
/// # Errors
/// When it finds something.
pub async fn lint() -> Result<String> {
    run(&["lint", "--strict", "--quiet"], &[]).await
}

async fn run(command: &[&str], arguments: &[&str]) -> Result<String> {
    let mut helm = Command::new(helm().await?);
    helm.args(command).arg(repository().join("charts/sessionpool")).args(arguments);
    // Whatever cluster the person has is not asked.
    helm.env("KUBECONFIG", "/dev/null");
    let output = helm.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm failed ({}): {}", output.status, errors.trim());
    Ok(String::from_utf8(output.stdout)?)
}

impl Rendered {
    /// All of them.
    pub fn all(&self) -> &[Value] {
        &self.0
    }

    /// Those of a kind.
    pub fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// The only one of a kind.
    ///
    /// # Errors
    /// When there is none, or there are several.
    pub fn only(&self, kind: &str) -> Result<&Value> {
        let found = self.of_kind(kind);
        ensure!(found.len() == 1, "there are {} of kind {kind}", found.len());
        Ok(found[0])
    }

    /// The one of a kind with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(&self, kind: &str, name: &str) -> Result<&Value> {
        let found = self.of_kind(kind);
        let names: Vec<_> = found.iter().map(|object| &object["metadata"]["name"]).collect();
        let place = names.iter().position(|known| *known == name);
        let place = place.with_context(|| format!("no {kind} {name} among {names:?}"))?;
        Ok(found[place])
    }

    /// The operator's pod.
    ///
    /// # Errors
    /// When there is no Deployment.
    pub fn pod(&self) -> Result<&Value> {
        Ok(&self.only("Deployment")?["spec"]["template"])
    }

    /// The operator's container.
    ///
    /// # Errors
    /// When there is no Deployment.
    pub fn container(&self) -> Result<&Value> {
        Ok(&self.pod()?["spec"]["containers"][0])
    }
}
