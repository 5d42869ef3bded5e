//! From the previous chart to this one and back, while clients call through a pool without a pause.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use crds::SessionPool;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt};
use tests::{
    Cluster, eventually,
    release::{IMAGES, Release},
    repository, upstream,
};

const PATIENCE: Duration = Duration::from_secs(60);
const DEFINITION: &str = "sessionpools.mcpgateway.io";
/// The chart as it was released before this one.
const PREVIOUS: &str = "tests/charts/sessionpool-0.1.0.tgz";

/// The file that clients call until, made when this is dropped: whatever becomes of the test, they end.
struct Stop(PathBuf);

impl Drop for Stop {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(&self.0, "") {
            eprintln!("the clients go on: {}: {error}", self.0.display());
        }
    }
}

#[tokio::test]
async fn upgrades_rollbacks_and_uninstalling_fail_no_call() -> Result<()> {
    let cluster = Cluster::start().await?;
    let release = Release::new(&cluster).await?;
    let previous = repository().join(PREVIOUS).display().to_string();
    release.helm(&["install", "sessionpool", &previous, "--set", IMAGES, "--wait"]).await?;
    release.apply("examples/everything.yaml").await?;
    release.ready("everything").await?;

    let url = format!("http://everything-pool.{}.svc.cluster.local:8080/mcp", release.namespace);
    let folder = tempfile::tempdir()?;
    let stop = Stop(folder.path().join("stop"));
    let python = upstream::python().await?;
    let script = repository().join("tests/upstreams/python/steady.py").display().to_string();
    let file = stop.0.display().to_string();
    let command = [python.as_str(), &script, &url, &file];
    let changing = async {
        let changed = lead_through_its_life(&cluster, &release).await;
        drop(stop);
        changed
    };
    let (said, ()) = tokio::try_join!(cluster.run(&command), changing)?;
    println!("{}", said.trim());
    ensure!(said.contains(", 0 failures"), "{said}");
    Ok(())
}

async fn lead_through_its_life(cluster: &Cluster, release: &Release<'_>) -> Result<()> {
    ensure!(chart_of_the_definition(cluster).await? == "sessionpool-0.1.0");
    let proxies = proxies(release).await?;

    // The budget and the second operator are new in this chart.
    let values = "replicas=2,podDisruptionBudget.enabled=true";
    let chart = Release::chart();
    let kept = ["--reset-then-reuse-values", "--set", values, "--wait", "--timeout=90s"];
    release.helm(&[&["upgrade", "sessionpool", &chart], &kept[..]].concat()).await?;
    ensure!(chart_of_the_definition(cluster).await? == "sessionpool-0.2.0", "the definition stayed behind");
    let wanted: CustomResourceDefinition =
        serde_yaml::from_str(&std::fs::read_to_string(repository().join("crds/sessionpool.yaml"))?)?;
    let schema = |definition: &CustomResourceDefinition| definition.spec.versions[0].schema.clone();
    ensure!(
        schema(&definition(cluster).await?) == schema(&wanted),
        "the definition is not that of the chart"
    );
    release.helm(&["test", "sessionpool"]).await?;
    obeys(cluster, release, 6).await?;

    release.helm(&["rollback", "sessionpool", "1", "--wait", "--timeout=90s"]).await?;
    ensure!(chart_of_the_definition(cluster).await? == "sessionpool-0.1.0");
    let budgets = release.kubectl(&["get", "poddisruptionbudgets", "-o", "name"]).await?;
    ensure!(!budgets.contains("sessionpool-operator"), "{budgets}");
    obeys(cluster, release, 7).await?;

    // The definition stays, so pools stay, so their proxies serve.
    release.helm(&["upgrade", "sessionpool", &chart, "--set", IMAGES, "--wait", "--timeout=90s"]).await?;
    release.helm(&["uninstall", "sessionpool", "--wait"]).await?;
    eventually(PATIENCE, "the operator to be gone", async || {
        let left = release.kubectl(&["get", "deployments", "-o", "name"]).await?;
        ensure!(left.trim() == "deployment.apps/everything-pool", "{left}");
        Ok(())
    })
    .await?;
    definition(cluster).await?;
    let url = format!("http://everything-pool.{}.svc.cluster.local:8080/mcp", release.namespace);
    release.call_at(&url, 3, 30).await?;

    // A new release takes over what the old one has left.
    release.helm(&["install", "sessionpool", &chart, "--set", IMAGES, "--wait", "--timeout=90s"]).await?;
    obeys(cluster, release, 8).await?;
    ensure!(self::proxies(release).await? == proxies, "a proxy was replaced or restarted on the way");
    Ok(())
}

async fn definition(cluster: &Cluster) -> Result<CustomResourceDefinition> {
    Ok(Api::all(cluster.client()?).get(DEFINITION).await?)
}

async fn chart_of_the_definition(cluster: &Cluster) -> Result<String> {
    Ok(definition(cluster).await?.labels().get("helm.sh/chart").cloned().unwrap_or_default())
}

/// The operator acts on a change of the pool.
async fn obeys(cluster: &Cluster, release: &Release<'_>, size: i32) -> Result<()> {
    let patch = format!(r#"{{"spec": {{"poolMaxSize": {size}}}}}"#);
    release.kubectl(&["patch", "sessionpool", "everything", "--type=merge", "-p", &patch]).await?;
    let pools: Api<SessionPool> = Api::namespaced(cluster.client()?, &release.namespace);
    eventually(PATIENCE, &format!("the operator to take note of size {size}"), async || {
        let status = pools.get("everything").await?.status.unwrap_or_default();
        let effective = status.effective.unwrap_or_default().pool_max_size;
        ensure!(effective == size, "the size in force is {effective}");
        Ok(())
    })
    .await
}

/// The proxies, with how often each was restarted.
async fn proxies(release: &Release<'_>) -> Result<String> {
    let columns =
        "jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{\"\\n\"}{end}";
    release.kubectl(&["get", "pods", "-l", "mcpgateway.io/pool=everything", "-o", columns]).await
}
