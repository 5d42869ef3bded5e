//! The objects that one pool consists of. Each submodule builds one of them, without a client.

use std::marker::PhantomData;

use crds::{SessionPool, names};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Service},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::Resource;

pub mod config_map;
pub mod deployment;
pub mod disruption;
pub mod network;
pub mod overlay;
pub mod placement;
pub mod service;
pub mod session_key;

/// The children before they were sent to the API server.
#[derive(Debug, Clone, Copy)]
pub enum Planned {}

/// The children as they are stored: what the API server gave back, or what is known to be there already.
#[derive(Debug, Clone, Copy)]
pub enum Applied {}

/// The children of a pool. The session key's Secret is not among them: the operator can't read it back.
#[derive(Debug, Clone)]
pub struct Children<State> {
    /// The proxies' configuration.
    pub config_map: ConfigMap,
    /// The proxies; none where they run in pods of somebody else's making.
    pub deployment: Option<Deployment>,
    /// What clients connect to; none where that is somebody else's, too.
    pub service: Option<Service>,
    /// What proxies, Prometheus and the operator connect to.
    pub peers: Service,
    /// What limits evictions; none where that would not help.
    pub disruption: Option<PodDisruptionBudget>,
    /// Who may connect; none if everybody may.
    pub network: Option<NetworkPolicy>,
    pub(crate) state: PhantomData<State>,
}

/// The pool that children belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct Owner {
    /// Name of the pool.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    reference: OwnerReference,
}

impl Owner {
    /// Reads the identity of a pool that the API server stored; nothing when it lacks one.
    pub fn of(pool: &SessionPool) -> Option<Self> {
        Some(Self {
            name: pool.metadata.name.clone()?,
            namespace: pool.metadata.namespace.clone()?,
            uid: pool.metadata.uid.clone()?,
            generation: pool.metadata.generation.unwrap_or_default(),
            reference: pool.controller_owner_ref(&())?,
        })
    }

    /// Metadata of a child.
    pub fn child(&self, name: String) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(names::labels(&self.name)),
            owner_references: Some(vec![self.reference.clone()]),
            ..ObjectMeta::default()
        }
    }

    /// Whether an object is controlled by this pool.
    pub fn controls(&self, metadata: &ObjectMeta) -> bool {
        controller(metadata).is_some_and(|reference| reference.uid == self.uid)
    }

    #[cfg(test)]
    pub(crate) fn example() -> Self {
        Self {
            name: "github".to_owned(),
            namespace: "agents".to_owned(),
            uid: "0a7c9e5e-0000-4000-8000-000000000001".to_owned(),
            generation: 7,
            reference: OwnerReference {
                api_version: "mcpgateway.io/v1alpha1".to_owned(),
                kind: "SessionPool".to_owned(),
                name: "github".to_owned(),
                uid: "0a7c9e5e-0000-4000-8000-000000000001".to_owned(),
                controller: Some(true),
                block_owner_deletion: None,
            },
        }
    }
}

/// The controller of an object.
pub fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|reference| reference.controller == Some(true))
}
