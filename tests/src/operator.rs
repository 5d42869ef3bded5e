//! The real operator as a process of a test's own, with an administrator's rights: for tests that are not about its rights.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::binary::{binary, repository};
use crate::control_plane::ControlPlane;
use crate::eventually::eventually;
use crate::mcp_client::Endpoint;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running operator; ended when dropped.
#[derive(Debug)]
pub struct Operator {
    /// Where /livez, /readyz and /metrics are.
    pub admin: SocketAddr,
    /// Where REST and the page are.
    pub api: SocketAddr,
    _child: Child,
}

/// What the chart installs for the whole cluster, but for injection.
const INSTALLED: [&str; 6] = [
    "crds/sessionpool.yaml",
    "operator/roles/view.yaml",
    "operator/roles/edit.yaml",
    "operator/roles/admin.yaml",
    "operator/policies/operate.yaml",
    "operator/policies/scale.yaml",
];

impl Operator {
    /// Installs the definition, the roles and the policies on a control plane, starts an operator for all its namespaces, and
    /// waits until it has listed the pools.
    pub async fn on(plane: &ControlPlane) -> Result<Self> {
        for file in INSTALLED {
            plane.apply_yaml(&fs::read_to_string(repository().join(file))?).await?;
        }
        for policy in ["sessionpool-operate", "sessionpool-scale"] {
            let binding = json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": {"name": policy}, "spec": {"policyName": policy, "validationActions": ["Deny"]}
            });
            plane.apply_yaml(&binding.to_string()).await?;
        }
        let mut child = Command::new(binary("sessionpool-operator")?)
            .env_clear()
            .env("KUBECONFIG", plane.kubeconfig())
            .args(["--proxy-image=proxy.test/proxy:1", "--log-format=json"])
            .args(["--admin-listen=127.0.0.1:0", "--api-listen=127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("no standard error")?).lines();
        let mut log = Vec::new();
        let [admin, api] = loop {
            let Some(line) = lines.next_line().await? else {
                bail!("the operator ended:\n{}", log.join("\n"))
            };
            let entry: Value = serde_json::from_str(&line).with_context(|| format!("no JSON: {line}"))?;
            if entry["message"] == "listening" {
                let address = |name: &str| Ok(entry[name].as_str().context("no address")?.parse()?);
                let addresses: Result<_> = address("admin").and_then(|admin| Ok([admin, address("api")?]));
                break addresses?;
            }
            log.push(line);
        };
        // Nobody reads on, and a full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let operator = Self { admin, api, _child: child };
        eventually(PATIENCE, "the operator to be ready", async || {
            let (status, text) = operator.get("/readyz").await?;
            ensure!(status == 200, "{status} {text}");
            Ok(())
        })
        .await?;
        Ok(operator)
    }

    /// Status and body of a page of the admin port.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        Endpoint::new(self.admin).send("GET", path, &[], "").await?.status_and_text().await
    }

    /// The OpenAPI document of REST.
    pub async fn openapi(&self) -> Result<Value> {
        let answer = Endpoint::new(self.api).send("GET", "/openapi.json", &[], "").await?;
        Ok(serde_json::from_str(&answer.status_and_text().await?.1)?)
    }
}
