//! A tab that nobody sees asks nothing.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::browser::Page;

use super::stage::Stage;
use crate::bench::until;

/// Tells the page that it is, or is not, to be seen: a browser without windows has no other tab in front.
async fn hide(page: &Page, hidden: bool) -> Result<()> {
    let script = format!(
        "Object.defineProperty(document, 'hidden', {{ configurable: true, get: () => {hidden} }}); \
         document.dispatchEvent(new Event('visibilitychange'))"
    );
    page.evaluate(&script).await?;
    Ok(())
}

async fn asked(page: &Page) -> Result<usize> {
    Ok(page.log().await?.requests.len())
}

/// Waits until a page has asked several times more.
async fn goes_on(page: &Page) -> Result<()> {
    let before = asked(page).await?;
    until("more requests", async || Ok((asked(page).await? >= before + 6).then_some(()))).await
}

#[tokio::test]
async fn a_hidden_page_pauses_and_goes_on_when_it_is_seen_again() -> Result<()> {
    let stage = Stage::start().await?;
    let _serving = stage.pool("web", &json!({})).await?;
    let token = stage.token("view").await?;
    let (page, other) = (stage.open_pool("web", &token).await?, stage.open_pool("web", &token).await?);
    hide(&page, true).await?;
    // What was under way ends.
    goes_on(&other).await?;
    let before = asked(&page).await?;
    goes_on(&other).await?;
    let after = asked(&page).await?;
    ensure!(after == before, "{} requests that nobody sees", after - before);
    hide(&page, false).await?;
    goes_on(&page).await
}
