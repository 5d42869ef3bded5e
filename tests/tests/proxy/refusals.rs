//! What the proxy refuses: each with the protocol's status and a text that says what is wrong.

use anyhow::Result;
use serde_json::{Value, json};
use tests::mcp_client::{Endpoint, POST_HEADERS, Session, initialize, tool_call};
use tests::proxy::{Setup, manifest};
use tests::scripted::Scripted;

use crate::in_front;

const JSON: (&str, &str) = POST_HEADERS[0];
const BOTH: (&str, &str) = POST_HEADERS[1];

async fn refused(
    endpoint: &Endpoint,
    headers: &[(&str, &str)],
    body: &str,
    status: u16,
    words: &[&str],
) -> Result<String> {
    let (got, text) =
        endpoint.send("POST", "/mcp", headers, body.to_owned()).await?.status_and_text().await?;
    assert_eq!(got, status, "{text}");
    for word in words {
        assert!(text.to_lowercase().contains(&word.to_lowercase()), "'{word}' is not in: {text}");
    }
    Ok(text)
}

#[tokio::test]
async fn body_that_is_no_message() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let endpoint = Endpoint::new(proxy.mcp);
    for body in ["{", "", "nonsense", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"", "\u{0}"] {
        let text = refused(&endpoint, &POST_HEADERS, body, 400, &[]).await?;
        let answer: Value = serde_json::from_str(&text)?;
        assert_eq!(answer["error"]["code"], -32700, "{body:?}: {text}");
        assert_eq!(answer["id"], Value::Null);
    }
    for body in [
        "1",
        "\"text\"",
        "null",
        "{}",
        r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
    ] {
        let text = refused(&endpoint, &POST_HEADERS, body, 400, &[]).await?;
        let answer: Value = serde_json::from_str(&text)?;
        assert_eq!(answer["error"]["code"], -32600, "{body:?}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn batch() -> Result<()> {
    let (server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    let body = format!("[{},{}]", tool_call("1", "echo", &json!({})), tool_call("2", "echo", &json!({})));
    let (status, text) = session.post(&body).await?.status_and_text().await?;
    assert_eq!(status, 400);
    assert!(text.contains("-32600") && text.contains("batch"), "{text}");
    assert_eq!(server.calls("echo").len(), 0);
    Ok(())
}

#[tokio::test]
async fn headers_of_content() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let endpoint = Endpoint::new(proxy.mcp);
    let body = initialize("2025-11-25");
    for accept in ["application/json", "text/event-stream", "text/html"] {
        refused(
            &endpoint,
            &[JSON, ("accept", accept)],
            &body,
            406,
            &["application/json", "text/event-stream"],
        )
        .await?;
    }
    for kind in ["text/plain", "application/jsonp", "application/x-www-form-urlencoded"] {
        refused(&endpoint, &[("content-type", kind), BOTH], &body, 415, &["application/json"]).await?;
    }
    refused(&endpoint, &[BOTH], &body, 415, &["application/json"]).await?;
    for headers in [
        [
            ("content-type", "application/json; charset=utf-8"),
            ("accept", "text/event-stream, application/json"),
        ],
        [("content-type", "APPLICATION/JSON"), ("accept", "application/json;q=0.9, text/event-stream;q=0.1")],
        [JSON, ("accept", "*/*")],
    ] {
        let reply = endpoint.send("POST", "/mcp", &headers, body.clone()).await?;
        assert_eq!(reply.status, 200, "{headers:?}");
    }
    Ok(())
}

#[tokio::test]
async fn protocol_version_header() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    let with = |version: &'static str| {
        let headers =
            [JSON, BOTH, ("mcp-session-id", session.id.clone().leak()), ("mcp-protocol-version", version)];
        let endpoint = session.endpoint.clone();
        async move {
            let body = tool_call("1", "echo", &json!({"message": "x"}));
            endpoint.send("POST", "/mcp", &headers, body).await?.status_and_text().await
        }
    };
    for version in ["1999-01-01", "nonsense", "2025-11-25x"] {
        let (status, text) = with(version).await?;
        assert!(status == 400 && text.contains("2025-11-25"), "{version}: {status} {text}");
    }
    assert_eq!(with("2025-11-25").await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn absent_protocol_version_header_is_taken() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    let headers = [JSON, BOTH, ("mcp-session-id", session.id.as_str())];
    let body = tool_call("1", "echo", &json!({"message": "x"}));
    assert_eq!(session.endpoint.send("POST", "/mcp", &headers, body).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn methods_and_paths() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    for method in ["PUT", "PATCH", "HEAD"] {
        let reply = session.send(method, &POST_HEADERS, "").await?;
        assert_eq!(reply.status, 405, "{method}");
        let allow = reply.header("allow").unwrap_or_default().to_owned();
        for allowed in ["GET", "POST", "DELETE"] {
            assert!(allow.contains(allowed), "{method}: Allow is '{allow}'");
        }
    }
    let options = session.send("OPTIONS", &[], "").await?.status;
    assert!(options == 204 || options == 405, "{options}");
    for path in ["/", "/mcp/x", "/sse", "/readyz", "/metrics", "/pool/stats"] {
        let reply = session.endpoint.send("POST", path, &POST_HEADERS, initialize("2025-11-25")).await?;
        assert_eq!(reply.status, 404, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn body_over_the_limit() -> Result<()> {
    let server = Scripted::start().await?;
    let proxy = Setup::new(&manifest(&server.url(), &json!({})).to_string())?
        .arguments(&["--max-body-bytes=2000"])
        .start()
        .await?;
    proxy.wait_until_ready().await?;
    let session = Session::open(proxy.mcp).await?;
    let body = tool_call("1", "echo", &json!({"message": "x".repeat(2000)}));
    let (status, text) = session.post(&body).await?.status_and_text().await?;
    assert_eq!(status, 413);
    assert!(text.contains("2000"), "the limit is named: {text}");
    assert_eq!(session.tool("echo", &json!({"message": "small"})).await?, "small");
    Ok(())
}

#[tokio::test]
async fn body_over_the_default_limit() -> Result<()> {
    let (server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    let fits = tool_call("1", "echo", &json!({"message": "x".repeat(4 * 1024 * 1024 - 200)}));
    assert_eq!(session.post(&fits).await?.status, 200);
    let over = tool_call("1", "echo", &json!({"message": "x".repeat(4 * 1024 * 1024)}));
    assert_eq!(session.post(&over).await?.status, 413);
    assert_eq!(server.calls("echo").len(), 1);
    Ok(())
}
