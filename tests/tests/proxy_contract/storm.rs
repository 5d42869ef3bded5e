//! Everything at once: what may never happen does not happen.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::mcp_client::Session;

use crate::call::call;
use crate::stage::{Stage, check_sums};

const USERS: usize = 4;
const CALLS: usize = 60;

/// Clients of four principals call while sessions are recycled, lost, reset, and the sizes change.
#[tokio::test]
async fn nothing_breaks() -> Result<()> {
    for (strategy, concurrency) in [("RoundRobin", 1), ("LeastConnections", 3), ("Weighted", 1)] {
        storm(strategy, concurrency).await?;
    }
    Ok(())
}

/// The text of a call that is made again when two losses in a row hit it before it was executed.
async fn persistent(client: &Session, tool: &str, arguments: &Value) -> Result<String> {
    for _ in 0..2 {
        let answer = call(client, tool, arguments).await?;
        if answer.reason() != "session_lost" {
            return Ok(answer.text()?.to_owned());
        }
    }
    bail!("{tool} was lost again and again")
}

async fn storm(strategy: &str, concurrency: usize) -> Result<()> {
    let spec = |max: u32, token: u32| {
        json!({
            "isolation": "Principal", "poolStrategy": strategy, "poolMinSize": 1, "poolMaxSize": max,
            "poolSessionConcurrency": concurrency, "poolMaxRequests": 15, "poolRecycleSeconds": 1,
            "poolPrePingDelaySeconds": 0, "poolKeepaliveSeconds": 1, "resetToken": format!("token {token}")
        })
    };
    let stage = Stage::ready(&spec(4, 0)).await?;
    let done = AtomicBool::new(false);
    let load = async {
        // Two clients of each.
        let used = try_join_all((0..2 * USERS).map(async |number| {
            let user = stage.user(&format!("user-{}", number % USERS)).await?;
            let mut sessions = HashSet::new();
            for turn in 0..CALLS {
                sessions.insert(persistent(&user, "whoami", &json!({})).await?);
                let message = format!("{number}/{turn}");
                let answer = persistent(&user, "echo", &json!({"message": message})).await?;
                ensure!(answer == message, "{answer} in place of {message}");
                persistent(&user, "sleep", &json!({"ms": (number * 7 + turn * 13) % 20})).await?;
            }
            anyhow::Ok(sessions)
        }))
        .await?;
        done.store(true, Ordering::Relaxed);
        anyhow::Ok(used)
    };
    let changes = async {
        let mut turn = 0;
        while !done.load(Ordering::Relaxed) {
            turn += 1;
            stage.change(&spec([4, 2, 6][turn as usize % 3], turn)).await?;
            if turn % 4 == 0 {
                stage.server.forget_sessions();
            }
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        }
        anyhow::Ok(turn)
    };
    let watch = async {
        while !done.load(Ordering::Relaxed) {
            let stats = stage.proxy.stats().await?;
            check_sums(&stats)?;
            ensure!(stats.total_sessions <= 6, "{stats:?}");
        }
        anyhow::Ok(())
    };
    let (used, turns, ()) = futures::try_join!(load, changes, watch)?;
    for one in 0..2 * USERS {
        for other in one + 1..2 * USERS {
            let share = !used[one].is_disjoint(&used[other]);
            assert!(!share || one % USERS == other % USERS, "{strategy}: two principals met");
        }
    }
    assert!(turns >= 2, "{turns}");
    assert!(stage.server.most_at_once() <= concurrency, "{strategy}: {}", stage.server.most_at_once());
    let stats = stage.rest().await?;
    check_sums(&stats)?;
    assert_eq!((stats.total_timeouts, stats.state_losses), (0, 0), "{stats:?}");
    let Stage { server, proxy, .. } = stage;
    assert_eq!(proxy.terminate().await?.code, Some(0));
    assert!(server.sessions().is_empty(), "{strategy}: {:?}", server.sessions());
    Ok(())
}
