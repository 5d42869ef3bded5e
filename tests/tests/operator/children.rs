//! What a pool consists of, for each kind of upstream.

use anyhow::{Context as _, Result, ensure};
use crds::names;
use k8s_openapi::api::{
    core::v1::{Namespace, Pod, Secret, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::bench::{Bench, Children, until};

const URL: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: web}
spec:
  poolEnabled: true
  isolation: Shared
  upstream: {url: "http://mcp.example.com/mcp"}
"#;

const TEMPLATE: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: everything}
spec:
  poolEnabled: true
  isolation: Shared
  replicas: 2
  upstream:
    template: {image: "registry.test/everything:1", args: [streamableHttp], port: 3001}
  proxy:
    podTemplate: {metadata: {annotations: {example.com/team: agents}}}
"#;

const SERVICE_REF: &str = r"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: github}
spec:
  poolEnabled: true
  isolation: Shared
  upstream:
    serviceRef: {name: github-mcp, port: 80}
";

const SERVICE: &str = r"
apiVersion: v1
kind: Service
metadata: {name: github-mcp}
spec:
  ports: [{name: http, port: 80, targetPort: 3001}]
";

fn slice(addresses: &[&str]) -> String {
    let endpoints: Vec<_> = addresses.iter().map(|address| json!({"addresses": [address]})).collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "github-mcp-1", "labels": {"kubernetes.io/service-name": "github-mcp"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 3001}],
        "endpoints": endpoints
    })
    .to_string()
}

fn endpoints(children: &Children) -> Result<Vec<String>> {
    Ok(children.manifest()?.spec.upstream.endpoints.into_iter().map(|endpoint| endpoint.url).collect())
}

#[tokio::test]
async fn a_url_pool_has_its_children() -> Result<()> {
    let bench = Bench::start(&[("POOL_MAX_SIZE", "7")]).await?;
    bench.apply(URL).await?;
    let children = bench.children("web").await?;
    let pool = bench.pool("web").await?;
    let owned = |object: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
        let owner = object.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        object.labels == Some(names::labels("web"))
            && owner.map(|owner| &owner.uid) == pool.metadata.uid.as_ref()
    };
    ensure!(
        owned(children.config_map.meta())
            && owned(children.deployment.meta())
            && owned(children.service.meta())
    );

    let manifest = children.manifest()?;
    ensure!(manifest.metadata.uid == pool.metadata.uid && manifest.metadata.generation == Some(1));
    ensure!(manifest.spec.upstream.url.as_deref() == Some("http://mcp.example.com/mcp"));
    ensure!(
        manifest.spec.pool_max_size == Some(7),
        "the operator's default is in: {:?}",
        manifest.spec.pool_max_size
    );

    let ports = |service: &Service| -> Vec<(Option<String>, i32)> {
        let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        ports.map(|port| (port.name.clone(), port.port)).collect()
    };
    ensure!(ports(&children.service) == [(Some("mcp".to_owned()), 8080)]);
    let of_peers = [(Some("admin".to_owned()), 9090), (Some("peers".to_owned()), 9091)];
    ensure!(ports(&children.peers) == of_peers);
    let peers = children.peers.spec.as_ref().context("no spec")?;
    ensure!(peers.cluster_ip.as_deref() == Some("None") && peers.publish_not_ready_addresses == Some(true));
    ensure!(children.peers.labels().get(names::SCRAPE_LABEL).map(String::as_str) == Some("true"));

    let secret: Secret = bench.api().get(&names::session_key_secret("web")).await?;
    let key = secret.data.context("no data")?.remove(names::SESSION_KEY_FILE).context("no key")?;
    ensure!(key.0.len() == 44, "32 bytes in base64 are 44 characters, these are {}", key.0.len());
    ensure!(secret.metadata.owner_references.iter().flatten().count() == 1);

    let status = bench.status("web", |status| status.observed_generation == Some(1)).await?;
    let url = format!("http://web-pool.{}.svc.cluster.local:8080/mcp", bench.namespace);
    ensure!(status.url.as_deref() == Some(url.as_str()), "url is {:?}", status.url);
    ensure!(
        status
            .effective
            .is_some_and(|effective| effective.pool_max_size == 7 && effective.pool_min_size == 1)
    );
    Ok(())
}

#[tokio::test]
async fn a_template_pool_runs_its_server_in_the_pod() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    let namespaces: Api<Namespace> = Api::all(bench.client.clone());
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    namespaces.patch(&bench.namespace, &PatchParams::default(), &Patch::Merge(labels)).await?;
    bench.apply(TEMPLATE).await?;
    let children = bench.children("everything").await?;
    ensure!(children.manifest()?.spec.upstream.url.as_deref() == Some("http://127.0.0.1:3001/mcp"));
    let pods = until("the restricted policy takes two pods", async || {
        let pods = bench.api::<Pod>().list(&ListParams::default()).await?.items;
        Ok((pods.len() == 2).then_some(pods))
    })
    .await?;
    let spec = pods[0].spec.as_ref().context("no spec")?;
    let server = spec.init_containers.iter().flatten().next().context("no sidecar")?;
    ensure!(server.name == names::SERVER_CONTAINER && server.restart_policy.as_deref() == Some("Always"));
    ensure!(server.image.as_deref() == Some("registry.test/everything:1"));
    ensure!(spec.containers.len() == 1 && spec.containers[0].name == names::PROXY_CONTAINER);
    ensure!(spec.containers[0].image.as_deref() == Some("proxy.test/proxy:1"));
    ensure!(spec.automount_service_account_token == Some(false));
    ensure!(spec.termination_grace_period_seconds == Some(75));
    ensure!(pods[0].annotations().get("example.com/team").map(String::as_str) == Some("agents"));
    let status = bench.condition("everything", "Ready", "False", "ProxiesNotReady").await?;
    ensure!(status.message.contains("0/2 proxies ready"), "{}", status.message);
    Ok(())
}

#[tokio::test]
async fn a_service_ref_pool_follows_its_endpoints() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(SERVICE_REF).await?;
    let by_name = format!("http://github-mcp.{}.svc.cluster.local:80/mcp", bench.namespace);
    let missing = bench.condition("github", "Resolved", "False", "ServiceNotFound").await?;
    ensure!(missing.message.contains("github-mcp"), "{}", missing.message);
    let children = bench.children("github").await?;
    ensure!(children.manifest()?.spec.upstream.url.as_deref() == Some(by_name.as_str()));

    bench.apply_as::<Service>(SERVICE).await?;
    bench.apply_as::<EndpointSlice>(&slice(&["10.9.0.7", "10.9.0.5"])).await?;
    let expected = ["http://10.9.0.5:3001/mcp", "http://10.9.0.7:3001/mcp"];
    let first = until("two endpoints are rendered", async || {
        let children = bench.children("github").await?;
        Ok((endpoints(&children)? == expected).then_some(children))
    })
    .await?;
    ensure!(first.manifest()?.annotations().get(names::SERVICE_URL) == Some(&by_name));
    bench.condition("github", "Resolved", "True", "SpecResolved").await?;

    bench.apply_as::<EndpointSlice>(&slice(&["10.9.0.8"])).await?;
    let second = until("the other endpoint is rendered", async || {
        let children = bench.children("github").await?;
        Ok((endpoints(&children)? == ["http://10.9.0.8:3001/mcp"]).then_some(children))
    })
    .await?;
    ensure!(first.revision()? != second.revision()?);
    ensure!(first.deployment.metadata.generation == second.deployment.metadata.generation);

    bench.api::<Service>().delete("github-mcp", &DeleteParams::default()).await?;
    bench.api::<EndpointSlice>().delete("github-mcp-1", &DeleteParams::default()).await?;
    bench.condition("github", "Resolved", "False", "ServiceNotFound").await?;
    Ok(())
}
