//! S1: the statistics' keys and sums.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::call::{echo, hold};
use crate::stage::{Stage, check_sums};

const WORDS: [&str; 4] = ["pool_id", "server_id", "strategy", "status"];
const NUMBERS: [&str; 11] = [
    "total_sessions",
    "active_sessions",
    "available_sessions",
    "unhealthy_sessions",
    "min_size",
    "max_size",
    "total_acquisitions",
    "total_releases",
    "total_timeouts",
    "total_creates",
    "total_destroys",
];

#[tokio::test]
async fn s01_statistics() -> Result<()> {
    let stage = Stage::full(
        &json!({"poolMinSize": 2, "poolMaxSize": 3, "poolTimeout": 1, "poolMaxRequests": 4, "poolStrategy": "LeastConnections"}),
    )
    .await?;
    let client = stage.client().await?;
    for call in 0..9 {
        echo(&client, &format!("{call}")).await?;
    }
    stage.server.forget_sessions();
    for call in 0..3 {
        echo(&client, &format!("after a loss {call}")).await?;
    }
    let mut held = Vec::new();
    for gate in ["a", "b", "c"] {
        held.push(hold(&client, gate));
        stage.session_of(gate).await?;
    }
    let late = hold(&client, "late").await??;
    late.is_refused("pool_timeout")?;
    let busy = stage.proxy.stats().await?;
    check_sums(&busy)?;
    let sessions = (busy.total_sessions, busy.active_sessions, busy.available_sessions);
    assert_eq!(sessions, (3, 3, 0), "{busy:?}");
    assert_eq!((busy.active_leases, busy.total_timeouts), (3, 1), "{busy:?}");
    for (gate, call) in ["a", "b", "c"].into_iter().zip(held) {
        stage.server.open(gate);
        assert_eq!(call.await??.text()?, gate);
    }

    let stats = stage.rest().await?;
    check_sums(&stats)?;
    assert_eq!((stats.active_sessions, stats.unhealthy_sessions), (0, 0), "{stats:?}");
    assert_eq!(stats.total_acquisitions, stats.total_releases, "{stats:?}");
    // The time-out took no session; a call that met one of the two lost sessions took another.
    assert!((15..=17).contains(&stats.total_acquisitions), "{stats:?}");
    assert_eq!(stats.total_creates, stage.opened() as u64, "as the server counts: {stats:?}");
    stage.server_sessions("the pool's sessions", |open| open.len() as u64 == stats.total_sessions).await?;

    let text = stage.proxy.admin("/pool/stats").await?.1;
    let page: BTreeMap<String, Value> = serde_json::from_str(&text)?;
    for name in WORDS {
        assert!(page.get(name).with_context(|| format!("no {name}"))?.is_string(), "{name} in {text}");
    }
    for name in NUMBERS {
        assert!(page.get(name).with_context(|| format!("no {name}"))?.is_u64(), "{name} in {text}");
    }
    let snake = |name: &String| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    assert!(page.keys().all(snake), "{text}");
    assert_eq!((&page["strategy"], &page["status"]), (&json!("least_connections"), &json!("active")));
    Ok(())
}
