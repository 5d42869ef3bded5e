//! `status`, `stats`, `sessions`, `version`: what there is to see without a node.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{POOL, administrator, person};
use crate::{bench::Bench, fleet::run_pods};

#[tokio::test]
async fn a_page_tells_everything_about_a_pool() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let _reports = run_pods(&bench, 2).await?;
    bench.condition("web", "Ready", "True", "AllProxiesReady").await?;
    bench
        .status("web", |status| status.stats.as_ref().is_some_and(|stats| stats.total_sessions == 6))
        .await?;
    bench.event("web", "PoolReady").await?;
    let shell = administrator(&bench).await?;

    let page = shell.run(&["status", "web"]).await?.ok()?;
    for text in [
        "web in namespace",
        "Active",
        "web-pool.",
        "http://mcp.example.com/mcp",
        "1 to 10 sessions for each of 2 proxies",
        "RoundRobin, isolation Shared",
        "6 open of 20: 2 active, 4 available, 0 unhealthy",
        "200 acquisitions, 0 waits in vain; 8 sessions opened, 2 closed",
        "of the status",
        "AllProxiesReady",
        "2/2 proxies ready",
        "PoolReady",
        "PROXY",
    ] {
        ensure!(page.contains(text), "no {text:?} in:\n{page}");
    }
    ensure!(!page.contains('\u{1b}'), "colours outside of a terminal: {page}");

    let page = shell.run(&["status", "sessionpool/web", "-o", "json"]).await?.json()?;
    ensure!(page["phase"] == "Active" && page["why"] == Value::Null && page["name"] == "web", "{page:#}");
    ensure!(page["numbers"]["total_sessions"] == 6 && page["numbers"]["source"] == "status", "{page:#}");
    ensure!(page["replicas"].as_array().is_some_and(|replicas| replicas.len() == 2), "{page:#}");
    ensure!(page["effective"]["poolMaxSize"] == 10 && page["spec"]["replicas"] == 2, "{page:#}");
    let yaml = shell.run(&["status", "web", "-o", "yaml"]).await?.ok()?;
    let yaml: serde_yaml::Value = serde_yaml::from_str(&yaml)?;
    ensure!(yaml["server_id"] == format!("{}.web", bench.namespace).as_str(), "{yaml:?}");

    let stats = shell.run(&["stats", "web", "-o", "json"]).await?;
    ensure!(stats.err.contains("these are the status' numbers"), "{}", stats.err);
    let stats = stats.json()?;
    let keys: Vec<&str> = stats.as_object().context("no object")?.keys().map(String::as_str).collect();
    for key in ["pool_id", "server_id", "strategy", "status", "total_sessions", "max_size", "total_destroys"]
    {
        ensure!(keys.contains(&key), "no {key} in {keys:?}");
    }
    ensure!(stats["strategy"] == "round_robin" && stats["status"] == "active", "{stats:#}");
    Ok(())
}

#[tokio::test]
async fn a_table_tells_of_all_pools() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    let shell = administrator(&bench).await?;
    let none = shell.run(&["status"]).await?;
    ensure!(none.code == Some(0) && none.err.contains("there is no SessionPool in namespace"), "{none:?}");
    bench.apply(POOL).await?;
    bench
        .apply(&POOL.replace("name: web", "name: files").replace("poolEnabled: true", "poolEnabled: false"))
        .await?;
    bench.condition("web", "Ready", "False", "ProxiesNotReady").await?;
    bench.condition("files", "Ready", "False", "ProxiesNotReady").await?;
    let table = shell.run(&["status"]).await?.ok()?;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    ensure!(lines.len() == 3 && lines[0][..3] == ["NAME", "PHASE", "STRATEGY"], "{table}");
    ensure!(
        lines[1][..3] == ["files", "Pending", "off"] && lines[2][..3] == ["web", "Pending", "RoundRobin"],
        "{table}"
    );
    ensure!(table.contains("0/2 proxies ready"), "{table}");
    let everywhere = shell.kubectl(&["sessionpool", "status", "-A"]).await?.ok()?;
    ensure!(everywhere.starts_with("NAMESPACE") && everywhere.contains(&bench.namespace), "{everywhere}");
    let all = shell.run(&["status", "-o", "json"]).await?.json()?;
    ensure!(all.as_array().is_some_and(|all| all.len() == 2), "{all:#}");
    Ok(())
}

#[tokio::test]
async fn a_pool_that_is_not_there_is_looked_for() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(&POOL.replace("name: web", "name: github")).await?;
    let elsewhere = Bench::start(&[]).await?;
    elsewhere.apply(&POOL.replace("name: web", "name: elsewhere")).await?;
    let shell = administrator(&bench).await?;
    let near = shell.run(&["status", "gihtub"]).await?.failed(3)?;
    ensure!(
        near.contains("there is no SessionPool gihtub") && near.contains("did you mean github?"),
        "{near}"
    );
    let other = shell.run(&["drain", "elsewhere"]).await?.failed(3)?;
    ensure!(other.contains(&format!("use -n {}", elsewhere.namespace)), "{other}");
    ensure!(elsewhere.pool("elsewhere").await?.spec.desired_state == crds::DesiredState::Active);
    let neither = shell.run(&["reset", "x"]).await?.failed(3)?;
    ensure!(neither.contains("there are github"), "{neither}");
    Ok(())
}

/// Whoever may only view sees what the status says, and is told what is missing for more.
#[tokio::test]
async fn a_viewer_sees_the_status_numbers() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let _reports = run_pods(&bench, 2).await?;
    bench
        .status("web", |status| status.stats.as_ref().is_some_and(|stats| stats.total_sessions == 6))
        .await?;
    let viewer = person(&bench, "view").await?;
    let page = viewer.run(&["status", "web"]).await?.ok()?;
    ensure!(page.contains("6 open of 20") && page.contains("PoolReady"), "{page}");
    let missing = format!("the verb get on pods/proxy in namespace {}", bench.namespace);
    ensure!(page.contains(&missing), "{page}");
    let stats = viewer.run(&["stats", "web"]).await?;
    ensure!(stats.err.contains(&missing) && stats.out.contains("total_sessions"), "{stats:?}");
    let sessions = viewer.run(&["sessions", "web"]).await?.failed(4)?;
    ensure!(
        sessions.contains("only proxies know their sessions") && sessions.contains(&missing),
        "{sessions}"
    );
    let advice = viewer.run(&["optimize", "web"]).await?.failed(4)?;
    ensure!(advice.contains(&missing), "{advice}");

    // One line for each interval, with the rates that the status allows.
    let lines = viewer.run(&["stats", "web", "--watch", "--interval=100ms", "--count=2"]).await?.ok()?;
    ensure!(lines.lines().count() == 3 && lines.starts_with("TIME"), "{lines}");
    let lines =
        viewer.run(&["stats", "web", "-w", "--interval=100ms", "--count=2", "-o", "json"]).await?.ok()?;
    let objects: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(objects.len() == 2 && objects[1]["rates"]["acquisitions"] == 0.0, "{objects:#?}");
    Ok(())
}

#[tokio::test]
async fn versions_are_told() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    let shell = administrator(&bench).await?;
    let own = shell.run(&["version", "--client"]).await?.ok()?;
    ensure!(own.contains(&format!("{} (mcpgateway.io/v1alpha1)", env!("CARGO_PKG_VERSION"))), "{own}");
    let all = shell.run(&["version", "-o", "json"]).await?.json()?;
    ensure!(all["kubernetes"].as_str().is_some_and(|version| version.starts_with("v1.")), "{all:#}");
    Ok(())
}
