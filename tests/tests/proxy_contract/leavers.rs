//! Clients that go away while a session is opened for them: it is closed, and nobody else lacks the room.

use std::collections::HashSet;

use anyhow::Result;
use serde_json::{Value, json};
use tests::mcp_client::Endpoint;

use crate::call::{call, handshake, hold, whoami};
use crate::stage::Stage;

/// Sessions of one client's own are not for others to take over.
const OWN: [fn() -> Value; 3] = [
    || json!({"isolation": "Session", "poolMinSize": 0, "poolMaxSize": 3, "poolTimeout": 1}),
    || json!({"isolation": "Principal", "poolMinSize": 0, "poolMaxSize": 3, "poolTimeout": 1}),
    || json!({"poolEnabled": false, "poolTimeout": 1}),
];

/// One waits in vain for its handshake, another hangs up meanwhile.
#[tokio::test]
async fn before_they_are_clients() -> Result<()> {
    for spec in OWN {
        let stage = Stage::ready(&spec()).await?;
        let kept = stage.client().await?;
        let session = whoami(&kept).await?;
        let before = stage.opened();
        stage.server.behave(|behaviour| behaviour.initialize_gate = Some("handshake".to_owned()));
        let leaver = Endpoint::new(stage.proxy.mcp);
        let leaver = tokio::spawn(async move { handshake(&leaver).await });
        stage.server.messages_reach("initialize", before + 1).await?;
        leaver.abort();
        handshake(&Endpoint::new(stage.proxy.mcp)).await?.is_refused("pool_timeout")?;
        stage.server.messages_reach("initialize", before + 2).await?;
        stage.server.open("handshake");
        // Who comes now has room.
        let next = stage.client().await?;
        let other = whoami(&next).await?;
        let both = HashSet::from([session, other]);
        stage.server_sessions("the two clients' alone", |open| *open == both).await?;
        let stats = stage.rest().await?;
        assert_eq!(stats.total_sessions + stats.direct_sessions, 2, "{}: {stats:?}", spec());
    }
    Ok(())
}

/// A client ends its session while a call of it waits for one at the server.
#[tokio::test]
async fn while_their_call_waits() -> Result<()> {
    for spec in OWN {
        let stage = Stage::ready(&spec()).await?;
        let client = stage.client().await?;
        whoami(&client).await?;
        stage.server.forget_sessions();
        // It is told that what it had is gone.
        let answer = call(&client, "echo", &json!({"message": "x"})).await?;
        assert_eq!(answer.reason(), "session_state_lost", "{answer:?}");
        let before = stage.opened();
        stage.server.behave(|behaviour| behaviour.initialize_gate = Some("handshake".to_owned()));
        let held = hold(&client, "g");
        stage.server.messages_reach("initialize", before + 1).await?;
        assert_eq!(client.end().await?, 200);
        stage.server.open("g");
        stage.server.open("handshake");
        held.await??;
        stage.server_sessions("none", HashSet::is_empty).await?;
    }
    Ok(())
}
