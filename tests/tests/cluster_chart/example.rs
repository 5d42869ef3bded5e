//! Helm installs the chart, the example becomes ready, real clients call through the pool, and an uninstall leaves nothing
//! of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::{
    Cluster, eventually,
    release::{IMAGES, Release},
};

/// Longest wait for a state.
const PATIENCE: Duration = Duration::from_secs(90);

/// What Kubernetes puts into each namespace.
const KUBERNETES_OWN: [&str; 2] = ["serviceaccount/default", "configmap/kube-root-ca.crt"];

/// The value of each column of the only row of a table.
fn row(table: &str) -> Result<Vec<(String, String)>> {
    let lines: Vec<Vec<String>> =
        table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    ensure!(lines.len() == 2 && lines[0].len() == lines[1].len(), "not one row:\n{table}");
    Ok(lines[0].iter().cloned().zip(lines[1].iter().cloned()).collect())
}

fn column<'a>(row: &'a [(String, String)], name: &str) -> Result<&'a str> {
    let cell = row.iter().find(|(column, _)| column == name);
    Ok(&cell.with_context(|| format!("no column {name} in {row:?}"))?.1)
}

#[tokio::test]
async fn the_example_runs_on_what_the_chart_installs() -> Result<()> {
    let cluster = Cluster::start().await?;
    let release = Release::new(&cluster).await?;
    let values = format!("{IMAGES},crds.keep=false");
    release
        .helm(&["install", "sessionpool", &Release::chart(), "--set", &values, "--wait", "--timeout", "90s"])
        .await
        .context("the images are built by `make images`")?;
    let said = release.helm(&["test", "sessionpool", "--logs"]).await?;
    ensure!(said.contains("ok: SessionPools of all namespaces can be listed"), "{said}");

    release.apply("examples/everything.yaml").await?;
    release.ready("everything").await?;
    let url = release.kubectl(&["get", "spool", "everything", "-o", "jsonpath={.status.url}"]).await?;
    ensure!(url == format!("http://everything-pool.{}.svc.cluster.local:8080/mcp", release.namespace));
    release.call_at(&url, 20, 200).await?;

    eventually(PATIENCE, "the table to show the sessions", async || {
        let table = release.kubectl(&["get", "sessionpools"]).await?;
        let row = row(&table)?;
        let columns: Vec<&str> = row.iter().map(|(column, _)| column.as_str()).collect();
        let wanted = ["NAME", "STRATEGY", "PHASE", "READY", "ACTIVE", "TOTAL", "MAX", "REPLICAS", "AGE"];
        ensure!(columns == wanted, "{table}");
        ensure!(column(&row, "PHASE")? == "Active" && column(&row, "READY")? == "True", "{table}");
        ensure!(column(&row, "MAX")? == "5" && column(&row, "REPLICAS")? == "1", "{table}");
        ensure!((2..=5).contains(&column(&row, "TOTAL")?.parse::<u32>()?), "{table}");
        Ok(())
    })
    .await?;

    a_server_of_a_persons_own(&release).await?;

    // The garbage collector finds the owner of a pool's objects by its kind: the pool goes before its definition.
    release.kubectl(&["delete", "sessionpool", "everything"]).await?;
    eventually(PATIENCE, "the pools' objects to be gone", async || {
        let left = release.kubectl(&["get", "deployments,services,configmaps", "-o", "name"]).await?;
        ensure!(!left.contains("everything") && !left.contains("beside"), "still there: {left:?}");
        Ok(())
    })
    .await?;
    release.helm(&["uninstall", "sessionpool", "--wait"]).await?;
    eventually(PATIENCE, "everything of the release to be gone", async || {
        let left = release
            .kubectl(&["get", "deployments,services,configmaps,serviceaccounts", "-o", "name"])
            .await?;
        let left: Vec<_> =
            left.lines().filter(|name| !KUBERNETES_OWN.contains(name)).map(str::to_owned).collect();
        ensure!(left.is_empty(), "still there: {left:?}");
        let policies = "validatingadmissionpolicies,validatingadmissionpolicybindings,\
                        mutatingadmissionpolicies,mutatingadmissionpolicybindings";
        let kinds = format!("clusterroles,clusterrolebindings,customresourcedefinitions,{policies}");
        let everywhere = release.kubectl(&["get", &kinds, "-o", "name"]).await?;
        ensure!(!everywhere.contains("sessionpool"), "still there: {everywhere}");
        Ok(())
    })
    .await
}

/// The example of a pool for sidecars: its pods run the proxy that the chart names.
async fn a_server_of_a_persons_own(release: &Release<'_>) -> Result<()> {
    release.apply("examples/sidecar.yaml").await?;
    release.ready("beside").await?;
    release.kubectl(&["rollout", "status", "deployment/server", "--timeout=90s"]).await?;
    let images = ["get", "pods", "-l", "app=server", "-o", "jsonpath={.items[*].spec.containers[0].image}"];
    let images = release.kubectl(&images).await?;
    let proxy = "docker.io/local/sessionpool-proxy:dev";
    ensure!(images.split(' ').eq([proxy, proxy]), "{images}");
    release.call_at(&format!("http://server.{}.svc.cluster.local/mcp", release.namespace), 5, 50).await?;
    let example = tests::repository().join("examples/sidecar.yaml").display().to_string();
    release.kubectl(&["delete", "-f", &example, "--wait=false"]).await?;
    Ok(())
}
