//! What goes on while parts of Kubernetes don't.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::names;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt,
    api::{EvictParams, ListParams, Patch, PatchParams},
};
use serde_json::json;
use tests::{Cluster, eventually, traces::Traces};

use crate::{field::Field, mcp::Session, steady::Steady};

/// How long the API server is gone.
const OUTAGE: Duration = Duration::from_secs(90);

const POOL: &str = r"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: many}
spec:
  poolEnabled: true
  isolation: Principal
  poolMaxSize: 20
  replicas: 2
  upstream: {serviceRef: {name: server, port: 80}}
";

/// A cluster of the test's own: the operator and the server on its first node, the pool's two proxies spread over all.
async fn field(nodes: u8) -> Result<Field> {
    // It ends with this process.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start().await?));
    let field = Field::on(cluster).await?;
    field.apply_any(crate::SERVICE).await?;
    field.apply_any(crate::SERVER).await?;
    for deployment in ["operator", "server"] {
        let name = format!("deployment/{deployment}");
        field.kubectl(&["rollout", "status", &name, "--timeout=90s"]).await?;
    }
    for number in 2..=nodes {
        cluster.add_node(number).await?;
    }
    field.apply(POOL).await?;
    field.condition("many", "Ready", "True").await?;
    Ok(field)
}

async fn proxies(field: &Field) -> Result<Vec<Pod>> {
    let pool = ListParams::default().labels(&format!("{}=many", names::POOL_LABEL));
    let pods = field.api::<Pod>().list(&pool).await?.items;
    Ok(pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Frozen, neither answers anybody: as if the network to them were cut.
fn signal(cluster: &Cluster, name: &str) -> Result<()> {
    let traces = Traces::of(cluster.state(), cluster.supervisor_pid().context("a cluster of its own")?)?;
    for program in ["kube-apiserver", "etcd"] {
        traces.program(program).with_context(|| format!("no {program}"))?.signal(name)?;
    }
    Ok(())
}

#[tokio::test]
async fn proxies_serve_without_an_api_server_and_the_operator_comes_back() -> Result<()> {
    let field = field(1).await?;
    let operators = ListParams::default().labels("app=operator");
    let before: Vec<_> = field.api::<Pod>().list(&operators).await?.iter().map(ResourceExt::uid).collect();
    let proxy = proxies(&field).await?.into_iter().next().context("no proxy")?;
    let address = proxy.status.and_then(|status| status.pod_ip).context("no address")?;
    let url = format!("http://{address}:{}/mcp", names::MCP_PORT);
    let disturbing = async {
        signal(field.cluster(), "STOP")?;
        let begun = Instant::now();
        let refused = eventually(OUTAGE * 2, "the outage to be long enough", async || {
            let asked = tokio::time::timeout(Duration::from_secs(1), field.status("many")).await;
            ensure!(asked.is_err(), "the API server answers");
            ensure!(begun.elapsed() >= OUTAGE, "it is young");
            Ok(())
        })
        .await;
        signal(field.cluster(), "CONT")?;
        refused?;
        let back = Instant::now();
        field
            .until("the API server", async || {
                field.patch("many", json!({"spec": {"poolMaxSize": 9}})).await?;
                Ok(())
            })
            .await?;
        field
            .until("the operator to go on", async || {
                let size = field.status("many").await?.effective.context("none")?.pool_max_size;
                ensure!(size == 9, "it is {size}");
                Ok(())
            })
            .await?;
        println!("{OUTAGE:?} without an API server; a change was in force {:?} after it", back.elapsed());
        Ok(())
    };
    Box::pin(Steady::new(&field, &url).await?.without_failure(disturbing)).await?;
    field.condition("many", "Ready", "True").await?;
    let after: Vec<_> = field.api::<Pod>().list(&operators).await?.iter().map(ResourceExt::uid).collect();
    ensure!(before == after, "the operator was replaced");
    Ok(())
}

#[tokio::test]
async fn a_node_is_drained_without_a_failed_call() -> Result<()> {
    let field = field(2).await?;
    let nodes: Api<Node> = Api::all(field.client.clone());
    let fleet = proxies(&field).await?;
    let server = field.api::<Pod>().list(&ListParams::default().labels("app=server")).await?.items;
    let remaining = server.first().and_then(node_of).context("the server has no node")?.to_owned();
    let goes =
        fleet.iter().filter_map(node_of).find(|node| *node != remaining).context("no spread")?.to_owned();
    let url = field.status("many").await?.url.context("no URL")?;
    let disturbing = async {
        field
            .until("calls", async || {
                let stats = field.status("many").await?.stats.context("no statistics")?;
                ensure!(stats.total_acquisitions > 500, "{stats:?}");
                Ok(())
            })
            .await?;
        let cordon = Patch::Merge(json!({"spec": {"unschedulable": true}}));
        nodes.patch(&goes, &PatchParams::default(), &cordon).await?;
        for pod in proxies(&field).await?.iter().filter(|pod| node_of(pod) == Some(&goes)) {
            field
                .until("the budget lets it go", async || {
                    field.api::<Pod>().evict(&pod.name_any(), &EvictParams::default()).await?;
                    Ok(())
                })
                .await?;
        }
        field
            .until("two proxies elsewhere", async || {
                let ready = field.status("many").await?.ready_replicas;
                let fleet = proxies(&field).await?;
                let there = fleet.iter().filter(|pod| node_of(pod) == Some(&remaining)).count();
                ensure!(ready == 2 && fleet.len() == 2 && there == 2, "{ready} ready, {there} there");
                Ok(())
            })
            .await
    };
    Box::pin(Steady::new(&field, &url).await?.without_failure(disturbing)).await
}

/// The node's cable is pulled: nobody is told, packets are just gone. Its proxies' client sessions go on at the other proxy.
#[tokio::test]
async fn a_lost_node_costs_no_session_that_can_move() -> Result<()> {
    let field = field(2).await?;
    // Clients without a credential would each have a session of their own, which can't move.
    field.patch("many", json!({"spec": {"isolation": "Shared"}})).await?;
    field.condition("many", "Progressing", "False").await?;
    let fleet = proxies(&field).await?;
    let on = |node: &str| {
        let pod = fleet.iter().find(|pod| node_of(pod) == Some(node));
        pod.map(ResourceExt::name_any).with_context(|| format!("no proxy on {node}"))
    };
    let (stays, goes) = (on("node1")?, on("node2")?);
    ensure!(
        field
            .api::<Pod>()
            .list(&ListParams::default().labels("app=server"))
            .await?
            .iter()
            .all(|pod| { node_of(pod) == Some("node1") }),
        "the server is on the node that is to be lost"
    );
    let mut sessions = Vec::new();
    for number in 0..4 {
        let session = Session::with(&field, &goes).await?;
        session.echo(&format!("before {number}")).await?;
        sessions.push(session.at(&field, &stays));
    }
    for session in &sessions {
        session.echo("forwarded").await?;
    }

    let cable = async |state: &str| field.run(&["ip", "link", "set", "link2", state]).await;
    cable("down").await?;
    let lost = Instant::now();
    for (number, session) in sessions.iter().enumerate() {
        let message = format!("after {number}");
        let answer = field.until("the session to go on", async || session.echo(&message).await).await?;
        ensure!(answer.contains(&message), "{answer}");
    }
    println!("client sessions of a lost node went on {:.1} s after it", lost.elapsed().as_secs_f64());
    let told = field.condition("many", "Degraded", "True").await?;
    println!("the status told of the lost node after {:.1} s", lost.elapsed().as_secs_f64());
    ensure!(told.reason == "ProxiesUnreachable" && told.message.contains(&goes), "{told:?}");
    field.condition("many", "Ready", "False").await?;
    ensure!(field.status("many").await?.ready_replicas == 1);

    cable("up").await?;
    field.condition("many", "Ready", "True").await?;
    for session in &sessions {
        session.echo("at home again").await?;
    }
    Ok(())
}
