//! The metrics of a proxy and of an operator, as they serve them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::cell;
use crate::free_address;
use crate::mcp_client::Session;
use crate::operator::Operator;
use crate::proxy::{Setup, manifest};
use crate::scripted::Scripted;
use crate::{ControlPlane, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

/// Labels of which a proxy shows all values from its start, so that they can be listed.
const LISTED: [&str; 5] = ["status", "reason", "outcome", "bound", "quantile"];

const HEAD: &str = "# Metrics

<!-- Made by `make docs` from what a proxy and an operator serve. -->

[Monitoring](../how-to/monitoring.md) tells how Prometheus finds them and what to look at.
";

/// The page.
pub(super) async fn page(plane: &ControlPlane, operator: &Operator) -> Result<String> {
    let (proxy, operator) = futures::try_join!(of_proxy(), of_operator(plane, operator))?;
    Ok(format!(
        "{HEAD}
## Of a proxy

Port 9090, path `/metrics`, of the Service `NAME-pool-peers`. Every series has the label `server_id`, `NAMESPACE.NAME`, but those of the
process.

{}
`mcpgateway_pool_sessions_total` is a gauge in spite of its name, which is the documented one; `mcpgateway_pool_sessions` is the same.

## Of an operator

Port 8081, path `/metrics`, of the Service `sessionpool-operator-admin` (where the release is called `sessionpool`).

{}",
        table(&proxy, &LISTED),
        table(&operator, &[])
    ))
}

async fn of_proxy() -> Result<String> {
    let server = Scripted::start().await?;
    let peer = free_address()?.to_string();
    let text = manifest(&server.url(), &json!({})).to_string();
    let arguments =
        ["--session-key-file={folder}/key", &format!("--peers={peer}"), &format!("--peer-listen={peer}")];
    let proxy = Setup::new(&text)?.arguments(&arguments).start().await?;
    proxy.wait_until_ready().await?;
    Session::open(proxy.mcp).await?.tool("echo", &json!({"message": "x"})).await?;
    Ok(proxy.admin("/metrics").await?.1)
}

/// What an operator serves that has looked at a pool, and refused another.
async fn of_operator(plane: &ControlPlane, operator: &Operator) -> Result<String> {
    let pool = |name: &str, spec: serde_json::Value| {
        let kind = json!({"apiVersion": "mcpgateway.io/v1alpha1", "kind": "SessionPool"});
        json!({"apiVersion": kind["apiVersion"], "kind": kind["kind"], "metadata": {"name": name}, "spec": spec}).to_string()
    };
    let upstream = json!({"url": "http://mcp.example.com/mcp"});
    plane.apply_yaml(&pool("good", json!({"upstream": upstream}))).await?;
    plane.apply_yaml(&pool("refused", json!({"upstream": upstream, "tlsSecretName": "tls"}))).await?;
    eventually(PATIENCE, "the operator to have counted", async || {
        let text = operator.get("/metrics").await?.1;
        let counted = ["reconcile_total{", "reconcile_errors_total{reason=\"NotSupported\""];
        let all = counted.iter().all(|name| text.contains(&format!("sessionpool_operator_{name}")));
        ensure!(all && text.matches("\nsessionpool_info{").count() == 2, "{text}");
        Ok(text)
    })
    .await
}

#[derive(Default)]
struct Family {
    help: String,
    kind: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// The families of an exposition, by name.
fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help.clone_into(&mut families.entry(name.to_owned()).or_default().help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else if let Some((name, labels)) = line.split_once('{') {
            let name =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let Some(family) = families.get_mut(name) else { continue };
            let labels = labels.rsplit_once('}').map_or("", |(labels, _)| labels);
            for (label, value) in labels.split(',').filter_map(|pair| pair.split_once('=')) {
                let values = family.labels.entry(label.to_owned()).or_default();
                values.insert(value.trim_matches('"').to_owned());
            }
        }
    }
    families
}

fn table(text: &str, listed: &[&str]) -> String {
    let mut rows = vec!["| name | type | labels | |\n|---|---|---|---|\n".to_owned()];
    for (name, family) in families(text) {
        let labels = family.labels.iter().filter(|(label, _)| *label != "server_id" && *label != "le");
        let labels = labels.map(|(label, values)| {
            let values = values.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            if listed.contains(&label.as_str()) {
                format!("`{label}` ({values})")
            } else {
                format!("`{label}`")
            }
        });
        let labels = labels.collect::<Vec<_>>().join(", ");
        rows.push(format!("| `{name}` | {} | {labels} | {} |\n", family.kind, cell(&family.help)));
    }
    rows.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_their_labels() {
        let text = "# HELP a_seconds How long.\n# TYPE a_seconds histogram\na_seconds_bucket{server_id=\"x\",le=\"1\"} 2\n\
                    a_seconds_sum{server_id=\"x\"} 3\n# HELP b_total Many.\n# TYPE b_total counter\n\
                    b_total{reason=\"age\",server_id=\"x\"} 1\nb_total{reason=\"idle\",server_id=\"x\"} 1\n";
        let rows: Vec<String> = table(text, &LISTED).lines().skip(2).map(str::to_owned).collect();
        assert_eq!(
            rows,
            [
                "| `a_seconds` | histogram |  | How long. |",
                "| `b_total` | counter | `reason` (age, idle) | Many. |"
            ]
        );
    }
}
