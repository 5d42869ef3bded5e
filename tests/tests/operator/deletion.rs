//! A pool's end.

use anyhow::Result;
use crds::{SessionPool, names};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, Secret, Service},
};
use kube::api::{DeleteParams, ListParams};

use crate::bench::{Bench, until};

const POOL: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: web}
spec:
  poolEnabled: true
  isolation: Shared
  upstream: {url: "http://mcp.example.com/mcp"}
"#;

#[tokio::test]
async fn all_children_go_with_the_pool() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    bench.children("web").await?;
    let series = format!(
        "sessionpool_info{{name=\"web\",namespace=\"{}\",phase=\"Pending\",strategy=\"RoundRobin\"}}",
        bench.namespace
    );
    until(
        "the pool has its metric",
        async || Ok((bench.operator.metric(&series).await? > 0.0).then_some(())),
    )
    .await?;
    bench.api::<SessionPool>().delete("web", &DeleteParams::default()).await?;
    until("nothing is left", async || {
        let gone = bench.api::<ConfigMap>().get_opt(&names::config_map("web")).await?.is_none()
            && bench.api::<Secret>().get_opt(&names::session_key_secret("web")).await?.is_none()
            && bench.api::<Deployment>().get_opt(&names::deployment("web")).await?.is_none()
            && bench.api::<Service>().list(&ListParams::default()).await?.items.is_empty()
            && bench.api::<Pod>().list(&ListParams::default()).await?.items.is_empty();
        Ok(gone.then_some(()))
    })
    .await?;
    until("its metric is gone", async || Ok((bench.operator.metric(&series).await? == 0.0).then_some(())))
        .await
}
