//! S2: the configuration, changed while the proxy runs.

use anyhow::Result;
use serde_json::json;
use tests::proxy::manifest;

use crate::call::echo;
use crate::stage::Stage;

#[tokio::test]
async fn s02_configuration() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 1, "poolMaxSize": 5})).await?;
    let client = stage.client().await?;
    let first = stage.server.sessions();

    // The values of the page's own example.
    let example = json!({
        "poolEnabled": true, "poolStrategy": "LeastConnections", "poolMinSize": 3, "poolMaxSize": 10,
        "poolTimeout": 30, "poolRecycleSeconds": 3600, "poolPrePing": true
    });
    let stats = stage.change(&example).await?;
    assert_eq!((stats.strategy.as_str(), stats.min_size, stats.max_size), ("least_connections", 3, 10));
    let kept = stage.server_sessions("three sessions", |open| open.len() == 3).await?;
    assert!(kept.is_superset(&first), "the session from before is kept: {kept:?}");

    for (spec, word) in [
        (json!({"poolMaxSise": 4}), "spec.poolMaxSise"),
        (json!({"poolMinSize": 20, "poolMaxSize": 10}), "poolMaxSize"),
        (json!({"poolMinSize": -1}), "spec.poolMinSize"),
        (json!({"poolStrategy": "least_loaded"}), "spec.poolStrategy"),
        (json!({"poolTimeout": "soon"}), "spec.poolTimeout"),
        (json!({"poolRecycleSeconds": -5}), "spec.poolRecycleSeconds"),
        (json!({"poolPrePing": "maybe"}), "spec.poolPrePing"),
    ] {
        let mut wrong = example.clone();
        for (name, value) in spec.as_object().into_iter().flatten() {
            wrong[name] = value.clone();
        }
        stage.proxy.write_config(&manifest(&stage.server.url(), &wrong).to_string())?;
        stage.proxy.signal("HUP")?;
        let stats = stage
            .when(word, |stats| stats.config_error.as_ref().is_some_and(|error| error.contains(word)))
            .await?;
        let in_force = (stats.strategy.as_str(), stats.min_size, stats.max_size);
        assert_eq!(in_force, ("least_connections", 3, 10), "{spec}");
        echo(&client, "goes on").await?;
        assert_eq!(stage.server.sessions(), kept, "{spec}");
    }

    let mut smaller = example.clone();
    smaller["poolMaxSize"] = json!(4);
    let stats = stage.change(&smaller).await?;
    let rest = (stats.strategy.as_str(), stats.min_size, stats.max_size, &stats.config_error);
    assert_eq!(rest, ("least_connections", 3, 4, &None), "one value changed, the rest kept");
    assert_eq!(stage.server.sessions(), kept, "no session was lost");
    Ok(())
}
