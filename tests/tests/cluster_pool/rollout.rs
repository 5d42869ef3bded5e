//! Proxies come and go under load: no call of a real client fails, and no client session is lost.

use anyhow::{Context as _, Result, ensure};
use crds::{SessionPool, names};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{EvictParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::{field::Field, steady::Steady};

const POOL: &str = r"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: many}
spec:
  poolEnabled: true
  isolation: Principal
  poolMaxSize: 20
  replicas: 2
  terminationGracePeriodSeconds: 30
  upstream:
    serviceRef: {name: server, port: 80}
";

/// Names of the pool's pods that are not on their way out.
async fn pods(field: &Field) -> Result<Vec<String>> {
    let pool = ListParams::default().labels(&format!("{}=many", names::INSTANCE_LABEL));
    let pods = field.api::<Pod>().list(&pool).await?.items;
    let stays = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none();
    Ok(pods.iter().filter(stays).map(ResourceExt::name_any).collect())
}

/// Waits until so many proxies serve, none of which is in `old`, and all others are gone.
async fn settled(field: &Field, wanted: usize, old: &[String]) -> Result<Vec<String>> {
    field
        .until(&format!("{wanted} proxies"), async || {
            let pool = ListParams::default().labels(&format!("{}=many", names::INSTANCE_LABEL));
            let all = field.api::<Pod>().list(&pool).await?.items.len();
            let now = pods(field).await?;
            let status = field.status("many").await?;
            let serving = usize::try_from(status.ready_replicas)?;
            ensure!(
                now.len() == wanted && all == wanted && serving == wanted,
                "{now:?} of {all}, {serving} ready"
            );
            ensure!(now.iter().all(|name| !old.contains(name)), "{now:?}");
            Ok(now)
        })
        .await
}

async fn scale(field: &Field, replicas: i32) -> Result<()> {
    let change = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    field.api::<SessionPool>().patch_scale("many", &PatchParams::default(), &change).await?;
    Ok(())
}

/// All that may happen to proxies in a day.
async fn disturb(field: &Field) -> Result<()> {
    let first = settled(field, 2, &[]).await?;
    field.patch("many", json!({"spec": {"proxy": {"logFilter": "info,proxy=debug"}}})).await?;
    settled(field, 2, &first).await.context("rolling update")?;
    scale(field, 3).await?;
    settled(field, 3, &[]).await.context("scaled up")?;
    scale(field, 1).await?;
    settled(field, 1, &[]).await.context("scaled down")?;
    scale(field, 2).await?;
    let last = settled(field, 2, &[]).await.context("scaled up again")?;
    field
        .until("the budget lets a proxy go", async || {
            field.api::<Pod>().evict(&last[0], &EvictParams::default()).await?;
            Ok(())
        })
        .await?;
    settled(field, 2, &last[..1]).await.context("evicted")?;
    Ok(())
}

#[tokio::test]
async fn proxies_come_and_go_without_a_failed_call() -> Result<()> {
    let field = Field::start().await?;
    field.apply_any(crate::SERVICE).await?;
    field.apply_any(crate::SERVER).await?;
    field.apply(POOL).await?;
    field.condition("many", "Ready", "True").await?;
    let url = field.status("many").await?.url.context("no URL")?;
    let disturbing = async {
        // The clients are to be at it before anything happens.
        field
            .until("calls", async || {
                let stats = field.status("many").await?.stats.context("no statistics")?;
                ensure!(stats.total_acquisitions > 500, "{stats:?}");
                Ok(())
            })
            .await?;
        disturb(&field).await
    };
    Box::pin(Steady::new(&field, &url).await?.without_failure(disturbing)).await
}
