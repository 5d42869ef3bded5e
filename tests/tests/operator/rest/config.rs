//! Reading and writing the parameters.

use anyhow::{Context as _, Result, ensure};
use crds::{PoolStrategy, SessionPool};
use futures::future::try_join_all;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::Stage;

fn documented() -> Value {
    json!({
        "pool_enabled": true, "pool_strategy": "least_connections", "pool_min_size": 3, "pool_max_size": 10,
        "pool_timeout": 30, "pool_recycle_seconds": 3600, "pool_pre_ping": true
    })
}

#[tokio::test]
async fn rest_and_kubectl_are_one() -> Result<()> {
    let stage = Stage::start().await?;
    let admin = stage.person("admin").await?;
    let (caller, config) = (&admin.caller, stage.path("/pool/config"));
    let before = caller.get(&config).await?.good()?;
    let defaults = json!({
        "pool_enabled": true, "pool_strategy": "round_robin", "pool_min_size": 2, "pool_max_size": 10,
        "pool_timeout": 30, "pool_recycle_seconds": 3600, "pool_pre_ping": true
    });
    ensure!(before == defaults, "{before:#}");

    ensure!(caller.put(&config, &documented()).await?.good()? == documented());
    ensure!(caller.get(&config).await?.good()? == documented());
    let spec = admin.pools.get("web").await?.spec;
    ensure!(spec.pool_strategy == PoolStrategy::LeastConnections && spec.pool_min_size == Some(3));
    ensure!(spec.pool_pre_ping == Some(true) && spec.upstream.url.is_some());

    let change = json!({"spec": {"poolMaxSize": 44, "poolStrategy": "Weighted"}});
    admin.pools.patch("web", &PatchParams::default(), &Patch::Merge(change)).await?;
    let shown = caller.get(&config).await?.good()?;
    ensure!(shown["pool_max_size"] == 44 && shown["pool_strategy"] == "weighted", "{shown:#}");
    ensure!(shown["pool_min_size"] == 3, "{shown:#}");
    Ok(())
}

#[tokio::test]
async fn what_a_body_leaves_out_stays() -> Result<()> {
    let stage = Stage::start().await?;
    let admin = stage.person("admin").await?;
    let (caller, config) = (&admin.caller, stage.path("/pool/config"));
    caller.put(&config, &json!({"pool_min_size": 3, "pool_timeout": 7})).await?.good()?;
    let second = caller.put(&config, &json!({"pool_max_size": 21})).await?.good()?;
    ensure!(second["pool_min_size"] == 3 && second["pool_timeout"] == 7 && second["pool_max_size"] == 21);
    ensure!(caller.put(&config, &json!({})).await?.good()? == second);
    // Operations and parameters leave each other alone, too.
    caller.post(&stage.path("/pool/drain")).await?.good()?;
    caller.put(&config, &json!({"pool_pre_ping": false})).await?.good()?;
    let spec = admin.pools.get("web").await?.spec;
    ensure!(spec.desired_state == crds::DesiredState::Drained, "the drain is forgotten");
    ensure!((spec.pool_min_size, spec.pool_max_size, spec.pool_timeout) == (Some(3), Some(21), Some(7)));
    Ok(())
}

/// Each writes one field at the same time as all others: none is lost.
#[tokio::test]
async fn writes_at_the_same_time_keep_each_other() -> Result<()> {
    let stage = Stage::start().await?;
    let admin = stage.person("admin").await?;
    let (caller, config) = (&admin.caller, stage.path("/pool/config"));
    let bodies = [
        json!({"pool_min_size": 4}),
        json!({"pool_max_size": 30}),
        json!({"pool_timeout": 11}),
        json!({"pool_recycle_seconds": 77}),
        json!({"pool_strategy": "weighted"}),
    ];
    try_join_all(bodies.iter().map(async |body| caller.put(&config, body).await?.good())).await?;
    let config = caller.get(&config).await?.good()?;
    for body in &bodies {
        for (key, value) in body.as_object().context("no object")? {
            ensure!(config[key] == *value, "{key} is lost: {config:#}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_others_manage_stays_theirs() -> Result<()> {
    let stage = Stage::start().await?;
    let admin = stage.person("admin").await?;
    let (caller, config) = (&admin.caller, stage.path("/pool/config"));
    let gitops = async |spec: Value| {
        let object = json!({"apiVersion": "mcpgateway.io/v1alpha1", "kind": "SessionPool", "spec": spec});
        admin.pools.patch("web", &PatchParams::apply("gitops"), &Patch::Apply(&object)).await
    };
    let upstream = json!({"url": "http://mcp.example.com/mcp"});
    gitops(json!({"upstream": upstream, "poolTimeout": 40})).await?;
    caller.put(&config, &json!({"pool_max_size": 21})).await?.good()?;
    let pool = admin.pools.get("web").await?;
    ensure!(owner(&pool, "f:poolMaxSize") == ["sessionpool-api"], "{:?}", owner(&pool, "f:poolMaxSize"));
    ensure!(owner(&pool, "f:poolTimeout").contains(&"gitops".to_owned()));
    // Who manages other fields takes nothing away from REST.
    gitops(json!({"upstream": upstream, "poolTimeout": 41})).await?;
    let shown = caller.get(&config).await?.good()?;
    ensure!(shown["pool_max_size"] == 21 && shown["pool_timeout"] == 41, "{shown:#}");
    // REST takes a field over; the manager then learns of the conflict.
    caller.put(&config, &json!({"pool_timeout": 9})).await?.good()?;
    let conflict = gitops(json!({"upstream": upstream, "poolTimeout": 41})).await;
    ensure!(matches!(&conflict, Err(kube::Error::Api(status)) if status.is_conflict()), "{conflict:?}");
    ensure!(caller.get(&config).await?.good()?["pool_timeout"] == 9);
    Ok(())
}

/// The managers that own a field of the specification.
fn owner(pool: &SessionPool, field: &str) -> Vec<String> {
    let entries = pool.metadata.managed_fields.iter().flatten();
    let owns = entries
        .filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0["f:spec"][field].is_object()));
    owns.filter_map(|entry| entry.manager.clone()).collect()
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_changes_nothing() -> Result<()> {
    let stage = Stage::start().await?;
    let admin = stage.person("admin").await?;
    let (caller, config) = (&admin.caller, stage.path("/pool/config"));
    for (body, status, said) in [
        (r#"{"pool_min_sise": 3}"#, 400, "did you mean pool_min_size?"),
        (r#"{"poolMinSize": 3}"#, 400, "did you mean pool_min_size?"),
        (r#"{"pool_min_size": "#, 400, "no JSON"),
        (r#"[1]"#, 400, "must be a JSON object"),
        ("", 400, "empty"),
        (r#"{"pool_min_size": -1}"#, 422, "a whole number from 0 to 10000"),
        (r#"{"pool_timeout": 0}"#, 422, "from 1 to 3600"),
        (r#"{"pool_timeout": "30"}"#, 422, "pool_timeout"),
        (r#"{"pool_strategy": "fastest"}"#, 422, "round_robin, least_connections"),
        (r#"{"pool_min_size": 11}"#, 422, "pool_min_size 11 would be greater than pool_max_size 10"),
        (r#"{"pool_max_size": 1}"#, 422, "pool_min_size 2 would be greater than pool_max_size 1"),
        (r#"{"pool_max_size": 20, "pool_timeout": 99999}"#, 422, "pool_timeout"),
    ] {
        let answer = caller.send("PUT", &config, &[("content-type", "application/json")], body).await?;
        let detail = answer.problem(status).with_context(|| body.to_owned())?;
        ensure!(detail.contains(said), "{body}: {detail}");
    }
    let answer = caller.send("PUT", &config, &[("content-type", "text/plain")], "{}").await?;
    ensure!(answer.problem(415)?.contains("application/json"));
    let large = format!("{{\"pool_timeout\": {}3}}", " ".repeat(20_000));
    caller.send("PUT", &config, &[], &large).await?.problem(413)?;
    // What only the API server's rules refuse is told in their words.
    stage.bench.patch("web", json!({"spec": {"poolMaxPerPrincipal": 5, "isolation": "Principal"}})).await?;
    let detail = caller.put(&config, &json!({"pool_max_size": 3})).await?.problem(422)?;
    ensure!(detail.contains("poolMaxPerPrincipal must not be greater than poolMaxSize"), "{detail}");
    let pool = admin.pools.get("web").await?;
    ensure!(pool.metadata.generation == Some(2) && pool.spec.pool_max_size.is_none());
    Ok(())
}

#[tokio::test]
async fn a_change_may_be_meant_for_one_state() -> Result<()> {
    let stage = Stage::start().await?;
    let admin = stage.person("admin").await?;
    let (caller, config) = (&admin.caller, stage.path("/pool/config"));
    let tag = caller.get(&config).await?.etag.context("no tag")?;
    let known = caller.send("GET", &config, &[("if-none-match", &tag)], "").await?;
    ensure!(known.status == 304 && known.body.is_null(), "{known:?}");
    let put = async |tag: &str, timeout: u32| {
        let headers = [("content-type", "application/json"), ("if-match", tag)];
        caller.send("PUT", &config, &headers, &json!({"pool_timeout": timeout}).to_string()).await
    };
    let changed = put(&tag, 9).await?;
    let newer = changed.etag.clone().context("no tag")?;
    ensure!(changed.status == 200 && newer != tag, "{changed:?}");
    let detail = put(&tag, 8).await?.problem(412)?;
    ensure!(detail.contains(&newer), "{detail}");
    ensure!(put(&newer, 7).await?.good()?["pool_timeout"] == 7);
    ensure!(put("*", 6).await?.good()?["pool_timeout"] == 6);
    Ok(())
}
