//! A Prometheus under the Prometheus Operator.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{Cluster, release::Release, repository};
use tokio::process::Command;

/// Where it answers in the cluster.
const ADDRESS: &str = "http://prometheus.monitoring.svc.cluster.local:9090/api/v1";

pub struct Prometheus<'a>(&'a Cluster);

impl<'a> Prometheus<'a> {
    /// Has the cluster know what monitors and rules are.
    pub async fn define(cluster: &Cluster, release: &Release<'_>) -> Result<()> {
        let built = built().await?;
        let definitions = built.join("definitions").display().to_string();
        // They are larger than the annotation that a plain apply makes.
        let apply = ["apply", "--server-side", "-f", definitions.as_str()];
        release.kubectl(&apply).await?;
        for name in ["prometheus", "operator", "reloader"] {
            cluster.import(&built.join(format!("{name}.tar")).display().to_string()).await?;
        }
        Ok(())
    }

    /// Starts it; it is not waited for.
    pub async fn start(cluster: &'a Cluster) -> Result<Self> {
        let manifests = repository().join("tests/cluster/monitoring/prometheus.yaml");
        cluster.apply_yaml(&std::fs::read_to_string(manifests)?).await?;
        Ok(Self(cluster))
    }

    /// What it says under a path of its API.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.ask(&[&format!("{ADDRESS}/{path}")]).await
    }

    /// The samples that a question has now.
    pub async fn query(&self, question: &str) -> Result<Vec<Value>> {
        let data = format!("query={question}");
        let answer = self.ask(&["--data-urlencode", &data, &format!("{ADDRESS}/query")]).await;
        let answer = answer.with_context(|| question.to_owned())?;
        Ok(answer["result"].as_array().context("no result")?.clone())
    }

    async fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let said = self.0.run(&[&["curl", "-sS", "--max-time", "10"], arguments].concat()).await?;
        let answer: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
        ensure!(answer["status"] == "success", "{said}");
        Ok(answer["data"].clone())
    }
}

/// The folder of images and definitions, which are built when they are not there.
async fn built() -> Result<PathBuf> {
    let mut script = Command::new(repository().join("tests/cluster/images.sh"));
    let output = script.arg("monitoring").stderr(Stdio::inherit()).output().await?;
    ensure!(output.status.success(), "tests/cluster/images.sh monitoring failed");
    Ok(Path::new(String::from_utf8(output.stdout)?.trim()).to_owned())
}
