//! Who may ask what.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::rest::Caller;

use super::Stage;
use crate::{
    bench::{Bench, account, shared, until},
    process::Operator,
};

#[tokio::test]
async fn nobody_is_answered_without_a_good_token() -> Result<()> {
    let stage = Stage::start().await?;
    for (token, said) in [(None, "send a token"), (Some("made-up"), "the token is not good")] {
        let caller = Caller::new(stage.address, token);
        for path in ["/api/servers".to_owned(), stage.path(""), stage.path("/pool/stats")] {
            let answer = caller.get(&path).await?;
            ensure!(answer.challenge.as_deref() == Some("Bearer"), "{answer:?}");
            let detail = answer.problem(401)?;
            ensure!(detail.contains(said), "{detail}");
        }
        for path in ["/pool/drain", "/pool/reset", "/pool/resume", "/pool/optimize/apply"] {
            caller.post(&stage.path(path)).await?.problem(401)?;
        }
    }
    let basic = Caller::new(stage.address, None);
    let answer = basic.send("GET", "/api/servers", &[("authorization", "Basic YTpi")], "").await?;
    ensure!(answer.problem(401)?.contains("Bearer"));
    Ok(())
}

#[tokio::test]
async fn a_viewer_sees_and_changes_nothing() -> Result<()> {
    let stage = Stage::start().await?;
    let viewer = stage.person("view").await?.caller;
    for path in ["", "/pool/config", "/pool/stats", "/pool/sessions", "/pool/history", "/pool/optimize"] {
        viewer.get(&stage.path(path)).await?.good()?;
    }
    let detail =
        viewer.put(&stage.path("/pool/config"), &json!({"pool_max_size": 12})).await?.problem(403)?;
    ensure!(detail.contains("update on sessionpools of mcpgateway.io"), "{detail}");
    ensure!(detail.contains(&stage.bench.namespace), "{detail}");
    for path in ["/pool/drain", "/pool/reset", "/pool/resume", "/pool/optimize/apply"] {
        viewer.post(&stage.path(path)).await?.problem(403)?;
    }
    let pool = stage.bench.pool("web").await?;
    ensure!(pool.metadata.generation == Some(1) && pool.spec.pool_max_size.is_none());
    Ok(())
}

#[tokio::test]
async fn an_editor_changes_and_stops_nothing() -> Result<()> {
    let stage = Stage::start().await?;
    let editor = stage.person("edit").await?.caller;
    let config = stage.path("/pool/config");
    editor.put(&config, &json!({"pool_max_size": 12, "pool_enabled": true})).await?.good()?;
    let detail = editor.put(&config, &json!({"pool_enabled": false})).await?.problem(403)?;
    ensure!(detail.contains("update on sessionpools/operate of mcpgateway.io"), "{detail}");
    for path in ["/pool/drain", "/pool/reset", "/pool/resume"] {
        let detail = editor.post(&stage.path(path)).await?.problem(403)?;
        ensure!(detail.contains("sessionpools/operate"), "{detail}");
    }
    let pool = stage.bench.pool("web").await?;
    ensure!(pool.spec.pool_enabled && pool.spec.reset_token.is_none() && pool.spec.pool_max_size == Some(12));
    // What is off can't be turned off: it may stand in a body.
    stage.bench.patch("web", json!({"spec": {"poolEnabled": false}})).await?;
    editor.put(&config, &json!({"pool_enabled": false, "pool_max_size": 13})).await?.good()?;
    Ok(())
}

#[tokio::test]
async fn what_is_not_ones_own_is_not_there() -> Result<()> {
    let stage = Stage::start().await?;
    // A token of somebody with rights elsewhere only.
    let elsewhere = Bench::start(&[]).await?;
    let stranger = Stage { bench: elsewhere, address: stage.address, id: stage.id.clone() };
    let theirs = account(shared().await?, "admin", Some(&stranger.bench.namespace)).await?;
    let stranger = stranger.someone(&theirs).await?.caller;
    let admin = stage.person("admin").await?.caller;
    let theirs = stranger.get(&stage.path("/pool/stats")).await?.problem(404)?;
    ensure!(theirs.contains("there is no pool"), "{theirs}");
    stranger.post(&stage.path("/pool/drain")).await?.problem(404)?;
    ensure!(stranger.get("/api/servers").await?.good()?["servers"] == json!([]));
    let missing = format!("{}.other", stage.bench.namespace);
    for id in [missing.as_str(), "other.web", "web", "a.b.c", "%2e%2e", "A.b", "%FF.x"] {
        for below in ["", "/pool/config", "/pool/stats", "/pool/sessions", "/pool/history", "/pool/optimize"]
        {
            admin.get(&format!("/api/servers/{id}{below}")).await?.problem(404)?;
        }
        admin.post(&format!("/api/servers/{id}/pool/reset")).await?.problem(404)?;
        admin.put(&format!("/api/servers/{id}/pool/config"), &json!({})).await?.problem(404)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_list_holds_what_its_caller_may_see() -> Result<()> {
    let stage = Stage::start().await?;
    let viewer = stage.person("view").await?.caller;
    let listed = until("the pool to be listed", async || {
        let servers = viewer.get("/api/servers").await?.good()?["servers"].clone();
        Ok((!servers[0].is_null()).then_some(servers))
    })
    .await?;
    ensure!(listed.as_array().is_some_and(|all| all.len() == 1), "{listed:#}");
    let server = &listed[0];
    ensure!(server["server_id"] == stage.id && server["name"] == "web", "{server:#}");
    ensure!(server["pool_enabled"] == true && server["strategy"] == "round_robin", "{server:#}");
    ensure!((&server["min_size"], &server["max_size"]) == (&json!(2), &json!(10)), "{server:#}");
    ensure!(server["isolation"] == "shared" && server["replicas"] == 2, "{server:#}");
    Ok(())
}

#[tokio::test]
async fn other_paths_and_methods_are_told() -> Result<()> {
    let stage = Stage::start().await?;
    let nobody = Caller::new(stage.address, None);
    ensure!(nobody.get("/api/server").await?.problem(404)?.contains("/openapi.json"));
    nobody.send("DELETE", "/api/servers", &[], "").await?.problem(405)?;
    nobody.get(&stage.path("/pool/drain")).await?.problem(405)?;
    let document = nobody.get("/openapi.json").await?.good()?;
    ensure!(
        document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")),
        "{}",
        document["openapi"]
    );
    ensure!(document["paths"]["/api/servers/{id}/pool/config"]["put"].is_object());
    Ok(())
}

#[tokio::test]
async fn without_the_api_server_nobody_is_known() -> Result<()> {
    let plane = shared().await?;
    let mut file: serde_yaml::Value = serde_yaml::from_str(&std::fs::read_to_string(plane.kubeconfig())?)?;
    let nowhere = tests::free_address()?;
    file["clusters"][0]["cluster"]["server"] = format!("https://{nowhere}").into();
    let path = plane.state().join("nowhere.kubeconfig");
    std::fs::write(&path, serde_yaml::to_string(&file)?)?;
    let operator = Operator::launch(&path, None, &[]).await?;
    let address = operator.api.parse()?;
    let detail = Caller::new(address, Some("token")).get("/api/servers").await?.problem(503)?;
    ensure!(detail.contains("the API server") && detail.contains("try again"), "{detail}");
    Caller::new(address, None).get("/api/servers").await?.problem(401)?;
    Caller::new(address, None).get("/openapi.json").await?.good()?;
    Ok(())
}

/// The operator reads a token's owner and rights from the API server, and what it keeps of that does not last.
#[tokio::test]
async fn rights_that_are_taken_away_count_no_more() -> Result<()> {
    use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
    use kube::api::{DeleteParams, ListParams};

    let stage = Stage::start().await?;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"},
        "rules": [{"apiGroups": ["mcpgateway.io"], "resources": ["sessionpools"], "verbs": ["get"]}]
    });
    stage.bench.apply_as::<Role>(&role.to_string()).await?;
    let reader = stage.with_role("reader").await?.caller;
    until("the reader to be known", async || {
        Ok((reader.get(&stage.path("/pool/stats")).await?.status == 200).then_some(()))
    })
    .await?;
    let bindings = stage.bench.api::<RoleBinding>();
    for binding in bindings.list(&ListParams::default()).await?.items {
        if binding.role_ref.name == "reader" {
            let name = binding.metadata.name.unwrap_or_default();
            bindings.delete(&name, &DeleteParams::default()).await?;
        }
    }
    until("the reader to be forgotten", async || {
        Ok((reader.get(&stage.path("/pool/stats")).await?.status == 404).then_some(()))
    })
    .await
}
