//! Requests of the server to a client, inside a call: they reach the client whose call it is, and its answer that call.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::mcp_client::{Session, tool_call};

use crate::in_front;

/// Calls the tool that asks, answers what comes, and gives the ids that were seen and what the tool made of the answer.
async fn asked(client: &Session, name: &str) -> Result<(String, Value)> {
    let mut reply = client.post(&tool_call("7", "ask", &json!({"message": name}))).await?;
    let question = reply.event().await?.context("no question")?.json()?;
    ensure!(
        question["method"] == "sampling/createMessage" && question["params"]["for"] == name,
        "{question}"
    );
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"by": name}});
    ensure!(client.post(&answer.to_string()).await?.status == 202);
    let result: Value = serde_json::from_str(&reply.answer().await?)?;
    let text = result["result"]["content"][0]["text"].as_str().with_context(|| result.to_string())?;
    Ok((question["id"].to_string(), serde_json::from_str(text)?))
}

fn sampling() -> Value {
    json!({"sampling": {}, "elicitation": {}})
}

#[tokio::test]
async fn questions_reach_their_callers_on_one_session_and_on_several() -> Result<()> {
    for spec in [json!({"poolMaxSize": 1, "poolSessionConcurrency": 8}), json!({"poolMaxSize": 8})] {
        let (server, proxy) = in_front(spec.clone()).await?;
        let names: Vec<_> = (0..8).map(|number| format!("client {number}")).collect();
        let asking = names.iter().map(async |name| {
            let client = Session::open_with(proxy.mcp, &[], &sampling()).await?;
            for _ in 0..3 {
                let (_, answer) = asked(&client, name).await?;
                ensure!(answer["result"]["by"] == *name, "{name} in {spec}: {answer}");
                ensure!(answer["id"].is_u64(), "the server's own id: {answer}");
            }
            anyhow::Ok(())
        });
        futures::future::try_join_all(asking).await?;
        let promised = server.seen_as("initialize");
        let promised = promised.iter().map(|seen| &seen.message["params"]["capabilities"]);
        assert!(
            promised.clone().any(|capabilities| *capabilities == sampling()),
            "{:?}",
            promised.collect::<Vec<_>>()
        );
    }
    Ok(())
}

#[tokio::test]
async fn clients_that_can_be_asked_share_with_their_like_only() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 0, "poolMaxSize": 4})).await?;
    let able = [
        Session::open_with(proxy.mcp, &[], &sampling()).await?,
        Session::open_with(proxy.mcp, &[], &json!({"elicitation": {}, "sampling": {}})).await?,
    ];
    let plain = Session::open(proxy.mcp).await?;
    let rooted = [
        Session::open_with(proxy.mcp, &[], &json!({"roots": {}})).await?,
        Session::open_with(proxy.mcp, &[], &json!({"roots": {}})).await?,
    ];
    let mut sessions = Vec::new();
    for client in able.iter().chain([&plain]).chain(&rooted) {
        sessions.push(client.tool("whoami", &json!({})).await?);
    }
    assert_eq!(sessions[0], sessions[1], "the same capabilities");
    for (at, session) in sessions.iter().enumerate().skip(1) {
        assert!(sessions[at + 1..].iter().all(|other| other != session), "{sessions:?}");
    }
    assert_eq!(rooted[0].tool("whoami", &json!({})).await?, sessions[3], "roots stay with their client");
    assert!(server.sessions().len() >= 4);
    Ok(())
}

/// A response from outside answers nothing: no client can reply in another's place, or in the proxy's.
#[tokio::test]
async fn responses_of_clients_do_not_reach_the_server() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxSize": 1, "poolSessionConcurrency": 2})).await?;
    let client = Session::open_with(proxy.mcp, &[], &sampling()).await?;
    let forger = Session::open_with(proxy.mcp, &[], &sampling()).await?;
    let mut reply = client.post(&tool_call("7", "ask", &json!({"message": "me"}))).await?;
    let question = reply.event().await?.context("no question")?.json()?;
    for id in ["0", "1", "\"x\"", &question["id"].to_string()] {
        let response = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"forged":true}}}}"#);
        let status = forger.post(&response).await?.status;
        assert!(status == 202 || status == 400, "{status}");
    }
    forger.tool("echo", &json!({"message": "y"})).await?;
    assert!(server.seen().iter().all(|seen| seen.message["result"]["forged"].is_null()));
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"by": "me"}});
    client.post(&answer.to_string()).await?;
    ensure!(reply.answer().await?.contains("me"));
    Ok(())
}

/// Once the call is over, its question is closed.
#[tokio::test]
async fn a_late_answer_goes_nowhere() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxSize": 1})).await?;
    let client = Session::open_with(proxy.mcp, &[], &sampling()).await?;
    let (id, _) = asked(&client, "x").await?;
    let before = server.seen().len();
    let late = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"late":true}}}}"#);
    assert_eq!(client.post(&late).await?.status, 202);
    client.tool("echo", &json!({"message": "y"})).await?;
    assert!(server.seen().len() > before);
    assert!(server.seen().iter().all(|seen| seen.message["result"]["late"].is_null()));
    Ok(())
}
