//! Requests and answers pass as they came; events as they arrive.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::mcp_client::{Session, tool_call};
use tests::scripted::{Behaviour, Scripted, TOOLS};
use tests::upstream::Upstream;
use tests::{Proxy, eventually};

use crate::in_front;

#[tokio::test]
async fn result_keeps_every_byte() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    let (_, answer) = session.request("tools/list", &json!({})).await?;
    assert!(answer.contains(TOOLS), "{answer}");
    Ok(())
}

#[tokio::test]
async fn unknown_fields_reach_the_server() -> Result<()> {
    let (server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    let params =
        json!({"name": "echo", "arguments": {"message": "x"}, "later": [1], "_meta": {"a/b": {"c": null}}});
    session.result("tools/call", &params).await?;
    let call = server.calls("echo").pop().context("no call")?;
    assert_eq!(call.message["params"], params);
    Ok(())
}

#[tokio::test]
async fn json_answers_pass() -> Result<()> {
    let server = Scripted::behaving(Behaviour { json_answers: true, ..Behaviour::default() }).await?;
    let proxy = Proxy::ready(&server.url(), &json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    assert_eq!(session.tool("echo", &json!({"message": "in JSON"})).await?, "in JSON");
    let (_, answer) = session.request("tools/list", &json!({})).await?;
    assert!(answer.contains(TOOLS), "{answer}");
    Ok(())
}

#[tokio::test]
async fn errors_pass() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    let reply = session.post(&tool_call("5", "fail", &json!({}))).await?;
    assert_eq!(reply.status, 200);
    let answer: Value = serde_json::from_str(&reply.answer().await?)?;
    let error =
        json!({"code": -32042, "message": "it \"failed\"", "data": {"deep": [1, {"a": null}]}, "odd": 1});
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 5, "error": error}));
    let (status, text) = session.request("no/such/method", &json!({})).await?;
    assert!(status == 200 && text.contains("-32601"), "{status} {text}");
    // An error is an answer: the session goes on.
    assert_eq!(proxy.stats().await?.total_destroys, 0);
    Ok(())
}

/// The second event is sent only once the first has been read, so buffering anywhere would hang.
#[tokio::test]
async fn events_leave_as_they_arrive() -> Result<()> {
    let (server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"steps","arguments":{"gates":["a","b","c"],"message":"m"},"_meta":{"progressToken":"t"}}}"#;
    let mut reply = session.post(body).await?;
    assert!(reply.is_stream());
    for (done, gate) in ["a", "b", "c"].into_iter().enumerate() {
        let progress = reply.event().await?.context("ended")?.json()?;
        assert_eq!(progress["params"], json!({"progressToken": "t", "progress": done, "message": "m"}));
        server.open(gate);
    }
    let answer = reply.event().await?.context("ended")?.json()?;
    assert_eq!(answer["result"]["content"][0]["text"], "m");
    assert_eq!(reply.event().await?, None);
    Ok(())
}

#[tokio::test]
async fn large_messages_pass_both_ways() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    let message = "é".repeat(1_500_000);
    assert_eq!(session.tool("echo", &json!({"message": message})).await?, message);
    assert_eq!(session.tool("large", &json!({"bytes": 12_000_000})).await?.len(), 12_000_000);
    Ok(())
}

#[tokio::test]
async fn ping_is_answered_by_the_proxy() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1})).await?;
    let session = Session::open(proxy.mcp).await?;
    assert_eq!(session.result("ping", &json!({})).await?, json!({}));
    assert_eq!(server.seen_as("ping").len(), 0);
    Ok(())
}

#[tokio::test]
async fn cancel_names_the_request_of_the_server() -> Result<()> {
    let (server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    let held = session.clone();
    let call =
        tokio::spawn(async move { held.post(&tool_call("\"mine\"", "hold", &json!({"gate": "g"}))).await });
    server.calls_reach("hold", 1).await?;
    let cancel =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "mine"}});
    assert_eq!(session.post(&cancel.to_string()).await?.status, 202);
    server.messages_reach("notifications/cancelled", 1).await?;
    let sent = server.calls("hold").pop().context("no call")?;
    let cancelled = server.seen_as("notifications/cancelled").pop().context("no cancel")?;
    assert_eq!(cancelled.message["params"]["requestId"], sent.message["id"]);
    assert_eq!(cancelled.session, sent.session);
    // The slot is free again, or replaced, in spite of the server's silence.
    eventually(std::time::Duration::from_secs(10), "the lease's end", async || {
        let stats = proxy.stats().await?;
        anyhow::ensure!(stats.active_leases == 0, "{stats:?}");
        Ok(())
    })
    .await?;
    call.abort();
    Ok(())
}

#[tokio::test]
async fn another_clients_request_cannot_be_cancelled() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxSize": 1, "poolSessionConcurrency": 4})).await?;
    let victim = Session::open(proxy.mcp).await?;
    let attacker = Session::open(proxy.mcp).await?;
    let held = victim.clone();
    let call = tokio::spawn(async move { held.tool("hold", &json!({"gate": "g", "message": "done"})).await });
    server.calls_reach("hold", 1).await?;
    let upstream_id = server.calls("hold")[0].message["id"].clone();
    for id in [json!(1), upstream_id] {
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        assert_eq!(attacker.post(&cancel.to_string()).await?.status, 202);
    }
    attacker.tool("echo", &json!({"message": "afterwards"})).await?;
    assert_eq!(server.seen_as("notifications/cancelled").len(), 0);
    server.open("g");
    assert_eq!(call.await??, "done");
    Ok(())
}

/// Every kind of request that server-everything answers gives the same through the proxy.
#[tokio::test]
async fn server_everything_answers_the_same() -> Result<()> {
    let server = Upstream::everything().await?;
    let proxy = Proxy::ready(&server.url(), &json!({"poolMinSize": 1})).await?;
    let direct = Session::open(server.address).await?;
    let pooled = Session::open(proxy.mcp).await?;
    for (method, params) in [
        ("tools/list", json!({})),
        ("tools/call", json!({"name": "get-sum", "arguments": {"a": 2, "b": 3}})),
        ("tools/call", json!({"name": "get-structured-content", "arguments": {"location": "New York"}})),
        ("tools/call", json!({"name": "echo", "arguments": {}})),
        ("prompts/list", json!({})),
        ("prompts/get", json!({"name": "simple-prompt"})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({"uri": "demo://resource/static/document/architecture.md"})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "completable-prompt"}, "argument": {"name": "department", "value": "E"}}),
        ),
    ] {
        let want = direct.request(method, &params).await?.1;
        let got = pooled.request(method, &params).await?.1;
        let body = |text: &str| text.split_once("\"id\"").map(|(before, _)| before.to_owned());
        let (want_value, got_value): (Value, Value) =
            (serde_json::from_str(&want)?, serde_json::from_str(&got)?);
        assert_eq!(got_value.get("result"), want_value.get("result"), "{method} {params}");
        assert_eq!(got_value.get("error"), want_value.get("error"), "{method} {params}");
        assert_eq!(body(&got), body(&want), "{method}: the bytes before the id");
    }
    Ok(())
}
