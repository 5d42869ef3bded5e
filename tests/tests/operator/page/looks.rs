//! For everybody's eyes and hands: accessibility, narrow screens, dark mode, and that nothing comes from elsewhere.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::browser::Page;

use super::stage::{Stage, busy, whole};
use crate::bench::until;

/// Most bytes of the page's files.
const LIMIT: usize = 200_000;

/// A pool that has nothing but a complaint.
const REFUSED: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: refused}
spec: {poolEnabled: true, tlsSecretName: x, upstream: {url: "http://mcp.example.com/mcp"}}
"#;

/// Waits until something was measured and is drawn.
async fn charted(page: &Page) -> Result<()> {
    let drawn = async || Ok((page.count(".plot path.line.series-active").await? > 0).then_some(()));
    until("a chart of sessions", drawn).await
}

/// What is wider than the screen.
async fn fits(page: &Page) -> Result<()> {
    let wide = page
        .evaluate(
            "document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]
                .filter(one => one.getBoundingClientRect().right > innerWidth).map(one => one.outerHTML.slice(0, 120))",
        )
        .await?;
    ensure!(wide == json!([]), "it scrolls sideways: {wide:#}");
    Ok(())
}

#[tokio::test]
async fn everybody_can_use_every_page_in_every_scheme_and_width() -> Result<()> {
    let stage = Stage::start().await?;
    let serving = stage.pool("web", &json!({"poolMinSize": 3})).await?;
    let _calls = busy(&serving.proxy, 100).await?;
    stage.bench.apply(REFUSED).await?;
    let token = stage.token("admin").await?;
    let phone = json!({"width": 360, "height": 740});
    for options in [
        json!({}),
        json!({"colorScheme": "dark"}),
        json!({"viewport": phone, "reducedMotion": "reduce"}),
        json!({"viewport": phone, "colorScheme": "dark"}),
    ] {
        let page = stage.browser.page(options.clone()).await?;
        page.goto(&stage.url("/")).await?;
        page.shows("h1", "Sign in").await?;
        page.is_accessible().await?;
        fits(&page).await?;
        super::stage::sign_in(&page, &token).await?;
        page.shows("tbody", "web").await?;
        page.is_accessible().await?;
        fits(&page).await?;
        page.click("role=link[name='web']").await?;
        whole(&page, "web").await?;
        charted(&page).await?;
        page.click("summary").await?;
        page.is_accessible().await?;
        fits(&page).await?;
        page.click("role=button[name='Drain…']").await?;
        page.is_accessible().await?;
        fits(&page).await?;
        page.press("Escape").await?;
        page.goto(&stage.url(&stage.hash("refused"))).await?;
        page.shows(".troubles", "spec.tlsSecretName").await?;
        page.shows("main", "The pool has no proxy").await?;
        page.is_accessible().await?;
        fits(&page).await?;
        page.call("", "close", &[]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn dark_is_dark_and_light_is_light() -> Result<()> {
    let stage = Stage::start().await?;
    let luminance = "(() => { const [r, g, b] = getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g); \
                     return (0.21 * r + 0.72 * g + 0.07 * b) / 255; })()";
    for (scheme, range) in [("light", 0.9..=1.0), ("dark", 0.0..=0.1)] {
        let page = stage.browser.page(json!({"colorScheme": scheme})).await?;
        page.goto(&stage.url("/")).await?;
        page.shows("h1", "Sign in").await?;
        let light = page.evaluate(luminance).await?.as_f64().unwrap_or(f64::NAN);
        ensure!(range.contains(&light), "{scheme}: {light}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_breaks_the_policy_and_nothing_comes_from_elsewhere() -> Result<()> {
    let stage = Stage::start().await?;
    let serving = stage.pool("web", &json!({})).await?;
    let _calls = busy(&serving.proxy, 100).await?;
    let page = stage.open("/", &stage.token("admin").await?).await?;
    page.shows("tbody", "web").await?;
    page.click("tbody a").await?;
    whole(&page, "web").await?;
    page.click("summary").await?;
    page.click("role=button[name='Reset…']").await?;
    page.press("Escape").await?;
    charted(&page).await?;
    // A chart that is moved over by keyboard tells its numbers.
    page.call("#moment", "focus", &[]).await?;
    page.press("ArrowLeft").await?;
    ensure!(page.attribute("#moment", "aria-valuetext").await?.is_some_and(|text| text.contains("session")));
    let log = page.log().await?;
    let origin = format!("http://{}/", stage.bench.operator.api);
    ensure!(log.requests.iter().all(|url| url.starts_with(&origin)), "{:?}", log.requests);
    ensure!(log.errors.is_empty(), "{:?}", log.errors);
    // Before the login two requests are refused, which browsers write down.
    let unexpected: Vec<_> = log.console.iter().filter(|line| !line.contains("401 (Unauthorized)")).collect();
    ensure!(unexpected.is_empty(), "{unexpected:?}");
    ensure!(log.bytes > 20_000 && log.bytes < LIMIT, "{} bytes", log.bytes);

    // The policy is in force: what breaks it is not done.
    page.evaluate("(() => { const script = document.createElement('script'); try { script.textContent = 'globalThis.hacked = 1'; \
                   document.body.append(script); } catch {} })()").await?;
    ensure!(page.evaluate("globalThis.hacked").await?.is_null());
    Ok(())
}
