//! Pools and pods as watches show them. They are watches of REST's own: an operator that waits for its turn has no others.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crds::{
    SessionPool, SessionPoolSpec, names,
    rest::{Problem, ServerId},
};
use futures::{StreamExt, TryStreamExt, future};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher::{self, Event},
    },
};
use tokio_util::sync::CancellationToken;

use super::id_of;
use crate::reconcile::observe::pods_of;

/// Longest wait for the first lists.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pools and pods of the watched namespaces.
#[derive(Clone)]
pub struct Known(Arc<[Scope]>);

struct Scope {
    /// All of them if there is none.
    namespace: Option<String>,
    pools: Store<SessionPool>,
    pods: Store<Pod>,
}

impl Known {
    /// Follows them until `stop`.
    pub fn follow(client: &Client, scopes: &[Option<String>], stop: &CancellationToken) -> Self {
        Self(scopes.iter().map(|namespace| Scope::follow(client, namespace.clone(), stop)).collect())
    }

    /// Waits until everything was listed once.
    ///
    /// # Errors
    /// 503 when that takes long.
    pub async fn ready(&self) -> Result<(), Problem> {
        let listed = self.0.iter().map(|scope| async {
            // They fail only when the watches have ended, with the operator.
            let _ended = scope.pools.wait_until_ready().await;
            let _ended = scope.pods.wait_until_ready().await;
        });
        match tokio::time::timeout(PATIENCE, future::join_all(listed)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Problem::unavailable("the pools have not been listed yet: see the operator's log")),
        }
    }

    /// Whether a namespace is watched.
    pub fn covers(&self, namespace: &str) -> bool {
        self.0.iter().any(|scope| scope.covers(namespace))
    }

    /// A pool. One that can't be read is told by the operator's log and an event; here it is not there.
    pub fn pool(&self, id: &ServerId) -> Option<Arc<SessionPool>> {
        let reference = ObjectRef::new(&id.name).within(&id.namespace);
        let mut found = self.0.iter().filter(|scope| scope.covers(&id.namespace));
        found.find_map(|scope| scope.pools.get(&reference))
    }

    /// Every pool, by namespace and name.
    pub fn pools(&self) -> Vec<Arc<SessionPool>> {
        let mut pools: Vec<_> = self.0.iter().flat_map(|scope| scope.pools.state()).collect();
        pools.sort_by_cached_key(|pool| id_of(pool));
        pools
    }

    /// The pods of a pool.
    pub fn pods_of(&self, id: &ServerId) -> Vec<Arc<Pod>> {
        let found = self.0.iter().filter(|scope| scope.covers(&id.namespace));
        found.flat_map(|scope| pods_of(&scope.pods, &id.namespace, &id.name)).collect()
    }

    /// The pods of every pool, for whoever asks about many.
    pub fn pods(&self) -> HashMap<ServerId, Vec<Arc<Pod>>> {
        let mut pods: HashMap<_, Vec<_>> = HashMap::new();
        for pod in self.0.iter().flat_map(|scope| scope.pods.state()) {
            if let Some(pool) = pod.labels().get(names::POOL_LABEL) {
                let id = ServerId::new(pod.namespace().unwrap_or_default(), pool);
                pods.entry(id).or_default().push(pod);
            }
        }
        pods
    }
}

impl Scope {
    fn follow(client: &Client, namespace: Option<String>, stop: &CancellationToken) -> Self {
        let ((pools, pools_writer), (pods, pods_writer)) = (reflector::store(), reflector::store());
        let all: Api<DeserializeGuard<SessionPool>> = match &namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let watch = watcher::watcher(all, watcher::Config::default())
            .default_backoff()
            .modify(|pool| pool.meta_mut().managed_fields = None)
            .map_ok(readable)
            .reflect(pools_writer)
            .take_until(stop.clone().cancelled_owned());
        tokio::spawn(watch.for_each(|_| future::ready(())));
        let all: Api<Pod> = match &namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let watch = watcher::watcher(all, watcher::Config::default().labels(names::POOL_LABEL))
            .default_backoff()
            .modify(|pod| {
                pod.spec = None;
                pod.metadata.managed_fields = None;
            })
            .reflect(pods_writer)
            .take_until(stop.clone().cancelled_owned());
        tokio::spawn(watch.for_each(|_| future::ready(())));
        Self { namespace, pools, pods }
    }

    fn covers(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|watched| watched == namespace)
    }
}

/// The event as one of pools that can be read: one that can't is gone, until it can again.
fn readable(event: Event<DeserializeGuard<SessionPool>>) -> Event<SessionPool> {
    let gone = |InvalidObject { metadata, .. }: InvalidObject| {
        Event::Delete(SessionPool { metadata, spec: SessionPoolSpec::default(), status: None })
    };
    match event {
        Event::Init => Event::Init,
        Event::InitApply(pool) => pool.0.map_or_else(gone, Event::InitApply),
        Event::InitDone => Event::InitDone,
        Event::Apply(pool) => pool.0.map_or_else(gone, Event::Apply),
        Event::Delete(pool) => pool.0.map_or_else(gone, Event::Delete),
    }
}
