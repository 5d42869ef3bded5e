//! S11: pooling is switched off under traffic.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::json;
use tests::eventually;

use crate::call::{echo, hold, sequence};
use crate::stage::{PATIENCE, Stage};

const CLIENTS: usize = 6;

#[tokio::test]
async fn s11_disable() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 2, "poolMaxSize": 4})).await?;
    let clients = try_join_all((0..CLIENTS).map(|_| stage.client())).await?;
    let long = hold(&clients[0], "g");
    let busy = stage.session_of("g").await?;
    let (done, finished) = (AtomicUsize::new(0), AtomicBool::new(false));
    let traffic = try_join_all(clients.iter().enumerate().map(async |(number, client)| {
        let mut calls = 0;
        while !finished.load(Ordering::Relaxed) {
            echo(client, &format!("{number}/{calls}")).await?;
            calls += 1;
            done.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(calls)
    }));
    let after = async |count: usize| {
        eventually(PATIENCE, "calls", async || {
            ensure!(done.load(Ordering::Relaxed) >= count, "{done:?} of {count}");
            Ok(())
        })
        .await
    };
    let change = async {
        after(60).await?;
        stage.change(&json!({"poolEnabled": false, "poolMinSize": 2, "poolMaxSize": 4})).await?;
        let direct = stage.when("direct sessions", |stats| stats.direct_sessions == CLIENTS as u64).await?;
        after(done.load(Ordering::Relaxed) + 60).await?;
        finished.store(true, Ordering::Relaxed);
        anyhow::Ok(direct)
    };
    let (calls, _) = futures::try_join!(traffic, change)?;
    assert_eq!(stage.server.calls("echo").len(), calls.iter().sum::<usize>(), "each once");

    assert!(!long.is_finished() && stage.server.sessions().contains(&busy), "it runs where it ran");
    stage.server.open("g");
    assert_eq!(long.await??.text()?, "g");
    let stats = stage.when("no pooled session", |stats| stats.total_sessions == 0).await?;
    assert_eq!((stats.status.as_str(), stats.available_sessions), ("disabled", 0), "{stats:?}");
    let mut own = HashSet::new();
    for client in &clients {
        let used: HashSet<_> = sequence(client, 2).await?.into_iter().collect();
        assert_eq!(used.len(), 1, "its own session: {used:?}");
        own.extend(used);
    }
    assert_eq!(own.len(), CLIENTS, "{own:?}");
    stage.server_sessions("the pooled ones' end", |open| *open == own).await?;
    let pooled: HashSet<_> = (0..stage.opened()).map(|number| format!("upstream-session-{number}")).collect();
    let pooled: HashSet<_> = pooled.difference(&own).cloned().collect();
    assert!(pooled.len() >= 2 && stage.deleted() == pooled, "DELETE for each of {pooled:?}");
    Ok(())
}
