//! At an orderly end no session is left at the server, whoever it belonged to.

use anyhow::Result;
use serde_json::json;

use crate::call::{call, echo, hold};
use crate::stage::Stage;

#[tokio::test]
async fn nothing_is_left_behind() -> Result<()> {
    for spec in [
        json!({"isolation": "Principal", "poolMinSize": 1, "poolMaxSize": 6}),
        json!({"isolation": "Session", "poolMinSize": 1, "poolMaxSize": 6}),
        json!({"poolStrategy": "Sticky", "poolMinSize": 2, "poolMaxSize": 6}),
        json!({"poolMinSize": 2, "poolMaxSize": 6, "pinning": {"tools": ["remember"]}}),
        json!({"poolEnabled": false}),
    ] {
        let stage = Stage::ready(&spec).await?;
        let (ann, bob) = (stage.user("ann").await?, stage.user("bob").await?);
        echo(&ann, "x").await?;
        call(&bob, "remember", &json!({"message": "x"})).await?.text()?;
        let held = hold(&ann, "g");
        stage.session_of("g").await?;
        let Stage { server, proxy, .. } = stage;
        let (exit, answer) = tokio::join!(proxy.terminate(), async {
            server.open("g");
            held.await
        });
        assert_eq!(answer??.text()?, "g", "{spec}");
        let exit = exit?;
        assert_eq!(exit.code, Some(0), "{spec}: {}", exit.log);
        assert!(server.sessions().is_empty(), "{spec}: {:?}", server.sessions());
    }
    Ok(())
}
