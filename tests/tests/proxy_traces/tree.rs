//! Real clients and servers with OpenTelemetry's SDK.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::collector::{Collector, Span, written};
use tests::eventually;
use tests::mcp_client::Session;
use tests::repository;
use tests::upstream::{Upstream, python};
use tokio::process::Command;

use crate::{PATIENCE, ready, traced};

/// The one span of a name that is a part of `parent`.
fn part<'a>(spans: &'a [Span], service: &str, name: &str, parent: &Span) -> Result<&'a Span> {
    let mut found = spans.iter().filter(|span| {
        (span.service.as_str(), span.name.as_str()) == (service, name)
            && span.parent.as_ref() == Some(&parent.id)
    });
    let span = found.next().with_context(|| format!("{service}: no {name} of {parent:#?} in {spans:#?}"))?;
    ensure!(found.next().is_none(), "{service}: {name} is there twice");
    ensure!(span.trace == parent.trace, "{service}: {name} is in another trace");
    Ok(span)
}

#[tokio::test]
async fn one_tree_from_the_client_to_the_server() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let files = ["server", "client"].map(|name| folder.path().join(name));
    let [of_server, of_client] = &files;
    let server = Upstream::traced(of_server).await?;
    let collector = Collector::start().await?;
    let proxy = ready(traced(&server.url(), &json!({"poolMinSize": 1}), &collector)?).await?;

    let script = repository().join("tests/upstreams/python/traced_client.py");
    let url = format!("http://{}/mcp", proxy.mcp);
    let mut client = Command::new(python().await?);
    let output = client.arg(script).arg(&url).arg(of_client).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, output).await.context("the client hangs")??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout)?;

    let check = || {
        let mut spans = [written(of_server)?, written(of_client)?].concat();
        spans.extend(collector.spans());
        let work = spans.iter().find(|span| span.name == "work").context("the client's own span")?;
        for name in ["initialize", "tools/list", "tools/call seen", "tools/call fail"] {
            let sent = part(&spans, "client", &format!("MCP send {name}"), work)?;
            let arrived = part(&spans, "sessionpool-proxy", name, sent)?;
            ensure!(arrived.kind == "SERVER");
            // The proxy answers `initialize` from a session that it has.
            if name == "initialize" {
                continue;
            }
            let called = part(&spans, "sessionpool-proxy", name, arrived)?;
            let called_there = part(&spans, "server", name, called)?;
            ensure!((called.kind.as_str(), called_there.kind.as_str()) == ("CLIENT", "SERVER"));
            ensure!(arrived.start <= called.start && called.end <= arrived.end, "{arrived:?} {called:?}");
        }
        let sent = spans.iter().find(|span| span.name == "MCP send tools/call seen").context("seen")?;
        let arrived = part(&spans, "sessionpool-proxy", "tools/call seen", sent)?;
        let called = part(&spans, "sessionpool-proxy", "tools/call seen", arrived)?;
        Ok((spans.clone(), arrived.clone(), called.clone()))
    };
    let (spans, arrived, called) = eventually(PATIENCE, "the tree", async || check()).await?;

    // The server was told in both places, by the same span.
    let told = format!("00-{}-{}-01", called.trace, called.id);
    ensure!(seen == json!({"headers": {"traceparent": told}, "meta": {"traceparent": told}}), "{seen}");

    for (name, value) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.tool.name", "seen"),
        ("gen_ai.operation.name", "execute_tool"),
        ("mcp.protocol.version", "2025-11-25"),
        ("network.protocol.name", "http"),
        ("network.transport", "tcp"),
    ] {
        assert_eq!((arrived.attribute(name), called.attribute(name)), (Some(value), Some(value)), "{name}");
    }
    assert_eq!(called.attribute("server.address"), Some("127.0.0.1"));
    assert_eq!(called.attribute("server.port"), Some(server.address.port().to_string().as_str()));
    assert_eq!(arrived.resource["mcpgateway.server_id"], "default.test");
    assert!(!arrived.is_error && arrived.attribute("error.type").is_none());
    for failed in spans.iter().filter(|span| span.name == "tools/call fail") {
        assert!(failed.is_error, "{failed:#?}");
        assert_eq!(failed.attribute("error.type"), Some("tool_error"), "{failed:#?}");
    }
    // All of a client's spans name its session.
    let arrivals = spans.iter().filter(|span| span.kind == "SERVER" && span.service == "sessionpool-proxy");
    let sessions: std::collections::BTreeSet<_> =
        arrivals.map(|span| span.attribute("mcp.session.id")).collect();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert!(sessions.iter().all(Option::is_some));
    Ok(())
}

#[tokio::test]
async fn spans_hold_no_secret() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Upstream::traced(&folder.path().join("server")).await?;
    let collector = Collector::start().await?;
    let proxy = ready(traced(&server.url(), &json!({"isolation": "Principal"}), &collector)?).await?;
    let client = Session::open_with(proxy.mcp, &[("authorization", "Bearer cr3dential")], &json!({})).await?;
    client.tool("seen", &json!({"secret": "s3cret"})).await?;
    let failed =
        client.result("tools/call", &json!({"name": "fail", "arguments": {"secret": "s3cret"}})).await?;
    assert!(failed.to_string().contains("s3cret"), "{failed}");
    client.request("resources/read", &json!({"uri": "db://me:s3cret@host/table?key=s3cret"})).await?;
    crate::span(&collector, "the last span", |span| {
        span.kind == "CLIENT" && span.attribute("mcp.resource.uri") == Some("db://host/table")
    })
    .await?;
    let of_server = client.tool("session", &json!({})).await?;
    crate::span(&collector, "the last call", |span| {
        span.kind == "SERVER" && span.attribute("gen_ai.tool.name") == Some("session")
    })
    .await?;
    for secret in ["s3cret", "cr3dential", &client.id, &of_server] {
        assert!(!secret.is_empty() && !collector.holds(secret), "{secret}");
    }
    Ok(())
}

/// A server that was killed knows the session no more: the request goes out a second time, on a new session.
#[tokio::test]
async fn a_killed_server() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut server = Upstream::traced(&folder.path().join("server")).await?;
    let collector = Collector::start().await?;
    let proxy = ready(traced(&server.url(), &json!({"poolPrePing": false}), &collector)?).await?;
    let client = Session::open(proxy.mcp).await?;
    server.restart().await?;
    let seen: Value = serde_json::from_str(&client.tool("seen", &json!({"secret": ""})).await?)?;
    let arrived =
        crate::span(&collector, "the call", |span| span.kind == "SERVER" && span.name == "tools/call seen")
            .await?;
    assert!(!arrived.is_error);
    let calls = crate::calls(&collector, &arrived, 2).await?;
    assert_eq!((calls[0].is_error, calls[1].is_error), (true, false));
    assert_eq!(calls[0].attribute("http.request.resend_count"), None);
    assert_eq!(calls[1].attribute("http.request.resend_count"), Some("1"));
    assert!(seen["meta"]["traceparent"].as_str().is_some_and(|told| told.contains(&calls[1].id)), "{seen}");
    Ok(())
}
