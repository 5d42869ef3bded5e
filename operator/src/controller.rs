//! Watches, and what they wake.

use std::{
    fmt::Debug,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use crds::{SessionPool, names};
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, PodTemplateSpec, Service},
    discovery::v1::EndpointSlice,
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta},
    runtime::{
        Controller, PredicateConfig, WatchStreamExt,
        controller::{self, Action},
        reflector,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, Event},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Readiness,
    reconcile::{self, Context, error_policy, observe::describe, reconcile, references::SERVICE_NAME_LABEL},
    watched::{Watched, Writers},
};

type Pool = DeserializeGuard<SessionPool>;

/// Time in which changes of one pool are gathered into one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Reconciles that run at once. Each mostly waits for the API server, which shares itself out by requests in flight.
const CONCURRENCY: u16 = 64;

/// Reconciles the pools of one namespace, or of all, until `stop`; then it finishes what runs.
pub fn run(
    context: &Context,
    namespace: Option<String>,
    ready: Readiness,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let (watched, writers) = Watched::new();
    follow(Arc::new(Context { watched, ..context.clone() }), writers, namespace, ready, stop)
}

async fn follow(
    context: Arc<Context>,
    writers: Writers,
    namespace: Option<String>,
    ready: Readiness,
    stop: CancellationToken,
) {
    let client = &context.client;
    let pools: Api<Pool> = api(client, namespace.as_deref());
    let (reader, writer) = reflector::store();
    let (noticing, mut unlisted) = (context.clone(), Some(ready));
    let trigger = watcher::watcher(pools, watcher::Config::default())
        .default_backoff()
        .inspect(move |event| notice(event, &noticing, &mut unlisted))
        .modify(|pool| pool.meta_mut().managed_fields = None)
        .reflect(writer)
        .applied_objects()
        .predicate_filter(specification, PredicateConfig::default());

    let slices = watcher::Config::default().labels(SERVICE_NAME_LABEL);
    let referring = reader.clone();

    Controller::for_stream(trigger, reader)
        .with_config(controller::Config::default().debounce(DEBOUNCE).concurrency(CONCURRENCY))
        .owns_stream(deployments(&context, namespace.as_deref(), writers.deployments))
        .owns_stream(owned::<Service>(&context, namespace.as_deref()))
        .owns_stream(owned::<PodDisruptionBudget>(&context, namespace.as_deref()))
        .owns_stream(owned::<NetworkPolicy>(&context, namespace.as_deref()))
        .owns_stream(owned::<ConfigMap>(&context, namespace.as_deref()))
        .watches_stream(proxies(client, namespace.as_deref(), writers.pods), |pod| owner_of(&pod))
        .watches_stream(touched::<EndpointSlice>(client, namespace.as_deref(), slices), move |slice| {
            referrers(&referring, &slice)
        })
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(reconcile, error_policy, context.clone())
        .for_each(|result| {
            finished(result, &context);
            std::future::ready(())
        })
        .await;
}

fn finished(
    result: Result<(ObjectRef<Pool>, Action), controller::Error<reconcile::Error, watcher::Error>>,
    context: &Context,
) {
    match result {
        Ok((pool, action)) => tracing::debug!(%pool, ?action, "reconciled"),
        // The error policy has logged it.
        Err(controller::Error::ReconcilerFailed(..)) => {}
        // A reconcile that ran while its pool was deleted took notes again; the end of the children brings us here.
        Err(controller::Error::ObjectNotFound(pool)) => {
            context.forget(&(pool.namespace.clone().unwrap_or_default(), pool.name.clone()));
        }
        Err(error) => tracing::warn!(error = %describe(&error), "a watch failed"),
    }
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Every child that comes, changes or goes.
fn owned<K>(
    context: &Context,
    namespace: Option<&str>,
) -> impl Stream<Item = Result<K, watcher::Error>> + Send + use<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    children::<K>(context, namespace).touched_objects()
}

/// The same for Deployments, kept without what is only compared by fingerprint.
fn deployments(
    context: &Context,
    namespace: Option<&str>,
    writer: Writer<Deployment>,
) -> impl Stream<Item = Result<Deployment, watcher::Error>> + Send + use<> {
    children::<Deployment>(context, namespace)
        .modify(|deployment| {
            deployment.metadata.managed_fields = None;
            if let Some(spec) = &mut deployment.spec {
                spec.template = PodTemplateSpec::default();
            }
        })
        .reflect(writer)
        .touched_objects()
}

/// What the watch of a kind of child says, once its fingerprints are noted.
fn children<K>(
    context: &Context,
    namespace: Option<&str>,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + use<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let config =
        watcher::Config::default().labels(&format!("{}={}", names::MANAGED_BY_LABEL, names::FIELD_MANAGER));
    let seen = context.watched.children.clone();
    watcher::watcher(api::<K>(&context.client, namespace), config)
        .default_backoff()
        .inspect_ok(move |event| seen.note(event))
}

/// Every proxy's pod that comes, changes or goes, kept without what nobody here reads.
fn proxies(
    client: &Client,
    namespace: Option<&str>,
    pods: Writer<Pod>,
) -> impl Stream<Item = Result<Pod, watcher::Error>> + Send + use<> {
    let config = watcher::Config::default().labels(names::POOL_LABEL);
    watcher::watcher(api::<Pod>(client, namespace), config)
        .default_backoff()
        .modify(|pod| {
            pod.spec = None;
            pod.metadata.managed_fields = None;
        })
        .reflect(pods)
        .touched_objects()
}

/// Metadata of every object that comes, changes or goes: it is all that waking a pool needs.
fn touched<K>(
    client: &Client,
    namespace: Option<&str>,
    config: watcher::Config,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + use<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    watcher::watcher(api::<PartialObjectMeta<K>>(client, namespace), config)
        .default_backoff()
        .touched_objects()
}

/// What wakes a pool's reconcile: its specification and its deletion, not the status that we write ourselves.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a predicate")]
fn specification(pool: &Pool) -> Option<u64> {
    let metadata = pool.meta();
    let mut hasher = DefaultHasher::new();
    (metadata.uid.as_ref(), metadata.generation, metadata.deletion_timestamp.is_some()).hash(&mut hasher);
    Some(hasher.finish())
}

fn notice(event: &Result<Event<Pool>, watcher::Error>, context: &Context, unlisted: &mut Option<Readiness>) {
    match event {
        Ok(Event::InitDone) => {
            if let Some(ready) = unlisted.take() {
                ready.listed();
            }
        }
        Ok(Event::Delete(pool)) => context.forget(&(pool.namespace().unwrap_or_default(), pool.name_any())),
        Err(watcher::Error::InitialListFailed(error)) if is_missing(error) => {
            tracing::error!(
                "the API server does not know SessionPools: install the CRD (crds/sessionpool.yaml)"
            );
        }
        _ => {}
    }
}

fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}

/// The pool that a pod belongs to.
fn owner_of(pod: &Pod) -> Option<ObjectRef<Pool>> {
    let pool = pod.labels().get(names::POOL_LABEL)?;
    Some(ObjectRef::new(pool).within(&pod.namespace()?))
}

/// The pools whose upstream is the Service of a slice.
fn referrers(pools: &Store<Pool>, slice: &PartialObjectMeta<EndpointSlice>) -> Vec<ObjectRef<Pool>> {
    let (Some(namespace), Some(service)) = (slice.namespace(), slice.labels().get(SERVICE_NAME_LABEL)) else {
        return Vec::new();
    };
    let refers = |pool: &SessionPool| {
        pool.spec.upstream.service_ref.as_ref().is_some_and(|reference| reference.name == *service)
    };
    let state = pools.state();
    let found = state.iter().filter(|pool| pool.namespace().as_ref() == Some(&namespace));
    found
        .filter(|pool| pool.0.as_ref().is_ok_and(refers))
        .map(|pool| ObjectRef::from_obj(pool.as_ref()))
        .collect()
}
