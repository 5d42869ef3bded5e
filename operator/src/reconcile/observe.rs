//! Fourth step: what pods and proxies report.

use std::{fmt, sync::Arc, time::Duration};

use crds::{names, optimize::Advice, wire::PoolStats};
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, body::Bytes};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{ResourceExt, runtime::reflector::Store};
use serde::de::DeserializeOwned;

use crate::children::Owner;

/// Longest time for one proxy's statistics.
const STATS_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time to connect to a proxy.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Largest statistics that are read, in bytes.
const STATS_LIMIT: usize = 256 * 1024;
/// Proxies of one pool that are asked at once.
const AT_ONCE: usize = 32;

/// Reads the statistics of proxies.
#[derive(Debug, Clone)]
pub struct StatsClient(legacy::Client<HttpConnector, Empty<Bytes>>);

impl StatsClient {
    /// A client without connections.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let mut client = legacy::Client::builder(TokioExecutor::new());
        // A proxy is asked seldom, and the buffers of a thousand idle connections take tens of megabytes.
        client.pool_max_idle_per_host(0);
        Self(client.build(connector))
    }

    async fn get<T: DeserializeOwned>(&self, ip: &str, path: &str, limit: usize) -> Result<T, String> {
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let uri = format!("http://{host}:{}{path}", names::ADMIN_PORT);
        let request = Request::get(&uri).body(Empty::new()).map_err(|error| error.to_string())?;
        let exchange = async {
            let response = self.0.request(request).await.map_err(|error| describe(&error))?;
            let status = response.status();
            if !status.is_success() {
                return Err(format!("answered {status}"));
            }
            let body = Limited::new(response.into_body(), limit)
                .collect()
                .await
                .map_err(|error| error.to_string())?;
            serde_json::from_slice(&body.to_bytes())
                .map_err(|error| format!("answered something else: {error}"))
        };
        match tokio::time::timeout(STATS_TIMEOUT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("did not answer within {} s", STATS_TIMEOUT.as_secs())),
        }
    }
}

impl Default for StatsClient {
    fn default() -> Self {
        Self::new()
    }
}

/// An error with its causes, on one line.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

/// What is known of a pool's pods.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    /// The pods, by name.
    pub pods: Vec<PodReport>,
}

impl Fleet {
    /// The pods that serve.
    pub fn ready(&self) -> impl Iterator<Item = &PodReport> {
        self.pods.iter().filter(|pod| pod.ready && !pod.terminating)
    }

    /// The pods that are not on their way out.
    pub fn alive(&self) -> impl Iterator<Item = &PodReport> {
        self.pods.iter().filter(|pod| !pod.terminating)
    }

    /// How many proxies report that they run a configuration.
    pub fn current(&self, revision: &str) -> usize {
        self.pods.iter().filter(|pod| !pod.terminating && pod.revision() == Some(revision)).count()
    }

    /// What keeps the first pod that can't run from running.
    pub fn trouble(&self) -> Option<String> {
        let mut pods = self.pods.iter().filter(|pod| !pod.terminating);
        pods.find_map(|pod| Some(format!("{}: {}", pod.name, pod.trouble.as_ref()?)))
    }
}

/// What keeps a pod from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A container does not start.
    Failing(String),
    /// No node takes it yet.
    Unscheduled(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failing(text) => out.write_str(text),
            Self::Unscheduled(text) => write!(out, "not scheduled: {text}"),
        }
    }
}

/// What is known of one pod.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "a pod is in any combination of them")]
pub struct PodReport {
    /// Name of the pod.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// One life of its proxy: the uid and the proxy's restart count.
    pub incarnation: String,
    /// Whether its proxy runs.
    pub running: bool,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being deleted, or has ended for good.
    pub terminating: bool,
    /// Whether a node has it and its proxy does not run yet: it may lack something that is to be mounted.
    pub starting: bool,
    /// What keeps it from running.
    pub trouble: Option<Trouble>,
    /// The configuration that it was last told of; nothing when it still runs the one that it started with.
    pub told: Option<String>,
    /// What its proxy says; nothing when it does not run.
    pub stats: Option<Result<PoolStats, String>>,
    /// What its proxy advises; nothing when it was not asked.
    pub advice: Option<Advice>,
}

impl PodReport {
    /// The statistics, when they could be read.
    pub fn answered(&self) -> Option<&PoolStats> {
        self.stats.as_ref()?.as_ref().ok()
    }

    /// The configuration that the proxy says it runs.
    pub fn revision(&self) -> Option<&str> {
        self.answered()?.config_revision.as_deref()
    }

    #[cfg(test)]
    pub(crate) fn example(name: &str, revision: Option<&str>) -> Self {
        let stats =
            PoolStats { config_revision: revision.map(str::to_owned), ready: true, ..PoolStats::default() };
        Self {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            incarnation: format!("uid-{name}/0"),
            running: true,
            ready: true,
            terminating: false,
            starting: false,
            trouble: None,
            told: None,
            stats: Some(Ok(stats)),
            advice: None,
        }
    }
}

/// Asks each running proxy of a pool for its statistics, and for advice if that is wanted, all at once.
pub async fn observe(pods: &Store<Pod>, stats: &StatsClient, owner: &Owner, advice: bool) -> Fleet {
    // Before the first list is there nothing can be told. It fails only when the watch has ended, with the operator.
    let _ = pods.wait_until_ready().await;
    ask(pods_of(pods, &owner.namespace, &owner.name), stats, advice).await
}

/// The pods of a pool that a watch shows.
pub fn pods_of(pods: &Store<Pod>, namespace: &str, pool: &str) -> Vec<Arc<Pod>> {
    let selector = names::selector_labels(pool);
    let of_pool = |pod: &Arc<Pod>| {
        let has = |(name, value): (&String, &String)| pod.labels().get(name) == Some(value);
        pod.metadata.namespace.as_deref() == Some(namespace) && selector.iter().all(has)
    };
    pods.state().into_iter().filter(of_pool).collect()
}

/// Asks the running ones of these pods for their statistics, and for advice if that is wanted, all at once.
pub async fn ask(pods: Vec<Arc<Pod>>, stats: &StatsClient, advice: bool) -> Fleet {
    let mut pods: Vec<PodReport> = stream::iter(pods)
        .map(|pod| async move {
            let mut report = report(&pod);
            if let Some(ip) = address(&pod).filter(|_| report.running) {
                report.stats = Some(stats.get(ip, "/pool/stats", STATS_LIMIT).await);
                if advice && report.answered().is_some() {
                    report.advice = stats.get(ip, "/pool/optimize", STATS_LIMIT).await.ok();
                }
            }
            report
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    Fleet { pods }
}

/// What each running one of these pods answers at a path, by the pod's name.
pub async fn ask_at<T: DeserializeOwned>(
    pods: Vec<Arc<Pod>>,
    stats: &StatsClient,
    path: &str,
    limit: usize,
) -> Vec<(String, Result<T, String>)> {
    let mut answers: Vec<_> = stream::iter(pods)
        .map(|pod| async move {
            let ip = address(&pod).filter(|_| runs(&pod))?;
            Some((pod.name_any(), stats.get(ip, path, limit).await))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    answers.sort_by(|(a, _), (b, _)| a.cmp(b));
    answers
}

fn address(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.pod_ip.as_deref()
}

/// The status of a pod's proxy.
fn container(pod: &Pod) -> Option<&ContainerStatus> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let named = |name| containers.iter().find(|container| container.name == name);
    named(names::INJECTED_CONTAINER).or_else(|| named(names::PROXY_CONTAINER))
}

/// Whether a pod's proxy runs.
pub fn runs(pod: &Pod) -> bool {
    container(pod).and_then(|proxy| proxy.state.as_ref()).is_some_and(|state| state.running.is_some())
}

fn report(pod: &Pod) -> PodReport {
    let (proxy, running) = (container(pod), runs(pod));
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    PodReport {
        name: pod.metadata.name.clone().unwrap_or_default(),
        incarnation: format!("{uid}/{}", proxy.map_or(0, |proxy| proxy.restart_count)),
        uid,
        running,
        ready: condition(pod, "Ready") == Some("True"),
        terminating: pod.metadata.deletion_timestamp.is_some() || over(pod),
        starting: !running && condition(pod, "PodScheduled") == Some("True"),
        trouble: trouble(pod),
        told: pod.annotations().get(names::CONFIG_REVISION).cloned(),
        stats: None,
        advice: None,
    }
}

/// Whether its containers run no more, as those of an evicted pod: its maker makes another.
fn over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind).map(|condition| condition.status.as_str())
}

/// What a person has to mend before the pod can run.
fn trouble(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    containers.find_map(stuck).map(Trouble::Failing).or_else(|| {
        let unscheduled = status.conditions.iter().flatten().find(|condition| {
            condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
        })?;
        Some(Trouble::Unscheduled(unscheduled.message.clone().unwrap_or_else(|| "no node fits".to_owned())))
    })
}

fn stuck(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    if matches!(reason, "PodInitializing" | "ContainerCreating") {
        return None;
    }
    let message = waiting.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    let ended = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let exit = ended.map(|ended| format!(" (last exit code {})", ended.exit_code)).unwrap_or_default();
    Some(format!("container {} is in {reason}{message}{exit}", container.name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "status": status})).unwrap()
    }

    #[test]
    fn a_ready_pod_is_read() {
        let report = report(&pod(&json!({
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{
                "name": "proxy", "image": "", "imageID": "", "ready": true, "restartCount": 2,
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
            }]
        })));
        assert!(report.ready && report.running && !report.terminating);
        assert_eq!(report.incarnation, "u/2");
        assert_eq!(report.trouble, None);
    }

    #[test]
    fn an_evicted_pod_is_on_its_way_out() {
        assert!(report(&pod(&json!({"phase": "Failed", "reason": "Evicted"}))).terminating);
        assert!(!report(&pod(&json!({"phase": "Pending"}))).terminating);
    }

    #[test]
    fn trouble_is_told_in_words() {
        let crashed = pod(&json!({"initContainerStatuses": [{
            "name": "mcp-server", "image": "", "imageID": "", "ready": false, "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
            "lastState": {"terminated": {"exitCode": 127}}
        }]}));
        assert_eq!(
            trouble(&crashed).unwrap().to_string(),
            "container mcp-server is in CrashLoopBackOff: back-off 40s (last exit code 127)"
        );
        let unscheduled = pod(&json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}
        ]}));
        assert_eq!(trouble(&unscheduled).unwrap().to_string(), "not scheduled: 0/1 nodes are available");
        let starting = pod(&json!({"containerStatuses": [{
            "name": "proxy", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "PodInitializing"}}
        }]}));
        assert_eq!(trouble(&starting), None);
    }
}
