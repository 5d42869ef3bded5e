//! Third step: the children are written, and nothing that belongs to somebody else is touched.

use std::{fmt::Debug, marker::PhantomData};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Secret, Service},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::children::{Applied, Children, Owner, Planned, controller, session_key};

/// Applies every child. Ownership of all of them is checked before the first is written.
pub async fn apply(
    client: &Client,
    owner: &Owner,
    planned: Children<Planned>,
) -> Result<Children<Applied>, ApplyError> {
    let Children { config_map, deployment, service, peers, state: PhantomData } = planned;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &owner.namespace);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &owner.namespace);
    let services: Api<Service> = Api::namespaced(client.clone(), &owner.namespace);

    let (config_map, deployment, service, peers) = futures::join!(
        guard(&maps, owner, config_map),
        guard(&deployments, owner, deployment),
        guard(&services, owner, service),
        guard(&services, owner, peers),
    );
    let failures =
        [config_map.as_ref().err(), deployment.as_ref().err(), service.as_ref().err(), peers.as_ref().err()];
    let conflicts: Vec<String> = failures.into_iter().flatten().filter_map(ApplyError::conflict).collect();
    if !conflicts.is_empty() {
        return Err(ApplyError::NameConflict(conflicts.join("; ")));
    }

    let config_map = write(&maps, config_map?).await?;
    session_key(client, owner).await?;
    let service = write(&services, service?).await?;
    let peers = write(&services, peers?).await?;
    let deployment = write(&deployments, deployment?).await?;
    Ok(Children { config_map, deployment, service, peers, state: PhantomData })
}

/// Reads the Deployment of a pool whose children are left alone.
pub async fn existing(client: &Client, owner: &Owner) -> Result<Option<Deployment>, ApplyError> {
    let name = crds::names::deployment(&owner.name);
    let api: Api<Deployment> = Api::namespaced(client.clone(), &owner.namespace);
    let found =
        api.get_opt(&name).await.map_err(|source| ApplyError::api(&Deployment::kind(&()), &name, source))?;
    Ok(found.filter(|deployment| owner.controls(&deployment.metadata)))
}

/// Ties a child to the object that is there now, so that the write fails if another one takes its place meanwhile:
/// the uid of the existing one, or the version that only a new object satisfies.
async fn guard<K>(api: &Api<K>, owner: &Owner, mut child: K) -> Result<K, ApplyError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let name = child.meta().name.clone().unwrap_or_default();
    let found =
        api.get_metadata_opt(&name).await.map_err(|source| ApplyError::api(&K::kind(&()), &name, source))?;
    match found {
        Some(found) if !owner.controls(&found.metadata) => {
            Err(ApplyError::NameConflict(format!("{} {name} {}", K::kind(&()), belongs(&found.metadata))))
        }
        Some(found) => {
            child.meta_mut().uid = found.metadata.uid;
            Ok(child)
        }
        None => {
            child.meta_mut().resource_version = Some("0".to_owned());
            Ok(child)
        }
    }
}

fn belongs(metadata: &ObjectMeta) -> String {
    match controller(metadata) {
        Some(other) => format!("belongs to {} {}", other.kind, other.name),
        None => "was made by somebody else".to_owned(),
    }
}

async fn write<K>(api: &Api<K>, child: K) -> Result<K, ApplyError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let name = child.meta().name.clone().unwrap_or_default();
    let params = PatchParams::apply(crds::names::FIELD_MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(&child))
        .await
        .map_err(|source| ApplyError::api(&K::kind(&()), &name, source))
}

/// Creates the session key; one that is there stays.
async fn session_key(client: &Client, owner: &Owner) -> Result<(), ApplyError> {
    let secret = session_key::build(owner).map_err(|_| ApplyError::Random)?;
    let name = secret.metadata.name.clone().unwrap_or_default();
    let api: Api<Secret> = Api::namespaced(client.clone(), &owner.namespace);
    let params = PostParams { field_manager: Some(crds::names::FIELD_MANAGER.to_owned()), dry_run: false };
    match api.create(&params, &secret).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(source) => Err(ApplyError::api("Secret", &name, source)),
    }
}

/// Why the children could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// An object of a child's name is there and not ours.
    #[error("{0}: delete or rename it, or rename the SessionPool")]
    NameConflict(String),
    /// The API server says that the object is wrong or not allowed.
    #[error("the API server refuses {kind} {name}: {message}")]
    Refused {
        /// Kind of the child.
        kind: String,
        /// Its name.
        name: String,
        /// The API server's words.
        message: String,
    },
    /// The request failed.
    #[error("{kind} {name} could not be read or written")]
    Api {
        /// Kind of the child.
        kind: String,
        /// Its name.
        name: String,
        /// What happened.
        source: Box<kube::Error>,
    },
    /// The system gave no random bytes.
    #[error("no random bytes for a session key")]
    Random,
}

impl ApplyError {
    fn api(kind: &str, name: &str, source: kube::Error) -> Self {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        match source {
            kube::Error::Api(status)
                if status.is_invalid() || status.is_forbidden() || status.code == 400 =>
            {
                Self::Refused { kind, name, message: status.message.clone() }
            }
            source => Self::Api { kind, name, source: Box::new(source) },
        }
    }

    fn conflict(&self) -> Option<String> {
        match self {
            Self::NameConflict(what) => Some(what.clone()),
            _ => None,
        }
    }
}
