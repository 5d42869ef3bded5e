//! Client sessions and the proxy's own death.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use serde_json::json;
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
