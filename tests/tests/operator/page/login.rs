//! Who may look: no login, a wrong one, one that ends.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, api::DeleteParams};
use serde_json::json;

use super::stage::{Stage, sign_in};
use crate::bench::shared;

/// The service account that a token is for, as `namespace` and `name`.
async fn subject(page: &tests::browser::Page) -> Result<(String, String)> {
    let who = page.attribute(".who", "title").await?.context("nobody is named")?;
    let account = who.split_whitespace().next().and_then(|text| text.strip_prefix("system:serviceaccount:"));
    let (namespace, name) = account.and_then(|text| text.split_once(':')).with_context(|| who.clone())?;
    Ok((namespace.to_owned(), name.to_owned()))
}

#[tokio::test]
async fn a_login_is_asked_for_and_kept_in_the_tab_only() -> Result<()> {
    let stage = Stage::start().await?;
    let _serving = stage.pool("web", &json!({})).await?;
    let page = stage.browser.page(json!({})).await?;
    page.goto(&stage.url("/")).await?;
    page.shows("h1", "Sign in").await?;
    page.shows("main", "kubectl create token").await?;
    ensure!(page.evaluate("document.activeElement.type").await? == "password", "the focus is on the field");
    sign_in(&page, "two words").await?;
    page.shows("role=alert", "no bearer token").await?;
    sign_in(&page, "Bearer of.no.use").await?;
    page.shows("main", "does not accept the token").await?;

    let token = stage.token("view").await?;
    sign_in(&page, &token).await?;
    page.shows("tbody", "web").await?;
    let kept = page.evaluate("JSON.stringify([location.href, {...localStorage}, document.cookie])").await?;
    ensure!(!kept.to_string().contains(&token), "the token is kept elsewhere: {kept}");
    let log = page.log().await?;
    ensure!(log.requests.iter().all(|url| !url.contains(&token)), "the token is in an address");

    page.click("role=button[name='Sign out']").await?;
    page.shows("h1", "Sign in").await?;
    ensure!(!page.evaluate("JSON.stringify({...sessionStorage})").await?.to_string().contains(&token));
    Ok(())
}

#[tokio::test]
async fn a_login_that_ends_is_told_and_renewed_in_place() -> Result<()> {
    let stage = Stage::start().await?;
    let _serving = stage.pool("web", &json!({})).await?;
    let page = stage.open_pool("web", &stage.token("view").await?).await?;
    let (namespace, name) = subject(&page).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(shared().await?.client()?, &namespace);
    accounts.delete(&name, &DeleteParams::default()).await?;
    page.shows("#notices", "Your login is no longer accepted").await?;
    page.shows("#notices", "What you see is from").await?;
    page.shows("h1", "web").await?;
    page.click("#notices >> role=button[name='Sign in']").await?;
    sign_in(&page, &stage.token("view").await?).await?;
    page.gone("dialog").await?;
    page.shows("#freshness", "Live").await?;
    ensure!(page.text("#notices").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn whoever_may_see_no_pool_is_told_so() -> Result<()> {
    let stage = Stage::start().await?;
    let _serving = stage.pool("web", &json!({})).await?;
    let token = stage.stranger("system:discovery").await?;
    let page = stage.open("/", &token).await?;
    page.shows("main", "this account may get none").await?;
    page.goto(&stage.url(&stage.hash("web"))).await?;
    page.shows("h1", "No such pool").await?;
    Ok(())
}
