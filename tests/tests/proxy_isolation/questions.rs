//! What the server asks inside a call reaches the client whose call it is, and its answer reaches that call.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::stage::{Client, Stage, event, text};

pub async fn check(stage: &Stage) -> Result<()> {
    try_join_all(stage.clients.iter().map(asked)).await?;
    Ok(())
}

async fn asked(client: &Client) -> Result<()> {
    let mut reply = client.call(5, "ask", &json!({"message": client.name})).await?;
    let question = event(&mut reply).await?;
    let for_us = question["params"]["messages"][0]["content"]["text"] == client.name;
    ensure!(question["method"] == "sampling/createMessage" && for_us, "{}: {question}", client.name);
    let content = json!({"type": "text", "text": format!("to {}", client.name)});
    let result = json!({"role": "assistant", "model": "none", "content": content});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": result});
    let status = client.session.post(&answer.to_string()).await?.status;
    ensure!(status == 202, "{}: its answer: {status}", client.name);
    let outcome: Value = serde_json::from_str(&reply.answer().await?)?;
    let right = outcome["id"] == 5 && text(&outcome)? == format!("to {}", client.name);
    ensure!(right, "{}: {outcome}", client.name);
    Ok(())
}
