//! The dashboard: it can be found, and all that it asks for are metrics that there are.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{chart_docs, helm::rendered};

fn dashboard() -> Result<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(chart_docs::file("files/dashboard.json"))?)?)
}

#[tokio::test]
async fn grafana_finds_the_dashboard() -> Result<()> {
    ensure!(rendered(&[]).await?.of_kind("ConfigMap").is_empty());
    let values = "dashboard.enabled=true,dashboard.namespace=grafana,dashboard.annotations.folder=MCP";
    let objects = rendered(&["--set", values]).await?;
    let map = objects.only("ConfigMap")?;
    ensure!(map["metadata"]["labels"]["grafana_dashboard"] == "1", "{map:#}");
    ensure!(map["metadata"]["namespace"] == "grafana" && map["metadata"]["annotations"]["folder"] == "MCP");
    let held: Value = serde_json::from_str(map["data"]["sessionpool.json"].as_str().context("no file")?)?;
    ensure!(held == dashboard()?, "it was changed on the way");
    Ok(())
}

#[test]
fn panels_use_the_chosen_source_and_do_not_overlap() -> Result<()> {
    let dashboard = dashboard()?;
    let variables = dashboard["templating"]["list"].as_array().context("no variables")?;
    let names: Vec<_> = variables.iter().map(|variable| &variable["name"]).collect();
    ensure!(names == ["datasource", "namespace", "pool"], "{names:?}");
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().context("no panels")? {
        ensure!(ids.insert(panel["id"].as_u64()), "an id stands there twice: {panel:#}");
        let place = |edge| panel["gridPos"][edge].as_u64().context("no place");
        let (x, y, width, height) = (place("x")?, place("y")?, place("w")?, place("h")?);
        ensure!(x + width <= 24, "it does not fit: {panel:#}");
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            ensure!(taken.insert(cell), "something else is at {cell:?}: {panel:#}");
        }
        if panel["type"] == "row" {
            continue;
        }
        ensure!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{panel:#}");
        let targets = panel["targets"].as_array().context("no targets")?;
        ensure!(!targets.is_empty(), "{panel:#}");
        for target in targets {
            ensure!(target["datasource"]["uid"] == "${datasource}", "{target:#}");
        }
    }
    Ok(())
}
