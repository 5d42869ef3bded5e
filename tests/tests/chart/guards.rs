//! What protects the operator.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::helm::rendered;

#[tokio::test]
async fn a_budget_keeps_operators() -> Result<()> {
    ensure!(rendered(&["--set", "replicas=2"]).await?.of_kind("PodDisruptionBudget").is_empty());
    for (values, field, wanted) in [
        ("replicas=2", "maxUnavailable", json!(1)),
        ("replicas=3,podDisruptionBudget.minAvailable=2", "minAvailable", json!(2)),
        ("replicas=3,podDisruptionBudget.maxUnavailable=50%", "maxUnavailable", json!("50%")),
    ] {
        let objects = rendered(&["--set", "podDisruptionBudget.enabled=true", "--set", values]).await?;
        let spec = &objects.only("PodDisruptionBudget")?["spec"];
        ensure!(spec[field] == wanted && spec["selector"] == objects.only("Deployment")?["spec"]["selector"]);
        ensure!(spec.as_object().is_some_and(|fields| fields.len() == 2), "{spec:#}");
    }
    Ok(())
}

#[tokio::test]
async fn a_policy_says_who_may_connect() -> Result<()> {
    ensure!(rendered(&[]).await?.of_kind("NetworkPolicy").is_empty());
    let values = r#"{"enabled": true, "metricsFrom": [{"podSelector": {"matchLabels": {"a": "b"}}}]}"#;
    let objects = rendered(&["--set-json", &format!("networkPolicy={values}")]).await?;
    let spec = &objects.only("NetworkPolicy")?["spec"];
    ensure!(spec["podSelector"] == objects.only("Deployment")?["spec"]["selector"]);
    ensure!(spec["policyTypes"] == json!(["Ingress"]) && spec.get("egress").is_none(), "{spec:#}");
    let metrics = &spec["ingress"][0];
    ensure!(metrics["ports"] == json!([{"port": "admin"}]), "{metrics:#}");
    let scraping = json!({"namespaceSelector": {"matchLabels": {crds::names::SCRAPE_LABEL: "true"}}});
    ensure!(metrics["from"][0] == scraping, "{metrics:#}");
    ensure!(metrics["from"][2]["podSelector"]["matchLabels"] == json!({"a": "b"}), "{metrics:#}");
    let test = &metrics["from"][1]["podSelector"]["matchLabels"];
    let labels = &objects.only("Pod")?["metadata"]["labels"];
    for (label, value) in test.as_object().into_iter().flatten() {
        ensure!(labels[label] == *value, "the pod of `helm test` is kept out: {labels:#}");
    }
    Ok(())
}

#[tokio::test]
async fn a_policy_says_where_the_operator_may_connect_to() -> Result<()> {
    let egress = r#"networkPolicy={"enabled": true, "egress": {"restrict": true, "apiServerPorts": [7443], "extra": [{"ports": [{"port": 4317}]}]}}"#;
    let objects = rendered(&["--set-json", egress]).await?;
    let spec = &objects.only("NetworkPolicy")?["spec"];
    ensure!(spec["policyTypes"] == json!(["Ingress", "Egress"]), "{spec:#}");
    let ports: Vec<_> = spec["egress"].as_array().into_iter().flatten().map(|rule| &rule["ports"]).collect();
    let admin = json!([{"port": crds::names::ADMIN_PORT}]);
    ensure!(*ports[1] == json!([{"port": 7443}]) && *ports[2] == admin, "{ports:#?}");
    ensure!(*ports[3] == json!([{"port": 4317}]), "{ports:#?}");
    let proxies = &spec["egress"][2]["to"][0]["podSelector"]["matchExpressions"][0]["key"];
    ensure!(*proxies == crds::names::POOL_LABEL, "{spec:#}");
    Ok(())
}
