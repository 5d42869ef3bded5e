//! Every value is documented, and what is made from its comment is up to date.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{chart_docs, helm};

#[test]
fn the_readme_and_the_schema_say_what_the_comments_say() -> Result<()> {
    for (path, holds, should) in chart_docs::made()? {
        ensure!(holds == should, "{} is not up to date: run `make chart`", path.display());
    }
    Ok(())
}

#[tokio::test]
async fn helm_finds_nothing_unusual() -> Result<()> {
    helm::lint().await?;
    Ok(())
}

#[test]
fn the_schema_knows_every_value_and_no_other() -> Result<()> {
    let values = std::fs::read_to_string(chart_docs::file("values.yaml"))?;
    let documented: BTreeSet<_> =
        chart_docs::entries(&values)?.into_iter().map(|entry| entry.path.join(".")).collect();
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(chart_docs::file("values.schema.json"))?)?;
    let mut known = BTreeSet::new();
    collect(&schema, "", &mut known)?;
    // What only a chart around this one sets, and fields of what the values hold.
    let own = |path: &&String| {
        !matches!(path.as_str(), "global" | "enabled")
            && !["resources.", "prometheusRule.rules."].iter().any(|free| path.starts_with(free))
    };
    let known: BTreeSet<_> = known.iter().filter(own).cloned().collect();
    ensure!(known == documented, "{:?}", known.symmetric_difference(&documented));
    Ok(())
}

/// The path of each property, which must have a description and be the only ones of its object.
fn collect(schema: &Value, path: &str, known: &mut BTreeSet<String>) -> Result<()> {
    let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
    ensure!(schema["additionalProperties"] == false, "{path} takes what it does not know");
    for (name, property) in properties {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let referred = property.get("$ref").is_some();
        ensure!(referred || property["description"].is_string(), "{path} has no description");
        collect(property, &path, known)?;
        known.insert(path);
    }
    Ok(())
}

#[test]
fn the_alerts_that_may_be_changed_are_those_that_there_are() -> Result<()> {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(chart_docs::file("values.schema.json"))?)?;
    let rules = &schema["properties"]["prometheusRule"]["properties"]["rules"]["properties"];
    let known: BTreeSet<_> = rules.as_object().context("no rules")?.keys().cloned().collect();
    ensure!(known == crate::alerts::names()?, "{known:?}");
    Ok(())
}
