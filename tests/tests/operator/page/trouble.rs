//! What is old is said to be old.

use anyhow::{Result, ensure};
use serde_json::json;

use super::stage::Stage;

#[tokio::test]
async fn an_operator_that_is_gone_is_told_with_the_age_of_what_is_shown() -> Result<()> {
    let stage = Stage::start().await?;
    let _serving = stage.pool("web", &json!({})).await?;
    let token = stage.token("view").await?;
    let page = stage.open_pool("web", &token).await?;
    let list = stage.open("/", &token).await?;
    list.shows("tbody", "web").await?;
    page.shows("#freshness", "Live").await?;
    stage.bench.operator.terminate().await?;
    for page in [&page, &list] {
        page.shows("#notices", "The operator does not answer").await?;
        page.shows("#notices", "What you see is from").await?;
        page.shows("#notices", "Next try in").await?;
        page.shows("#freshness", "Last answer").await?;
        ensure!(page.attribute("body", "data-old").await?.is_some(), "the charts look as if they were new");
    }
    page.shows("h1", "web").await?;
    Ok(())
}

#[tokio::test]
async fn a_connection_that_is_back_is_told() -> Result<()> {
    let stage = Stage::start().await?;
    let _serving = stage.pool("web", &json!({})).await?;
    let page = stage.open_pool("web", &stage.token("view").await?).await?;
    page.offline(true).await?;
    page.shows("#notices", "The operator does not answer").await?;
    page.offline(false).await?;
    page.click("role=button[name='Try now']").await?;
    page.shows("#freshness", "Live").await?;
    ensure!(page.text("#notices").await?.is_empty() && page.attribute("body", "data-old").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn proxies_that_do_not_answer_are_told() -> Result<()> {
    let stage = Stage::start().await?;
    let serving = stage.pool("web", &json!({})).await?;
    // What the status holds is what is shown from then on.
    stage.bench.status("web", |status| status.stats.is_some()).await?;
    let page = stage.open_pool("web", &stage.token("view").await?).await?;
    serving.proxy.signal("STOP")?;
    page.shows("#notices", "The proxies do not answer the operator").await?;
    page.shows("#notices", "These numbers are from").await?;
    page.shows("#freshness", "Old numbers").await?;
    page.shows("section:has(#replicas-title)", "No answer").await?;
    serving.proxy.signal("CONT")?;
    page.shows("#freshness", "Live").await?;
    Ok(())
}
