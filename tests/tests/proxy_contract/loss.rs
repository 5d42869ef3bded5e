//! Calls whose connection ended: repeated when that is harmless, told when it is not.

use anyhow::{Context, Result};
use futures::future::try_join_all;
use serde_json::json;
use tests::mcp_client::Session;
use tests::scripted::{Behaviour, Fault, Scripted};

use crate::call::{call, echo};
use crate::stage::{Stage, check_sums};

const FAULTS: [Fault; 2] = [Fault::Disconnect, Fault::EndOfStream];

/// A server whose tools say what a repetition does, and a client that has read it.
async fn annotated() -> Result<(Stage, Session)> {
    let tool = |name: &str, hints: serde_json::Value| json!({"name": name, "inputSchema": {"type": "object"}, "annotations": hints});
    let tools = json!({"tools": [
        tool("lookup", json!({"readOnlyHint": true})),
        tool("put", json!({"readOnlyHint": false, "idempotentHint": true})),
        tool("transfer", json!({"readOnlyHint": false, "destructiveHint": true})),
        {"name": "echo", "inputSchema": {"type": "object"}}
    ]});
    let server =
        Scripted::behaving(Behaviour { tools: Some(tools.to_string()), ..Behaviour::default() }).await?;
    let spec = json!({"poolMinSize": 1, "poolMaxSize": 2, "poolPrePing": false, "poolKeepaliveSeconds": 0});
    let stage = Stage::before(server, &spec).await?;
    let client = stage.client().await?;
    client.result("tools/list", &json!({})).await?;
    Ok((stage, client))
}

#[tokio::test]
async fn harmless_call_is_repeated_once() -> Result<()> {
    for fault in FAULTS {
        let (stage, client) = annotated().await?;
        for (number, tool) in ["lookup", "put"].into_iter().enumerate() {
            stage.server.fail_next(tool, fault, 1);
            let answer = call(&client, tool, &json!({"message": "m"})).await?;
            assert_eq!(answer.text()?, "m", "{tool} {fault:?}");
            assert_eq!(stage.server.calls(tool).len(), 2, "{tool} {fault:?}");
            let stats = stage.rest().await?;
            assert_eq!(stats.repeats, number as u64 + 1, "{tool} {fault:?}: {stats:?}");
        }
        check_sums(&stage.rest().await?)?;
    }
    Ok(())
}

/// Not a third time.
#[tokio::test]
async fn second_loss_is_told() -> Result<()> {
    for fault in FAULTS {
        let (stage, client) = annotated().await?;
        stage.server.fail_next("lookup", fault, 2);
        let answer = call(&client, "lookup", &json!({"message": "m"})).await?;
        assert!(answer.body["error"]["message"].is_string(), "{fault:?}: {answer:?}");
        assert_eq!(stage.server.calls("lookup").len(), 2, "{fault:?}");
        assert_eq!(call(&client, "lookup", &json!({"message": "on"})).await?.text()?, "on");
    }
    Ok(())
}

/// It may have run, and it did: the client is told that nobody knows, and it is not run again.
#[tokio::test]
async fn other_calls_are_not_repeated() -> Result<()> {
    for fault in FAULTS {
        for tool in ["transfer", "echo"] {
            let (stage, client) = annotated().await?;
            stage.server.fail_next(tool, fault, 1);
            let answer = call(&client, tool, &json!({"message": "m"})).await?;
            let data = &answer.body["error"]["data"];
            assert_eq!(
                (answer.reason(), &data["executed"]),
                ("answer_lost", &json!("unknown")),
                "{answer:?}"
            );
            assert!(answer.body["error"]["message"].is_string(), "{answer:?}");
            assert_eq!(stage.server.calls(tool).len(), 1, "{tool} {fault:?}: executed exactly once");
            assert_eq!(stage.proxy.stats().await?.repeats, 0);
            echo(&client, "goes on").await?;
            check_sums(&stage.rest().await?)?;
        }
    }
    Ok(())
}

/// Without annotations in sight nothing is harmless.
#[tokio::test]
async fn annotations_of_a_server_that_has_none() -> Result<()> {
    let stage = Stage::full(&json!({"poolPrePing": false})).await?;
    let client = stage.client().await?;
    client.result("tools/list", &json!({})).await?;
    stage.server.fail_next("lookup", Fault::Disconnect, 1);
    let answer = call(&client, "lookup", &json!({"message": "m"})).await?;
    assert_eq!(answer.reason(), "answer_lost", "{answer:?}");
    assert_eq!(stage.server.calls("lookup").len(), 1);
    Ok(())
}

/// Refused before execution: any call is repeated, and runs once.
#[tokio::test]
async fn refused_call_is_repeated() -> Result<()> {
    let everything = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}"#;
    for unknown_session in [None, Some((400, everything.to_owned()))] {
        let (stage, client) = annotated().await?;
        stage.server.behave(|behaviour| behaviour.unknown_session = unknown_session);
        stage.server.forget_sessions();
        let answer = call(&client, "transfer", &json!({"message": "m"})).await?;
        assert_eq!(answer.text()?, "m");
        let open = stage.server.sessions();
        let calls = stage.server.calls("transfer");
        let executed =
            calls.iter().filter(|call| call.session.as_ref().is_some_and(|session| open.contains(session)));
        assert_eq!((executed.count(), calls.len()), (1, 2));
        assert_eq!(stage.proxy.stats().await?.repeats, 1);
    }
    Ok(())
}

/// Twelve calls lose one session at the same time: one handshake replaces it.
#[tokio::test]
async fn one_handshake_for_all() -> Result<()> {
    let spec = json!({
        "poolMinSize": 1, "poolMaxSize": 1, "poolSessionConcurrency": 16, "poolPrePing": false,
        "poolKeepaliveSeconds": 0
    });
    let stage = Stage::full(&spec).await?;
    let client = stage.client().await?;
    echo(&client, "before").await?;
    stage.server.forget_sessions();
    let calls = (0..12).map(async |number| echo(&client, &format!("{number}")).await);
    try_join_all(calls).await.context("all of them go on")?;
    assert_eq!(stage.opened(), 2);
    let stats = stage.rest().await?;
    check_sums(&stats)?;
    assert_eq!((stats.total_sessions, stats.total_destroys), (1, 1), "{stats:?}");
    Ok(())
}

/// A server without session ids that does not know the page: no word to the client that its own session is gone.
#[tokio::test]
async fn live_client_never_sees_404() -> Result<()> {
    let server = Scripted::behaving(Behaviour { no_session_ids: true, ..Behaviour::default() }).await?;
    let stage = Stage::before(server, &json!({"poolPrePing": false, "poolKeepaliveSeconds": 0})).await?;
    let client = stage.client().await?;
    stage.server.fail_next("echo", Fault::NotFound, 1);
    let answer = call(&client, "echo", &json!({"message": "x"})).await?;
    assert_eq!((answer.status, answer.reason()), (502, "upstream_refused"), "{answer:?}");
    echo(&client, "on").await
}
