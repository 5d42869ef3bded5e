//! What kubectl and autoscalers go by.

use anyhow::{Context, Result, ensure};
use crds::SessionPool;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tests::eventually;

use crate::{READY, manifest_of, namespace, with};

#[tokio::test]
async fn columns_scale_and_selectors_work() -> Result<()> {
    let (client, namespace) = namespace("columns").await?;
    let pools: Api<SessionPool> = Api::namespaced(client.clone(), &namespace);
    for (name, strategy) in [("a", "RoundRobin"), ("b", "None")] {
        let pool: SessionPool =
            serde_json::from_value(manifest_of(name, &with(json!({"poolStrategy": strategy}))))?;
        pools.create(&PostParams::default(), &pool).await?;
    }
    let scale = json!({"spec": {"replicas": 3}});
    pools.patch_scale("a", &PatchParams::default(), &Patch::Merge(&scale)).await?;
    ensure!(pools.get("a").await?.spec.replicas == 3, "scaling did not change spec.replicas");
    let status = json!({"status": {
        "selector": "a=b", "replicas": 2, "readyReplicas": 1, "updatedReplicas": 1, "phase": "Degraded", "url": "http://a/mcp",
        "conditions": [{"type": "Ready", "status": "False", "reason": "Why", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "effective": {
            "poolEnabled": true, "poolStrategy": "RoundRobin", "poolMinSize": 1, "poolMaxSize": 10, "poolTimeout": 30,
            "poolRecycleSeconds": 3600, "poolPrePing": true
        },
        "stats": {
            "totalSessions": 4, "activeSessions": 3, "availableSessions": 1, "unhealthySessions": 5, "minSize": 2, "maxSize": 20,
            "totalAcquisitions": 6, "totalReleases": 6, "totalTimeouts": 7, "totalCreates": 8, "totalDestroys": 9
        }
    }});
    pools.patch_status("a", &PatchParams::default(), &Patch::Merge(&status)).await?;
    let scale = pools.get_scale("a").await?;
    let seen = scale.status.map(|status| (status.replicas, status.selector));
    ensure!(seen == Some((2, Some("a=b".to_owned()))), "the scale's status is {seen:?}");

    for (selector, expected) in [
        ("spec.poolStrategy=None", vec!["b"]),
        ("spec.desiredState=Active", vec!["a", "b"]),
        ("spec.desiredState=Drained", vec![]),
        ("spec.isolation=Principal,spec.poolStrategy!=None", vec!["a"]),
    ] {
        let found = pools.list(&ListParams::default().fields(selector)).await?;
        let names: Vec<_> = found.items.into_iter().filter_map(|pool| pool.metadata.name).collect();
        ensure!(names == expected, "{selector} selects {names:?}");
    }

    let mut request = kube::core::Request::new(pools.resource_url()).list(&ListParams::default())?;
    request.headers_mut().insert("accept", "application/json;as=Table;g=meta.k8s.io;v=v1".parse()?);
    request.extensions_mut().insert("list");
    let table: Value = client.request(request).await?;
    let columns = |wide: bool| -> Vec<&str> {
        let all = table["columnDefinitions"].as_array().into_iter().flatten();
        let shown = all.filter(|column| wide || column["priority"] == 0);
        shown.filter_map(|column| column["name"].as_str()).collect()
    };
    let narrow = ["Name", "Strategy", "Phase", "Ready", "Active", "Total", "Max", "Replicas", "Age"];
    ensure!(columns(false) == narrow, "columns are {:?}", columns(false));
    ensure!(
        columns(true).ends_with(&["Isolation", "Timeouts", "Unhealthy", "URL", "Reason"]),
        "{:?}",
        columns(true)
    );
    let mut cells = table["rows"][0]["cells"].as_array().context("no cells")?.clone();
    let age = columns(true).iter().position(|name| *name == "Age").context("no age")?;
    cells.remove(age);
    let expected = json!([
        "a",
        "RoundRobin",
        "Degraded",
        "False",
        3,
        4,
        20,
        1,
        "Principal",
        7,
        5,
        "http://a/mcp",
        "Why"
    ]);
    ensure!(json!(cells) == expected, "the cells are {cells:?}");
    Ok(())
}

/// `kubectl explain` shows the text of the types.
#[tokio::test]
async fn fields_are_explained() -> Result<()> {
    let (client, _) = namespace("explain").await?;
    let explained = eventually(READY, "the API server to publish the fields", async || {
        let request = kube::core::Request::new("/openapi/v3/apis/mcpgateway.io/v1alpha1");
        let request = request.list(&ListParams::default())?;
        let api: Value = client.request(request).await?;
        let pool = api["components"]["schemas"]["io.mcpgateway.v1alpha1.SessionPool"].clone();
        ensure!(pool.is_object(), "no schema of SessionPool");
        Ok(pool)
    })
    .await?;
    let text =
        |pointer: &str| explained.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let expected = [
        ("/description", "A pool of reusable sessions to one MCP server"),
        (
            "/properties/spec/properties/poolTimeout/description",
            "Default: the operator's POOL_TIMEOUT, else 30. Example: 10.",
        ),
        (
            "/properties/spec/properties/upstream/properties/endpoints/items/properties/weight/description",
            "Default: 1. Example: 3.",
        ),
        ("/properties/status/properties/phase/description", "conditions in one word"),
    ];
    for (pointer, says) in expected {
        ensure!(text(pointer).contains(says), "{pointer} says {:?}", text(pointer));
    }
    Ok(())
}

#[tokio::test]
async fn names_for_kubectl_are_published() -> Result<()> {
    let (client, _) = namespace("discovery").await?;
    let resources = client.list_api_group_resources("mcpgateway.io/v1alpha1").await?;
    let pools = resources
        .resources
        .iter()
        .find(|resource| resource.name == "sessionpools")
        .context("no sessionpools")?;
    ensure!(
        pools.short_names.as_deref() == Some(&["spool".to_owned()]),
        "short names {:?}",
        pools.short_names
    );
    ensure!(pools.categories.as_deref() == Some(&["mcp".to_owned()]), "categories {:?}", pools.categories);
    let unknown = manifest_of("a", &with(json!({"pool_min_size": 1})));
    let api: Api<SessionPool> = Api::default_namespaced(client);
    let mut params = PostParams { dry_run: true, ..PostParams::default() };
    params.field_manager = Some("test".into());
    let mut request =
        kube::core::Request::new(api.resource_url()).create(&params, serde_json::to_vec(&unknown)?)?;
    let strict = format!("{}&fieldValidation=Strict", request.uri());
    *request.uri_mut() = strict.parse()?;
    request.extensions_mut().insert("create");
    let answer =
        api.into_client().request::<Value>(request).await.err().context("an unknown field was taken")?;
    ensure!(answer.to_string().contains("unknown field \"spec.pool_min_size\""), "{answer}");
    Ok(())
}
