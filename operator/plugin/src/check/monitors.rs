//! Whether Prometheus finds the proxies, where the Prometheus operator runs.

use crds::names;
use kube::{Client, api::ListParams, core::Request};
use serde_json::Value;

use super::Finding;
use crate::{
    connect::Cluster,
    failure::{is_forbidden, words},
};

const ABOUT: &str = "monitors";

/// Looks for the monitor of all proxies.
pub(super) async fn look(cluster: &Cluster) -> Vec<Finding> {
    let Ok(groups) = cluster.client.list_api_groups().await else { return Vec::new() };
    if !groups.groups.iter().any(|group| group.name == "monitoring.coreos.com") {
        let text = format!(
            "there is no Prometheus operator; another Prometheus finds the proxies by Services with the label {}=true",
            names::SCRAPE_LABEL
        );
        return vec![Finding::note(ABOUT, text)];
    }
    vec![match monitored(&cluster.client).await {
        Ok(true) => Finding::ok(ABOUT, "a ServiceMonitor selects the proxies"),
        Ok(false) => {
            let text = "the Prometheus operator is installed, and no ServiceMonitor selects the proxies";
            Finding::warning(ABOUT, text, "helm upgrade with serviceMonitor.enabled=true")
        }
        Err(error) if is_forbidden(&error) => {
            Finding::note(ABOUT, "you may not list servicemonitors.monitoring.coreos.com")
        }
        Err(error) => Finding::note(ABOUT, format!("they can't be looked at: {}", words(&error))),
    }]
}

async fn monitored(client: &Client) -> kube::Result<bool> {
    let request = Request::new("/apis/monitoring.coreos.com/v1/servicemonitors")
        .list(&ListParams::default())
        .map_err(kube::Error::BuildRequest)?;
    let list: Value = client.request(request).await?;
    let mut all = list["items"].as_array().into_iter().flatten();
    Ok(all.any(|monitor| monitor["spec"]["selector"]["matchLabels"][names::SCRAPE_LABEL].is_string()))
}
