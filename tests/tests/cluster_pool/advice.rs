//! Advice on a pool that is too small, by mode: shown, applied, and taken back.

use anyhow::{Context as _, Result, ensure};
use crds::names;
use futures::future::try_join_all;
use k8s_openapi::api::{apps::v1::Deployment, events::v1::Event};
use kube::api::ListParams;
use serde_json::json;
use tests::plugin::Shell;

use crate::{field::Field, mcp::Session};

const POOL: &str = r"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: tight}
spec:
  poolEnabled: true
  isolation: Shared
  poolMaxSize: 1
  poolTimeout: 1
  optimization: {mode: Recommend, maxSize: 6}
  upstream:
    template: {image: docker.io/local/server-everything:dev}
";

/// More work at once than one session does in time. Gives how often a request found no session: the way through the API
/// server makes those again.
async fn crowd(field: &Field) -> Result<u64> {
    let before = field.stats("tight").await?.total_timeouts;
    try_join_all((0..5).map(async |_| Session::open(field, "tight").await?.operation(2).await)).await?;
    Ok(field.stats("tight").await?.total_timeouts - before)
}

async fn size(field: &Field, wanted: u64) -> Result<()> {
    field
        .until(&format!("size {wanted}"), async || {
            let size = field.stats("tight").await?.max_size;
            ensure!(size == wanted, "it is {size}");
            Ok(())
        })
        .await
}

async fn told(field: &Field, reason: &str) -> Result<String> {
    field
        .until(reason, async || {
            let events = field.api::<Event>().list(&ListParams::default()).await?.items;
            let found = events.into_iter().find(|event| event.reason.as_deref() == Some(reason));
            found.and_then(|event| event.note).context("no such event")
        })
        .await
}

/// The advice is put into the specification when somebody says so.
async fn by_plugin(field: &Field) -> Result<()> {
    let shell = Shell::new(field.cluster().kubeconfig(), &field.namespace).await?;
    field.patch("tight", json!({"spec": {"optimization": {"mode": "Recommend"}}})).await?;
    let said = field
        .until("advice to be applied", async || {
            crowd(field).await?;
            let said = shell.run(&["optimize", "tight", "--apply"]).await?.ok()?;
            ensure!(said.contains("poolMaxSize set"), "{said}");
            Ok(said)
        })
        .await?;
    let pool = field.api::<crds::SessionPool>().get("tight").await?;
    let grown = pool.spec.pool_max_size.context("none")?;
    ensure!((2..=6).contains(&grown), "{grown} after:\n{said}");
    size(field, u64::try_from(grown)?).await
}

#[tokio::test]
async fn a_pool_that_is_too_small_is_told_and_grows_when_it_may() -> Result<()> {
    let field = Field::start().await?;
    field.apply(POOL).await?;
    field.condition("tight", "Ready", "True").await?;
    let before = field.pods("tight").await?;
    let generation = field.api::<Deployment>().get(&names::deployment("tight")).await?.metadata.generation;
    ensure!(crowd(&field).await? > 0, "one session was enough");
    let advice = field
        .until("advice", async || {
            let advice = field.status("tight").await?.recommendation.context("none")?;
            ensure!(advice.reason == "TimeOuts", "{advice:?}");
            Ok(advice)
        })
        .await?;
    ensure!(
        (2..=6).contains(&advice.pool_max_size) && advice.message.contains("found no session"),
        "{advice:?}"
    );
    ensure!(told(&field, "AdviceGiven").await?.starts_with("poolMaxSize 1 -> "));
    ensure!(field.status("tight").await?.effective.context("none")?.pool_max_size == 1, "it is only shown");
    size(&field, 1).await?;

    field.patch("tight", json!({"spec": {"optimization": {"mode": "Auto"}}})).await?;
    let grown = field
        .until("enough sessions", async || {
            let failures = crowd(&field).await?;
            let size = field.status("tight").await?.effective.context("none")?.pool_max_size;
            ensure!(failures == 0, "{failures} times none of {size} was free");
            Ok(size)
        })
        .await?;
    ensure!((4..=6).contains(&grown), "{grown}");
    ensure!(told(&field, "AdviceTaken").await?.starts_with("poolMaxSize 1 -> "));
    let pool = field.api::<crds::SessionPool>().get("tight").await?;
    ensure!(pool.spec.pool_max_size == Some(1), "the specification is the person's");

    field.patch("tight", json!({"spec": {"optimization": {"mode": "Off"}}})).await?;
    size(&field, 1).await?;
    field
        .until("the advice is taken back", async || {
            let status = field.status("tight").await?;
            ensure!(
                status.recommendation.is_none() && status.effective.is_some_and(|now| now.pool_max_size == 1)
            );
            Ok(())
        })
        .await?;
    by_plugin(&field).await?;
    ensure!(field.pods("tight").await? == before, "pods were restarted");
    let deployment = field.api::<Deployment>().get(&names::deployment("tight")).await?;
    ensure!(deployment.metadata.generation == generation, "the Deployment was changed");
    Ok(())
}
