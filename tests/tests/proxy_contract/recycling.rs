//! Sessions are replaced by age, by idleness above the smallest size, and by requests.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::json;
use tests::eventually;

use crate::call::{echo, hold, sequence};
use crate::stage::{PATIENCE, Stage, check_sums};

#[tokio::test]
async fn by_age() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 2, "poolMaxSize": 4, "poolRecycleSeconds": 1})).await?;
    let client = stage.client().await?;
    // Two generations on.
    for _ in 0..2 {
        let before = stage.server.sessions();
        stage.server_sessions("two others", |open| open.len() == 2 && open.is_disjoint(&before)).await?;
        echo(&client, "x").await?;
    }
    let stats = stage.when("the smallest size", |stats| stats.total_sessions == 2).await?;
    check_sums(&stats)?;
    let destroys: u64 = stats.destroys_by_reason.values().sum();
    assert_eq!(destroys, stats.total_destroys, "each has a reason: {stats:?}");
    assert!(stats.total_destroys >= 4, "{stats:?}");
    Ok(())
}

/// Age does not end a call, and the session takes no further one.
#[tokio::test]
async fn busy_one_goes_at_check_in() -> Result<()> {
    let stage = Stage::full(&json!({"poolMaxSize": 1, "poolRecycleSeconds": 1})).await?;
    let client = stage.client().await?;
    let held = hold(&client, "g");
    let old = stage.session_of("g").await?;
    eventually(PATIENCE, "the session to be old", async || {
        let slots = stage.slots().await?;
        ensure!(slots.iter().any(|slot| slot.age_seconds > 2.5), "{slots:?}");
        Ok(())
    })
    .await?;
    assert!(!held.is_finished() && stage.server.sessions().contains(&old));
    let next = hold(&client, "next");
    stage.when("a waiter", |stats| stats.waiting == 1).await?;
    stage.server.open("g");
    assert_eq!(held.await??.text()?, "g");
    assert_ne!(stage.session_of("next").await?, old);
    stage.server.open("next");
    assert_eq!(next.await??.status, 200);
    stage.server_sessions("the old one's end", |open| !open.contains(&old)).await?;
    assert!(stage.deleted().contains(&old));
    Ok(())
}

/// `poolIdleSeconds` ends what is above the smallest size, and nothing of it.
#[tokio::test]
async fn by_idleness_above_the_smallest_size() -> Result<()> {
    let spec = json!({"poolMinSize": 2, "poolMaxSize": 5, "poolIdleSeconds": 1, "poolKeepaliveSeconds": 1});
    let stage = Stage::full(&spec).await?;
    let client = stage.client().await?;
    let calls: Vec<_> = (0..5).map(|_| hold(&client, "g")).collect();
    stage.server.calls_reach("hold", 5).await?;
    stage.server.open("g");
    try_join_all(calls).await?;
    let kept = stage.server_sessions("two", |open| open.len() == 2).await?;
    // They are quiet for three more seconds, and stay.
    let pings = stage.server.seen_as("ping").len();
    stage.server.messages_reach("ping", pings + 6).await?;
    assert_eq!(stage.server.sessions(), kept);
    let stats = stage.rest().await?;
    assert_eq!((stats.total_sessions, stats.total_destroys), (2, 3), "{stats:?}");
    assert_eq!(stage.deleted().len(), 3);
    Ok(())
}

#[tokio::test]
async fn by_requests() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 2, "poolMaxSize": 3, "poolMaxRequests": 3})).await?;
    let clients = try_join_all((0..4).map(|_| stage.client())).await?;
    let used = try_join_all(clients.iter().map(async |client| sequence(client, 6).await)).await?;
    let mut served = HashMap::<_, usize>::new();
    for session in used.into_iter().flatten() {
        *served.entry(session).or_default() += 1;
    }
    assert!(served.values().all(|count| *count <= 3), "{served:?}");
    assert!(served.len() >= 8, "24 calls, 3 for each: {served:?}");
    let stats = stage
        .when("the smallest size", |stats| stats.available_sessions >= 2 && stats.initializing == 0)
        .await?;
    check_sums(&stats)?;
    // The smallest size is kept without a further request.
    let full: Vec<_> = served.iter().filter(|(_, count)| **count == 3).map(|(id, _)| id.clone()).collect();
    stage
        .server_sessions("no session that served three", |open| full.iter().all(|id| !open.contains(id)))
        .await?;
    Ok(())
}
