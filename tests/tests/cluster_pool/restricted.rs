//! Pools of every kind in a namespace that takes pods of the standard `restricted` only.

use anyhow::{Result, ensure};
use crds::names;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::field::Field;

const TEMPLATE: &str = r"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: template}
spec:
  poolEnabled: true
  upstream: {template: {image: docker.io/local/server-everything:dev}}
";

fn pool(name: &str, upstream: &str) -> String {
    format!(
        "{{apiVersion: mcpgateway.io/v1alpha1, kind: SessionPool, metadata: {{name: {name}}}, \
         spec: {{poolEnabled: true, upstream: {upstream}}}}}"
    )
}

#[tokio::test]
async fn pods_are_as_restricted_as_can_be() -> Result<()> {
    let field = Field::start().await?;
    field.apply_any(crate::SERVICE).await?;
    field.apply_any(crate::SERVER).await?;
    // Before: this server is no pod of ours, and the operator's is the tests'.
    field
        .until("the server's pod and the operator's", async || {
            let pods = field.api::<Pod>().list(&ListParams::default()).await?.items.len();
            ensure!(pods == 2, "{pods} pods");
            Ok(())
        })
        .await?;
    let label = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let namespaces: Api<Namespace> = Api::all(field.client.clone());
    namespaces.patch(&field.namespace, &PatchParams::default(), &Patch::Merge(label)).await?;

    field.apply(TEMPLATE).await?;
    field.apply(&pool("service", "{serviceRef: {name: server, port: 80}}")).await?;
    let url = format!("{{url: 'http://server.{}.svc/mcp'}}", field.namespace);
    field.apply(&pool("url", &url)).await?;
    for name in ["template", "service", "url"] {
        field.condition(name, "Ready", "True").await?;
    }
    let proxies = ListParams::default().labels(names::POOL_LABEL);
    for pod in field.api::<Pod>().list(&proxies).await?.items {
        let spec = pod.spec.unwrap_or_default();
        ensure!(spec.automount_service_account_token == Some(false));
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let mut mounts = containers.flat_map(|container| container.volume_mounts.iter().flatten());
        ensure!(mounts.all(|mount| !mount.mount_path.contains("serviceaccount")), "a token is mounted");
    }
    Ok(())
}
