//! A real HorizontalPodAutoscaler over the scale subresource, fed by a metrics API of the test's own.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use crds::{SessionPool, names};
use k8s_openapi::{
    api::{apps::v1::Deployment, autoscaling::v2::HorizontalPodAutoscaler, core::v1::Node},
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStdin,
};

use crate::field::Field;

const POOL: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: scaled}
spec:
  poolEnabled: true
  upstream: {url: "http://mcp.example.com/mcp"}
"#;

const API: &str = "v1beta1.external.metrics.k8s.io";

/// A metric whose value is in a file, served in the cluster's network until its input is closed.
struct Metric {
    folder: TempDir,
    port: u16,
    _input: ChildStdin,
}

impl Metric {
    async fn start(field: &Field) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let pki = field.cluster().state().join("pki");
        let mut server = field
            .cluster()
            .enter("python3")
            .arg(tests::repository().join("tests/upstreams/python/metrics.py"))
            .args([pki.join("apiserver.crt"), pki.join("apiserver.key"), folder.path().join("value")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(false)
            .spawn()?;
        let mut lines = BufReader::new(server.stdout.take().context("no output")?).lines();
        let port = lines.next_line().await?.context("it ended")?.parse()?;
        Ok(Self { folder, port, _input: server.stdin.take().context("no input")? })
    }

    fn set(&self, value: u32) -> Result<()> {
        Ok(std::fs::write(self.folder.path().join("value"), value.to_string())?)
    }

    /// Makes the API server ask it for external metrics.
    async fn register(&self, field: &Field) -> Result<()> {
        let nodes: Api<Node> = Api::all(field.client.clone());
        let node = nodes.list(&ListParams::default()).await?.items.into_iter().next().context("no node")?;
        let addresses = node.status.and_then(|status| status.addresses).unwrap_or_default();
        let address = addresses.iter().find(|address| address.type_ == "InternalIP").context("no address")?;
        let port = json!([{"name": "https", "port": self.port, "protocol": "TCP"}]);
        for object in [
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics"}, "spec": {"ports": port}}),
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": "metrics", "labels": {"kubernetes.io/service-name": "metrics"}},
                "ports": port, "endpoints": [{"addresses": [address.address]}]
            }),
            json!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": API},
                "spec": {
                    "group": "external.metrics.k8s.io", "version": "v1beta1", "insecureSkipTLSVerify": true,
                    "groupPriorityMinimum": 100, "versionPriority": 100,
                    "service": {"name": "metrics", "namespace": field.namespace, "port": self.port}
                }
            }),
        ] {
            field.apply_any(&object.to_string()).await?;
        }
        Ok(())
    }
}

fn autoscaler() -> Value {
    let target = json!({"type": "AverageValue", "averageValue": "10"});
    let external = json!({"metric": {"name": "load"}, "target": target});
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "scaled"},
        "spec": {
            "scaleTargetRef": {"apiVersion": names::API_VERSION, "kind": names::KIND, "name": "scaled"},
            "minReplicas": 1, "maxReplicas": 5,
            "metrics": [{"type": "External", "external": external}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}
        }
    })
}

#[tokio::test]
async fn an_autoscaler_scales_the_pool() -> Result<()> {
    let field = Field::start().await?;
    let metric = Metric::start(&field).await?;
    let scaling = async {
        metric.set(35)?;
        metric.register(&field).await?;
        field.apply(POOL).await?;
        field.apply_any(&autoscaler().to_string()).await?;
        // A load of 35 at 10 a proxy.
        scaled(&field, 4).await?;
        metric.set(5)?;
        scaled(&field, 1).await
    };
    let done = scaling.await;
    // No namespace can be deleted while an API server can't list all that might be in it.
    let registered: Api<APIService> = Api::all(field.client.clone());
    registered.delete(API, &DeleteParams::default()).await?;
    done
}

async fn scaled(field: &Field, wanted: i32) -> Result<()> {
    field
        .until(&format!("{wanted} proxies"), async || {
            let pool = field.api::<SessionPool>().get("scaled").await?;
            let deployment = field.api::<Deployment>().get(&names::deployment("scaled")).await?;
            let follows = deployment.spec.as_ref().and_then(|spec| spec.replicas);
            let told = pool.status.as_ref().map(|status| status.replicas);
            if (pool.spec.replicas, follows, told) == (wanted, Some(wanted), Some(wanted)) {
                return Ok(());
            }
            let autoscaler = field.api::<HorizontalPodAutoscaler>().get("scaled").await?;
            let says = autoscaler.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let says: Vec<_> = says.filter_map(|condition| condition.message.as_deref()).collect();
            ensure!(false, "{} {follows:?} {told:?}: {says:?}", pool.name_any());
            Ok(())
        })
        .await
}
