//! The kubectl plugin on a real control plane, run by the real kubectl, by people with rights of their own.

mod checking;
mod completing;
mod configuring;
mod denied;
mod operating;
mod packaging;
mod reading;

use anyhow::Result;
use tests::plugin::Shell;

use crate::bench::{Bench, account, shared, until};

/// A pool whose proxies never run here.
pub const POOL: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: web}
spec:
  poolEnabled: true
  isolation: Shared
  replicas: 2
  upstream: {url: "http://mcp.example.com/mcp"}
"#;

/// The shell of the cluster's administrator.
pub async fn administrator(bench: &Bench) -> Result<Shell> {
    Shell::new(shared().await?.kubeconfig(), &bench.namespace).await
}

/// The shell of somebody who has one of Kubernetes' own roles in the namespace, once the API server knows of it.
pub async fn person(bench: &Bench, role: &str) -> Result<Shell> {
    let file = account(shared().await?, role, Some(&bench.namespace)).await?;
    let shell = Shell::new(&file, &bench.namespace).await?;
    until("the person to be known", async || {
        let seen = shell.kubectl(&["get", "sessionpools", "-n", &bench.namespace]).await?;
        Ok((seen.code == Some(0)).then_some(()))
    })
    .await?;
    Ok(shell)
}
