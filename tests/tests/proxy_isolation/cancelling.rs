//! Who cancels ends its own call only.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::try_join;
use serde_json::json;
use tests::eventually::eventually;

use crate::stage::{Client, Running, Stage, text};

/// All calls have it.
const ID: u32 = 9;

pub async fn check(stage: &Stage) -> Result<()> {
    let [gives_up, goes_on, other] = &stage.clients;
    // Names a call at the server, which serves other pools too.
    let mark = |client: &Client| format!("{} of {:?} at {}", client.name, stage.pool, stage.proxy.mcp);
    let begin = async |client: &Client, ms: u64| client.begin(ID, &mark(client), ms).await;
    let finish = async |client: &Client, running: Running| {
        let answer = running.answer().await?;
        ensure!(answer["id"] == ID && text(&answer)? == mark(client), "{}: {answer}", client.name);
        Ok(())
    };
    let abandoned = begin(gives_up, 20_000).await?;
    if stage.pool.concurrency > 1 {
        let (one, another) = try_join(begin(goes_on, 300), begin(other, 300)).await?;
        cancel(gives_up).await?;
        try_join(finish(goes_on, one), finish(other, another)).await?;
    } else {
        // They may have to wait for the session that the cancelled call lets go of.
        let later = async |client: &Client| finish(client, begin(client, 10).await?).await;
        let ((), (), ()) = futures::try_join!(cancel(gives_up), later(goes_on), later(other))?;
    }
    eventually(Duration::from_secs(10), "the server to know", async || {
        let known: Vec<String> = serde_json::from_str(&other.tool("cancelled", &json!({})).await?)?;
        ensure!(known.contains(&mark(gives_up)), "{known:?}");
        ensure!(!known.contains(&mark(goes_on)) && !known.contains(&mark(other)), "{known:?}");
        Ok(())
    })
    .await?;
    // What becomes of the cancelled call itself is the server's choice; the client goes on.
    drop(abandoned);
    gives_up.tool("echo", &json!({"message": "on"})).await?;
    Ok(())
}

async fn cancel(client: &Client) -> Result<()> {
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": ID}});
    ensure!(client.session.post(&cancel.to_string()).await?.status == 202);
    Ok(())
}
