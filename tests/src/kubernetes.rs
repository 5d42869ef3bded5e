//! A Kubernetes API server, as tests use it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, Config};
use serde::Deserialize;

use crate::eventually;

/// Field manager of everything that [`Kubernetes::apply_yaml`] applies.
pub const FIELD_MANAGER: &str = "tests";

/// How long a kind may take to be served after its definition was applied.
const KIND_TIMEOUT: Duration = Duration::from_secs(15);

const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(30);

/// An API server with administrator's rights to it.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    kubeconfig: PathBuf,
    config: Config,
}

impl Kubernetes {
    /// Reads the kubeconfig file at `path`.
    pub async fn from_kubeconfig(path: &Path) -> Result<Self> {
        let file = Kubeconfig::read_from(path).with_context(|| format!("can't read {}", path.display()))?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Self { kubeconfig: path.to_owned(), config })
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Address and credentials of the administrator.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A client with administrator's rights. Each call makes a new one: a client belongs to the runtime of its test.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config.clone())?)
    }

    /// A client that acts as `user` in `groups`, with their rights only. A service account is the user
    /// `system:serviceaccount:NAMESPACE:NAME` in the groups `system:serviceaccounts`,
    /// `system:serviceaccounts:NAMESPACE` and `system:authenticated`.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Result<Client> {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(groups.iter().map(ToString::to_string).collect());
        Ok(Client::try_from(config)?)
    }

    /// Creates a namespace with a name of its own that begins with `prefix`, in which pods can be made.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let mut namespace = Namespace::default();
        namespace.metadata.generate_name = Some(format!("{prefix}-"));
        let created = Api::all(self.client()?).create(&PostParams::default(), &namespace).await?;
        let name = created.metadata.name.context("a created namespace has a name")?;
        // Pods are refused before their service account exists.
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client()?, &name);
        eventually(ACCOUNT_TIMEOUT, "the default service account", async || {
            Ok(accounts.get("default").await?)
        })
        .await?;
        Ok(name)
    }

    /// Applies every document of `text` by server-side apply, taking fields over from other managers.
    /// Objects without a namespace go to `default`.
    pub async fn apply_yaml(&self, text: &str) -> Result<Vec<DynamicObject>> {
        self.apply_yaml_in("default", text).await
    }

    /// As [`Kubernetes::apply_yaml`]; objects without a namespace go to `namespace`.
    pub async fn apply_yaml_in(&self, namespace: &str, text: &str) -> Result<Vec<DynamicObject>> {
        let client = self.client()?;
        let mut applied = Vec::new();
        for document in serde_yaml::Deserializer::from_str(text) {
            let value = serde_json::Value::deserialize(document)?;
            if !value.is_null() {
                applied.push(apply(&client, namespace, serde_json::from_value(value)?).await?);
            }
        }
        Ok(applied)
    }
}

async fn apply(client: &Client, namespace: &str, object: DynamicObject) -> Result<DynamicObject> {
    let types = object.types.clone().context("every document needs apiVersion and kind")?;
    let name = object.metadata.name.clone().context("every document needs metadata.name")?;
    let kind = GroupVersionKind::try_from(&types)?;
    // The kind may be defined by the document before this one.
    let (resource, capabilities) =
        eventually(KIND_TIMEOUT, &format!("{} to be served", types.kind), async || {
            Ok(pinned_kind(client, &kind).await?)
        })
        .await?;
    let api: Api<DynamicObject> = if capabilities.scope == Scope::Cluster {
        Api::all_with(client.clone(), &resource)
    } else {
        let namespace = object.metadata.namespace.as_deref().unwrap_or(namespace);
        Api::namespaced_with(client.clone(), namespace, &resource)
    };
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &parameters, &Patch::Apply(&object))
        .await
        .with_context(|| format!("can't apply {} {name}", types.kind))
}
