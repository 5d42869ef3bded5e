//! All pools at a glance, and that they are followed.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::scripted::{Behaviour, Scripted};

use super::stage::{Stage, busy};

/// What would run if a text became markup.
const MARKUP: &str = "<img src=x onerror=globalThis.hacked=1>";

fn row(pool: &str) -> String {
    format!("tbody tr:has(a:text-is('{pool}'))")
}

#[tokio::test]
async fn pools_are_shown_and_followed_without_reloading() -> Result<()> {
    let stage = Stage::start().await?;
    let serving = stage.pool("web", &json!({})).await?;
    stage.bench.apply(
        r#"{"apiVersion": "mcpgateway.io/v1alpha1", "kind": "SessionPool", "metadata": {"name": "locked"}, "spec": {
            "poolEnabled": true, "tlsSecretName": "x", "upstream": {"url": "http://mcp.example.com/mcp"}}}"#,
    ).await?;
    let page = stage.open("/", &stage.token("view").await?).await?;
    page.shows(&row("web"), "Active").await?;
    page.shows(&row("web"), "1 / 10").await?;
    page.shows(&row("locked"), "Failed").await?;
    page.shows(&row("locked"), "spec.tlsSecretName").await?;
    page.shows(".tiles", "1 need attention").await?;
    ensure!(page.text("tbody tr >> nth=0").await?.contains("locked"), "problems come first");

    page.evaluate("globalThis.loaded = true").await?;
    stage.bench.patch("web", json!({"spec": {"poolMaxSize": 12, "poolMinSize": 3}})).await?;
    page.shows(&row("web"), "3 / 12").await?;
    let call = busy(&serving.proxy, 20_000).await?;
    page.shows(&format!("{} .is-active", row("web")), "1").await?;
    call.abort();
    stage.bench.patch("locked", json!({"spec": {"tlsSecretName": null, "replicas": 0}})).await?;
    page.shows(&row("locked"), "spec.replicas is 0").await?;
    page.shows(".tiles", "all well").await?;
    ensure!(page.evaluate("globalThis.loaded").await? == true, "it was reloaded");
    Ok(())
}

#[tokio::test]
async fn pools_are_found_and_sorted_and_the_address_keeps_it() -> Result<()> {
    let stage = Stage::start().await?;
    for (name, max) in [("alpha", 5), ("beta", 50), ("gamma", 9)] {
        let spec = json!({"poolEnabled": true, "replicas": 0, "poolMaxSize": max, "upstream": {"url": "http://a.example/mcp"}});
        let pool = json!({"apiVersion": "mcpgateway.io/v1alpha1", "kind": "SessionPool", "metadata": {"name": name}, "spec": spec});
        stage.bench.apply(&pool.to_string()).await?;
    }
    let page = stage.open("/", &stage.token("view").await?).await?;
    page.shows("tbody", "gamma").await?;
    let names = async || page.call("tbody th a", "allInnerTexts", &[]).await;
    page.click("thead button:text('Pool')").await?;
    ensure!(page.attribute("thead th >> nth=0", "aria-sort").await?.as_deref() == Some("ascending"));
    ensure!(names().await? == json!(["alpha", "beta", "gamma"]));
    page.click("thead button:text('Pool')").await?;
    ensure!(names().await? == json!(["gamma", "beta", "alpha"]));
    page.fill("role=searchbox", "beta").await?;
    ensure!(names().await? == json!(["beta"]));
    page.shows(".result", "1 pool of 3").await?;
    page.call("", "reload", &[]).await?;
    page.shows("tbody", "beta").await?;
    ensure!(names().await? == json!(["beta"]), "the filter is part of the address");
    page.fill("role=searchbox", "").await?;
    ensure!(names().await? == json!(["gamma", "beta", "alpha"]));
    page.click("role=button[name=/^Need attention/]").await?;
    page.shows(".table", "No pool fits the filter").await?;
    Ok(())
}

#[tokio::test]
async fn what_others_wrote_is_text() -> Result<()> {
    let error = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": MARKUP}}).to_string();
    let initialize = Some((500, "application/json".to_owned(), error));
    let server = Scripted::behaving(Behaviour { initialize, ..Behaviour::default() }).await?;
    let stage = Stage::start().await?;
    let _serving = stage.pool("web", &json!({"upstream": {"url": server.url()}})).await?;
    let page = stage.open("/", &stage.token("view").await?).await?;
    page.shows(&row("web"), MARKUP).await?;
    page.goto(&stage.url(&stage.hash("web"))).await?;
    page.shows(".troubles", MARKUP).await?;
    // The address is somebody's text, too.
    page.goto(&stage.url(&format!("/pools/{}.{}", stage.bench.namespace, "%3Cimg%20src%3Dx%3E"))).await?;
    page.shows("main", "<img src=x>").await?;
    ensure!(page.count("main img").await? == 0 && page.evaluate("globalThis.hacked").await?.is_null());
    Ok(())
}
