//! What Prometheus is told to scrape.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::helm::{MONITORING, rendered};

const NAME: &str = "release-sessionpool-operator";

#[tokio::test]
async fn monitors_select_every_proxy_and_the_operator() -> Result<()> {
    let enabled = [&MONITORING[..], &["--set", "serviceMonitor.enabled=true"]].concat();
    let objects = rendered(&enabled).await?;
    let proxies = &objects.named("ServiceMonitor", &format!("{NAME}-proxies"))?["spec"];
    ensure!(proxies["selector"]["matchLabels"] == json!({crds::names::SCRAPE_LABEL: "true"}), "{proxies:#}");
    ensure!(proxies["namespaceSelector"] == json!({"any": true}), "{proxies:#}");
    ensure!(proxies["endpoints"][0]["port"] == crds::names::ADMIN_PORT_NAME, "{proxies:#}");
    ensure!(proxies["endpoints"][0]["relabelings"] == json!([{"action": "labeldrop", "regex": "endpoint"}]));

    let operator = &objects.named("ServiceMonitor", NAME)?["spec"];
    ensure!(operator["endpoints"] == json!([{"port": "admin", "honorLabels": true}]), "{operator:#}");
    let service = &objects.named("Service", &format!("{NAME}-admin"))?["metadata"]["labels"];
    for (label, value) in operator["selector"]["matchLabels"].as_object().into_iter().flatten() {
        ensure!(service[label] == *value, "{label}: {service:#}");
    }
    let api = &objects.named("Service", NAME)?["metadata"]["labels"];
    ensure!(api["mcpgateway.io/port"].is_null(), "the Service of the API has no metrics");
    for (monitor, job) in [(proxies, crds::names::NAME_LABEL), (operator, crds::names::NAME_LABEL)] {
        ensure!(monitor["jobLabel"] == job, "alerts know the jobs by name");
    }
    Ok(())
}

#[tokio::test]
async fn monitors_follow_the_values() -> Result<()> {
    let values = "serviceMonitor.enabled=true,serviceMonitor.namespace=monitoring,serviceMonitor.labels.release=kube,\
        serviceMonitor.interval=15s,serviceMonitor.scrapeTimeout=5s,watchNamespaces={a,b},\
        serviceMonitor.metricRelabelings[0].action=drop,serviceMonitor.relabelings[0].action=keep";
    let objects = rendered(&[&MONITORING[..], &["--set", values]].concat()).await?;
    for monitor in objects.of_kind("ServiceMonitor") {
        ensure!(monitor["metadata"]["namespace"] == "monitoring", "{monitor:#}");
        ensure!(monitor["metadata"]["labels"]["release"] == "kube", "{monitor:#}");
        let endpoint = &monitor["spec"]["endpoints"][0];
        ensure!(endpoint["interval"] == "15s" && endpoint["scrapeTimeout"] == "5s", "{endpoint:#}");
        ensure!(endpoint["metricRelabelings"] == json!([{"action": "drop"}]), "{endpoint:#}");
        ensure!(endpoint["relabelings"].to_string().contains("keep"), "{endpoint:#}");
    }
    let of = |name: &str| {
        objects.named("ServiceMonitor", name).map(|monitor| &monitor["spec"]["namespaceSelector"])
    };
    ensure!(*of(&format!("{NAME}-proxies"))? == json!({"matchNames": ["a", "b"]}));
    ensure!(*of(NAME)? == json!({"matchNames": ["default"]}), "the operator is not where the monitor is");
    Ok(())
}
