//! Requests of the server to a client, inside a call: this version refuses them, and promises no client's capabilities.

use anyhow::Result;
use serde_json::{Value, json};
use tests::mcp_client::{Session, tool_call};

use crate::in_front;

#[tokio::test]
async fn question_is_refused_and_the_call_goes_on() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxSize": 1, "poolSessionConcurrency": 2})).await?;
    let capabilities = json!({"sampling": {}, "elicitation": {}});
    let client = Session::open_with(proxy.mcp, &[], &capabilities).await?;
    for _ in 0..2 {
        let refusal: Value = serde_json::from_str(&client.tool("ask", &json!({"message": "x"})).await?)?;
        assert!(refusal["error"]["code"].is_i64() && refusal.get("result").is_none(), "{refusal}");
    }
    let promised: Vec<_> = server
        .seen_as("initialize")
        .into_iter()
        .map(|seen| seen.message["params"]["capabilities"].clone())
        .collect();
    assert!(promised.iter().all(|capabilities| *capabilities == json!({})), "{promised:?}");
    Ok(())
}

/// A response from outside answers nothing: no client can reply in another's place, or in the proxy's.
#[tokio::test]
async fn responses_of_clients_do_not_reach_the_server() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxSize": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    client.tool("echo", &json!({"message": "x"})).await?;
    for id in ["0", "1", "\"x\""] {
        let response = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"forged":true}}}}"#);
        let status = client.post(&response).await?.status;
        assert!(status == 202 || status == 400, "{status}");
    }
    client.post(&tool_call("5", "echo", &json!({"message": "y"}))).await?.answer().await?;
    assert!(server.seen().iter().all(|seen| seen.message["result"]["forged"].is_null()));
    Ok(())
}
