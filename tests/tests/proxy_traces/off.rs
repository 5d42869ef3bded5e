//! Without an endpoint a trace passes through as it came.

use anyhow::Result;
use serde_json::json;
use tests::Proxy;
use tests::mcp_client::{POST_HEADERS, Session};
use tests::scripted::Scripted;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn every_byte_is_the_clients() -> Result<()> {
    let server = Scripted::start().await?;
    let proxy = Proxy::ready(&server.url(), &json!({})).await?;
    let client = Session::open(proxy.mcp).await?;
    let message = |id: &str| {
        format!(
            r#"{{ "method":"tools/call","params" : {{"_meta":{{ "tracestate" : "a=1", "traceparent":"{PARENT}" }},"name":"echo","arguments":{{"message":"m"}}}},"id":{id},"jsonrpc":"2.0"}}"#
        )
    };
    let headers = [
        POST_HEADERS[0],
        POST_HEADERS[1],
        ("traceparent", PARENT),
        ("tracestate", "b=2"),
        ("baggage", "c=3"),
    ];
    client.send("POST", &headers, &message("77")).await?.answer().await?;
    let seen = server.calls("echo").remove(0);
    for (name, value) in &headers[2..] {
        assert_eq!(seen.headers.get_all(*name).iter().collect::<Vec<_>>(), [value]);
    }
    assert_eq!(seen.text, message(&seen.message["id"].to_string()));

    // Who sends nothing has nothing added.
    client.tool("echo", &json!({"message": "m"})).await?;
    let seen = server.calls("echo").remove(1);
    assert!(seen.message["params"].get("_meta").is_none());
    for seen in server.seen().iter().filter(|seen| !seen.text.contains(PARENT)) {
        assert!(!seen.headers.contains_key("traceparent") && !seen.text.contains("traceparent"), "{seen:?}");
    }
    Ok(())
}
