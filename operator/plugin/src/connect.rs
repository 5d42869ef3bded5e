//! The way to the cluster, as kubectl finds it.

use std::{path::PathBuf, time::Duration};

use kube::{
    Api, Client, Config, Resource,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{
    args::Target,
    failure::{Failure, chain},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A cluster, and the namespace that is meant when none is named.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    /// Where the API server is.
    pub server: String,
}

impl Cluster {
    /// Finds the cluster. Nothing is sent yet.
    ///
    /// # Errors
    /// If there is no kubeconfig, or what was chosen is not in it.
    pub async fn find(target: &Target) -> Result<Self, Failure> {
        let mut config = config(target).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        if !target.request_timeout.is_zero() {
            config.read_timeout = Some(target.request_timeout);
        }
        if let Some(user) = &target.as_user {
            config.auth_info.impersonate = Some(user.clone());
        }
        if !target.as_groups.is_empty() {
            config.auth_info.impersonate_groups = Some(target.as_groups.clone());
        }
        let namespace = target.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config)
            .map_err(|error| Failure::Other(format!("the kubeconfig can't be used: {}", chain(&error))))?;
        Ok(Self { client, namespace, server })
    }

    /// The objects of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The same in another namespace.
    #[must_use]
    pub fn within(&self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self.clone() }
    }
}

async fn config(target: &Target) -> Result<Config, Failure> {
    let options = KubeConfigOptions {
        context: target.context.clone(),
        cluster: target.cluster.clone(),
        user: target.user.clone(),
    };
    let chosen = options.context.is_some() || options.cluster.is_some() || options.user.is_some();
    let file = kubeconfig(target)
        .map_err(|error| Failure::Usage(format!("the kubeconfig can't be read: {}", chain(&error))))?;
    let Some(file) = file else {
        // Inside of a pod, as kubectl does it.
        let inside = if chosen { None } else { Config::incluster().ok() };
        return inside.ok_or_else(|| {
            Failure::Unreachable(
                "there is no kubeconfig: set KUBECONFIG, give --kubeconfig FILE, or put one at ~/.kube/config"
                    .to_owned(),
            )
        });
    };
    if file.current_context.as_deref().unwrap_or_default().is_empty() && !chosen {
        let names = contexts(&file).join(", ");
        return Err(Failure::Usage(format!(
            "the kubeconfig has no current context: choose one by --context ({names})"
        )));
    }
    let known = contexts(&file).join(", ");
    Config::from_custom_kubeconfig(file, &options).await.map_err(|error| {
        Failure::Usage(format!("the kubeconfig can't be used: {} (its contexts: {known})", chain(&error)))
    })
}

/// The kubeconfig that applies, if there is one.
pub fn kubeconfig(target: &Target) -> Result<Option<Kubeconfig>, kube::config::KubeconfigError> {
    if let Some(path) = &target.kubeconfig {
        return Kubeconfig::read_from(path).map(Some);
    }
    let listed = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty());
    let usual = || std::env::home_dir().map(|home| home.join(".kube").join("config"));
    let paths: Vec<PathBuf> = match &listed {
        Some(list) => std::env::split_paths(list).collect(),
        None => usual().into_iter().collect(),
    };
    // As kubectl does it, those that are not there are left out.
    let mut files = paths.iter().filter(|path| path.is_file()).map(Kubeconfig::read_from);
    let Some(first) = files.next() else { return Ok(None) };
    files.try_fold(first?, |merged, next| merged.merge(next?)).map(Some)
}

/// The names of its contexts.
pub fn contexts(file: &Kubeconfig) -> Vec<String> {
    file.contexts.iter().map(|context| context.name.clone()).collect()
}
