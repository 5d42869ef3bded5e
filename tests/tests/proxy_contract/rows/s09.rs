//! S9: reset.

use anyhow::Result;
use serde_json::json;

use crate::call::{echo, hold};
use crate::stage::{Stage, check_sums};

#[tokio::test]
async fn s09_reset() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 3, "poolMaxSize": 4})).await?;
    let client = stage.client().await?;
    let before = stage.server.sessions();
    let held = hold(&client, "g");
    let busy = stage.session_of("g").await?;
    let epoch = stage.proxy.stats().await?.epoch;
    stage.change(&json!({"poolMinSize": 3, "poolMaxSize": 4, "resetToken": "one"})).await?;

    // The idle ones go at once and are replaced; the busy one stays until its answer.
    stage
        .server_sessions("the idle ones' replacement", |open| {
            open.len() >= 3 && open.intersection(&before).count() == 1 && open.contains(&busy)
        })
        .await?;
    assert_eq!(stage.proxy.stats().await?.epoch, epoch + 1);
    echo(&client, "meanwhile").await?;
    assert!(!held.is_finished() && !stage.deleted().contains(&busy));
    stage.server.open("g");
    assert_eq!(held.await??.text()?, "g", "the call in flight is not cut");

    let now = stage
        .server_sessions("all new", |open| open.is_disjoint(&before) && (3..=4).contains(&open.len()))
        .await?;
    let stats = stage.rest().await?;
    check_sums(&stats)?;
    assert!(stats.total_sessions >= 3 && stats.total_destroys >= 3, "{stats:?}");
    assert!(stage.deleted().is_superset(&before), "{:?} of {before:?}", stage.deleted());
    assert!(now.is_disjoint(&stage.deleted()), "the new ones stay");
    Ok(())
}
