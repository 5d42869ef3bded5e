//! Who may do what: people by Kubernetes' own roles and the policies, the operator by its role.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use crds::SessionPool;
use kube::{
    Api, Client, Config,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use crate::bench::{Bench, account, kubeconfig, shared, until};

const POOL: &str = r#"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: web}
spec:
  poolEnabled: true
  isolation: Shared
  replicas: 2
  resetToken: first
  drain: {timeoutSeconds: 60}
  upstream: {url: "http://mcp.example.com/mcp"}
"#;

/// The client of somebody who has one of Kubernetes' own roles in a namespace.
async fn person(bench: &Bench, role: &str) -> Result<Client> {
    client(account(shared().await?, role, Some(&bench.namespace)).await?).await
}

/// A client that acts as whoever a kubeconfig file is about.
async fn client(file: PathBuf) -> Result<Client> {
    let (config, options) = (Kubeconfig::read_from(file)?, KubeConfigOptions::default());
    Ok(Client::try_from(Config::from_custom_kubeconfig(config, &options).await?)?)
}

/// What the API server says to a change; nothing if it takes it.
async fn refusal(pools: &Api<SessionPool>, change: &Value) -> Result<Option<String>> {
    match pools.patch("web", &PatchParams::default(), &Patch::Merge(change)).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(Some(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

async fn scale(pools: &Api<SessionPool>, replicas: i32) -> Result<Option<String>> {
    let change = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    match pools.patch_scale("web", &PatchParams::default(), &change).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(Some(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

/// Each operation, the field that it changes, and how it is taken back.
fn operations() -> [(Value, &'static str, Value); 4] {
    let spec = |spec: Value| json!({"spec": spec});
    [
        (
            spec(json!({"desiredState": "Drained"})),
            "spec.desiredState",
            spec(json!({"desiredState": "Active"})),
        ),
        (spec(json!({"resetToken": "second"})), "spec.resetToken", spec(json!({"resetToken": "first"}))),
        (spec(json!({"poolEnabled": false})), "spec.poolEnabled", spec(json!({"poolEnabled": true}))),
        (spec(json!({"replicas": 0})), "spec.replicas", spec(json!({"replicas": 2}))),
    ]
}

#[tokio::test]
async fn whoever_edits_pools_may_not_drain_or_stop_them() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let pools: Api<SessionPool> = Api::namespaced(person(&bench, "edit").await?, &bench.namespace);
    // The roles are put together and the policies compiled a moment after they are there.
    until("an editor to be known and refused", async || {
        let sizes = json!({"spec": {"poolMaxSize": 12}});
        let taken = refusal(&pools, &sizes).await?.is_none();
        Ok((taken && refusal(&pools, &operations()[0].0).await?.is_some()).then_some(()))
    })
    .await?;
    for (change, field, _) in operations() {
        let said = refusal(&pools, &change).await?.with_context(|| format!("{field} was taken"))?;
        let wanted = format!("changing {field} drains, resets or stops SessionPool web: that needs");
        ensure!(said.contains(&wanted) && said.contains("sessionpools/operate"), "{said}");
    }
    ensure!(scale(&pools, 3).await?.is_none(), "scaling is no operation");
    let said = scale(&pools, 0).await?.context("scaled to zero")?;
    ensure!(said.contains("scaling to zero stops SessionPool web"), "{said}");

    // What is taken back by whoever may: a running drain can be hurried by them only.
    let admin = bench.api::<SessionPool>();
    ensure!(refusal(&admin, &json!({"spec": {"desiredState": "Drained"}})).await?.is_none());
    ensure!(refusal(&pools, &json!({"spec": {"drain": {"timeoutSeconds": 90}}})).await?.is_none());
    let said = refusal(&pools, &json!({"spec": {"drain": {"timeoutSeconds": 5}}})).await?;
    ensure!(said.is_some_and(|said| said.contains("spec.drain.timeoutSeconds")));
    let said = refusal(&pools, &operations()[0].2).await?;
    ensure!(said.is_some_and(|said| said.contains("spec.desiredState")), "an editor resumed a drained pool");
    Ok(())
}

#[tokio::test]
async fn whoever_may_operate_may_do_all_of_it() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let pools: Api<SessionPool> = Api::namespaced(person(&bench, "admin").await?, &bench.namespace);
    until("an administrator to be known", async || {
        Ok(refusal(&pools, &operations()[0].0).await?.is_none().then_some(()))
    })
    .await?;
    for (change, field, back) in operations() {
        ensure!(refusal(&pools, &change).await?.is_none(), "{field} was refused");
        ensure!(refusal(&pools, &back).await?.is_none(), "{field} could not be taken back");
    }
    ensure!(scale(&pools, 0).await?.is_none() && scale(&pools, 1).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn whoever_views_pools_changes_nothing() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let pools: Api<SessionPool> = Api::namespaced(person(&bench, "view").await?, &bench.namespace);
    until("a viewer to be known", async || Ok(pools.get("web").await.is_ok().then_some(()))).await?;
    ensure!(pools.list(&ListParams::default()).await?.items.len() == 1);
    ensure!(refusal(&pools, &json!({"spec": {"poolMaxSize": 12}})).await?.is_some());
    ensure!(scale(&pools, 3).await?.is_some());
    Ok(())
}

/// REST changes pools for others, and checks them itself: the operator may do that, and make or delete none.
#[tokio::test]
async fn the_operator_changes_pools_and_makes_none() -> Result<()> {
    let bench = Bench::start(&[]).await?;
    bench.apply(POOL).await?;
    let operator = client(kubeconfig(shared().await?, Some(&bench.namespace)).await?).await?;
    let pools: Api<SessionPool> = Api::namespaced(operator.clone(), &bench.namespace);
    until("the operator's account to be known", async || Ok(pools.get("web").await.is_ok().then_some(())))
        .await?;
    for (change, field, back) in operations() {
        ensure!(refusal(&pools, &change).await?.is_none(), "{field} was refused");
        ensure!(refusal(&pools, &back).await?.is_none(), "{field} could not be taken back");
    }
    let forbidden = |result: kube::Result<SessionPool>| matches!(result, Err(kube::Error::Api(status)) if status.is_forbidden());
    let mut other: Value = serde_yaml::from_str(POOL)?;
    other["metadata"]["name"] = "other".into();
    let applied = pools.patch("other", &PatchParams::apply("test"), &Patch::Apply(&other)).await;
    ensure!(forbidden(applied), "the operator made a pool");
    let deleted = pools.delete("web", &DeleteParams::default()).await.map(|_| ());
    ensure!(matches!(deleted, Err(kube::Error::Api(status)) if status.is_forbidden()), "it deleted a pool");
    let elsewhere: Api<SessionPool> = Api::namespaced(operator, "default");
    ensure!(forbidden(elsewhere.get("web").await), "it sees what it does not look after");
    Ok(())
}
