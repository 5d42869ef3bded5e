//! A thousand pools on one page.

use std::time::Duration;

use anyhow::{Result, ensure};
use crds::SessionPool;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::PostParams;
use serde_json::json;

use super::stage::Stage;

const POOLS: usize = 1000;
/// Longest time that the page may take to take in an answer, with a browser on the busy machine of a test.
const LONGEST: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_thousand_pools_are_shown_filtered_and_sorted() -> Result<()> {
    let stage = Stage::start().await?;
    let pools = stage.bench.api::<SessionPool>();
    // They are refused, so that nothing is made for them.
    let make = |number: usize| {
        let pools = pools.clone();
        async move {
            let pool = serde_json::from_value(json!({
                "metadata": {"name": format!("pool-{number:04}")},
                "spec": {"poolEnabled": true, "tlsSecretName": "x", "upstream": {"url": "http://mcp.example.com/mcp"}}
            }))?;
            pools.create(&PostParams::default(), &pool).await?;
            anyhow::Ok(())
        }
    };
    stream::iter(0..POOLS).map(make).buffer_unordered(16).try_collect::<Vec<_>>().await?;
    let page = stage.open("/", &stage.token("view").await?).await?;
    page.shows(".tiles", "1,000").await?;
    ensure!(page.count("tbody tr").await? == 200);
    page.click("role=button[name='Show 200 more of 1,000']").await?;
    ensure!(page.count("tbody tr").await? == 400);
    let typing = std::time::Instant::now();
    page.fill("role=searchbox", "0999").await?;
    page.shows(".result", "1 pool of 1,000").await?;
    ensure!(typing.elapsed() < LONGEST, "{:?}", typing.elapsed());
    ensure!(page.text("tbody").await?.contains("pool-0999"));
    page.fill("role=searchbox", "").await?;
    let sorting = std::time::Instant::now();
    page.click("thead button:text('Pool')").await?;
    page.click("thead button:text('Pool')").await?;
    page.shows("tbody tr >> nth=0", "pool-0999").await?;
    ensure!(sorting.elapsed() < LONGEST, "{:?}", sorting.elapsed());
    Ok(())
}
