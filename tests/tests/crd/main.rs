//! The API as the real API server sees it: rules, bounds, defaults, columns, scaling, selectable fields, explanations.

mod bounds;
mod defaults;
mod kubectl;
mod rules;

use anyhow::{Context, Result, bail};
use crds::{SessionPool, schema};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tests::{ControlPlane, eventually};
use tokio::sync::OnceCell;

const READY: std::time::Duration = std::time::Duration::from_secs(30);

/// The shared control plane with the definition installed, and a namespace of the test's own.
async fn namespace(prefix: &str) -> Result<(Client, String)> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let control_plane = ControlPlane::shared().await?;
    let client = control_plane.client()?;
    INSTALLED.get_or_try_init(|| install(client.clone())).await?;
    Ok((client, control_plane.namespace(prefix).await?))
}

async fn install(client: Client) -> Result<()> {
    let crd: CustomResourceDefinition = serde_json::from_value(schema::json()?)?;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    api.patch("sessionpools.mcpgateway.io", &PatchParams::apply("test").force(), &Patch::Apply(&crd)).await?;
    eventually(READY, "the API server to serve SessionPools", async || {
        let pools: Api<SessionPool> = Api::all(client.clone());
        pools.list(&ListParams::default()).await.map(drop).context("list")
    })
    .await
}

fn manifest_of(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "mcpgateway.io/v1alpha1", "kind": "SessionPool", "metadata": {"name": name}, "spec": spec})
}

fn with(changes: Value) -> Value {
    let mut spec = json!({"upstream": {"url": "http://mcp.example.com/mcp"}});
    if let (Value::Object(spec), Value::Object(changes)) = (&mut spec, changes) {
        spec.extend(changes);
    }
    spec
}

async fn dry_run(pools: &Api<SessionPool>, object: &Value) -> kube::Result<SessionPool> {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let request = serde_json::to_vec(object).unwrap_or_default();
    let mut http = kube::core::Request::new(pools.resource_url())
        .create(&params, request)
        .map_err(kube::Error::BuildRequest)?;
    http.extensions_mut().insert("create");
    pools.clone().into_client().request(http).await
}

/// The fields and messages with which the API server refuses an object.
async fn refusal(pools: &Api<SessionPool>, object: &Value) -> Result<Vec<(String, String)>> {
    let error = dry_run(pools, object).await.err().with_context(|| format!("taken: {object}"))?;
    let kube::Error::Api(status) = error else { bail!("{object}: {error}") };
    let causes = status.details.map(|details| details.causes).unwrap_or_default();
    Ok(causes.into_iter().map(|cause| (cause.field, cause.message)).collect())
}
