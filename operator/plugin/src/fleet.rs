//! The proxies of a pool: their pods, and what each says of itself.

use std::time::Duration;

use crds::{names, wire::PoolStats};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    connect::Cluster,
    failure::{Asked, Failure, is_forbidden},
    pools,
    reach::{self, Reach, Unreached},
};

/// Proxies that are asked at the same time.
const AT_ONCE: usize = 16;

/// One proxy.
#[derive(Debug, Clone, Serialize)]
pub struct Replica {
    /// Its pod.
    pub name: String,
    /// Its node.
    pub node: Option<String>,
    /// Whether the pod is ready.
    pub ready: bool,
    /// What the pod is doing, in one word.
    pub state: String,
    /// How often the proxy was restarted.
    pub restarts: i32,
    /// When the pod was made.
    pub created: Option<Timestamp>,
    /// The proxy's image.
    pub image: Option<String>,
    /// What it counts; none where it could not be asked.
    pub stats: Option<PoolStats>,
    /// Why it could not be asked.
    pub error: Option<String>,
    #[serde(skip)]
    running: bool,
}

/// What could be learnt of a pool's proxies.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    /// By name.
    pub replicas: Vec<Replica>,
    /// Why some or all of it could not be learnt, and what to do about it.
    pub note: Option<String>,
}

/// What each proxy said; with the pod's name.
pub type Answers<T> = Vec<(String, Result<T, String>)>;

impl Fleet {
    /// The statistics of those that answered.
    pub fn stats(&self) -> Vec<&PoolStats> {
        self.replicas.iter().filter_map(|replica| replica.stats.as_ref()).collect()
    }

    /// Looks at the pods and asks each proxy. Who may not see the pods gets a note that says so.
    pub async fn observe(cluster: &Cluster, reach: &Reach, pool: &str) -> Result<Self, Failure> {
        let mut fleet = match pods(cluster, pool).await {
            Ok(pods) => Self { replicas: pods.iter().map(replica).collect(), note: None },
            Err(failure @ Failure::Forbidden(_)) => {
                return Ok(Self { replicas: Vec::new(), note: Some(failure.to_string()) });
            }
            Err(failure) => return Err(failure),
        };
        let (answers, note) = ask::<PoolStats>(cluster, reach, &fleet.replicas, "/pool/stats").await;
        fleet.note = note;
        for (name, answer) in answers {
            let Some(replica) = fleet.replicas.iter_mut().find(|replica| replica.name == name) else {
                continue;
            };
            match answer {
                Ok(stats) => replica.stats = Some(stats),
                Err(error) => replica.error = Some(error),
            }
        }
        Ok(fleet)
    }

    /// What every running proxy says at another path.
    pub async fn read<T: DeserializeOwned>(
        cluster: &Cluster,
        reach: &Reach,
        pool: &str,
        path: &str,
    ) -> Result<(Answers<T>, Option<String>), Failure> {
        let replicas: Vec<Replica> = pods(cluster, pool).await?.iter().map(replica).collect();
        Ok(ask(cluster, reach, &replicas, path).await)
    }
}

async fn ask<T: DeserializeOwned>(
    cluster: &Cluster,
    reach: &Reach,
    replicas: &[Replica],
    path: &str,
) -> (Answers<T>, Option<String>) {
    let running = replicas.iter().filter(|replica| replica.running);
    let mut answers: Vec<(String, Result<T, Unreached>)> = stream::iter(running)
        .map(|replica| async { (replica.name.clone(), reach.get(cluster, &replica.name, path).await) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    answers.sort_by(|a, b| a.0.cmp(&b.0));
    let forbidden = answers.iter().any(|(_, answer)| matches!(answer, Err(Unreached::Forbidden)));
    let failed = answers.iter().find_map(|(name, answer)| match answer {
        Err(Unreached::Failed(text)) => Some(format!("{name} can't be asked: {text}")),
        _ => None,
    });
    let note = if forbidden {
        Some(format!("for live numbers {}", reach::missing(&cluster.namespace)))
    } else if answers.is_empty() {
        Some("no proxy runs".to_owned())
    } else {
        failed
    };
    let text = |error| match error {
        Unreached::Forbidden => "you may not ask it".to_owned(),
        Unreached::Failed(text) => text,
    };
    (answers.into_iter().map(|(name, answer)| (name, answer.map_err(text))).collect(), note)
}

/// The pods of a pool.
pub async fn pods(cluster: &Cluster, pool: &str) -> Result<Vec<Pod>, Failure> {
    let asked = Asked { verb: "list", resource: "pods", namespace: Some(&cluster.namespace) };
    let list = cluster.api::<Pod>().list(&pools::selector(pool)).await;
    let mut pods = list
        .map_err(|error| match Failure::of(&error, asked) {
            _ if is_forbidden(&error) => {
                Failure::Forbidden(format!("to see the proxies {}", asked.missing()))
            }
            failure => failure,
        })?
        .items;
    pods.sort_by_key(ResourceExt::name_any);
    Ok(pods)
}

/// The image of each of a pool's proxies.
pub async fn images(cluster: &Cluster, pool: &str) -> Result<Vec<String>, Failure> {
    Ok(pods(cluster, pool).await?.iter().filter_map(|pod| replica(pod).image).collect())
}

/// The proxy's container in a pod.
pub fn proxy_container(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    let mut all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let injected = all.clone().find(|container| container.name == names::INJECTED_CONTAINER);
    let proxy = injected.or_else(|| all.find(|container| container.name == names::PROXY_CONTAINER));
    proxy.map(|container| container.name.as_str())
}

fn replica(pod: &Pod) -> Replica {
    let status = pod.status.as_ref();
    let name = proxy_container(pod);
    let spec = pod.spec.as_ref();
    let image = spec.and_then(|spec| {
        let found = spec.containers.iter().find(|container| Some(container.name.as_str()) == name)?;
        found.image.clone()
    });
    let proxy = status.and_then(|status| {
        let mut all = status.container_statuses.iter().flatten();
        all.find(|container| Some(container.name.as_str()) == name)
    });
    let ready = status.is_some_and(|status| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    let running = proxy.and_then(|proxy| proxy.state.as_ref()).is_some_and(|state| state.running.is_some());
    Replica {
        name: pod.name_any(),
        node: spec.and_then(|spec| spec.node_name.clone()),
        ready,
        state: state(pod),
        restarts: proxy.map_or(0, |proxy| proxy.restart_count),
        created: pod.creation_timestamp().map(|time| time.0),
        image,
        stats: None,
        error: None,
        running,
    }
}

/// What kubectl shows as a pod's status.
fn state(pod: &Pod) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "Terminating".to_owned();
    }
    let Some(status) = &pod.status else { return "Pending".to_owned() };
    let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let waiting = |container: &ContainerStatus| container.state.as_ref()?.waiting.as_ref()?.reason.clone();
    let stuck = containers.find_map(waiting).filter(|reason| reason != "PodInitializing");
    let reason = stuck.or_else(|| status.reason.clone()).or_else(|| status.phase.clone());
    reason.unwrap_or_else(|| "Pending".to_owned())
}

/// Time between two looks at what changes.
pub const PERIOD: Duration = Duration::from_secs(1);
