//! The alerts: Prometheus' own checker takes them, and each fires when it should.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    chart_docs,
    helm::{MONITORING, rendered},
    promtool::promtool,
    repository,
};

const CASES: &str = "tests/tests/chart/alerts.test.yaml";
const RUNBOOKS: &str = "https://docs.test/runbooks";

/// Names of the alerts that the chart has.
pub fn names() -> Result<BTreeSet<String>> {
    let file: Value = serde_yaml::from_str(&fs::read_to_string(chart_docs::file("files/alerts.yaml"))?)?;
    Ok(rules(&file).iter().filter_map(|rule| Some(rule["alert"].as_str()?.to_owned())).collect())
}

fn rules(spec: &Value) -> Vec<&Value> {
    let groups = spec["groups"].as_array().into_iter().flatten();
    groups.flat_map(|group| group["rules"].as_array().into_iter().flatten()).collect()
}

/// What the chart makes of some values.
async fn spec(values: &str) -> Result<Value> {
    let values = format!("prometheusRule.enabled=true,{values}");
    let objects = rendered(&[&MONITORING[..], &["--set", &values]].concat()).await?;
    Ok(objects.only("PrometheusRule")?["spec"].clone())
}

async fn check(command: &str, file: &std::path::Path) -> Result<String> {
    let mut promtool = promtool().await?;
    let output = promtool.args([command, "rules"]).arg(file).output().await?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "promtool {command} rules: {said}");
    Ok(said.into_owned())
}

#[tokio::test]
async fn each_alert_fires() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let rules = folder.path().join("rules.yaml");
    let spec = spec(&format!("prometheusRule.runbookBaseUrl={RUNBOOKS}")).await?;
    fs::write(&rules, spec.to_string())?;
    let said = check("check", &rules).await?;
    ensure!(said.contains("SUCCESS") && !said.to_lowercase().contains("warn"), "{said}");
    let cases = folder.path().join("cases.yaml");
    fs::copy(repository().join(CASES), &cases)?;
    check("test", &cases).await?;
    // Without a proof for each of them this would prove nothing.
    let cases: Value = serde_yaml::from_str(&fs::read_to_string(cases)?)?;
    let mut proven = BTreeSet::new();
    for case in cases["tests"].as_array().into_iter().flatten() {
        let expected = case["promql_expr_test"].as_array().into_iter().flatten();
        let firing: Vec<_> =
            expected.map(|step| step["exp_samples"].as_array().map_or(0, Vec::len)).collect();
        if firing.first() == Some(&0) && firing.last() == Some(&1) {
            proven.extend(case["name"].as_str().map(ToOwned::to_owned));
        }
    }
    ensure!(proven == names()?, "{:?}", proven.symmetric_difference(&names()?));
    Ok(())
}

#[tokio::test]
async fn each_alert_says_how_bad_it_is_and_what_to_do() -> Result<()> {
    let spec = spec(&format!("prometheusRule.runbookBaseUrl={RUNBOOKS}")).await?;
    let runbooks = fs::read_to_string(repository().join("docs/runbooks.md"))?;
    let sections: BTreeSet<_> = runbooks.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let mut links = BTreeSet::new();
    for rule in rules(&spec) {
        let name = rule["alert"].as_str().context("no name")?;
        let severity = rule["labels"]["severity"].as_str();
        ensure!(matches!(severity, Some("critical" | "warning")), "{name}: {severity:?}");
        for annotation in ["summary", "description"] {
            ensure!(rule["annotations"][annotation].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        }
        ensure!(sections.contains(name), "docs/runbooks.md has no section {name}");
        let link = format!("{RUNBOOKS}#{}", name.to_lowercase());
        ensure!(rule["annotations"]["runbook_url"] == link, "{rule:#}");
        links.insert(name);
    }
    ensure!(links == sections, "docs/runbooks.md: {:?}", links.symmetric_difference(&sections));
    Ok(())
}

#[tokio::test]
async fn an_alert_may_be_changed_or_left_out() -> Result<()> {
    let one = "prometheusRule.rules.SessionPoolTimeouts";
    let values = format!(
        "{one}.for=1h,{one}.severity=page,{one}.expr=vector(1),{one}.keepFiringFor=5m,{one}.labels.team=a,\
         prometheusRule.rules.SessionPoolRefusals.enabled=false,prometheusRule.alertLabels.cluster=c,\
         prometheusRule.extraGroups[0].name=own,prometheusRule.extraGroups[0].rules[0].record=r,\
         prometheusRule.extraGroups[0].rules[0].expr=vector(2)"
    );
    let spec = spec(&values).await?;
    let all = rules(&spec);
    let named = |name: &str| all.iter().find(|rule| rule["alert"] == name);
    let changed = named("SessionPoolTimeouts").context("it is gone")?;
    ensure!(changed["for"] == "1h" && changed["expr"] == "vector(1)", "{changed:#}");
    ensure!(changed["keep_firing_for"] == "5m", "{changed:#}");
    ensure!(changed["labels"] == serde_json::json!({"severity": "page", "team": "a", "cluster": "c"}));
    ensure!(named("SessionPoolRefusals").is_none(), "it is still there");
    ensure!(named("SessionPoolHighWait").is_some_and(|rule| rule["labels"]["cluster"] == "c"));
    ensure!(all.iter().any(|rule| rule["record"] == "r"), "{spec:#}");
    ensure!(all.len() == names()?.len(), "one was left out and one was added");
    Ok(())
}

/// The operator of another release is that one's affair.
#[tokio::test]
async fn alerts_of_the_operator_are_about_this_one() -> Result<()> {
    for rule in rules(&spec("replicas=1").await?) {
        let question = rule["expr"].as_str().context("no question")?;
        let asked = question.matches(r#"job="sessionpool-operator""#).count();
        ensure!(
            asked == question.matches(r#"job="sessionpool-operator",namespace="default""#).count(),
            "{question}"
        );
    }
    Ok(())
}
