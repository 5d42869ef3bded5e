//! Client sessions and the proxy's own death.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use anyhow::{Result, ensure};
use serde_json::json;
use tests::eventually;
use tests::mcp_client::{Session, tool_call};
use tests::proxy::{Setup, manifest};
use tests::scripted::Scripted;

const KEY: [&str; 1] = ["--session-key-file={folder}/session.key"];

#[tokio::test]
async fn sessions_outlive_a_killed_proxy() -> Result<()> {
    let server = Scripted::start().await?;
    let proxy = Setup::new(&manifest(&server.url(), &json!({})).to_string())?.arguments(&KEY).start().await?;
    proxy.wait_until_ready().await?;
    let client = Session::open(proxy.mcp).await?;
    let key = std::fs::metadata(proxy.folder().join("session.key"))?;
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    assert_eq!(client.tool("echo", &json!({"message": "before"})).await?, "before");

    let proxy = proxy.killed_and_restarted().await?;
    let client = client.moved_to(proxy.mcp);
    assert_eq!(client.tool("echo", &json!({"message": "after"})).await?, "after");
    assert_eq!(client.listen().await?.status, 200);
    assert!((200..=204).contains(&client.end().await?));
    Ok(())
}

/// Clients keep their connections: none of their requests may meet one that is being closed.
#[tokio::test]
async fn an_end_crosses_no_request() -> Result<()> {
    let server = Scripted::start().await?;
    let proxy = Setup::new(&manifest(&server.url(), &json!({})).to_string())?.start().await?;
    proxy.wait_until_ready().await?;
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(Session::open(proxy.mcp).await?);
    }
    let calling = clients.into_iter().map(async |client| {
        loop {
            let reply = client.post(&tool_call("1", "echo", &json!({"message": "m"}))).await?;
            let last = reply.header("connection") == Some("close");
            assert!(reply.text().await?.contains("\"m\""));
            if last {
                return anyhow::Ok(());
            }
        }
    });
    let calling = futures::future::try_join_all(calling);
    let (exit, calls) = tokio::join!(proxy.terminate(), calling);
    calls?;
    assert_eq!(exit?.code, Some(0));
    Ok(())
}

#[tokio::test]
async fn principal_is_still_checked_after_a_restart() -> Result<()> {
    let server = Scripted::start().await?;
    let spec = json!({"isolation": "Principal"});
    let proxy = Setup::new(&manifest(&server.url(), &spec).to_string())?.arguments(&KEY).start().await?;
    proxy.wait_until_ready().await?;
    let client = Session::open_as(proxy.mcp, &[("authorization", "Bearer a")]).await?;
    let proxy = proxy.killed_and_restarted().await?;
    proxy.wait_until_ready().await?;
    let client = client.moved_to(proxy.mcp);
    let thief = client.with_headers(&[("authorization", "Bearer b")]);
    assert_eq!(thief.request("ping", &json!({})).await?.0, 404);
    assert_eq!(client.tool("echo", &json!({"message": "mine"})).await?, "mine");
    Ok(())
}

#[tokio::test]
async fn without_a_key_file_sessions_end_with_the_proxy() -> Result<()> {
    let server = Scripted::start().await?;
    let proxy = Setup::new(&manifest(&server.url(), &json!({})).to_string())?.start().await?;
    proxy.wait_until_ready().await?;
    let client = Session::open(proxy.mcp).await?;
    let proxy = proxy.killed_and_restarted().await?;
    proxy.wait_until_ready().await?;
    assert_eq!(client.moved_to(proxy.mcp).request("ping", &json!({})).await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn key_file_that_is_no_key() -> Result<()> {
    let server = Scripted::start().await?;
    let setup = Setup::new(&manifest(&server.url(), &json!({})).to_string())?.arguments(&KEY);
    let file = setup.config().with_file_name("session.key");
    std::fs::write(&file, "short")?;
    let exit = setup.run().await?;
    assert!(exit.code.is_some_and(|code| code != 0), "{exit:?}");
    assert!(exit.log.contains("session.key"), "{}", exit.log);
    assert_eq!(std::fs::read_to_string(file)?, "short", "it is not overwritten");
    Ok(())
}

/// The key's file and those beside it are followed: one is made known, takes over, and the old one goes.
#[tokio::test]
async fn a_key_is_rotated_while_clients_go_on() -> Result<()> {
    let server = Scripted::start().await?;
    let spec = json!({"isolation": "Session", "poolStrategy": "Sticky"});
    let proxy = Setup::new(&manifest(&server.url(), &spec).to_string())?.arguments(&KEY).start().await?;
    proxy.wait_until_ready().await?;
    let file = |ending: &str| proxy.folder().join(format!("session.key{ending}"));
    let keys = async |count: usize| {
        let wanted = format!("mcpgateway_pool_session_keys{{server_id=\"default.test\"}} {count}\n");
        eventually(Duration::from_secs(10), "the keys to be in force", async || {
            ensure!(proxy.admin("/metrics").await?.1.contains(&wanted), "{wanted} is not told");
            Ok(())
        })
        .await
    };
    let headers = [("authorization", "Bearer a")];
    let early = Session::open_with(proxy.mcp, &headers, &json!({})).await?;
    let old = std::fs::read_to_string(file(""))?;
    let new = "p6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6c=";

    std::fs::write(file(".next"), "no key")?;
    early.tool("echo", &json!({"message": "a wrong key changes nothing"})).await?;
    std::fs::write(file(".next"), new)?;
    keys(2).await?;
    std::fs::write(file(".previous"), &old)?;
    keys(3).await?;
    std::fs::write(file(""), new)?;
    std::fs::remove_file(file(".next"))?;
    keys(2).await?;
    let late = Session::open_with(proxy.mcp, &headers, &json!({})).await?;
    for session in [&early, &late] {
        assert_eq!(session.tool("echo", &json!({"message": "both"})).await?, "both");
    }
    let stolen = [("authorization", "Bearer b")];
    assert_eq!(early.with_headers(&stolen).post(&tool_call("1", "echo", &json!({}))).await?.status, 404);

    std::fs::remove_file(file(".previous"))?;
    keys(1).await?;
    assert_eq!(early.post(&tool_call("1", "echo", &json!({}))).await?.status, 404, "its key is gone");
    assert_eq!(late.tool("echo", &json!({"message": "goes on"})).await?, "goes on");
    Ok(())
}
