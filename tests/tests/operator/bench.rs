//! A namespace with an operator of its own, and what tests ask of it.

use std::{
    fmt::Debug,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use crds::{SessionPool, SessionPoolStatus, names};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        authentication::v1::TokenRequest,
        core::v1::{ConfigMap, Service, ServiceAccount},
        events::v1::Event,
    },
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tests::{ControlPlane, eventually};
use tokio::sync::OnceCell;

use crate::process::Operator;

/// Longest wait for a state: the garbage collector learns of a new kind every 30 s only.
const PATIENCE: Duration = Duration::from_secs(120);

/// Asks again until there is an answer; fails with `what` when none comes.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    eventually(PATIENCE, what, async || ask().await?.context("not yet")).await
}

/// A namespace, an operator that watches it, and an administrator's client.
pub struct Bench {
    /// An administrator.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    /// The operator.
    pub operator: Operator,
}

/// The children of a pool.
pub struct Children {
    pub config_map: ConfigMap,
    pub deployment: Deployment,
    pub service: Service,
    pub peers: Service,
}

impl Bench {
    /// Makes the namespace and starts the operator with these environment variables.
    pub async fn start(env: &[(&str, &str)]) -> Result<Self> {
        let plane = shared().await?;
        let namespace = plane.namespace("operator").await?;
        let operator =
            Operator::start(&kubeconfig(plane, Some(&namespace)).await?, Some(&namespace), env).await?;
        Ok(Self { client: plane.client()?, namespace, operator })
    }

    /// The objects of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies manifests of one kind, several in one text.
    pub async fn apply_as<K>(&self, manifests: &str) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        for document in serde_yaml::Deserializer::from_str(manifests) {
            let object: serde_json::Value = serde::Deserialize::deserialize(document)?;
            let name = object["metadata"]["name"].as_str().context("no name")?.to_owned();
            let params = PatchParams::apply("test").force();
            self.api::<K>().patch(&name, &params, &Patch::Apply(&object)).await?;
        }
        Ok(())
    }

    /// Applies pools.
    pub async fn apply(&self, manifests: &str) -> Result<()> {
        self.apply_as::<SessionPool>(manifests).await
    }

    /// Changes a pool by a merge patch.
    pub async fn patch(&self, pool: &str, patch: serde_json::Value) -> Result<()> {
        self.api::<SessionPool>().patch(pool, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// A pool as it is.
    pub async fn pool(&self, name: &str) -> Result<SessionPool> {
        Ok(self.api().get(name).await?)
    }

    /// The status of a pool once it fits.
    pub async fn status(
        &self,
        pool: &str,
        fits: impl Fn(&SessionPoolStatus) -> bool,
    ) -> Result<SessionPoolStatus> {
        let mut last = None;
        let found = until("the status fits", async || {
            last = self.pool(pool).await?.status;
            Ok(last.clone().filter(&fits))
        })
        .await;
        found.with_context(|| format!("status of {pool}: {last:#?}"))
    }

    /// The status of a pool once a condition has this status and reason.
    pub async fn condition(&self, pool: &str, kind: &str, status: &str, reason: &str) -> Result<Condition> {
        let fits = |condition: &&Condition| condition.status == status && condition.reason == reason;
        let found = self.status(pool, |all| find(all, kind).as_ref().is_some_and(fits)).await;
        let found =
            found.with_context(|| format!("condition {kind} is not {status} with reason {reason}"))?;
        Ok(find(&found, kind).context("no such condition")?.clone())
    }

    /// The children of a pool once all are there.
    pub async fn children(&self, pool: &str) -> Result<Children> {
        let children =
            until("all children are there", async || Ok(self.find_children(pool).await?.ok())).await;
        children.with_context(|| format!("children of {pool}"))
    }

    /// The children of a pool, or the name of one that is missing.
    pub async fn find_children(&self, pool: &str) -> Result<Result<Children, String>> {
        let (map, deployment) = (names::config_map(pool), names::deployment(pool));
        let (service, peers) = (names::service(pool), names::peers_service(pool));
        let Some(config_map) = self.api().get_opt(&map).await? else { return Ok(Err(map)) };
        let Some(deployment) = self.api().get_opt(&deployment).await? else { return Ok(Err(deployment)) };
        let Some(service) = self.api().get_opt(&service).await? else { return Ok(Err(service)) };
        let Some(peers) = self.api().get_opt(&peers).await? else { return Ok(Err(peers)) };
        Ok(Ok(Children { config_map, deployment, service, peers }))
    }

    /// An event about a pool, once it is there.
    pub async fn event(&self, pool: &str, reason: &str) -> Result<Event> {
        until(&format!("event {reason} about {pool}"), async || {
            let events = self.api::<Event>().list(&ListParams::default()).await?;
            Ok(events.into_iter().find(|event| {
                event.reason.as_deref() == Some(reason)
                    && event.regarding.as_ref().is_some_and(|object| object.name.as_deref() == Some(pool))
            }))
        })
        .await
    }
}

/// The control plane of all tests here, with the CRD and the operator's role.
pub async fn shared() -> Result<&'static ControlPlane> {
    static READY: OnceCell<()> = OnceCell::const_new();
    let plane = ControlPlane::shared().await?;
    READY.get_or_try_init(async || install(plane).await).await?;
    Ok(plane)
}

/// Installs the CRD and the operator's role.
pub async fn install(plane: &ControlPlane) -> Result<()> {
    let mut files = vec!["crds/sessionpool.yaml".to_owned()];
    files.extend(
        ["operator", "api", "view", "edit", "admin"].map(|role| format!("operator/roles/{role}.yaml")),
    );
    files.extend(
        ["operate", "scale", "inject", "injected"].map(|policy| format!("operator/policies/{policy}.yaml")),
    );
    for file in files {
        let path = tests::repository().join(file);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
        // As the chart does.
        let text = text
            .replace("tracing-endpoint-of-the-chart", "http://collector:4318")
            .replace("tracing-ratio-of-the-chart", "0.5");
        plane.apply_yaml(&text).await?;
    }
    let inject = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "sessionpool-inject"},
        "spec": {
            "policyName": "sessionpool-inject",
            "paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"}
        }
    });
    plane.apply_yaml(&inject.to_string()).await?;
    for policy in ["sessionpool-operate", "sessionpool-scale", "sessionpool-injected"] {
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": policy}, "spec": {"policyName": policy, "validationActions": ["Deny"]}
        });
        plane.apply_yaml(&binding.to_string()).await?;
    }
    until("the API server serves SessionPools", async || {
        let pools: Api<SessionPool> = Api::all(plane.client()?);
        Ok(pools.list(&ListParams::default()).await.ok().map(|_| ()))
    })
    .await
}

/// A role and where somebody has it.
pub struct Binding<'a> {
    /// `Role` or `ClusterRole`.
    pub kind: &'a str,
    /// The role's name.
    pub role: &'a str,
    /// The namespace; everywhere if there is none.
    pub namespace: Option<&'a str>,
}

/// What an operator asks of the API server about REST's callers. That has no namespace.
pub const REVIEWS: Binding<'_> =
    Binding { kind: "ClusterRole", role: "sessionpool-operator-api", namespace: None };

/// The kubeconfig file of a service account that has the operator's role in one namespace, or in all, and no other.
pub async fn kubeconfig(plane: &ControlPlane, namespace: Option<&str>) -> Result<PathBuf> {
    let operator = Binding { kind: "ClusterRole", role: "sessionpool-operator", namespace };
    somebody(plane, &[operator, REVIEWS]).await
}

/// The kubeconfig file of a service account that has a role of the cluster in one namespace, or in all, and no other.
pub async fn account(plane: &ControlPlane, role: &str, namespace: Option<&str>) -> Result<PathBuf> {
    somebody(plane, &[Binding { kind: "ClusterRole", role, namespace }]).await
}

/// The kubeconfig file of a service account that has these roles and no others.
pub async fn somebody(plane: &ControlPlane, roles: &[Binding<'_>]) -> Result<PathBuf> {
    static ACCOUNTS: AtomicU32 = AtomicU32::new(0);
    let account = format!("operator-{}", ACCOUNTS.fetch_add(1, Ordering::Relaxed));
    let home = plane.namespace("operator-home").await?;
    let mut objects =
        vec![json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}})];
    for (number, Binding { kind, role, namespace }) in roles.iter().enumerate() {
        let binding = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
        objects.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": binding,
            "metadata": {"name": format!("{home}-{account}-{number}"), "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}]
        }));
    }
    for object in objects {
        plane.apply_yaml_in(&home, &object.to_string()).await?;
    }
    let accounts: Api<ServiceAccount> = Api::namespaced(plane.client()?, &home);
    let request =
        accounts.create_token_request(&account, &PostParams::default(), &TokenRequest::default()).await?;
    let token = request.status.context("no token")?.token;
    let mut file: serde_yaml::Value = serde_yaml::from_str(&std::fs::read_to_string(plane.kubeconfig())?)?;
    file["users"][0]["user"] = serde_yaml::to_value(json!({"token": token}))?;
    let path = plane.state().join(format!("{home}-{account}.kubeconfig"));
    std::fs::write(&path, serde_yaml::to_string(&file)?)?;
    Ok(path)
}

/// A condition of a status.
pub fn find<'a>(status: &'a SessionPoolStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind)
}

impl Children {
    /// Their uids.
    pub fn uids(&self) -> Vec<String> {
        let Self { config_map, deployment, service, peers } = self;
        [config_map.uid(), deployment.uid(), service.uid(), peers.uid()].into_iter().flatten().collect()
    }

    /// The text of the configuration.
    pub fn text(&self) -> Result<&str> {
        let data = self.config_map.data.as_ref().and_then(|data| data.get(names::CONFIG_FILE));
        Ok(data.context("no pool.yaml")?)
    }

    /// The configuration, read as a proxy reads it.
    pub fn manifest(&self) -> Result<SessionPool> {
        Ok(crds::manifest::parse(self.text()?)?)
    }

    /// The revision of the configuration.
    pub fn revision(&self) -> Result<String> {
        let manifest = self.manifest()?;
        Ok(manifest.annotations().get(names::CONFIG_REVISION).context("no revision")?.clone())
    }
}
