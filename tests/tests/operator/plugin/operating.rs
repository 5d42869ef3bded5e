//! `drain`, `resume` and `reset`: what they write, and how they are waited for.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::{DesiredState, Phase, SessionPoolStatus, wire::PoolStats};
use tests::plugin::Said;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use super::{POOL, administrator, person};
use crate::{
    bench::{Bench, until},
    fleet::{Reports, run_pods},
};

/// Has the proxies say something, as those do that have the newest configuration, until the operator has seen it.
async fn report(
    bench: &Bench,
    reports: &Reports,
    change: impl Fn(&mut PoolStats),
    seen: impl Fn(&SessionPoolStatus) -> bool,
) -> Result<()> {
    until("the operator to see the report", async || {
        let revision = bench.children("web").await?.revision()?;
        reports.send_modify(|stats| {
            stats.config_revision = Some(revision);
            change(stats);
        });
        Ok(bench.pool("web").await?.status.filter(&seen).map(|_| ()))
    })
    .await
}

#[tokio::test]
async fn a_drain_is_followed_to_its_end_and_taken_back() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let reports = run_pods(&bench, 2).await?;
    bench.condition("web", "Ready", "True", "AllProxiesReady").await?;
    let shell = person(&bench, "admin").await?;

    let mut drain = shell.start(&["drain", "web", "--wait", "--timeout", "90s"]).spawn()?;
    let mut progress = BufReader::new(drain.stderr.take().context("no stderr")?).lines();
    let counted =
        |status: &SessionPoolStatus| status.drain.as_ref().is_some_and(|drain| drain.remaining_sessions == 6);
    report(&bench, &reports, |stats| stats.status = "draining".to_owned(), counted).await?;
    let mut seen = Vec::new();
    while let Some(line) = progress.next_line().await? {
        seen.push(line.clone());
        if line == "draining: 6 sessions remain" {
            break;
        }
    }
    ensure!(seen.last().is_some_and(|line| line.contains("6 sessions")), "{seen:?}");
    let empty = |stats: &mut PoolStats| {
        *stats = PoolStats { total_sessions: 0, available_sessions: 0, active_sessions: 0, ..stats.clone() };
        stats.status = "drained".to_owned();
        stats.destroys_by_reason = [("drain".to_owned(), 3)].into();
    };
    report(&bench, &reports, empty, |status| status.phase == Some(Phase::Drained)).await?;
    let drain = Said::from(drain.wait_with_output().await?).ok()?;
    ensure!(drain.contains("sessionpool/web draining: running calls get 90 s"), "{drain}");
    ensure!(drain.contains("drained: 6 sessions closed"), "{drain}");
    let page = shell.run(&["status", "web"]).await?.ok()?;
    ensure!(page.contains("Drained") && page.contains("6 sessions closed"), "{page}");

    let again = shell.run(&["drain", "web", "--wait"]).await?.ok()?;
    ensure!(again.contains("drained"), "{again}");
    let resume = shell.start(&["resume", "web", "--wait"]).spawn()?;
    let resumed = Said::from(resume.wait_with_output().await?).ok()?;
    ensure!(resumed.contains("resumed: 2/2 proxies ready"), "{resumed}");
    Ok(())
}

#[tokio::test]
async fn a_reset_is_followed_to_its_end() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let reports = run_pods(&bench, 2).await?;
    bench.condition("web", "Ready", "True", "AllProxiesReady").await?;
    let shell = person(&bench, "admin").await?;
    let reset = shell.start(&["reset", "web", "--wait"]).spawn()?;
    let token = until("the token", async || Ok(bench.pool("web").await?.spec.reset_token)).await?;
    let replaced = |stats: &mut PoolStats| {
        stats.reset_token = Some(token.clone());
        stats.destroys_by_reason = [("reset".to_owned(), 3)].into();
    };
    let observed = |status: &SessionPoolStatus| {
        status.reset.as_ref().is_some_and(|reset| reset.observed_token.as_ref() == Some(&token))
    };
    report(&bench, &reports, replaced, observed).await?;
    let reset = Said::from(reset.wait_with_output().await?).ok()?;
    ensure!(reset.contains(&token) && reset.contains("reset: 6 sessions replaced"), "{reset}");

    let second = shell.run(&["reset", "web"]).await?.ok()?;
    let other = bench.pool("web").await?.spec.reset_token.context("no token")?;
    ensure!(other != token && second.contains(&other), "{second}");
    Ok(())
}

/// Neither Ctrl-C nor the end of one's patience takes anything back.
#[tokio::test]
async fn what_was_begun_goes_on() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let _reports = run_pods(&bench, 2).await?;
    bench.condition("web", "Ready", "True", "AllProxiesReady").await?;
    let shell = person(&bench, "admin").await?;
    let late =
        shell.run(&["drain", "web", "--wait", "--wait-timeout=1s", "--timeout=10m"]).await?.failed(5)?;
    ensure!(late.contains("the drain is not done after 1 s; the drain goes on"), "{late}");

    let mut drain = shell.start(&["drain", "web", "--wait", "--wait-timeout=5m"]).spawn()?;
    let mut progress = BufReader::new(drain.stderr.take().context("no stderr")?).lines();
    let first = progress.next_line().await?.context("no progress")?;
    ensure!(first.contains("draining") || first.contains("waiting for the operator"), "{first}");
    // kubectl becomes the plugin, so this is its process.
    let pid = drain.id().context("it ended")?.to_string();
    ensure!(Command::new("kill").args(["-INT", &pid]).status().await?.success());
    let ended = tokio::time::timeout(Duration::from_secs(20), drain.wait()).await??;
    let mut rest = String::new();
    while let Some(line) = progress.next_line().await? {
        rest += &line;
    }
    ensure!(ended.code() == Some(130), "{ended}: {rest}");
    ensure!(rest.contains("the drain goes on") && rest.contains("resume web"), "{rest}");
    let spec = bench.pool("web").await?.spec;
    ensure!(spec.desired_state == DesiredState::Drained && spec.drain.timeout_seconds == 600, "{spec:?}");
    Ok(())
}

/// A manifest that leaves `desiredState` and `resetToken` out is applied again and again, by somebody else.
#[tokio::test]
async fn gitops_takes_nothing_back() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let shell = administrator(&bench).await?;
    shell.run(&["drain", "web", "--timeout", "1500ms"]).await?.ok()?;
    shell.run(&["config", "set", "web", "poolTimeout=7"]).await?.ok()?;
    shell.run(&["reset", "web"]).await?.ok()?;
    bench.apply(POOL).await?;
    let spec = bench.pool("web").await?.spec;
    ensure!(spec.desired_state == DesiredState::Drained && spec.drain.timeout_seconds == 2, "{spec:?}");
    ensure!(spec.reset_token.is_some() && spec.pool_timeout == Some(7), "{spec:?}");
    // Each command left alone what those before it have set.
    shell.run(&["resume", "web"]).await?.ok()?;
    let spec = bench.pool("web").await?.spec;
    ensure!(spec.desired_state == DesiredState::Active && spec.drain.timeout_seconds == 2, "{spec:?}");
    ensure!(spec.reset_token.is_some() && spec.pool_timeout == Some(7), "{spec:?}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_changes_nothing() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let shell = administrator(&bench).await?;
    for words in
        [&["drain", "web", "--wait"][..], &["reset", "web"], &["config", "set", "web", "poolMaxSize=9"]]
    {
        let said = shell.run(&[words, &["--dry-run=server"]].concat()).await?.ok()?;
        ensure!(said.contains("(server dry run)"), "{said}");
    }
    let pool = bench.pool("web").await?;
    ensure!(pool.metadata.generation == Some(1), "{:?}", pool.metadata.generation);
    Ok(())
}
