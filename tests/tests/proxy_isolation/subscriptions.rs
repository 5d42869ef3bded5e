//! Only who subscribed to a resource is told that it changed.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tests::mcp_client::Reply;

use crate::stage::{Stage, event};

pub async fn check(stage: &Stage) -> Result<()> {
    let mut streams = Vec::new();
    for client in &stage.clients {
        let stream = client.session.listen().await?;
        ensure!(stream.status == 200, "{}: GET: {}", client.name, stream.status);
        let uri = format!("test://{}", client.name);
        client.session.result("resources/subscribe", &json!({"uri": uri})).await?;
        streams.push((client, uri, stream));
    }
    // Each is told of its own twice in a row: what is another's would come between.
    for _ in 0..2 {
        for client in &stage.clients {
            let uri = format!("test://{}", client.name);
            stage.clients[0].tool("touch", &json!({"uri": uri})).await?;
        }
    }
    for (client, uri, stream) in &mut streams {
        for _ in 0..2 {
            let told = updated(stream).await.with_context(|| format!("{}: its stream", client.name))?;
            ensure!(told == *uri, "{} was told of {told}", client.name);
        }
        client.session.result("resources/unsubscribe", &json!({"uri": uri})).await?;
    }
    Ok(())
}

async fn updated(stream: &mut Reply) -> Result<String> {
    loop {
        let message = event(stream).await?;
        if message["method"] == "notifications/resources/updated" {
            return Ok(message["params"]["uri"].as_str().context("no uri")?.to_owned());
        }
    }
}
