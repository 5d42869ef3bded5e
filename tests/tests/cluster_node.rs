//! A cluster with a node runs pods, serves Services by name, and leaves nothing behind.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use tests::traces::{Machine, Process, Traces, part};
use tests::{Cluster, eventually};

const READY: Duration = Duration::from_secs(90);
const GONE: Duration = Duration::from_secs(30);

/// Cluster DNS answers HTTP on its health port, and its image is on every node.
const SERVER: &str = "
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  containers:
  - name: server
    image: docker.io/local/coredns:1
    imagePullPolicy: IfNotPresent
    args: [-conf, /config/Corefile]
    readinessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 1}
    securityContext: {runAsUser: 65532, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true}
    volumeMounts: [{name: config, mountPath: /config}]
  volumes: [{name: config, configMap: {name: server}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: server}
data:
  Corefile: |
    .:5353 {
      health :8080
    }
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}
";

async fn running(cluster: &Cluster, namespace: &str, name: &str) -> Result<Pod> {
    let pods: Api<Pod> = Api::namespaced(cluster.client()?, namespace);
    eventually(READY, &format!("pod {name} to be ready"), async || {
        let pod = pods.get(name).await?;
        let status = pod.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
        ensure!(ready, "phase {:?}, containers {:?}", status.phase, status.container_statuses);
        Ok(pod)
    })
    .await
}

async fn nothing_left(traces: &Traces) -> Result<()> {
    eventually(GONE, "everything to be gone", async || {
        let left = traces.left();
        ensure!(left.is_empty(), "still there: {left:#?}");
        Ok(())
    })
    .await
}

fn traces_of(cluster: &Cluster) -> Result<Traces> {
    Traces::of(cluster.state(), cluster.supervisor_pid().context("a cluster of its own")?)
}

#[tokio::test]
async fn a_pod_behind_a_service_and_a_second_node_and_nothing_left() -> Result<()> {
    let before = Machine::now()?;
    let cluster = Cluster::start().await?;
    let namespace = cluster.namespace("node").await?;
    cluster.apply_yaml_in(&namespace, SERVER).await?;
    running(&cluster, &namespace, "server").await?;
    let url = format!("http://server.{namespace}.svc.cluster.local/health");
    eventually(READY, "the Service to answer by name", async || {
        let answer = cluster.run(&["curl", "-fsS", "--max-time", "2", &url]).await?;
        ensure!(answer == "OK", "it answered {answer:?}");
        Ok(())
    })
    .await?;

    cluster.add_node(2).await?;
    let pinned =
        format!("{{apiVersion: v1, kind: Pod, metadata: {{name: far}}, spec: {{nodeName: node2, {PAUSE}}}}}");
    cluster.apply_yaml_in(&namespace, &pinned).await?;
    running(&cluster, &namespace, "far").await?;
    let nodes: Api<Node> = Api::all(cluster.client()?);
    ensure!(nodes.list(&kube::api::ListParams::default()).await?.items.len() == 2);

    let traces = traces_of(&cluster)?;
    ensure!(traces.processes() > 20, "two nodes and their pods, found {}", traces.processes());
    ensure!(traces.cgroups() > 0, "the pods have control groups");
    drop(cluster);
    nothing_left(&traces).await?;
    ensure!(Machine::now()? == before, "changed from {before:#?} to {:#?}", Machine::now()?);
    Ok(())
}

const PAUSE: &str =
    "containers: [{name: pause, image: 'docker.io/local/pause:1', imagePullPolicy: IfNotPresent}]";

#[tokio::test]
async fn two_side_by_side_and_a_killed_supervisor() -> Result<()> {
    let (one, other) = tokio::try_join!(Cluster::start(), Cluster::start())?;
    let pod = format!("{{apiVersion: v1, kind: Pod, metadata: {{name: quiet}}, spec: {{{PAUSE}}}}}");
    for cluster in [&one, &other] {
        cluster.apply_yaml(&pod).await?;
        running(cluster, "default", "quiet").await?;
    }
    let traces = traces_of(&other)?;
    let supervisor = Process::running(other.supervisor_pid().context("a cluster of its own")?);
    supervisor.context("the supervisor runs")?.kill()?;
    eventually(GONE, "every process to end", async || {
        let running = traces.running();
        ensure!(running.is_empty(), "{running:#?}");
        Ok(())
    })
    .await?;
    drop(other);
    nothing_left(&traces).await?;
    let pod = running(&one, "default", "quiet").await?;
    let restarts: i32 =
        pod.status.unwrap_or_default().container_statuses.iter().flatten().map(|c| c.restart_count).sum();
    ensure!(restarts == 0, "the other cluster's end restarted this one's pod");
    Ok(())
}

#[tokio::test]
async fn a_killed_node_starts_again_with_its_pods() -> Result<()> {
    let cluster = Cluster::start().await?;
    let pod = format!("{{apiVersion: v1, kind: Pod, metadata: {{name: quiet}}, spec: {{{PAUSE}}}}}");
    cluster.apply_yaml(&pod).await?;
    running(&cluster, "default", "quiet").await?;
    let killed = part(cluster.state(), "node1")?;
    killed.kill()?;
    eventually(READY, "the node to be started again", async || {
        let now = part(cluster.state(), "node1")?;
        ensure!(now != killed && now.runs(), "the recorded process is {now:?}");
        ensure!(cluster.state().join("node1/ready").exists(), "it is not ready");
        cluster.run(&["ctr", "-n", "k8s.io", "tasks", "ls", "-q"]).await
    })
    .await?;
    running(&cluster, "default", "quiet").await?;
    let traces = traces_of(&cluster)?;
    drop(cluster);
    nothing_left(&traces).await
}
