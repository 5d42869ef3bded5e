//! A namespace on a cluster with an operator of its own, run from its image under its role.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::{SessionPool, SessionPoolStatus, names, wire::PoolStats};
use hyper::Request;
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, Client, Resource,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tests::{Cluster, eventually};

/// Longest wait for a state.
const PATIENCE: Duration = Duration::from_secs(90);

/// See the module's text.
pub struct Field {
    /// An administrator.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    cluster: &'static Cluster,
}

impl Field {
    /// Makes the namespace and starts the operator.
    pub async fn start() -> Result<Self> {
        Self::on(Cluster::shared().await?).await
    }

    /// The same on a cluster that is not the shared one.
    pub async fn on(cluster: &'static Cluster) -> Result<Self> {
        let namespace = cluster.namespace("pool").await?;
        for file in ["crds/sessionpool.yaml", "operator/roles/operator.yaml"] {
            cluster.apply_yaml(&std::fs::read_to_string(tests::repository().join(file))?).await?;
        }
        let field = Self { client: cluster.client()?, namespace, cluster };
        field.apply_any(&field.operator().to_string()).await?;
        for object in field.rights() {
            field.apply_any(&object.to_string()).await?;
        }
        Ok(field)
    }

    fn rights(&self) -> [Value; 2] {
        let role = "sessionpool-operator";
        [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": role}}),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": role},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": role, "namespace": self.namespace}]
            }),
        ]
    }

    fn operator(&self) -> Value {
        let container = json!({
            "name": "operator",
            "image": "docker.io/local/sessionpool-operator:dev",
            "imagePullPolicy": "IfNotPresent",
            "args": [
                "--proxy-image=docker.io/local/sessionpool-proxy:dev",
                format!("--watch-namespace={}", self.namespace)
            ],
            "env": [{"name": "RUST_LOG", "value": "info,operator=debug"}]
        });
        let labels = json!({"app": "operator", "app.kubernetes.io/name": "sessionpool-operator"});
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "operator", "labels": labels},
            "spec": {
                "selector": {"matchLabels": {"app": "operator"}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"serviceAccountName": "sessionpool-operator", "containers": [container]}
                }
            }
        })
    }

    /// The objects of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies objects of any kind.
    pub async fn apply_any(&self, manifests: &str) -> Result<()> {
        self.cluster.apply_yaml_in(&self.namespace, manifests).await?;
        Ok(())
    }

    /// Applies a pool.
    pub async fn apply(&self, manifest: &str) -> Result<()> {
        self.apply_any(manifest).await
    }

    /// Changes a pool by a merge patch.
    pub async fn patch(&self, pool: &str, patch: Value) -> Result<()> {
        self.api::<SessionPool>().patch(pool, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Asks again until it holds.
    pub async fn until<T>(&self, what: &str, check: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        eventually(PATIENCE, what, check).await
    }

    /// The status of a pool.
    pub async fn status(&self, pool: &str) -> Result<SessionPoolStatus> {
        self.api::<SessionPool>().get(pool).await?.status.context("no status")
    }

    /// A condition, once it has this status for the newest generation.
    pub async fn condition(&self, pool: &str, kind: &str, status: &str) -> Result<Condition> {
        self.until(&format!("{pool} to be {kind}={status}"), async || {
            let object = self.api::<SessionPool>().get(pool).await?;
            let conditions =
                object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            let found = conditions.iter().find(|condition| {
                condition.type_ == kind
                    && condition.status == status
                    && condition.observed_generation == object.metadata.generation
            });
            found.cloned().with_context(|| {
                format!("conditions are {conditions:#?}; are the images built (make images) and on the node?")
            })
        })
        .await
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        self.cluster
    }

    /// Runs a command in the cluster's network.
    pub async fn run(&self, command: &[&str]) -> Result<String> {
        self.cluster.run(command).await
    }

    /// Runs kubectl in the namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run(&[&["kubectl", "--namespace", &self.namespace], arguments].concat()).await
    }

    /// Changes a pool as a person does.
    pub async fn merge(&self, pool: &str, patch: &str) -> Result<()> {
        self.kubectl(&["patch", "sessionpool", pool, "--type=merge", "--patch", patch]).await.map(drop)
    }

    /// Waits as a person does.
    pub async fn wait(&self, pool: &str, state: &str) -> Result<()> {
        let (patience, state) = (format!("--timeout={}s", PATIENCE.as_secs()), format!("--for={state}"));
        self.kubectl(&["wait", "sessionpool", pool, &state, &patience]).await.map(drop)
    }

    /// Uid and restarts of each pod of a pool.
    pub async fn pods(&self, pool: &str) -> Result<Vec<(String, i32)>> {
        Ok(self
            .list(pool)
            .await?
            .iter()
            .map(|pod| (pod.metadata.uid.clone().unwrap_or_default(), restarts(pod)))
            .collect())
    }

    async fn list(&self, pool: &str) -> Result<Vec<Pod>> {
        let selector = format!("{}={pool}", names::INSTANCE_LABEL);
        Ok(self.api::<Pod>().list(&ListParams::default().labels(&selector)).await?.items)
    }

    /// The statistics of the only proxy of a pool, read through the API server.
    pub async fn stats(&self, pool: &str) -> Result<PoolStats> {
        let pods = self.list(pool).await?;
        ensure!(pods.len() == 1, "{} pods", pods.len());
        let pod = pods[0].metadata.name.as_deref().unwrap_or_default();
        let path = format!(
            "/api/v1/namespaces/{}/pods/{pod}:{}/proxy/pool/stats",
            self.namespace,
            names::ADMIN_PORT
        );
        Ok(self.client.request(Request::get(path).body(Vec::new())?).await?)
    }
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().chain(&status.init_container_statuses).flatten());
    statuses.map(|container| container.restart_count).sum()
}
