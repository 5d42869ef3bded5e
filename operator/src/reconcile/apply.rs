//! Third step: the children are written, and nothing that belongs to somebody else is touched.

use std::{fmt::Debug, marker::PhantomData, sync::Arc};

use crds::names;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Secret, Service},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::reflector::{ObjectRef, Store},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    children::{Applied, Children, Owner, Planned, controller, session_key},
    fingerprint::fingerprint,
    reconcile::{Context, shrink, written::Written},
    seen::Seen,
};

/// What each kind of child can do.
trait Child:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned
{
}

impl<K> Child for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

/// Applies every child that is not as it should be, and deletes those that are no longer wanted. Ownership of all is
/// checked before the first is written.
pub async fn apply(
    context: &Context,
    owner: &Owner,
    planned: Children<Planned>,
    written: &mut Written,
) -> Result<Children<Applied>, ApplyError> {
    let (client, seen) = (&context.client, &context.watched.children);
    let known = Known { seen, written };
    let stored = &context.watched.deployments;
    let Children { config_map, deployment, service, peers, disruption, network, state: PhantomData } =
        planned;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &owner.namespace);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &owner.namespace);
    let services: Api<Service> = Api::namespaced(client.clone(), &owner.namespace);
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), &owner.namespace);
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), &owner.namespace);

    let (config_map, deployment, service, peers, disruption, network) = futures::join!(
        guard(&maps, owner, config_map, &known),
        fleet(&deployments, stored, owner, deployment, &known),
        guard_optional(&services, owner, service, names::service(&owner.name), &known),
        guard(&services, owner, peers, &known),
        guard_optional(&budgets, owner, disruption, names::disruption_budget(&owner.name), &known),
        guard_optional(&policies, owner, network, names::network_policy(&owner.name), &known),
    );
    let failures = [
        config_map.as_ref().err(),
        deployment.as_ref().err(),
        service.as_ref().err(),
        peers.as_ref().err(),
        disruption.as_ref().err(),
        network.as_ref().err(),
    ];
    let conflicts: Vec<String> = failures.into_iter().flatten().filter_map(ApplyError::conflict).collect();
    if !conflicts.is_empty() {
        return Err(ApplyError::NameConflict(conflicts.join("; ")));
    }

    // The budget and the policy come first: what they guard is not to be without them.
    let disruption = write_optional(&budgets, disruption?, written).await?;
    let network = write_optional(&policies, network?, written).await?;
    let config_map = write(&maps, config_map?, written).await?;
    let service = write_optional(&services, service?, written).await?;
    let peers = write(&services, peers?, written).await?;
    if !written.has_key() {
        session_key(client, owner).await?;
        written.note_key();
    }
    let deployment = deployment?;
    if let Fate::Keep(Guarded::Compare(wanted, Some(stored))) = &deployment
        && shrink::shrinks(stored, wanted)
    {
        shrink::mark(context, owner).await;
    }
    let deployment = Box::pin(write_optional(&deployments, deployment, written)).await?;
    Ok(Children { config_map, deployment, service, peers, disruption, network, state: PhantomData })
}

/// Reads the Deployment of a pool whose children are left alone.
pub async fn existing(client: &Client, owner: &Owner) -> Result<Option<Deployment>, ApplyError> {
    let name = names::deployment(&owner.name);
    let api: Api<Deployment> = Api::namespaced(client.clone(), &owner.namespace);
    let found =
        api.get_opt(&name).await.map_err(|source| ApplyError::api(&Deployment::kind(&()), &name, source))?;
    Ok(found.filter(|deployment| owner.controls(&deployment.metadata)))
}

/// What is known without asking.
struct Known<'a> {
    seen: &'a Seen,
    written: &'a Written,
}

/// A child, and what has to be done about it.
enum Guarded<K> {
    /// Nothing: the watches show it as it was written.
    Settled(K),
    /// It may have to be written, over the object of its name that is there.
    Compare(K, Option<K>),
}

/// What becomes of a child that not every pool has.
enum Fate<K> {
    Keep(Guarded<K>),
    Delete(K),
    Nothing,
}

/// Looks for the object that a child would be, which has to be this pool's own.
async fn guard<K: Child>(
    api: &Api<K>,
    owner: &Owner,
    child: K,
    known: &Known<'_>,
) -> Result<Guarded<K>, ApplyError> {
    match known.seen.fingerprint(&child) {
        Some(stored) if known.written.holds(&child, stored) => Ok(Guarded::Settled(child)),
        _ => read(api, owner, child).await,
    }
}

async fn read<K: Child>(api: &Api<K>, owner: &Owner, child: K) -> Result<Guarded<K>, ApplyError> {
    let stored = own(api, owner, &child.name_any()).await?;
    Ok(Guarded::Compare(child, stored))
}

async fn guard_optional<K: Child>(
    api: &Api<K>,
    owner: &Owner,
    child: Option<K>,
    name: String,
    known: &Known<'_>,
) -> Result<Fate<K>, ApplyError> {
    match child {
        Some(child) => guard(api, owner, child, known).await.map(Fate::Keep),
        None if known.seen.is_absent::<K>(&owner.namespace, &name) => Ok(Fate::Nothing),
        // Somebody else's object of that name is in nobody's way.
        None => match own(api, owner, &name).await {
            Ok(Some(stored)) => Ok(Fate::Delete(stored)),
            Ok(None) | Err(ApplyError::NameConflict(_)) => Ok(Fate::Nothing),
            Err(error) => Err(error),
        },
    }
}

/// Looks for the Deployment, whose status is wanted, too.
async fn fleet(
    api: &Api<Deployment>,
    watched: &Store<Deployment>,
    owner: &Owner,
    deployment: Option<Deployment>,
    known: &Known<'_>,
) -> Result<Fate<Deployment>, ApplyError> {
    match deployment {
        Some(deployment) => {
            let guarded = guard(api, owner, deployment, known).await?;
            let Guarded::Settled(deployment) = guarded else { return Ok(Fate::Keep(guarded)) };
            match watched.get(&ObjectRef::from_obj(&deployment)) {
                Some(stored) => Ok(Fate::Keep(Guarded::Settled(Arc::unwrap_or_clone(stored)))),
                None => read(api, owner, deployment).await.map(Fate::Keep),
            }
        }
        None => guard_optional(api, owner, None, names::deployment(&owner.name), known).await,
    }
}

async fn own<K: Child>(api: &Api<K>, owner: &Owner, name: &str) -> Result<Option<K>, ApplyError> {
    let stored = api.get_opt(name).await.map_err(|source| ApplyError::api(&K::kind(&()), name, source))?;
    match stored {
        Some(stored) if !owner.controls(stored.meta()) => {
            Err(ApplyError::NameConflict(format!("{} {name} {}", K::kind(&()), belongs(stored.meta()))))
        }
        stored => Ok(stored),
    }
}

fn belongs(metadata: &ObjectMeta) -> String {
    match controller(metadata) {
        Some(other) => format!("belongs to {} {}", other.kind, other.name),
        None => "was made by somebody else".to_owned(),
    }
}

/// Applies a child, tied to the object that is there now, so that the write fails if another one takes its place
/// meanwhile: the uid of the existing one, or the version that only a new object satisfies.
async fn write<K: Child>(api: &Api<K>, guarded: Guarded<K>, written: &mut Written) -> Result<K, ApplyError> {
    let (child, stored) = match guarded {
        Guarded::Settled(child) => return Ok(child),
        Guarded::Compare(child, stored) => (child, stored),
    };
    let name = child.name_any();
    let mut tied = child.clone();
    match stored {
        Some(stored) if written.holds(&child, fingerprint(&stored)) => return Ok(stored),
        Some(stored) => tied.meta_mut().uid = stored.uid(),
        None => tied.meta_mut().resource_version = Some("0".to_owned()),
    }
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    let stored = api
        .patch(&name, &params, &Patch::Apply(&tied))
        .await
        .map_err(|source| ApplyError::api(&K::kind(&()), &name, source))?;
    written.note(&child, &stored);
    Ok(stored)
}

async fn write_optional<K: Child>(
    api: &Api<K>,
    fate: Fate<K>,
    written: &mut Written,
) -> Result<Option<K>, ApplyError> {
    let stored = match fate {
        Fate::Keep(guarded) => return write(api, guarded, written).await.map(Some),
        Fate::Delete(stored) => stored,
        Fate::Nothing => return Ok(None),
    };
    let preconditions = Preconditions { uid: stored.uid(), resource_version: None };
    let params = DeleteParams::default().preconditions(preconditions);
    match api.delete(&stored.name_any(), &params).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(source) => Err(ApplyError::api(&K::kind(&()), &stored.name_any(), source)),
    }
}

/// Creates the session key; one that is there stays.
async fn session_key(client: &Client, owner: &Owner) -> Result<(), ApplyError> {
    let secret = session_key::build(owner).map_err(|_| ApplyError::Random)?;
    let name = secret.metadata.name.clone().unwrap_or_default();
    let api: Api<Secret> = Api::namespaced(client.clone(), &owner.namespace);
    let params = PostParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), dry_run: false };
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
