//! The operator's metrics, as Prometheus takes them.

use anyhow::{Result, ensure};
use crds::SessionPool;
use kube::api::DeleteParams;
use serde_json::json;
use tests::promtool::remarks;

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
async fn conditions_are_metrics_that_prometheus_has_no_remarks_on() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    let of_pool = async || -> Result<Vec<String>> {
        let (_, text) = bench.operator.get("/metrics").await?;
        let place = format!("namespace=\"{}\"", bench.namespace);
        Ok(text.lines().filter(|line| line.contains(&place)).map(ToOwned::to_owned).collect())
    };
    let tells = async |reason: &str, kind: &str, value: u8| {
        let series = format!(
            "sessionpool_condition{{name=\"web\",namespace=\"{}\",reason=\"{reason}\",type=\"{kind}\"}} {value}",
            bench.namespace
        );
        until(&series, async || Ok(of_pool().await?.contains(&series).then_some(()))).await
    };
    bench.apply(POOL).await?;
    tells("SpecResolved", "Resolved", 1).await?;
    tells("ProxiesNotReady", "Ready", 0).await?;
    bench.patch("web", json!({"spec": {"poolMinSize": 11}})).await?;
    tells("InvalidSpec", "Resolved", 0).await?;
    let series = of_pool().await?;
    ensure!(series.len() == 6, "one for each condition and one for the pool: {series:#?}");
    let (_, text) = bench.operator.get("/metrics").await?;
    let remarks = remarks(&text).await?;
    ensure!(remarks.is_empty(), "{remarks:?}");
    bench.api::<SessionPool>().delete("web", &DeleteParams::default()).await?;
    until("its metrics to be gone", async || Ok(of_pool().await?.is_empty().then_some(()))).await
}
