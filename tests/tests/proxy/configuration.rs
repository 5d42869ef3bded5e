//! The configuration file: refused with the field's name, changed while running, or kept when the new one is bad.

use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::mcp_client::Session;
use tests::proxy::{Proxy, Setup, manifest};
use tests::scripted::Scripted;
use tests::{binary, eventually};

use crate::in_front;

const URL: &str = "http://127.0.0.1:9/mcp";

async fn refused(text: &str, words: &[&str]) -> Result<()> {
    let exit = Setup::new(text)?.run().await?;
    assert_eq!(exit.code, Some(78), "{text}\n{}", exit.log);
    for word in words {
        assert!(exit.log.contains(word), "'{word}' is not in: {}\nfor {text}", exit.log);
    }
    let checked = Setup::new(text)?.arguments(&["--check"]).run().await?;
    assert_eq!(checked.code, Some(78), "--check: {}", checked.log);
    Ok(())
}

#[tokio::test]
async fn bad_files_are_refused_with_the_field() -> Result<()> {
    for (spec, words) in [
        (json!({"poolMinSise": 1}), &["spec.poolMinSise", "poolMinSize"][..]),
        (json!({"poolMinSize": "two"}), &["spec.poolMinSize"]),
        (json!({"poolMinSize": 5, "poolMaxSize": 2}), &["poolMinSize", "poolMaxSize"]),
        (json!({"poolMinSize": 11}), &["poolMinSize", "poolMaxSize", "10"]),
        (json!({"poolMaxSize": 0}), &["spec.poolMaxSize"]),
        (json!({"poolTimeout": 0}), &["spec.poolTimeout"]),
        (json!({"poolTimeout": 1.5}), &["spec.poolTimeout"]),
        (json!({"isolation": "Nobody"}), &["spec.isolation", "Principal"]),
        (json!({"poolStrategy": "Random"}), &["spec.poolStrategy"]),
        (json!({"poolMaxPerPrincipal": 2}), &["spec.poolMaxPerPrincipal", "Shared"]),
        (json!({"auth": {"tokenSecretRef": {"name": "a", "key": "b"}}}), &["spec.auth"]),
        (json!({"tlsSecretName": "a"}), &["spec.tlsSecretName"]),
        (json!({"optimization": {"mode": "Auto"}}), &["spec.optimization.mode", "Recommend"]),
        (json!({"upstream": {}}), &["spec.upstream"]),
        (json!({"upstream": {"url": "ftp://x/"}}), &["spec.upstream.url"]),
        (json!({"upstream": {"url": URL, "transport": "SSE"}}), &["spec.upstream.transport"]),
        (json!({"upstream": {"url": URL, "auth": {"type": "Passthrough"}}}), &["Passthrough", "Shared"]),
        (json!({"upstream": {"url": URL, "headers": {"bad name": "x"}}}), &["spec.upstream.headers"]),
    ] {
        refused(&manifest(URL, &spec).to_string(), words).await?;
    }
    Ok(())
}

#[tokio::test]
async fn files_that_are_no_manifest_are_refused() -> Result<()> {
    refused("", &["pool.yaml"]).await?;
    refused("spec: [", &["pool.yaml"]).await?;
    refused("kind: SessionPool\nspec: {}\n", &["apiVersion"]).await?;
    refused(&manifest(URL, &json!({})).to_string().replace("SessionPool", "Pod"), &["kind", "SessionPool"])
        .await?;
    refused(&manifest(URL, &json!({})).to_string().replace("v1alpha1", "v9"), &["apiVersion"]).await?;
    refused(&manifest(URL, &json!({})).to_string().replace("\"test\"", "\"Bad_Name\""), &["metadata.name"])
        .await?;
    Ok(())
}

#[tokio::test]
async fn missing_file_is_named() -> Result<()> {
    let setup = Setup::new("")?;
    std::fs::remove_file(setup.config())?;
    let exit = setup.run().await?;
    assert_eq!(exit.code, Some(78), "{}", exit.log);
    assert!(exit.log.contains("pool.yaml"), "{}", exit.log);
    Ok(())
}

#[tokio::test]
async fn good_file_is_only_checked() -> Result<()> {
    let exit = Setup::new(&manifest(URL, &json!({})).to_string())?.arguments(&["--check"]).run().await?;
    assert_eq!(exit.code, Some(0), "{}", exit.log);
    Ok(())
}

#[tokio::test]
async fn bad_usage() -> Result<()> {
    for arguments in [&["--no-such-flag"][..], &["--max-body-bytes=many"], &["--log-format=xml"]] {
        let exit = Setup::new("")?.arguments(arguments).run().await?;
        assert_eq!(exit.code, Some(2), "{}", exit.log);
    }
    let status = tokio::process::Command::new(binary("sessionpool-proxy")?)
        .stderr(std::process::Stdio::null())
        .status()
        .await?;
    assert_eq!(status.code(), Some(2), "--config is missing");
    Ok(())
}

#[tokio::test]
async fn address_that_is_taken() -> Result<()> {
    let server = Scripted::start().await?;
    let exit = tokio::process::Command::new(binary("sessionpool-proxy")?)
        .arg("--config")
        .arg(Setup::new(&manifest(&server.url(), &json!({})).to_string())?.config())
        .args(["--admin-listen=127.0.0.1:0", "--listen", &server.address.to_string()])
        .output()
        .await?;
    assert_ne!(exit.status.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn environment_gives_defaults() -> Result<()> {
    let server = Scripted::start().await?;
    let setup = Setup::new(&manifest(&server.url(), &json!({"poolMaxSize": 6})).to_string())?;
    let proxy = setup.variable("POOL_MIN_SIZE", "2").variable("POOL_MAX_SIZE", "9").start().await?;
    let stats = proxy.stats_when("two sessions", |stats| stats.total_sessions == 2).await?;
    assert_eq!((stats.min_size, stats.max_size), (2, 6), "the file wins over the environment");
    let exit =
        Setup::new(&manifest(URL, &json!({})).to_string())?.variable("POOL_TIMEOUT", "soon").run().await?;
    assert_eq!(exit.code, Some(78), "{}", exit.log);
    assert!(exit.log.contains("POOL_TIMEOUT"), "{}", exit.log);
    Ok(())
}

#[tokio::test]
async fn changed_file_applies_without_losing_a_session() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1, "poolMaxSize": 1, "poolTimeout": 30})).await?;
    let client = Session::open(proxy.mcp).await?;
    let before = client.tool("whoami", &json!({})).await?;
    let held = client.clone();
    let call = tokio::spawn(async move { held.tool("hold", &json!({"gate": "g", "message": "held"})).await });
    server.calls_reach("hold", 1).await?;
    let revision = proxy.stats().await?.config_revision;

    proxy.write_config(&manifest(&server.url(), &json!({"poolMinSize": 3, "poolMaxSize": 4})).to_string())?;
    proxy.signal("HUP")?;
    let stats = proxy.stats_when("the new sizes", |stats| stats.total_sessions == 3).await?;
    assert_eq!((stats.min_size, stats.max_size, &stats.config_error), (3, 4, &None), "{stats:?}");
    assert!(revision.is_none() || stats.config_revision != revision, "{stats:?}");
    assert!(server.sessions().contains(&before), "the session from before is kept");
    assert_eq!(client.tool("echo", &json!({"message": "same client session"})).await?, "same client session");
    server.open("g");
    assert_eq!(call.await??, "held");
    assert_eq!(server.seen_as("DELETE").len(), 0);

    proxy.write_config(&manifest(&server.url(), &json!({"poolMinSize": 1, "poolMaxSize": 1})).to_string())?;
    proxy.signal("HUP")?;
    proxy.stats_when("the smaller size", |stats| stats.max_size == 1 && stats.total_sessions == 1).await?;
    assert_eq!(client.tool("echo", &json!({"message": "still"})).await?, "still");
    Ok(())
}

#[tokio::test]
async fn bad_change_keeps_the_old_configuration() -> Result<()> {
    let (server, mut proxy) = in_front(json!({"poolMinSize": 1, "poolMaxSize": 3})).await?;
    let client = Session::open(proxy.mcp).await?;
    for (text, word) in [
        (manifest(&server.url(), &json!({"poolMaxSise": 3})).to_string(), "spec.poolMaxSise"),
        (manifest(&server.url(), &json!({"poolMinSize": 9, "poolMaxSize": 2})).to_string(), "poolMaxSize"),
        ("nonsense: [".to_owned(), ""),
        (String::new(), ""),
    ] {
        proxy.write_config(&text)?;
        proxy.signal("HUP")?;
        let stats = proxy
            .stats_when("the reason", |stats| {
                stats.config_error.as_ref().is_some_and(|error| error.contains(word))
            })
            .await?;
        assert_eq!((stats.min_size, stats.max_size), (1, 3), "{stats:?}");
        assert!(proxy.is_alive()?);
        assert_eq!(proxy.metric("mcpgateway_pool_configuration_refused").await?, Some(1.0));
        assert_eq!(client.tool("echo", &json!({"message": "goes on"})).await?, "goes on");
        assert_eq!(proxy.admin("/readyz").await?.0, 200);
    }
    proxy.write_config(&manifest(&server.url(), &json!({"poolMaxSize": 5})).to_string())?;
    proxy
        .stats_when("the repaired file", |stats| stats.max_size == 5 && stats.config_error.is_none())
        .await?;
    assert_eq!(proxy.metric("mcpgateway_pool_configuration_refused").await?, Some(0.0));
    Ok(())
}

/// As the kubelet changes a mounted ConfigMap: a link to a folder is swapped, nobody is told.
#[tokio::test]
async fn swapped_link_is_noticed() -> Result<()> {
    let server = Scripted::start().await?;
    let text = |size: u32| manifest(&server.url(), &json!({"poolMaxSize": size})).to_string();
    let setup = Setup::new("")?;
    let (file, folder) = (setup.config(), setup.config().with_file_name("mount"));
    for (name, size) in [("one", 3), ("two", 7)] {
        std::fs::create_dir_all(folder.join(name))?;
        std::fs::write(folder.join(name).join("pool.yaml"), text(size))?;
    }
    symlink("one", folder.join("..data"))?;
    std::fs::remove_file(&file)?;
    symlink("mount/..data/pool.yaml", &file)?;
    let proxy: Proxy = setup.start().await?;
    proxy.stats_when("the first file", |stats| stats.max_size == 3).await?;
    symlink("two", folder.join("..data.new"))?;
    std::fs::rename(folder.join("..data.new"), folder.join("..data"))?;
    proxy.stats_when("the second file", |stats| stats.max_size == 7).await?;
    Ok(())
}

#[tokio::test]
async fn another_server_is_taken_up() -> Result<()> {
    let (old, proxy) = in_front(json!({"poolMinSize": 2})).await?;
    let client = Session::open(proxy.mcp).await?;
    client.tool("echo", &json!({"message": "x"})).await?;
    let new = Scripted::start().await?;
    proxy.write_config(&manifest(&new.url(), &json!({"poolMinSize": 2})).to_string())?;
    proxy.signal("HUP")?;
    eventually(Duration::from_secs(15), "sessions to move", async || {
        ensure!(
            old.sessions().is_empty() && new.sessions().len() == 2,
            "{:?} {:?}",
            old.sessions(),
            new.sessions()
        );
        Ok(())
    })
    .await?;
    assert_eq!(client.tool("echo", &json!({"message": "at the new one"})).await?, "at the new one");
    assert_eq!(new.calls("echo").len(), 1);
    Ok(())
}

/// Text logs and JSON logs are one line an event.
#[tokio::test]
async fn every_log_line_is_json() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let exit = proxy.terminate().await?;
    for line in exit.log.lines() {
        let entry: Value = serde_json::from_str(line)?;
        assert!(entry["level"].is_string() && entry["message"].is_string(), "{line}");
    }
    Ok(())
}
