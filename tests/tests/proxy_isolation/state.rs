//! What a session of the server keeps is met by those who may share it, and by nobody else.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::stage::{Client, Stage};

pub async fn check(stage: &Stage) -> Result<()> {
    for writer in &stage.clients {
        let secret = format!("secret of {}", writer.name);
        writer.tool("remember", &json!({"message": secret})).await?;
        for reader in &stage.clients {
            let found = reader.tool("recall", &json!({})).await?;
            ensure!(
                (found == secret) == stage.share(writer, reader),
                "{} reads {found:?} after {} wrote {secret:?}",
                reader.name,
                writer.name
            );
        }
    }
    served_apart(stage).await?;
    after_the_end(stage).await
}

/// From the server's side: which of its sessions served whom.
async fn served_apart(stage: &Stage) -> Result<()> {
    let mut served: HashMap<String, Vec<&Client>> = HashMap::new();
    for _ in 0..3 {
        for client in &stage.clients {
            served.entry(client.tool("whoami", &json!({})).await?).or_default().push(client);
        }
    }
    for (session, clients) in &served {
        for (one, other) in clients.iter().zip(clients.iter().skip(1)) {
            ensure!(stage.share(one, other), "{session} served {} and {}", one.name, other.name);
        }
    }
    let own = stage.clients.iter().filter(|client| {
        !stage.clients.iter().any(|other| other.name != client.name && stage.share(client, other))
    });
    ensure!(served.len() >= own.count().max(1), "{:?}", served.keys());
    Ok(())
}

/// Who comes after a client has left finds what it left only where sessions are shared.
async fn after_the_end(stage: &Stage) -> Result<()> {
    let leaver = Client::open(&stage.proxy, "a3", "a").await?;
    leaver.tool("remember", &json!({"message": "left behind"})).await?;
    ensure!(leaver.session.end().await? < 300);
    for (name, principal) in [("a4", "a"), ("b4", "b")] {
        let next = Client::open(&stage.proxy, name, principal).await?;
        let found = next.tool("recall", &json!({})).await?;
        ensure!((found == "left behind") == stage.share(&leaver, &next), "{name} finds {found:?}");
        next.session.end().await?;
    }
    Ok(())
}
