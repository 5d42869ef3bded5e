//! Streams, questions and ends of a client session across proxies.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::eventually::eventually;
use tests::mcp_client::{POST_HEADERS, Session};
use tests::upstream::Upstream;

use crate::fleet::{Client, Fleet, event};

const ISOLATIONS: [&str; 3] = ["Session", "Principal", "Shared"];

/// Runs `check` for a client of every proxy under every isolation.
async fn everywhere(check: impl AsyncFn(&Fleet, &Client, &str) -> Result<()>) -> Result<()> {
    let server = Upstream::rmcp().await?;
    for isolation in ISOLATIONS {
        let fleet = Fleet::start(3, &server.url(), &json!({"isolation": isolation})).await?;
        for home in 0..3 {
            let client = fleet.client(home, "a").await?;
            let name = format!("{isolation} {home} {}", fleet.proxies[home].mcp);
            check(&fleet, &client, &name).await.context(name)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn progress_comes_while_the_call_runs() -> Result<()> {
    everywhere(async |_, client, name| {
        let mut reply = client.call(5, "sleep", &json!({"message": name, "ms": 400})).await?;
        let begun = std::time::Instant::now();
        let progress = event(&mut reply).await?;
        ensure!(progress["method"] == "notifications/progress", "{progress}");
        ensure!(progress["params"]["progressToken"] == 5, "{progress}");
        let early = begun.elapsed();
        let answer: Value = serde_json::from_str(&reply.answer().await?)?;
        ensure!(answer["id"] == 5 && answer["result"]["content"][0]["text"] == name, "{answer}");
        ensure!(begun.elapsed() > early + Duration::from_millis(100), "progress came with the answer");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cancel_finds_its_call() -> Result<()> {
    everywhere(async |_, client, name| {
        let mut reply = client.call(6, "sleep", &json!({"message": name, "ms": 30_000})).await?;
        event(&mut reply).await?;
        client
            .tell(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 6}}))
            .await?;
        eventually(Duration::from_secs(10), "the server to know", async || {
            let known: Vec<String> = serde_json::from_str(&client.tool("cancelled", &json!({})).await?)?;
            ensure!(known.iter().any(|known| known == name), "{known:?}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn an_answer_finds_its_question() -> Result<()> {
    everywhere(async |_, client, name| {
        let mut reply = client.call(7, "ask", &json!({"message": name})).await?;
        let question = event(&mut reply).await?;
        ensure!(question["method"] == "sampling/createMessage", "{question}");
        let result =
            json!({"role": "assistant", "model": "none", "content": {"type": "text", "text": "an answer"}});
        client.tell(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result})).await?;
        let answer: Value = serde_json::from_str(&reply.answer().await?)?;
        ensure!(answer["result"]["content"][0]["text"] == "an answer", "{answer}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn one_stream_tells_what_was_subscribed_anywhere() -> Result<()> {
    everywhere(async |_, client, name| {
        let resources = &client.at(0).handshake["result"]["capabilities"]["resources"];
        ensure!(resources["subscribe"] == true, "{resources}");
        let uri = format!("test://{}", name.replace(' ', "/"));
        let mut stream = client.next().listen().await?;
        ensure!(stream.status == 200, "GET: {}", stream.status);
        client.next().result("resources/subscribe", &json!({"uri": uri})).await?;
        client.tool("touch", &json!({"uri": uri})).await?;
        let told = loop {
            let message = event(&mut stream).await?;
            if message["method"] == "notifications/resources/updated" {
                break message;
            }
        };
        ensure!(told["params"]["uri"] == uri, "{told}");
        for at in 0..client.len() {
            let status = client.at(at).listen().await?.status;
            ensure!(status == 409, "a second stream at {at}: {status}");
        }
        drop(stream);
        eventually(Duration::from_secs(10), "the stream's place to be free", async || {
            let status = client.next().listen().await?.status;
            ensure!(status == 200, "{status}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn an_end_holds_everywhere() -> Result<()> {
    everywhere(async |_, client, _| {
        let status = client.next().end().await?;
        ensure!(status == 200, "DELETE: {status}");
        for at in 0..client.len() {
            let (status, text) = client.at(at).request("ping", &json!({})).await?;
            ensure!(status == 404, "{at}: {status} {text}");
            ensure!(client.at(at).listen().await?.status == 404);
        }
        Ok(())
    })
    .await
}

/// Status, headers and body are those that the home gives, but for the date.
#[tokio::test]
async fn answers_are_the_homes_own() -> Result<()> {
    everywhere(async |_, client, _| {
        let requests = [
            r#"{"jsonrpc":"2.0","id":"é","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"no/such/method","params":{"a":[1,2]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        ];
        for body in requests {
            let first = whole(client.at(0), body).await?;
            for at in 1..client.len() {
                let other = whole(client.at(at), body).await?;
                ensure!(other == first, "{body}: {other:?} but {first:?}");
            }
        }
        Ok(())
    })
    .await
}

async fn whole(session: &Session, body: &str) -> Result<(u16, Vec<(String, String)>, String)> {
    let reply = session.send("POST", &POST_HEADERS, body).await?;
    let mut headers = Vec::new();
    for (name, value) in &reply.headers {
        if name != "date" {
            headers.push((name.to_string(), value.to_str()?.to_owned()));
        }
    }
    headers.sort();
    let (status, text) = reply.status_and_text().await?;
    Ok((status, headers, text))
}
