//! One JSON-RPC id and one progress token, used by all at the same time.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::json;

use crate::stage::{Client, Stage, messages, text};

const STEPS: usize = 5;

pub async fn check(stage: &Stage) -> Result<()> {
    try_join_all(stage.clients.iter().map(follow)).await?;
    // The first to ask is the last to be answered.
    try_join_all(stage.clients.iter().zip([150, 80, 10]).map(|(client, ms)| wait(client, ms))).await?;
    Ok(())
}

async fn follow(client: &Client) -> Result<()> {
    let reply = client.call(7, "steps", &json!({"message": client.name, "count": STEPS})).await?;
    let mut seen = messages(reply).await?;
    let answer = seen.pop().unwrap_or_default();
    ensure!(answer["id"] == 7 && text(&answer)? == "done", "{answer}");
    ensure!(seen.len() == STEPS, "{}: {seen:?}", client.name);
    for (step, note) in seen.iter().enumerate() {
        let params = &note["params"];
        let right = note["method"] == "notifications/progress"
            && params["progressToken"] == 7
            && params["message"] == client.name
            && params["progress"].as_f64() == Some((step + 1) as f64);
        ensure!(right, "{}: step {step}: {note}", client.name);
    }
    Ok(())
}

async fn wait(client: &Client, ms: u64) -> Result<()> {
    let running = client.begin(7, client.name, ms).await?;
    let answer = running.answer().await?;
    ensure!(answer["id"] == 7 && text(&answer)? == client.name, "{}: {answer}", client.name);
    Ok(())
}
