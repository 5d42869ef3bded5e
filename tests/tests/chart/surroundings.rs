//! Services, the Ingress, labels of everything, further objects, and the pod of `helm test`.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::helm::{MONITORING, MUTATING, rendered};

#[tokio::test]
async fn metrics_never_leave_the_cluster() -> Result<()> {
    let values = "service.type=LoadBalancer,service.port=80,service.annotations.lb=internal";
    let objects = rendered(&["--set", values]).await?;
    let api = objects.named("Service", "release-sessionpool-operator")?;
    ensure!(
        api["spec"]["type"] == "LoadBalancer" && api["metadata"]["annotations"] == json!({"lb": "internal"})
    );
    let ports = json!([{"name": "api", "port": 80, "targetPort": "api"}]);
    ensure!(api["spec"]["ports"] == ports, "{api:#}");
    let admin = objects.named("Service", "release-sessionpool-operator-admin")?;
    ensure!(admin["spec"].get("type").is_none() && admin["spec"]["ports"][0]["name"] == "admin", "{admin:#}");
    for service in [api, admin] {
        ensure!(
            service["spec"]["selector"] == objects.only("Deployment")?["spec"]["selector"]["matchLabels"]
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_api_is_served_or_not() -> Result<()> {
    let ports = |container: &Value| -> Vec<Value> {
        container["ports"].as_array().into_iter().flatten().map(|port| port["name"].clone()).collect()
    };
    let on = rendered(&[]).await?;
    ensure!(ports(on.container()?) == ["admin", "api"]);
    ensure!(on.container()?["args"].to_string().contains("--api-listen=0.0.0.0:8000"));
    let rights = on.named("ClusterRole", "release-sessionpool-operator-default-api")?;
    ensure!(rights.to_string().contains("tokenreviews"), "{rights:#}");
    let off = rendered(&["--set", "api.enabled=false"]).await?;
    ensure!(ports(off.container()?) == ["admin"] && off.of_kind("Service").len() == 1);
    ensure!(off.container()?["args"].to_string().contains("--api-listen=off"));
    ensure!(off.of_kind("ClusterRoleBinding").len() == 1, "it may ask who somebody is");
    Ok(())
}

#[tokio::test]
async fn an_ingress_leads_to_the_api() -> Result<()> {
    ensure!(rendered(&[]).await?.of_kind("Ingress").is_empty());
    let values = r#"ingress={"enabled": true, "className": "nginx", "hosts": ["pools.example.com", "b.example.com"], "tls": [{"secretName": "s", "hosts": ["pools.example.com"]}]}"#;
    let objects = rendered(&["--set-json", values]).await?;
    let spec = &objects.only("Ingress")?["spec"];
    ensure!(spec["ingressClassName"] == "nginx" && spec["tls"][0]["secretName"] == "s", "{spec:#}");
    ensure!(spec["rules"][0]["host"] == "pools.example.com" && spec["rules"][1]["host"] == "b.example.com");
    let path = &spec["rules"][0]["http"]["paths"][0];
    ensure!(path["path"] == "/" && path["pathType"] == "Prefix", "{path:#}");
    let service =
        objects.named("Service", path["backend"]["service"]["name"].as_str().context("no name")?)?;
    ensure!(service["spec"]["ports"][0]["name"] == path["backend"]["service"]["port"]["name"]);
    Ok(())
}

/// Everything that the chart can make.
const ALL: &str = "commonLabels.team=pools,commonAnnotations.owner=somebody,replicas=2,serviceMonitor.enabled=true,\
    prometheusRule.enabled=true,dashboard.enabled=true,networkPolicy.enabled=true,podDisruptionBudget.enabled=true,\
    ingress.enabled=true,ingress.hosts={a}";

#[tokio::test]
async fn every_object_has_the_labels_of_its_owner() -> Result<()> {
    let objects = rendered(&[&MONITORING[..], &MUTATING, &["--set", ALL]].concat()).await?;
    for object in objects.all() {
        let (labels, annotations) = (&object["metadata"]["labels"], &object["metadata"]["annotations"]);
        ensure!(labels["team"] == "pools" && annotations["owner"] == "somebody", "{object:#}");
        ensure!(labels["app.kubernetes.io/instance"] == "release", "{object:#}");
        ensure!(labels["helm.sh/chart"].as_str().is_some_and(|chart| chart.starts_with("sessionpool-")));
    }
    for kind in
        ["ServiceMonitor", "PrometheusRule", "ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Ingress"]
    {
        ensure!(!objects.of_kind(kind).is_empty(), "there is no {kind}");
    }
    ensure!(objects.pod()?["metadata"]["labels"]["team"] == "pools");
    let selector =
        objects.only("Deployment")?["spec"]["selector"]["matchLabels"].as_object().context("no")?;
    ensure!(
        selector.len() == 2,
        "a selector can't be changed: it holds no label that may change: {selector:?}"
    );
    Ok(())
}

#[tokio::test]
async fn further_objects_are_templates() -> Result<()> {
    let objects = r#"extraObjects=[{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{{ .Release.Name }}-map"}},
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ include \"sessionpool.name\" . }}-text\n"]"#;
    let objects = rendered(&["--set-json", objects]).await?;
    let names: Vec<_> =
        objects.of_kind("Secret").iter().map(|secret| secret["metadata"]["name"].clone()).collect();
    ensure!(names == ["release-map", "release-sessionpool-operator-text"], "{names:?}");
    Ok(())
}

#[tokio::test]
async fn helm_test_asks_what_is_served() -> Result<()> {
    let objects = rendered(&["--set", "watchNamespaces={a},image.tag=dev"]).await?;
    let pod = objects.only("Pod")?;
    ensure!(pod["metadata"]["annotations"]["helm.sh/hook"] == "test", "{pod:#}");
    let container = &pod["spec"]["containers"][0];
    ensure!(container["image"] == objects.container()?["image"]);
    ensure!(
        container["args"]
            == json!([
                "--check=http://release-sessionpool-operator-admin.default.svc:8081/readyz",
                "--check=http://release-sessionpool-operator.default.svc:8000/openapi.json",
                "--watch-namespace=a"
            ]),
        "{container:#}"
    );
    let selector = &objects.only("Deployment")?["spec"]["selector"]["matchLabels"];
    let name = "app.kubernetes.io/name";
    ensure!(pod["metadata"]["labels"][name] != selector[name], "it would get the operator's requests");
    ensure!(rendered(&["--set", "tests.enabled=false"]).await?.of_kind("Pod").is_empty());
    Ok(())
}
