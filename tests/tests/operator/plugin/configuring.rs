//! `config`: where parameters come from, and changes that the API server checks.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::plugin::Shell;

use super::{POOL, administrator};
use crate::bench::Bench;

async fn shown(shell: &Shell, name: &str) -> Result<Value> {
    let all = shell.run(&["config", "web", "-o", "json"]).await?.json()?;
    let mut found = all.as_array().context("no list")?.iter().filter(|one| one["name"] == name);
    Ok(found.next().with_context(|| format!("no {name} in {all:#}"))?.clone())
}

#[tokio::test]
async fn each_parameter_tells_where_it_comes_from() -> Result<()> {
    let bench = Bench::start(&[("POOL_TIMEOUT", "12")]).await?;
    bench.apply(&POOL.replace("replicas: 2", "poolMaxSize: 6")).await?;
    bench.status("web", |status| status.effective.is_some()).await?;
    let shell = administrator(&bench).await?;
    let of = async |name: &str| shown(&shell, name).await;
    let maximum = of("poolMaxSize").await?;
    ensure!(
        maximum == json!({"name": "poolMaxSize", "value": 6, "source": "spec", "managers": ["test"]}),
        "{maximum}"
    );
    ensure!(
        of("poolTimeout").await? == json!({"name": "poolTimeout", "value": 12, "source": "operator_default"})
    );
    ensure!(
        of("poolMinSize").await?["source"] == "default" && of("poolStrategy").await?["source"] == "default"
    );

    shell.run(&["config", "set", "web", "poolMaxSize=20", "pool_strategy=least_connections"]).await?.ok()?;
    bench
        .status("web", |status| status.effective.as_ref().is_some_and(|now| now.pool_max_size == 20))
        .await?;
    let text = shell.run(&["config", "web"]).await?.ok()?;
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    ensure!(
        line("poolMaxSize").contains("20") && line("poolMaxSize").contains("set by sessionpool-kubectl"),
        "{text}"
    );
    ensure!(line("poolStrategy").contains("LeastConnections"), "{text}");
    ensure!(line("poolTimeout").contains("operator default"), "{text}");
    Ok(())
}

#[tokio::test]
async fn changes_are_checked_and_can_be_taken_back() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(&POOL.replace("replicas: 2", "poolMaxSize: 6")).await?;
    let shell = administrator(&bench).await?;
    let set = async |change: &str| shell.run(&["config", "set", "web", change]).await;
    let refused = set("poolMinSize=7").await?.failed(2)?;
    ensure!(refused.contains("poolMinSize must not be greater than poolMaxSize"), "{refused}");
    let bound = set("poolTimeout=0").await?.failed(2)?;
    ensure!(bound.contains("spec.poolTimeout"), "{bound}");
    ensure!(set("poolMaxSzie=7").await?.failed(2)?.contains("did you mean poolMaxSize?"));
    ensure!(set("poolMaxSize=x").await?.failed(2)?.contains("must be a whole number"));
    ensure!(bench.pool("web").await?.metadata.generation == Some(1), "something was written");

    let others = set("poolMaxSize-").await?.failed(2)?;
    ensure!(others.contains("set by test, not by this plugin"), "{others}");
    set("poolTimeout=5").await?.ok()?;
    let back = set("poolTimeout-").await?.ok()?;
    ensure!(back.contains("poolTimeout: left to the default"), "{back}");
    let spec = bench.pool("web").await?.spec;
    ensure!(spec.pool_timeout.is_none() && spec.pool_max_size == Some(6), "{spec:?}");
    Ok(())
}

/// Two people at once: neither change is lost.
#[tokio::test]
async fn changes_at_the_same_time_add_up() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let shell = administrator(&bench).await?;
    let changes = ["poolTimeout=5", "poolMaxSize=15", "poolRecycleSeconds=60", "poolIdleSeconds=61"];
    let set = changes.map(|change| {
        let shell = &shell;
        async move { shell.run(&["config", "set", "web", change]).await?.ok() }
    });
    futures::future::try_join_all(set).await?;
    let spec = bench.pool("web").await?.spec;
    let found = (spec.pool_timeout, spec.pool_max_size, spec.pool_recycle_seconds, spec.pool_idle_seconds);
    ensure!(found == (Some(5), Some(15), Some(60), 61), "{found:?}");
    Ok(())
}
