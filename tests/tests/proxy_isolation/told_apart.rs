//! `logging/setLevel` of one neither silences the others nor floods them.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::mcp_client::Reply;

use crate::stage::{Client, Stage, event, messages};

/// What each asks for, and what it is told of the levels that it then provokes.
const WANTED: [(&str, &[&str]); 3] = [
    ("debug", &["info", "error", "emergency"]),
    ("error", &["error", "emergency"]),
    ("emergency", &["emergency"]),
];

pub async fn check(stage: &Stage) -> Result<()> {
    let outside = !stage.logs_in_calls;
    if outside && stage.clients.iter().any(|one| one.name != "a1" && stage.share(&stage.clients[0], one)) {
        // What the server says outside a call may be about anyone who shares the session: nobody is told.
        return Ok(());
    }
    for (client, (level, _)) in stage.clients.iter().zip(WANTED) {
        client.session.result("logging/setLevel", &json!({"level": level})).await?;
    }
    let hearing = stage.clients.iter().zip(WANTED).map(async |(client, (_, expected))| {
        let mut stream = if outside { Some(client.session.listen().await?) } else { None };
        let told = hear(client, stream.as_mut()).await?;
        ensure!(told == expected, "{} was told {told:?} in place of {expected:?}", client.name);
        Ok(())
    });
    try_join_all(hearing).await?;
    Ok(())
}

/// The levels of what the client is told in its calls, or on its stream.
async fn hear(client: &Client, stream: Option<&mut Reply>) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for level in ["info", "error", "emergency"] {
        let call = client.call(3, "say", &json!({"message": client.name, "level": level})).await?;
        notes.extend(messages(call).await?);
    }
    if let Some(stream) = stream {
        while notes.last().is_none_or(|note| note["params"]["level"] != "emergency") {
            notes.push(event(stream).await?);
        }
    }
    let logged = notes.iter().filter(|note| note["method"] == "notifications/message");
    logged.map(|note| level(client, note)).collect()
}

fn level(client: &Client, note: &Value) -> Result<String> {
    // Python's server wraps the text in an object.
    ensure!(note["params"]["data"].to_string().contains(client.name), "{}: {note}", client.name);
    Ok(note["params"]["level"].as_str().unwrap_or_default().to_owned())
}
