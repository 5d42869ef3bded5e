//! Ids and progress tokens: each client its own, whatever it chose.

use anyhow::{Context, Result};
use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tests::mcp_client::{Session, tool_call};

use crate::in_front;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    result: Value,
}

#[tokio::test]
async fn every_shape_comes_back() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    for id in [
        "0",
        "-7",
        "1",
        "9007199254740993",
        "18446744073709551616",
        "1.5",
        r#""a""#,
        r#""""#,
        r#""1""#,
        r#""\u00e9\"/\\""#,
        r#""😀""#,
    ] {
        let text = session.post(&tool_call(id, "echo", &json!({"message": id}))).await?.answer().await?;
        let answer: Answer = serde_json::from_str(&text).with_context(|| text.clone())?;
        assert_eq!(answer.id.get(), id);
        assert_eq!(answer.result["content"][0]["text"], id);
    }
    Ok(())
}

/// The measured leak: two clients with the same id on one upstream session.
#[tokio::test]
async fn same_id_at_the_same_time() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxSize": 1, "poolSessionConcurrency": 8})).await?;
    let clients = try_join_all((0..8).map(|_| Session::open(proxy.mcp))).await?;
    let calls = clients.into_iter().enumerate().map(|(number, client)| {
        tokio::spawn(async move {
            let arguments = json!({"gate": format!("g{number}"), "message": format!("for {number}")});
            client.post(&tool_call("7", "hold", &arguments)).await?.answer().await
        })
    });
    let calls: Vec<_> = calls.collect();
    server.calls_reach("hold", 8).await?;
    let sessions: std::collections::HashSet<_> =
        server.calls("hold").into_iter().map(|call| call.session).collect();
    assert_eq!(sessions.len(), 1, "all share one upstream session");
    // Answered in another order than asked.
    for number in (0..8).rev() {
        server.open(&format!("g{number}"));
    }
    for (number, call) in calls.into_iter().enumerate() {
        let answer: Value = serde_json::from_str(&call.await??)?;
        assert_eq!(answer["id"], 7);
        assert_eq!(answer["result"]["content"][0]["text"], format!("for {number}"));
    }
    Ok(())
}

#[tokio::test]
async fn one_clients_own_requests_overlap() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxSize": 2})).await?;
    let client = Session::open(proxy.mcp).await?;
    let held = client.clone();
    let slow = tokio::spawn(async move { held.tool("hold", &json!({"gate": "g", "message": "slow"})).await });
    server.calls_reach("hold", 1).await?;
    assert_eq!(client.tool("echo", &json!({"message": "quick"})).await?, "quick");
    server.open("g");
    assert_eq!(slow.await??, "slow");
    Ok(())
}

#[tokio::test]
async fn same_progress_token_at_the_same_time() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxSize": 1, "poolSessionConcurrency": 4})).await?;
    let mut streams = Vec::new();
    for (number, token) in ["1", "1", "\"1\"", "\"1\""].into_iter().enumerate() {
        let client = Session::open(proxy.mcp).await?;
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"steps","arguments":{{"gates":["go"],"message":"m{number}"}},"_meta":{{"progressToken":{token}}}}}}}"#
        );
        streams.push((number, token, client.post(&body).await?));
    }
    let sent: Vec<_> = server.calls("steps");
    for (earlier, call) in sent.iter().enumerate() {
        let token = &call.message["params"]["_meta"]["progressToken"];
        assert!(
            sent[..earlier].iter().all(|other| &other.message["params"]["_meta"]["progressToken"] != token),
            "{token} is unique at the server"
        );
    }
    for (number, token, stream) in &mut streams {
        let progress = stream.event().await?.context("ended")?.json()?;
        assert_eq!(progress["params"]["message"], format!("m{number}"));
        assert_eq!(progress["params"]["progressToken"].to_string(), **token);
    }
    server.open("go");
    for (number, _, stream) in streams {
        let answer: Value = serde_json::from_str(&stream.answer().await?)?;
        assert_eq!(answer["result"]["content"][0]["text"], format!("m{number}"));
    }
    Ok(())
}

/// A session never sees the same id twice, as the protocol demands.
#[tokio::test]
async fn server_never_sees_an_id_twice() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxSize": 2, "poolSessionConcurrency": 2})).await?;
    let clients = try_join_all((0..6).map(|_| Session::open(proxy.mcp))).await?;
    try_join_all(clients.iter().map(async |client| {
        for _ in 0..10 {
            client.post(&tool_call("1", "echo", &json!({"message": "x"}))).await?.answer().await?;
        }
        anyhow::Ok(())
    }))
    .await?;
    let mut used = std::collections::HashSet::new();
    for call in server.calls("echo") {
        let id = call.message["id"].to_string();
        assert!(used.insert((call.session.clone(), id.clone())), "{id} twice in {:?}", call.session);
    }
    assert_eq!(used.len(), 60);
    Ok(())
}
