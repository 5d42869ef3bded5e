//! What the page does to pools, and that it does so only when asked twice and by those who may.

use anyhow::{Context as _, Result, ensure};
use crds::{DesiredState, SessionPoolSpec};
use futures::future::try_join_all;
use serde_json::json;

use super::stage::{Stage, busy};
use crate::bench::until;

const DRAIN: &str = "role=button[name='Drain…']";
const RESET: &str = "role=button[name='Reset…']";
const APPLY: &str = "role=button[name='Apply…']";
const SAVE: &str = "role=button[name='Save changes']";

/// The pool's specification once it fits.
async fn spec(stage: &Stage, what: &str, fits: impl Fn(&SessionPoolSpec) -> bool) -> Result<SessionPoolSpec> {
    until(what, async || Ok(Some(stage.bench.pool("web").await?.spec).filter(&fits))).await
}

#[tokio::test]
async fn a_pool_is_drained_and_resumed_by_keyboard() -> Result<()> {
    let stage = Stage::start().await?;
    let _serving = stage.pool("web", &json!({})).await?;
    let page = stage.open_pool("web", &stage.token("admin").await?).await?;
    let before = stage.bench.pool("web").await?.spec;
    page.tab_to(DRAIN).await?;
    page.press("Enter").await?;
    page.shows("dialog", "Drain web?").await?;
    page.shows("dialog", "answered with 503").await?;
    page.press("Escape").await?;
    page.gone("dialog").await?;
    let focused = page.evaluate("document.activeElement.textContent").await?;
    ensure!(focused == "Drain…", "the focus came back to {focused}");
    ensure!(stage.bench.pool("web").await?.spec == before, "it was not asked for");

    page.press("Enter").await?;
    page.shows("dialog", "Drain web?").await?;
    page.press("Control+a").await?;
    page.write("45").await?;
    page.press("Enter").await?;
    page.gone("dialog").await?;
    let drained = spec(&stage, "the drain", |spec| spec.desired_state == DesiredState::Drained).await?;
    ensure!(drained.drain.timeout_seconds == 45);
    page.shows(".title-line", "Drained").await?;
    page.shows(".running", "No session is open").await?;

    page.tab_to("role=button[name='Resume…']").await?;
    page.press("Enter").await?;
    page.tab_to("dialog >> role=button[name='Resume the pool']").await?;
    page.press("Space").await?;
    spec(&stage, "its end", |spec| spec.desired_state == DesiredState::Active).await?;
    page.shows(".title-line", "Active").await?;
    Ok(())
}

#[tokio::test]
async fn a_pool_is_reset_once() -> Result<()> {
    let stage = Stage::start().await?;
    let serving = stage.pool("web", &json!({"poolMinSize": 2})).await?;
    let page = stage.open_pool("web", &stage.token("admin").await?).await?;
    page.shows("section:has(#sessions-title)", "2 sessions").await?;
    page.click(RESET).await?;
    page.shows("dialog", "Every session is replaced once, 2 now").await?;
    page.click("dialog >> role=button[name='Reset the pool']").await?;
    page.gone("dialog").await?;
    ensure!(spec(&stage, "the token", |spec| spec.reset_token.is_some()).await?.reset_token.is_some());
    serving.proxy.stats_when("the reset", |stats| stats.epoch == 1 && stats.outdated_sessions == 0).await?;
    Ok(())
}

#[tokio::test]
async fn parameters_are_edited_one_by_one_and_on_top_of_what_was_seen() -> Result<()> {
    let stage = Stage::start().await?;
    let _serving = stage.pool("web", &json!({})).await?;
    let page = stage.open_pool("web", &stage.token("edit").await?).await?;
    ensure!(page.call(SAVE, "isDisabled", &[]).await? == true, "nothing was changed");
    page.fill("#set-pool_min_size", "11").await?;
    page.shows(".settings", "must not be greater than the maximum").await?;
    page.click(SAVE).await?;
    ensure!(page.evaluate("document.activeElement.id").await? == "set-pool_min_size");
    page.fill("#set-pool_min_size", "1").await?;
    page.fill("#set-pool_max_size", "14").await?;
    page.shows(".pending", "Maximum: 10 → 14").await?;
    page.click(SAVE).await?;
    let saved = spec(&stage, "the maximum", |spec| spec.pool_max_size == Some(14)).await?;
    ensure!(saved.pool_min_size == Some(1) && saved.pool_timeout.is_none(), "more was sent than was changed");
    page.shows(".figure", "of at most 14").await?;

    // Somebody else is quicker.
    page.fill("#set-pool_timeout", "20").await?;
    stage.bench.patch("web", json!({"spec": {"poolMaxSize": 16}})).await?;
    page.shows(".conflict", "Maximum: 14 → 16").await?;
    page.click(SAVE).await?;
    ensure!(stage.bench.pool("web").await?.spec.pool_timeout.is_none(), "it was not decided");
    page.click("role=button[name='Keep mine on top']").await?;
    page.click(SAVE).await?;
    let saved = spec(&stage, "the time-out", |spec| spec.pool_timeout == Some(20)).await?;
    ensure!(saved.pool_max_size == Some(16));

    // Turning pooling off stops what runs, which an editor may not.
    page.call("#set-pool_enabled", "uncheck", &[]).await?;
    page.click(SAVE).await?;
    page.shows(".settings", "sessionpools/operate").await?;
    ensure!(stage.bench.pool("web").await?.spec.pool_enabled);
    Ok(())
}

#[tokio::test]
async fn a_recommendation_is_applied_when_it_is_asked_for() -> Result<()> {
    let stage = Stage::start().await?;
    let tight =
        json!({"poolMaxSize": 1, "poolTimeout": 1, "optimization": {"mode": "Recommend", "maxSize": 6}});
    let serving = stage.pool("web", &tight).await?;
    // One session, and each call longer than the others wait.
    let callers = try_join_all((0..5).map(|_| busy(&serving.proxy, 1500))).await?;
    let viewer = stage.open_pool("web", &stage.token("view").await?).await?;
    viewer.shows(".advice", "found no session").await?;
    ensure!(viewer.attribute(APPLY, "aria-disabled").await?.as_deref() == Some("true"));

    let page = stage.open_pool("web", &stage.token("edit").await?).await?;
    page.shows(".advice .changes", "Maximum").await?;
    page.click(APPLY).await?;
    page.shows("dialog", "Apply the recommendation to web?").await?;
    page.press("Escape").await?;
    page.gone("dialog").await?;
    ensure!(stage.bench.pool("web").await?.spec.pool_max_size == Some(1), "it was not asked for");
    page.click(APPLY).await?;
    page.click("dialog >> role=button[name='Apply it']").await?;
    page.gone("dialog").await?;
    let grown = spec(&stage, "the maximum", |spec| spec.pool_max_size > Some(1)).await?.pool_max_size;
    let grown = u64::try_from(grown.context("none")?)?;
    ensure!(grown <= 6, "{grown}");
    serving.proxy.stats_when("the maximum", |stats| stats.max_size == grown).await?;
    for caller in callers {
        caller.abort();
    }
    Ok(())
}

#[tokio::test]
async fn without_the_right_nothing_is_done() -> Result<()> {
    let stage = Stage::start().await?;
    let _serving = stage.pool("web", &json!({})).await?;
    let before = stage.bench.pool("web").await?.spec;
    for role in ["view", "edit"] {
        let page = stage.open_pool("web", &stage.token(role).await?).await?;
        for button in [DRAIN, RESET] {
            ensure!(
                page.attribute(button, "aria-disabled").await?.as_deref() == Some("true"),
                "{role}: {button}"
            );
            page.call(button, "click", &[json!({"force": true})]).await?;
            let described = page.attribute(button, "aria-describedby").await?.unwrap_or_default();
            page.shows(&format!("#{described}"), "sessionpools/operate").await?;
            page.shows(&format!("#{described}"), "which the role admin has").await?;
        }
        ensure!(page.count("dialog").await? == 0);
        let may = page.call("#set-pool_max_size", "isEnabled", &[]).await? == true;
        ensure!(may == (role == "edit"), "{role}");
        if role == "view" {
            page.shows(".settings", "needs the verb update on sessionpools").await?;
        }
    }
    ensure!(stage.bench.pool("web").await?.spec == before);
    Ok(())
}
